//! The configuration as it is shown to whoever asks: without passwords, which Java's AdminServer shows to anybody.

use super::keys::{self, Property};
use super::settings::Settings;

const HIDDEN: &str = "<hidden>";

/// The text of a file; values of secret keys, over as many lines as they go, are hidden.
pub(super) fn text(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut hides = false;
    for line in text.split_inclusive('\n') {
        let content = line.trim_end_matches(['\r', '\n']);
        let backslashes = content.len() - content.trim_end_matches('\\').len();
        let continues = backslashes % 2 == 1;
        if hides {
            hides = continues;
            continue;
        }
        // What is commented out may be in use elsewhere.
        let key = content.trim_start_matches([' ', '\t', '\u{c}', '#', '!']);
        let key_end = key
            .find(['=', ':', ' ', '\t', '\u{c}'])
            .unwrap_or(key.len());
        let (key, value) = key.split_at(key_end);
        // Escapes in a key are for those who mean it; a secret that looks like one is hidden all the same.
        let plain = key.replace('\\', "");
        let is_secret =
            keys::find(&plain).is_some_and(|found| found.key.secret) || sounds_secret(&plain);
        if is_secret && !value.is_empty() {
            let before = &content[..content.len() - key.len() - value.len()];
            out.push_str(&format!("{before}{key}={HIDDEN}\n"));
            hides = continues;
        } else {
            out.push_str(line);
        }
    }
    out
}

/// Of a key that nobody knows, the name says it.
fn sounds_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    !key.ends_with("passwordpath")
        && ["password", "secret", "superdigest"]
            .iter()
            .any(|word| key.contains(word))
}

/// What Java would have made system properties of, by name.
pub(super) fn properties(settings: &Settings) -> Vec<(String, String)> {
    let mut shown: Vec<(String, String)> = settings
        .iter()
        .filter_map(|(name, setting)| {
            let property = match setting.key.property {
                Property::None => return None,
                Property::Prefixed => format!("zookeeper.{name}"),
                Property::Named(names) => names.first()?.to_string(),
            };
            let is_secret = setting.key.secret || sounds_secret(name);
            let value = if is_secret { HIDDEN } else { &setting.value };
            Some((property, value.to_owned()))
        })
        .collect();
    shown.sort();
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_do_not_show() {
        let shown = text(
            "dataDir=/d\n# ssl.keyStore.password=old\nssl.keyStore.password=a\\\n  b\nssl.quorum.trustStore.password : c\r\n\
             ssl.keyStore.passwordPath=/p\nDigestAuthenticationProvider.superDigest=super:x=\nmy.secret.thing=d\ntickTime=1",
        );
        assert_eq!(
            shown,
            "dataDir=/d\n# ssl.keyStore.password=<hidden>\nssl.keyStore.password=<hidden>\n\
             ssl.quorum.trustStore.password=<hidden>\nssl.keyStore.passwordPath=/p\n\
             DigestAuthenticationProvider.superDigest=<hidden>\nmy.secret.thing=<hidden>\ntickTime=1"
        );
    }
}
