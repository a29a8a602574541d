//! The options of one command, with the habits of the parser that zkCli.sh uses: options stand anywhere, short ones
//! may be written together, what begins with a hyphen is an option unless one before it waits for its value. Answers to commons-cli's `DefaultParser`.

/// An option, and whether a value follows it.
pub struct Spec {
    pub name: &'static str,
    pub has_value: bool,
}

pub const fn flag(name: &'static str) -> Spec {
    Spec {
        name,
        has_value: false,
    }
}

pub const fn value(name: &'static str) -> Spec {
    Spec {
        name,
        has_value: true,
    }
}

#[derive(Debug, Default, PartialEq, Eq)]
pub struct Parsed {
    /// In the order in which they were given.
    pub options: Vec<(&'static str, Option<String>)>,
    /// Behind the command's name.
    pub arguments: Vec<String>,
}

impl Parsed {
    pub fn has(&self, name: &str) -> bool {
        self.options.iter().any(|(given, _)| *given == name)
    }

    pub fn value(&self, name: &str) -> Option<&str> {
        let mut values = self.options.iter().filter(|(given, _)| *given == name);
        values.next()?.1.as_deref()
    }

    pub fn argument(&self, at: usize) -> Option<&str> {
        self.arguments.get(at).map(String::as_str)
    }
}

/// `tokens` are what stands behind the command's name.
pub fn parse(specs: &'static [Spec], tokens: &[String]) -> Result<Parsed, String> {
    let mut parsed = Parsed::default();
    let mut waiting: Option<&'static str> = None;
    let mut tokens = tokens.iter();
    while let Some(token) = tokens.next() {
        let is_argument = !token.starts_with('-') || token == "-";
        match waiting.take() {
            Some(name) if is_argument || !is_option(specs, token) => {
                parsed.options.push((name, Some(unquoted(token))));
                continue;
            }
            Some(name) => return Err(missing(name)),
            None => {}
        }
        if token == "--" {
            parsed.arguments.extend(tokens.by_ref().cloned());
        } else if is_argument {
            parsed.arguments.push(token.clone());
        } else {
            waiting = option(specs, token, &mut parsed)?;
        }
    }
    match waiting {
        Some(name) => Err(missing(name)),
        None => Ok(parsed),
    }
}

/// The option that waits for its value, if one does.
fn option(
    specs: &'static [Spec],
    token: &str,
    parsed: &mut Parsed,
) -> Result<Option<&'static str>, String> {
    let unknown = || format!("Unrecognized option: {token}");
    let text = token.strip_prefix('-').unwrap_or(token);
    if let Some((name, given)) = text.split_once('=')
        && let Some(spec) = find(specs, name).filter(|spec| spec.has_value)
    {
        parsed.options.push((spec.name, Some(given.to_owned())));
        return Ok(None);
    }
    if let Some(spec) = find(specs, text) {
        if spec.has_value {
            return Ok(Some(spec.name));
        }
        parsed.options.push((spec.name, None));
        return Ok(None);
    }
    // Several of one letter in one word; what follows one with a value is the value.
    for (at, letter) in text.char_indices() {
        let spec = find(specs, letter.encode_utf8(&mut [0; 4])).ok_or_else(unknown)?;
        let rest = &text[at + letter.len_utf8()..];
        match (spec.has_value, rest.is_empty()) {
            (false, _) => parsed.options.push((spec.name, None)),
            (true, true) => return Ok(Some(spec.name)),
            (true, false) => {
                parsed.options.push((spec.name, Some(rest.to_owned())));
                return Ok(None);
            }
        }
    }
    Ok(None)
}

/// A number below zero is none, and neither is what begins like no option that there is.
fn is_option(specs: &'static [Spec], token: &str) -> bool {
    let text = token.trim_start_matches('-');
    let name = text.split('=').next().unwrap_or(text);
    let first = name.chars().next().map(String::from).unwrap_or_default();
    token.parse::<f64>().is_err() && (find(specs, name).is_some() || find(specs, &first).is_some())
}

fn find(specs: &'static [Spec], name: &str) -> Option<&'static Spec> {
    specs.iter().find(|spec| spec.name == name)
}

fn missing(name: &str) -> String {
    format!("Missing argument for option: {name}")
}

fn unquoted(text: &str) -> String {
    let inside = text
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    match inside.filter(|inside| !inside.contains('"')) {
        Some(inside) => inside.to_owned(),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const SPECS: &[Spec] = &[flag("s"), flag("w"), value("v"), value("add")];

    fn parsed(line: &str) -> Result<Parsed, String> {
        let tokens: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        parse(SPECS, &tokens)
    }

    #[test]
    fn options_stand_anywhere_alone_or_together() {
        for line in ["-s -v 3 /a b", "/a -sv3 b", "/a b -v 3 -s", "-v=3 /a -s b"] {
            let parsed = parsed(line).unwrap();
            assert!(parsed.has("s") && !parsed.has("w"), "{line}");
            assert_eq!(parsed.value("v"), Some("3"), "{line}");
            assert_eq!(parsed.arguments, ["/a", "b"], "{line}");
        }
        assert_eq!(parsed("-v -1 /a").unwrap().value("v"), Some("-1"));
        assert_eq!(parsed("-v -foo /a").unwrap().value("v"), Some("-foo"));
        assert_eq!(parsed("/a -").unwrap().arguments, ["/a", "-"]);
        assert_eq!(parsed("-- -s").unwrap().arguments, ["-s"]);
        assert_eq!(
            parsed("-add server.1=x").unwrap().value("add"),
            Some("server.1=x")
        );
    }

    #[test]
    fn what_is_wrong() {
        assert_eq!(parsed("-q"), Err("Unrecognized option: -q".to_owned()));
        assert_eq!(parsed("/a -1"), Err("Unrecognized option: -1".to_owned()));
        assert_eq!(parsed("-sq"), Err("Unrecognized option: -sq".to_owned()));
        assert_eq!(
            parsed("/a -v"),
            Err("Missing argument for option: v".to_owned())
        );
        assert_eq!(
            parsed("-v -s"),
            Err("Missing argument for option: v".to_owned())
        );
    }
}
