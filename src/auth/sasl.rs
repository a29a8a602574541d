//! Scheme `sasl`: the names that a list may carry. The exchange itself belongs to the connection.
//!
//! Answers to Java's `SASLAuthenticationProvider` and the name parser of `KerberosName`.

/// A SASL user of this name matches every sasl entry.
pub const SUPER_USER: &str = "super";

/// Whether `name` is `primary[/host]@realm`, or has no `@` at all.
pub fn is_valid_name(name: &str) -> bool {
    let Some((principal, realm)) = name.split_once('@') else {
        return true;
    };
    !realm.contains(['/', '@']) && principal.matches('/').count() <= 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for name in [
            "",
            "bob",
            "a/b",
            "a/b/c",
            "bob@R",
            "bob/host@R",
            "@",
            "/@",
            "a@",
            "@R",
            "a/@R",
        ] {
            assert!(is_valid_name(name), "{name}");
        }
        for name in ["a@b@c", "@@", "a/b/c@R", "a@R/x", "a@/"] {
            assert!(!is_valid_name(name), "{name}");
        }
    }
}
