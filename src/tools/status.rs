//! `ferrokeeper status`: asks a server as `zkServer.sh status` does, in its words.

use std::io::{self, Read, Write};
use std::path::Path;

use super::{FAILED, Stopped, WRONG};
use crate::client::connect_string::ConnectString;
use crate::client::tls::{ClientTls, Properties};
use crate::config::{Config, SystemProperties};
use crate::json::Json;
use crate::server::backup;

pub(super) fn run(
    server: &str,
    json: bool,
    properties: &SystemProperties,
    client: &Properties,
) -> Result<(), Stopped> {
    let stopped = |text: String, exit_code| Stopped { text, exit_code };
    let ((host, port), is_secure) = match Path::new(server).is_file() {
        true => listener(Path::new(server), properties)?,
        false => {
            let parsed = ConnectString::parse(server).map_err(|why| stopped(why, WRONG))?;
            let first = parsed.servers.into_iter().next();
            let secure = client.get("client.secure");
            let is_secure = secure.is_some_and(|value| value.eq_ignore_ascii_case("true"));
            (first.unwrap_or_default(), is_secure)
        }
    };
    if !json {
        writeln!(
            io::stdout(),
            "Client port found: {port}. Client address: {host}. Client SSL: {is_secure}."
        )?;
    }
    let answer = match is_secure {
        false => backup::ask((&host, port), "srvr").map_err(|e| e.to_string()),
        true => ask_by_tls(&host, port, client),
    };
    let mode = answer.as_deref().ok().and_then(|answer| {
        let mut lines = answer.lines();
        lines.find(|line| line.starts_with("Mode: "))
    });
    let Some(mode) = mode else {
        let why = match &answer {
            Err(why) => format!(" ({why})"),
            Ok(answer) => answer
                .lines()
                .next()
                .map_or(String::new(), |line| format!(" ({line})")),
        };
        let text = format!("Error contacting service. It is probably not running.{why}");
        if json {
            return Err(stopped(text, FAILED));
        }
        // Where zkServer.sh says it.
        writeln!(io::stdout(), "{text}")?;
        return Err(stopped(String::new(), FAILED));
    };
    if !json {
        writeln!(io::stdout(), "{mode}")?;
        return Ok(());
    }
    let value = |name: &str| {
        let answer = answer.as_deref().unwrap_or_default();
        let value = answer.lines().find_map(|line| line.strip_prefix(name));
        Json::from(value.map(|value| value.trim().to_owned()))
    };
    let line = Json::object(vec![
        ("server", format!("{host}:{port}").into()),
        ("mode", value("Mode:")),
        ("version", value("Zookeeper version:")),
        ("zxid", value("Zxid:")),
        ("connections", value("Connections:")),
        ("outstanding", value("Outstanding:")),
        ("nodes", value("Node count:")),
    ]);
    writeln!(io::stdout(), "{line}")?;
    Ok(())
}

/// Where the server of a configuration file serves its clients, and whether by TLS alone.
fn listener(file: &Path, properties: &SystemProperties) -> Result<((String, u16), bool), Stopped> {
    let (config, _) = Config::load(file, properties)?;
    let listeners = config.client_listeners();
    let listener = listeners.first().ok_or_else(|| Stopped {
        text: "Unable to find either secure or unsecure client port in any configs. Terminating."
            .to_owned(),
        exit_code: FAILED,
    })?;
    let host = match listener.address.is_wildcard() {
        true => "localhost".to_owned(),
        false => listener.address.host.clone().unwrap_or_default(),
    };
    Ok(((host, listener.address.port), listener.is_secure))
}

fn ask_by_tls(host: &str, port: u16, client: &Properties) -> Result<String, String> {
    let mut properties = client.clone();
    properties.insert("client.secure".to_owned(), "true".to_owned());
    let tls = ClientTls::new(&properties)?.ok_or("TLS is not configured")?;
    let tcp = backup::dial((host, port)).map_err(|e| e.to_string())?;
    let mut stream = tls.blocking(tcp, host).map_err(|e| e.to_string())?;
    let mut answer = String::new();
    stream.write_all(b"srvr").map_err(|e| e.to_string())?;
    // Who closes without a word at the end has said all of it all the same.
    let _ = stream.take(1 << 20).read_to_string(&mut answer);
    match answer.is_empty() {
        true => Err("no answer".to_owned()),
        false => Ok(answer),
    }
}
