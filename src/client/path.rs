//! Paths as a client checks them before it asks: the words are Java's, because they reach the user. Answers to
//! `PathUtils`.

pub fn validate(path: &str) -> Result<(), String> {
    if path.is_empty() {
        return Err("Path length must be > 0".to_owned());
    }
    if !path.starts_with('/') {
        return Err("Path must start with / character".to_owned());
    }
    if path.len() == 1 {
        return Ok(());
    }
    if path.ends_with('/') {
        return Err("Path must not end with / character".to_owned());
    }
    // Java counts in units of UTF-16.
    let units: Vec<u16> = path.encode_utf16().collect();
    let is = |at: usize, c: char| units.get(at).is_some_and(|unit| *unit == c as u16);
    let ends = |at: usize| at == units.len() || is(at, '/');
    for (at, unit) in units.iter().enumerate().skip(1) {
        let reason = match unit {
            0 => "null character not allowed",
            0x2f if is(at - 1, '/') => "empty node name specified",
            0x2e if is(at - 1, '.') && at >= 2 && is(at - 2, '/') && ends(at + 1) => {
                "relative paths not allowed"
            }
            0x2e if is(at - 1, '/') && ends(at + 1) => "relative paths not allowed",
            0x01..=0x1f | 0x7f..=0x9f | 0xd800..=0xf8ff | 0xfff0..=0xffff => "invalid character",
            _ => continue,
        };
        return Err(format!(
            "Invalid path string \"{path}\" caused by {reason} @{at}"
        ));
    }
    Ok(())
}

/// The path of a child.
pub fn child(parent: &str, name: &str) -> String {
    match parent {
        "/" => format!("/{name}"),
        _ => format!("{parent}/{name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_said_in_the_original_words() {
        for path in ["/", "/a", "/a/b.c", "/.a", "/a..", "/a/...", "/ä"] {
            assert_eq!(validate(path), Ok(()), "{path}");
        }
        for (path, why) in [
            ("", "Path length must be > 0"),
            ("a", "Path must start with / character"),
            ("/a/", "Path must not end with / character"),
            (
                "/a//b",
                "Invalid path string \"/a//b\" caused by empty node name specified @3",
            ),
            (
                "/a/./b",
                "Invalid path string \"/a/./b\" caused by relative paths not allowed @3",
            ),
            (
                "/a/..",
                "Invalid path string \"/a/..\" caused by relative paths not allowed @4",
            ),
            (
                "/a\u{1}",
                "Invalid path string \"/a\u{1}\" caused by invalid character @2",
            ),
        ] {
            assert_eq!(validate(path), Err(why.to_owned()), "{path}");
        }
    }
}
