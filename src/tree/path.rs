//! The rules for paths. Answers to `PathUtils`.

use super::quota::QUOTA_ROOT;

pub const CONFIG: &str = "/zookeeper/config";

/// Nodes that exist from the start and cannot be deleted.
pub fn is_reserved(path: &str) -> bool {
    matches!(path, "/" | "/zookeeper" | QUOTA_ROOT | CONFIG)
}

/// Full validation, as for every path that a transaction stores.
pub fn is_valid(path: &str) -> bool {
    if path == "/" {
        return true;
    }
    if !path.starts_with('/') || path.ends_with('/') {
        return false;
    }
    if is_plain(path) {
        return true;
    }
    path[1..]
        .split('/')
        .all(|part| !matches!(part, "" | "." | ".."))
        && path.chars().all(is_allowed)
}

/// What nearly every path is: nothing but ASCII, and no part that is empty or begins with a dot.
fn is_plain(path: &str) -> bool {
    let mut before = 0;
    path.bytes().all(|byte| {
        let begins_part = std::mem::replace(&mut before, byte) == b'/';
        (0x20..0x7f).contains(&byte) && !(begins_part && matches!(byte, b'/' | b'.'))
    })
}

/// Characters above U+FFFF are pairs of surrogates to Java, which it refuses; so they are refused here.
fn is_allowed(c: char) -> bool {
    !matches!(c as u32, 0..=0x1f | 0x7f..=0x9f | 0xd800..=0xf8ff | 0xfff0..=0xffff | 0x1_0000..)
}

/// Validation before a parent is looked for: has a parent, and no NUL.
pub fn has_parent(path: &str) -> bool {
    path.contains('/') && !path.contains('\0')
}

/// Parent (without a final slash: the root's is "") and name. `None` where there is no slash.
pub fn split(path: &str) -> Option<(&str, &str)> {
    let at = path.bytes().rposition(|byte| byte == b'/')?;
    Some((&path[..at], &path[at + 1..]))
}

/// What a client calls the parent: the root is "/", not "".
pub fn shown(parent: &str) -> &str {
    if parent.is_empty() { "/" } else { parent }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn valid_paths() {
        for path in ["/", "/a", "/a/b", "/...", "/.a", "/a..", "/a /b", "/\u{e9}"] {
            assert!(is_valid(path), "{path:?}");
        }
    }

    #[test]
    fn invalid_paths() {
        for path in [
            "",
            "a",
            "/a/",
            "//",
            "/a//b",
            "/.",
            "/..",
            "/a/./b",
            "/a/..",
            "/a\0",
            "/\u{1}",
            "/\u{7f}",
            "/\u{9f}",
            "/\u{e000}",
            "/\u{f8ff}",
            "/\u{fff0}",
            "/\u{ffff}",
            "/\u{10000}",
            "/\u{fffd}",
        ] {
            assert!(!is_valid(path), "{path:?}");
        }
    }

    #[test]
    fn splitting() {
        assert_eq!(split("/a"), Some(("", "a")));
        assert_eq!(split("/a/b"), Some(("/a", "b")));
        assert_eq!(split("a"), None);
        assert_eq!(split("/a/"), Some(("/a", "")));
    }
}
