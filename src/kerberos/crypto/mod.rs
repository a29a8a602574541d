//! Keys of Kerberos and what is done with them: AES with SHA-1 (RFC 3961, RFC 3962) and with SHA-2 (RFC 8009).
//!
//! From one key, three are derived for each purpose (a *usage*): to encrypt, to protect what is encrypted, and to
//! protect what is not. Comparisons of checksums take the same time wherever they differ (`hmac`).

mod cts;
mod derive;

use std::fmt;

use hmac::Hmac;
use hmac::digest::{KeyInit, Mac};
use sha1::Sha1;
use sha2::{Sha256, Sha384};

use derive::Purpose;

/// In front of every plaintext, random.
pub const CONFOUNDER_BYTES: usize = 16;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Enctype {
    Aes128Sha1,
    Aes256Sha1,
    Aes128Sha256,
    Aes256Sha384,
}

/// A number that may be none that is known, as it is printed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct EnctypeName(pub i32);

#[derive(Clone, PartialEq, Eq)]
pub struct Key {
    enctype: Enctype,
    bytes: Vec<u8>,
}

impl Enctype {
    pub fn from_number(number: i32) -> Option<Enctype> {
        match number {
            17 => Some(Enctype::Aes128Sha1),
            18 => Some(Enctype::Aes256Sha1),
            19 => Some(Enctype::Aes128Sha256),
            20 => Some(Enctype::Aes256Sha384),
            _ => None,
        }
    }

    pub fn number(self) -> i32 {
        match self {
            Enctype::Aes128Sha1 => 17,
            Enctype::Aes256Sha1 => 18,
            Enctype::Aes128Sha256 => 19,
            Enctype::Aes256Sha384 => 20,
        }
    }

    pub fn key_bytes(self) -> usize {
        match self {
            Enctype::Aes128Sha1 | Enctype::Aes128Sha256 => 16,
            Enctype::Aes256Sha1 | Enctype::Aes256Sha384 => 32,
        }
    }

    pub fn checksum_bytes(self) -> usize {
        match self {
            Enctype::Aes128Sha1 | Enctype::Aes256Sha1 => 12,
            Enctype::Aes128Sha256 => 16,
            Enctype::Aes256Sha384 => 24,
        }
    }

    /// The older ones protect the plaintext, the newer ones what is sent.
    fn protects_plaintext(self) -> bool {
        matches!(self, Enctype::Aes128Sha1 | Enctype::Aes256Sha1)
    }
}

impl fmt::Display for EnctypeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.0 {
            1 => "des-cbc-crc",
            3 => "des-cbc-md5",
            16 => "des3-cbc-sha1",
            17 => "aes128-cts-hmac-sha1-96",
            18 => "aes256-cts-hmac-sha1-96",
            19 => "aes128-cts-hmac-sha256-128",
            20 => "aes256-cts-hmac-sha384-192",
            23 => "rc4-hmac",
            25 => "camellia128-cts-cmac",
            26 => "camellia256-cts-cmac",
            number => return write!(f, "type {number}"),
        };
        f.write_str(name)
    }
}

impl fmt::Debug for EnctypeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl From<Enctype> for EnctypeName {
    fn from(enctype: Enctype) -> EnctypeName {
        EnctypeName(enctype.number())
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", EnctypeName::from(self.enctype))
    }
}

impl Key {
    /// `None`: not as long as keys of this type are.
    pub fn new(enctype: Enctype, bytes: &[u8]) -> Option<Key> {
        (bytes.len() == enctype.key_bytes()).then(|| Key {
            enctype,
            bytes: bytes.to_vec(),
        })
    }

    pub fn enctype(&self) -> Enctype {
        self.enctype
    }

    pub fn reveal(&self) -> &[u8] {
        &self.bytes
    }

    /// `None`: it was encrypted with another key, for another use, or changed.
    pub fn decrypt(&self, usage: u32, sealed: &[u8]) -> Option<Vec<u8>> {
        let enctype = self.enctype;
        let body = sealed.len().checked_sub(enctype.checksum_bytes())?;
        let (body, tag) = sealed.split_at_checked(body)?;
        if body.len() < CONFOUNDER_BYTES {
            return None;
        }
        let integrity = self.derive(usage, Purpose::Integrity);
        let plain = cts::decrypt(&self.derive(usage, Purpose::Encryption), body);
        let is_genuine = match enctype.protects_plaintext() {
            true => is_tag(enctype, &integrity, &[&plain], tag),
            false => is_tag(enctype, &integrity, &[&cts::IV, body], tag),
        };
        is_genuine.then(|| plain[CONFOUNDER_BYTES..].to_vec())
    }

    pub fn encrypt(
        &self,
        usage: u32,
        confounder: &[u8; CONFOUNDER_BYTES],
        plain: &[u8],
    ) -> Vec<u8> {
        let integrity = self.derive(usage, Purpose::Integrity);
        let plain = [confounder, plain].concat();
        let mut sealed = cts::encrypt(&self.derive(usage, Purpose::Encryption), &plain);
        let tag = match self.enctype.protects_plaintext() {
            true => tag(self.enctype, &integrity, &[&plain]),
            false => tag(self.enctype, &integrity, &[&cts::IV, &sealed]),
        };
        sealed.extend_from_slice(&tag);
        sealed
    }

    pub fn checksum(&self, usage: u32, parts: &[&[u8]]) -> Vec<u8> {
        tag(self.enctype, &self.derive(usage, Purpose::Checksum), parts)
    }

    pub fn is_checksum(&self, usage: u32, parts: &[&[u8]], given: &[u8]) -> bool {
        let key = self.derive(usage, Purpose::Checksum);
        is_tag(self.enctype, &key, parts, given)
    }

    fn derive(&self, usage: u32, purpose: Purpose) -> Vec<u8> {
        derive::key(self.enctype, &self.bytes, usage, purpose)
    }
}

fn tag(enctype: Enctype, key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let mut tag = match enctype {
        Enctype::Aes128Sha1 | Enctype::Aes256Sha1 => whole::<Hmac<Sha1>>(key, parts),
        Enctype::Aes128Sha256 => whole::<Hmac<Sha256>>(key, parts),
        Enctype::Aes256Sha384 => whole::<Hmac<Sha384>>(key, parts),
    };
    tag.truncate(enctype.checksum_bytes());
    tag
}

fn is_tag(enctype: Enctype, key: &[u8], parts: &[&[u8]], given: &[u8]) -> bool {
    // A shorter one would be compared as far as it goes.
    given.len() == enctype.checksum_bytes()
        && match enctype {
            Enctype::Aes128Sha1 | Enctype::Aes256Sha1 => begins::<Hmac<Sha1>>(key, parts, given),
            Enctype::Aes128Sha256 => begins::<Hmac<Sha256>>(key, parts, given),
            Enctype::Aes256Sha384 => begins::<Hmac<Sha384>>(key, parts, given),
        }
}

fn mac<M: Mac + KeyInit>(key: &[u8], parts: &[&[u8]]) -> M {
    let mut mac = <M as KeyInit>::new_from_slice(key).expect("a key of any length serves HMAC");
    for part in parts {
        mac.update(part);
    }
    mac
}

fn whole<M: Mac + KeyInit>(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    mac::<M>(key, parts).finalize().into_bytes().to_vec()
}

fn begins<M: Mac + KeyInit>(key: &[u8], parts: &[&[u8]], given: &[u8]) -> bool {
    mac::<M>(key, parts).verify_truncated_left(given).is_ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    const ALL: [Enctype; 4] = [
        Enctype::Aes128Sha1,
        Enctype::Aes256Sha1,
        Enctype::Aes128Sha256,
        Enctype::Aes256Sha384,
    ];

    fn key(enctype: Enctype) -> Key {
        let bytes: Vec<u8> = (0..enctype.key_bytes() as u8).collect();
        Key::new(enctype, &bytes).unwrap()
    }

    #[test]
    fn numbers_and_lengths() {
        for enctype in ALL {
            assert_eq!(Enctype::from_number(enctype.number()), Some(enctype));
            assert_eq!(Key::new(enctype, &vec![0; enctype.key_bytes() - 1]), None);
        }
        assert_eq!(Enctype::from_number(23), None);
        assert_eq!(EnctypeName(23).to_string(), "rc4-hmac");
        assert_eq!(EnctypeName(-7).to_string(), "type -7");
    }

    #[test]
    fn keys_are_not_printed() {
        let printed = format!("{:?}", key(Enctype::Aes128Sha1));
        assert_eq!(printed, "Key(aes128-cts-hmac-sha1-96)");
    }

    proptest! {
        #[test]
        fn only_what_was_encrypted_is_decrypted(
            which in 0..4_usize,
            usage in 0..40_u32,
            plain in proptest::collection::vec(any::<u8>(), 0..100),
            place: proptest::sample::Index,
            bit in 0..8_u32,
        ) {
            let key = key(ALL[which]);
            let mut sealed = key.encrypt(usage, &[7; 16], &plain);
            prop_assert_eq!(key.decrypt(usage, &sealed), Some(plain));
            prop_assert_eq!(key.decrypt(usage + 1, &sealed), None);
            let place = place.index(sealed.len());
            sealed[place] ^= 1 << bit;
            prop_assert_eq!(key.decrypt(usage, &sealed), None);
            prop_assert_eq!(key.decrypt(usage, &sealed[..place]), None);
        }

        #[test]
        fn a_checksum_is_of_one_text(
            which in 0..4_usize,
            text in proptest::collection::vec(any::<u8>(), 1..50),
            place: proptest::sample::Index,
        ) {
            let key = key(ALL[which]);
            let mut sum = key.checksum(22, &[&text]);
            let (a, b) = text.split_at(place.index(text.len()));
            prop_assert!(key.is_checksum(22, &[a, b], &sum));
            prop_assert!(!key.is_checksum(23, &[&text], &sum));
            prop_assert!(!key.is_checksum(22, &[&text, &[0]], &sum));
            prop_assert!(!key.is_checksum(22, &[&text], &sum[..sum.len() - 1]));
            prop_assert!(!key.is_checksum(22, &[&text], &[]));
            let place = place.index(sum.len());
            sum[place] ^= 1;
            prop_assert!(!key.is_checksum(22, &[&text], &sum));
        }

        #[test]
        fn anything_is_decrypted_or_refused(which in 0..4_usize, bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            prop_assert_eq!(key(ALL[which]).decrypt(2, &bytes), None);
        }
    }
}
