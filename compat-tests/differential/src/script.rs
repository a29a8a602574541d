//! A script: what is done on which connection, in which order; its text form, which can be replayed.

use crate::request::{Field, Request, op_code, op_name};
use anyhow::{Context, Result, bail, ensure};
use std::fmt::Write;

#[derive(Clone, Debug, PartialEq)]
pub struct Script {
    pub config: String,
    pub steps: Vec<Step>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// Which of the clients acts.
    pub client: usize,
    pub action: Action,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// The handshake of a new session; nothing if the client is connected.
    Connect(Hello),
    /// The same with requests behind it in the same write.
    ConnectSend(Hello, Vec<Request>),
    /// The handshake with the client's last session, also while its connection lives.
    Reconnect(Hello, Password),
    /// The connection is closed without a word.
    Drop,
    /// All requests in one write; the replies are awaited.
    Send(Vec<Request>),
    /// Bytes on the client's connection that the server has to refuse.
    Raw(Vec<u8>),
    /// Bytes as the first ones of a new connection.
    RawHello(Vec<u8>),
}

#[derive(Clone, Debug, PartialEq)]
pub struct Hello {
    pub timeout: i32,
    /// The form of old clients, without the last byte.
    pub legacy: bool,
    pub read_only: bool,
    /// Relative to the zxid of the script's beginning, unless zero.
    pub last_zxid: i64,
    /// Bytes of the password of a new session; -1 is null.
    pub passwd_len: i32,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Password {
    Own,
    Wrong,
    Empty,
}

impl Script {
    pub fn requests(&self) -> usize {
        self.steps
            .iter()
            .map(|s| {
                if let Action::Send(r) = &s.action {
                    r.len()
                } else {
                    1
                }
            })
            .sum()
    }

    pub fn to_text(&self) -> String {
        let mut out = format!("config {}\n", self.config);
        for step in &self.steps {
            let c = step.client;
            // Writing into a String cannot fail.
            let _ = match &step.action {
                Action::Connect(h) => writeln!(out, "{c} connect {}", hello_text(h)),
                Action::ConnectSend(h, _) => writeln!(out, "{c} connectsend {}", hello_text(h)),
                Action::Reconnect(h, p) => writeln!(out, "{c} reconnect {p:?} {}", hello_text(h)),
                Action::Drop => writeln!(out, "{c} drop"),
                Action::Raw(b) => writeln!(out, "{c} raw {}", hex(b)),
                Action::RawHello(b) => writeln!(out, "{c} rawhello {}", hex(b)),
                Action::Send(_) => writeln!(out, "{c} send"),
            };
            if let Action::Send(requests) | Action::ConnectSend(_, requests) = &step.action {
                for request in requests {
                    let _ = writeln!(out, "  {}", request_text(request));
                }
            }
        }
        out
    }

    pub fn parse(text: &str) -> Result<Script> {
        let mut script = Script {
            config: "plain".into(),
            steps: Vec::new(),
        };
        for (number, line) in text.lines().enumerate() {
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            parse_line(line, &mut script)
                .with_context(|| format!("line {}: {line}", number + 1))?;
        }
        Ok(script)
    }
}

fn parse_line(line: &str, script: &mut Script) -> Result<()> {
    if let Some(config) = line.strip_prefix("config ") {
        script.config = config.trim().to_string();
        return Ok(());
    }
    if line.starts_with(' ') {
        let request = Text::new(line).request()?;
        match script.steps.last_mut().map(|s| &mut s.action) {
            Some(Action::Send(requests) | Action::ConnectSend(_, requests)) => {
                requests.push(request)
            }
            _ => bail!("a request outside of `send`"),
        }
        return Ok(());
    }
    let words: Vec<&str> = line.split_whitespace().collect();
    ensure!(words.len() >= 2, "expected: CLIENT ACTION");
    let action = match words[1] {
        "connect" => Action::Connect(parse_hello(&words[2..])?),
        "connectsend" => Action::ConnectSend(parse_hello(&words[2..])?, Vec::new()),
        "reconnect" => {
            let password = match words.get(2) {
                Some(&"Own") => Password::Own,
                Some(&"Wrong") => Password::Wrong,
                Some(&"Empty") => Password::Empty,
                _ => bail!("expected Own, Wrong or Empty"),
            };
            Action::Reconnect(parse_hello(&words[3..])?, password)
        }
        "drop" => Action::Drop,
        "raw" => Action::Raw(unhex(words.get(2).unwrap_or(&""))?),
        "rawhello" => Action::RawHello(unhex(words.get(2).unwrap_or(&""))?),
        "send" => Action::Send(Vec::new()),
        other => bail!("unknown action {other}"),
    };
    script.steps.push(Step {
        client: words[0].parse()?,
        action,
    });
    Ok(())
}

fn hello_text(h: &Hello) -> String {
    format!(
        "timeout={} legacy={} readonly={} zxid={} passwd={}",
        h.timeout, h.legacy, h.read_only, h.last_zxid, h.passwd_len
    )
}

fn parse_hello(words: &[&str]) -> Result<Hello> {
    let mut h = Hello {
        timeout: 100_000,
        legacy: false,
        read_only: false,
        last_zxid: 0,
        passwd_len: 16,
    };
    for word in words {
        let (key, value) = word.split_once('=').context("expected key=value")?;
        match key {
            "timeout" => h.timeout = value.parse()?,
            "legacy" => h.legacy = value.parse()?,
            "readonly" => h.read_only = value.parse()?,
            "zxid" => h.last_zxid = value.parse()?,
            "passwd" => h.passwd_len = value.parse()?,
            other => bail!("unknown key {other}"),
        }
    }
    Ok(h)
}

pub fn request_text(request: &Request) -> String {
    let mut out = op_name(request.op);
    for field in &request.fields {
        out.push(' ');
        out.push_str(&field_text(field));
    }
    if let Some(xid) = request.xid {
        let _ = write!(out, " xid={xid}");
    }
    if request.cut > 0 {
        let _ = write!(out, " cut={}", request.cut);
    }
    out
}

fn field_text(field: &Field) -> String {
    match field {
        Field::Int(v) => v.to_string(),
        Field::Long(v) => format!("{v}L"),
        Field::Zxid(v) => format!("{v}Z"),
        Field::Bool(v) => v.to_string(),
        Field::Null => "null".into(),
        Field::Str(b) => format!("\"{}\"", escape(b)),
        Field::Buf(b) => format!("b\"{}\"", escape(b)),
        Field::Fill(n) => format!("{n}x"),
        Field::List(items) => {
            let items: Vec<String> = items.iter().map(field_text).collect();
            format!("[{}]", items.join(" "))
        }
        Field::Acl(perms, scheme, id) => {
            format!("({perms} {} {})", field_text(scheme), field_text(id))
        }
        Field::Multi(requests) => {
            let requests: Vec<String> = requests.iter().map(request_text).collect();
            format!("{{ {} }}", requests.join(" ; "))
        }
        Field::Raw(b) => format!("r\"{}\"", escape(b)),
    }
}

/// Printable ASCII as it is, everything else as `\xNN`, so that any bytes survive the way into a file and back.
pub fn escape(bytes: &[u8]) -> String {
    let mut out = String::new();
    for &b in bytes {
        if (0x20..0x7f).contains(&b) && b != b'"' && b != b'\\' {
            out.push(b as char);
        } else {
            let _ = write!(out, "\\x{b:02x}");
        }
    }
    out
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut s, b| {
        let _ = write!(s, "{b:02x}");
        s
    })
}

fn unhex(text: &str) -> Result<Vec<u8>> {
    ensure!(
        text.len().is_multiple_of(2) && text.is_ascii(),
        "not hexadecimal"
    );
    (0..text.len() / 2)
        .map(|i| Ok(u8::from_str_radix(&text[2 * i..2 * i + 2], 16)?))
        .collect()
}

/// A reader of the text form of requests.
struct Text<'a> {
    rest: &'a str,
}

impl<'a> Text<'a> {
    fn new(rest: &'a str) -> Text<'a> {
        Text { rest }
    }

    fn skip(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn eat(&mut self, prefix: &str) -> bool {
        self.skip();
        match self.rest.strip_prefix(prefix) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn word(&mut self) -> &'a str {
        self.skip();
        let end = self
            .rest
            .find([' ', ']', ')', '}', ';'])
            .unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word
    }

    fn request(&mut self) -> Result<Request> {
        let name = self.word();
        let mut request = Request::new(
            op_code(name).with_context(|| format!("unknown operation {name}"))?,
            vec![],
        );
        loop {
            self.skip();
            if self.rest.is_empty() || self.rest.starts_with([';', '}']) {
                return Ok(request);
            }
            if self.eat("xid=") {
                request.xid = Some(self.word().parse()?);
            } else if self.eat("cut=") {
                request.cut = self.word().parse()?;
            } else {
                request.fields.push(self.field()?);
            }
        }
    }

    fn field(&mut self) -> Result<Field> {
        if self.eat("b\"") {
            return Ok(Field::Buf(self.quoted()?));
        }
        if self.eat("r\"") {
            return Ok(Field::Raw(self.quoted()?));
        }
        if self.eat("\"") {
            return Ok(Field::Str(self.quoted()?));
        }
        if self.eat("[") {
            let mut items = Vec::new();
            while !self.eat("]") {
                ensure!(!self.rest.is_empty(), "`[` without `]`");
                items.push(self.field()?);
            }
            return Ok(Field::List(items));
        }
        if self.eat("(") {
            let perms = self.word().parse()?;
            let (scheme, id) = (self.field()?, self.field()?);
            ensure!(self.eat(")"), "`(` without `)`");
            return Ok(Field::Acl(perms, Box::new(scheme), Box::new(id)));
        }
        if self.eat("{") {
            let mut requests = Vec::new();
            loop {
                if self.eat("}") {
                    return Ok(Field::Multi(requests));
                }
                ensure!(!self.rest.is_empty(), "`{{` without `}}`");
                requests.push(self.request()?);
                self.eat(";");
            }
        }
        let word = self.word();
        Ok(match word {
            "null" => Field::Null,
            "true" => Field::Bool(true),
            "false" => Field::Bool(false),
            _ => {
                if let Some(number) = word.strip_suffix('L') {
                    Field::Long(number.parse()?)
                } else if let Some(number) = word.strip_suffix('Z') {
                    Field::Zxid(number.parse()?)
                } else if let Some(number) = word.strip_suffix('x') {
                    Field::Fill(number.parse()?)
                } else {
                    Field::Int(
                        word.parse()
                            .with_context(|| format!("unknown field `{word}`"))?,
                    )
                }
            }
        })
    }

    fn quoted(&mut self) -> Result<Vec<u8>> {
        let end = self.rest.find('"').context("a quote without its end")?;
        let (text, rest) = (&self.rest[..end], &self.rest[end + 1..]);
        self.rest = rest;
        let mut out = Vec::new();
        let mut bytes = text.bytes();
        while let Some(b) = bytes.next() {
            if b != b'\\' {
                out.push(b);
                continue;
            }
            ensure!(bytes.next() == Some(b'x'), "only \\xNN is an escape");
            let digits: Vec<u8> = bytes.by_ref().take(2).collect();
            out.extend(unhex(std::str::from_utf8(&digits)?)?);
        }
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::generate::generate;
    use crate::profile::Profile;

    #[test]
    fn text_form_returns_the_same_script() {
        for seed in 0..200 {
            let script = generate(seed, &Profile::named("plain").unwrap());
            assert_eq!(Script::parse(&script.to_text()).unwrap(), script);
        }
    }
}
