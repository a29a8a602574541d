//! `krb5.conf`: what a service needs of it. That is little: the realm of names that are written without one, and how
//! much clocks may differ. Files that it includes are not looked at.

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Krb5Conf {
    pub default_realm: Option<String>,
    /// `None`: not said, or not in seconds.
    pub clock_skew_seconds: Option<i64>,
}

/// A quarter of an hour; who allows more has to repair the clocks.
const CLOCK_SKEW_SECONDS_MAX: i64 = 900;

impl Krb5Conf {
    pub fn parse(text: &str) -> Krb5Conf {
        let mut found = Krb5Conf::default();
        let mut section = "";
        for line in text.lines().map(str::trim) {
            if line.starts_with(['#', ';']) {
                continue;
            }
            if let Some(name) = line.strip_prefix('[') {
                section = name.split(']').next().unwrap_or_default().trim();
                continue;
            }
            let Some((key, value)) = line.split_once('=') else {
                continue;
            };
            let value = value.trim().trim_matches('"');
            match (section, key.trim()) {
                // The first one counts, as for MIT's library.
                ("libdefaults", "default_realm") if !value.is_empty() => {
                    found.default_realm.get_or_insert_with(|| value.to_owned());
                }
                ("libdefaults", "clockskew") => {
                    let seconds = value
                        .parse()
                        .ok()
                        .filter(|s| (0..=CLOCK_SKEW_SECONDS_MAX).contains(s));
                    found.clock_skew_seconds = found.clock_skew_seconds.or(seconds);
                }
                _ => {}
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_counts() {
        let text = "# default_realm = NO\n[realms]\n  A = {\n    default_realm = NO\n  }\n[libdefaults]\n\
                    \tdefault_realm = EXAMPLE.ORG\n; clockskew = 1\n clockskew=120\n default_realm = LATER\n[x]\nclockskew=9";
        let expected = Krb5Conf {
            default_realm: Some("EXAMPLE.ORG".to_owned()),
            clock_skew_seconds: Some(120),
        };
        assert_eq!(Krb5Conf::parse(text), expected);
        for text in [
            "",
            "[libdefaults",
            "[libdefaults]\nclockskew = 1d\ndefault_realm =",
            "\u{0}=\n[]=",
        ] {
            assert_eq!(Krb5Conf::parse(text), Krb5Conf::default(), "{text:?}");
        }
        let huge = Krb5Conf::parse("[libdefaults]\nclockskew = 999999999");
        assert_eq!(huge.clock_skew_seconds, None);
    }
}
