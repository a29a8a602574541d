//! Scheme `digest`: `user:password` becomes the id `user:base64(H(user:password))`.
//!
//! A password is never verified: another password is another identity.
//! Answers to Java's `DigestAuthenticationProvider`.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use md5::Md5;
use sha1::Sha1;
use sha2::{Digest, Sha224, Sha256, Sha384, Sha512, Sha512_224, Sha512_256};
use sha3::{Sha3_224, Sha3_256, Sha3_384, Sha3_512};

/// The hash of digest ids; the same on all servers of an ensemble.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    Md5,
    Sha1,
    Sha224,
    Sha256,
    Sha384,
    Sha512,
    Sha512_224,
    Sha512_256,
    Sha3_224,
    Sha3_256,
    Sha3_384,
    Sha3_512,
}

impl Algorithm {
    /// The algorithm that a JVM means by `name`; case does not count there either.
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name.to_ascii_uppercase().as_str() {
            "MD5" => Algorithm::Md5,
            "SHA" | "SHA1" | "SHA-1" | "1.3.14.3.2.26" => Algorithm::Sha1,
            "SHA-224" | "SHA224" => Algorithm::Sha224,
            "SHA-256" | "SHA256" => Algorithm::Sha256,
            "SHA-384" | "SHA384" => Algorithm::Sha384,
            "SHA-512" | "SHA512" => Algorithm::Sha512,
            "SHA-512/224" | "SHA512/224" => Algorithm::Sha512_224,
            "SHA-512/256" | "SHA512/256" => Algorithm::Sha512_256,
            "SHA3-224" => Algorithm::Sha3_224,
            "SHA3-256" => Algorithm::Sha3_256,
            "SHA3-384" => Algorithm::Sha3_384,
            "SHA3-512" => Algorithm::Sha3_512,
            _ => return None,
        })
    }

    fn base64_of(self, text: &str) -> String {
        fn hash<D: Digest>(text: &str) -> String {
            STANDARD.encode(D::digest(text.as_bytes()))
        }
        match self {
            Algorithm::Md5 => hash::<Md5>(text),
            Algorithm::Sha1 => hash::<Sha1>(text),
            Algorithm::Sha224 => hash::<Sha224>(text),
            Algorithm::Sha256 => hash::<Sha256>(text),
            Algorithm::Sha384 => hash::<Sha384>(text),
            Algorithm::Sha512 => hash::<Sha512>(text),
            Algorithm::Sha512_224 => hash::<Sha512_224>(text),
            Algorithm::Sha512_256 => hash::<Sha512_256>(text),
            Algorithm::Sha3_224 => hash::<Sha3_224>(text),
            Algorithm::Sha3_256 => hash::<Sha3_256>(text),
            Algorithm::Sha3_384 => hash::<Sha3_384>(text),
            Algorithm::Sha3_512 => hash::<Sha3_512>(text),
        }
    }
}

/// The id of someone who presents `credentials` (`user:password`). The hash covers the whole text;
/// without a colon the whole text is the user.
pub fn id_of(algorithm: Algorithm, credentials: &str) -> String {
    let user = user_of(credentials);
    let hash = algorithm.base64_of(credentials);
    format!("{user}:{hash}")
}

/// The user of an id.
pub fn user_of(id: &str) -> &str {
    id.split_once(':').map_or(id, |(user, _)| user)
}

/// Whether a list may carry `id`: two parts between colons, where empty parts at the end do not
/// count. The hash itself is not looked at.
pub fn is_valid_id(id: &str) -> bool {
    let counted = id.trim_end_matches(':');
    !counted.is_empty() && counted.bytes().filter(|byte| *byte == b':').count() == 1
}

/// Hides the hash: each first colon of a line and the rest of that line become `:x`.
pub fn mask(id: &str) -> Cow<'_, str> {
    if !id.contains(':') {
        return Cow::Borrowed(id);
    }
    let mut masked = String::with_capacity(id.len());
    let mut rest = id;
    while let Some(colon) = rest.find(':') {
        masked.push_str(&rest[..colon]);
        masked.push_str(":x");
        rest = &rest[colon..];
        // The line ends of Java's regular expressions.
        rest = &rest[rest
            .find(['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}'])
            .unwrap_or(rest.len())..];
    }
    masked.push_str(rest);
    Cow::Owned(masked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_known_credentials() {
        for (algorithm, credentials, id) in [
            ("SHA1", "user:pass", "user:smGaoVKd/cQkjm7b88GyorAUz20="),
            ("sha", "super:test", "super:D/InIHSb7yEEbrWz8b9l71RjZJU="),
            ("MD5", "user:pass", "user:IaOShYhKJo1kWOP96wi+rA=="),
            (
                "SHA-256",
                "user:pass",
                "user:70yRTFkWmLJo2zxkFj6v2nIJpjDyNuvw7r8EVGDfcjo=",
            ),
            (
                "SHA3-256",
                "user:pass",
                "user:MKfo05p7nYw1Yb/bzA4GEyZLUt02iFpxN0ASiDBnsjw=",
            ),
        ] {
            let algorithm = Algorithm::from_name(algorithm).expect("known");
            assert_eq!(id_of(algorithm, credentials), id);
        }
    }

    #[test]
    fn text_without_a_colon_is_all_user() {
        let id = id_of(Algorithm::Sha1, "alone");
        assert_eq!(user_of(&id), "alone");
        assert_ne!(id, id_of(Algorithm::Sha1, "alone:"));
        assert!(id_of(Algorithm::Sha1, "").starts_with(':'));
    }

    #[test]
    fn every_algorithm_has_its_length() {
        for (name, bytes) in [
            ("MD5", 16),
            ("SHA-1", 20),
            ("SHA-224", 28),
            ("sha-256", 32),
            ("SHA-384", 48),
            ("SHA-512", 64),
            ("SHA-512/224", 28),
            ("SHA-512/256", 32),
            ("SHA3-224", 28),
            ("SHA3-256", 32),
            ("SHA3-384", 48),
            ("SHA3-512", 64),
        ] {
            let algorithm = Algorithm::from_name(name).expect(name);
            let id = id_of(algorithm, "u:p");
            let hash = STANDARD.decode(&id["u:".len()..]).expect("base64");
            assert_eq!(hash.len(), bytes, "{name}");
        }
        for name in ["", "SHA-3", "CRC32", "MD4", "SHA-1 "] {
            assert_eq!(Algorithm::from_name(name), None, "{name}");
        }
    }

    #[test]
    fn valid_ids_have_two_parts() {
        for id in ["a:b", ":b", "a:b:", "a:b::", "user:not base64"] {
            assert!(is_valid_id(id), "{id}");
        }
        for id in ["", "a", ":", "::", "a:", "a::", "a:b:c", "::c", "a::c"] {
            assert!(!is_valid_id(id), "{id}");
        }
    }

    #[test]
    fn masking_ends_with_the_line() {
        for (id, masked) in [
            ("user:hash=", "user:x"),
            ("user:a:b", "user:x"),
            (":hash", ":x"),
            ("user:", "user:x"),
            ("plain", "plain"),
            ("a:b\nc", "a:x\nc"),
            ("a:b\n::", "a:x\n:x"),
            ("a:b\u{2028}c:d", "a:x\u{2028}c:x"),
        ] {
            assert_eq!(mask(id), masked, "{id:?}");
        }
    }
}
