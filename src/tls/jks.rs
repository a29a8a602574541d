//! Java's own key store format, read only. A digest over the whole file, and a key stream that hides private keys, are
//! both made of SHA-1 and the password. Answers to `sun.security.provider.JavaKeyStore`.

use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use sha1::{Digest, Sha1};

use super::store::{Contents, KeyEntry};

pub const MAGIC: [u8; 4] = [0xfe, 0xed, 0xfe, 0xed];
/// A relative of it, with secret keys and other ciphers.
pub const JCEKS_MAGIC: [u8; 4] = [0xce, 0xce, 0xce, 0xce];

/// Of the digest at the end of the file, and of what ends a hidden key.
const DIGEST_BYTES: usize = 20;
/// What the original puts between password and data.
const WHITENER: &[u8] = b"Mighty Aphrodite";
/// The DER of the object identifier of the key protector, 1.3.6.1.4.1.42.2.17.1.1.
const PROTECTOR: [u8; 12] = [
    0x06, 0x0a, 0x2b, 0x06, 0x01, 0x04, 0x01, 0x2a, 0x02, 0x11, 0x01, 0x01,
];

/// Without a password what only needs to be read is read, unchecked: certificates are no secret.
pub fn read(file: &[u8], password: &str) -> Result<Contents, String> {
    let password = utf16(password);
    let (content, digest) = file
        .split_at_checked(file.len().wrapping_sub(DIGEST_BYTES))
        .ok_or("it is cut off")?;
    if !password.is_empty() {
        let expected = Sha1::new()
            .chain_update(&password)
            .chain_update(WHITENER)
            .chain_update(content)
            .finalize();
        if expected[..] != *digest {
            return Err("the password is wrong, or the file was damaged".to_owned());
        }
    }
    let mut input = Input(content);
    if input.take(4)? != MAGIC {
        return Err("it is no JKS store".to_owned());
    }
    let version = input.u32()?;
    if !(1..=2).contains(&version) {
        return Err(format!("version {version} of the format is not known"));
    }
    let entries = input.u32()?;
    let mut contents = Contents::default();
    for _ in 0..entries {
        let tag = input.u32()?;
        let alias = input.text()?;
        input.take(8)?;
        match tag {
            1 => {
                let hidden = input.bytes()?;
                let key = reveal(hidden, &password)
                    .ok_or_else(|| format!("the password does not open the key '{alias}'"))?;
                let mut chain = Vec::new();
                for _ in 0..input.u32()? {
                    chain.push(input.certificate(version)?);
                }
                contents.keys.push(KeyEntry {
                    name: alias,
                    key: PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key)),
                    chain,
                });
            }
            2 => contents.trusted.push(input.certificate(version)?),
            other => return Err(format!("an entry of kind {other} is not known")),
        }
    }
    Ok(contents)
}

struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], String> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or("it is cut off")?;
        self.0 = rest;
        Ok(taken)
    }

    fn u32(&mut self) -> Result<u32, String> {
        let bytes = self.take(4)?.try_into().expect("four were asked for");
        Ok(u32::from_be_bytes(bytes))
    }

    fn bytes(&mut self) -> Result<&'a [u8], String> {
        let length = self.u32()?;
        self.take(length as usize)
    }

    fn text(&mut self) -> Result<String, String> {
        let length = self.take(2)?;
        let length = usize::from(length[0]) << 8 | usize::from(length[1]);
        Ok(String::from_utf8_lossy(self.take(length)?).into_owned())
    }

    fn certificate(&mut self, version: u32) -> Result<CertificateDer<'static>, String> {
        if version == 2 {
            let kind = self.text()?;
            if kind != "X.509" {
                return Err(format!("certificates of kind {kind} are not known"));
            }
        }
        Ok(CertificateDer::from(self.bytes()?.to_vec()))
    }
}

/// Java hashes the two bytes of each UTF-16 unit.
fn utf16(password: &str) -> Vec<u8> {
    password.encode_utf16().flat_map(u16::to_be_bytes).collect()
}

/// SEQUENCE { SEQUENCE { protector, NULL }, OCTET STRING { salt, key xor stream, digest } }
fn reveal(hidden: &[u8], password: &[u8]) -> Option<Vec<u8>> {
    let info = der_contents(hidden, 0x30)?.0;
    let (algorithm, rest) = der_contents(info, 0x30)?;
    if !algorithm.starts_with(&PROTECTOR) {
        return None;
    }
    let protected = der_contents(rest, 0x04)?.0;
    let (salt, rest) = protected.split_at_checked(DIGEST_BYTES)?;
    let (hidden, check) = rest.split_at_checked(rest.len().checked_sub(DIGEST_BYTES)?)?;
    let mut key = Vec::with_capacity(hidden.len());
    let mut stream = Sha1::digest([password, salt].concat());
    for block in hidden.chunks(DIGEST_BYTES) {
        key.extend(block.iter().zip(stream.iter()).map(|(a, b)| a ^ b));
        stream = Sha1::digest([password, &stream[..]].concat());
    }
    let expected = Sha1::digest([password, &key].concat());
    (expected[..] == *check).then_some(key)
}

/// The contents of an element with this tag, and what follows it.
fn der_contents(input: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&found, rest) = input.split_first()?;
    if found != tag {
        return None;
    }
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
        if digits.len() > 4 {
            return None;
        }
        let length = digits.iter().fold(0, |sum, d| sum << 8 | usize::from(*d));
        (length, rest)
    };
    rest.split_at_checked(length)
}
