//! Keys for a purpose, made from the one that is agreed upon (RFC 3961, 5.1; RFC 8009, 3).

use hmac::Hmac;
use sha2::{Sha256, Sha384};

use super::cts::Cipher;
use super::{Enctype, whole};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Checksum = 0x99,
    Encryption = 0xaa,
    Integrity = 0x55,
}

pub(super) fn key(enctype: Enctype, base: &[u8], usage: u32, purpose: Purpose) -> Vec<u8> {
    let [a, b, c, d] = usage.to_be_bytes();
    let constant = [a, b, c, d, purpose as u8];
    let is_cipher = purpose == Purpose::Encryption;
    match enctype {
        Enctype::Aes128Sha1 | Enctype::Aes256Sha1 => folded(base, &constant),
        Enctype::Aes128Sha256 => {
            let (input, bytes) = counted(&constant, 16);
            let mut key = whole::<Hmac<Sha256>>(base, &[&input]);
            key.truncate(bytes);
            key
        }
        Enctype::Aes256Sha384 => {
            let (input, bytes) = counted(&constant, if is_cipher { 32 } else { 24 });
            let mut key = whole::<Hmac<Sha384>>(base, &[&input]);
            key.truncate(bytes);
            key
        }
    }
}

/// The first block that KDF-HMAC-SHA2 asks for; a second one is never needed.
fn counted(constant: &[u8], key_bytes: usize) -> (Vec<u8>, usize) {
    let bits = (key_bytes as u32 * 8).to_be_bytes();
    let input = [&[0, 0, 0, 1], constant, &[0], &bits].concat();
    (input, key_bytes)
}

/// DR: the constant, encrypted again and again.
fn folded(base: &[u8], constant: &[u8]) -> Vec<u8> {
    let cipher = Cipher::new(base);
    let mut block: [u8; 16] = fold(constant);
    let mut key = Vec::with_capacity(32);
    while key.len() < base.len() {
        cipher.encrypt(&mut block);
        key.extend_from_slice(&block);
    }
    key
}

/// n-fold: copies of the input, each turned right by 13 bits more, added up in ones' complement.
fn fold<const N: usize>(input: &[u8]) -> [u8; N] {
    let (bits, length) = (input.len() * 8, least_common_multiple(N, input.len()));
    let bit_of = |at: usize| {
        let (copy, at) = (at / bits, at % bits);
        let from = (at + bits - 13 * copy % bits) % bits;
        input[from / 8] >> (7 - from % 8) & 1
    };
    let byte_of = |at: usize| (0..8).fold(0, |all, bit| all << 1 | u32::from(bit_of(at * 8 + bit)));
    let mut sums = [0_u32; N];
    for at in 0..length {
        sums[at % N] += byte_of(at);
    }
    // What does not fit goes to the byte on the left, and from the first one around to the last one.
    while sums.iter().any(|sum| *sum > 0xff) {
        let carries = sums.map(|sum| sum >> 8);
        for (at, sum) in sums.iter_mut().enumerate() {
            *sum = (*sum & 0xff) + carries[(at + 1) % N];
        }
    }
    sums.map(|sum| sum as u8)
}

fn least_common_multiple(a: usize, b: usize) -> usize {
    let (mut x, mut y) = (a, b);
    while y != 0 {
        (x, y) = (y, x % y);
    }
    a / x * b
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn bytes(hex: &str) -> Vec<u8> {
        let digits: Vec<u8> = hex
            .chars()
            .filter_map(|c| c.to_digit(16).map(|d| d as u8))
            .collect();
        digits
            .chunks(2)
            .map(|pair| pair[0] << 4 | pair[1])
            .collect()
    }

    /// RFC 3961, A.1.
    #[test]
    fn folds() {
        assert_eq!(hex(&fold::<8>(b"012345")), "be072631276b1955");
        assert_eq!(hex(&fold::<7>(b"password")), "78a07b6caf85fa");
        assert_eq!(
            hex(&fold::<8>(b"Rough Consensus, and Running Code")),
            "bb6ed30870b7f0e0"
        );
        assert_eq!(
            hex(&fold::<21>(b"password")),
            "59e4a8ca7c0385c3c37b3f6d2000247cb6e6bd5b3e"
        );
        assert_eq!(hex(&fold::<8>(b"kerberos")), "6b65726265726f73");
        assert_eq!(
            hex(&fold::<16>(b"kerberos")),
            "6b65726265726f737b9b5b2b93132b93"
        );
    }

    /// RFC 8009, appendix A.
    #[test]
    fn keys_of_sha2() {
        let all = |enctype, base: &str| {
            [Purpose::Checksum, Purpose::Encryption, Purpose::Integrity]
                .map(|purpose| hex(&key(enctype, &bytes(base), 2, purpose)))
        };
        assert_eq!(
            all(Enctype::Aes128Sha256, "3705d96080c17728a0e800eab6e0d23c"),
            [
                "b31a018a48f54776f403e9a396325dc3",
                "9b197dd1e8c5609d6e67c3e37c62c72e",
                "9fda0e56ab2d85e1569a688696c26a6c",
            ]
        );
        assert_eq!(
            all(
                Enctype::Aes256Sha384,
                "6d404d37faf79f9df0d33568d320669800eb4836472ea8a026d16b7182460c52"
            ),
            [
                "ef5718be86cc84963d8bbb5031e9f5c4ba41f28faf69e73d",
                "56ab22bee63d82d7bc5227f6773f8ea7a5eb1c825160c38312980c442e5c7e49",
                "69b16514e3cd8e56b82010d5c73012b622c4d00ffc23ed1f",
            ]
        );
    }
}
