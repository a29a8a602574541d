//! AES in CBC mode with ciphertext stealing: as long as the plaintext, which has at least a block (RFC 3962, 5).
//!
//! The last two blocks change places, always, and what is missing of the last one is not sent.

use aes::cipher::{BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};
use aes::{Aes128, Aes256};

const BLOCK: usize = 16;
/// All messages of Kerberos begin with it; what makes them differ is the confounder.
pub(super) const IV: [u8; BLOCK] = [0; BLOCK];

/// The cipher for keys of this length.
pub(super) enum Cipher {
    Short(Box<Aes128>),
    Long(Box<Aes256>),
}

impl Cipher {
    pub(super) fn new(key: &[u8]) -> Cipher {
        let short = |_| {
            Cipher::Short(Box::new(
                Aes128::new_from_slice(key).expect("keys have 16 or 32 bytes"),
            ))
        };
        let long = Aes256::new_from_slice(key);
        long.map_or_else(short, |cipher| Cipher::Long(Box::new(cipher)))
    }

    pub(super) fn encrypt(&self, block: &mut [u8; BLOCK]) {
        match self {
            Cipher::Short(cipher) => cipher.encrypt_block(block.into()),
            Cipher::Long(cipher) => cipher.encrypt_block(block.into()),
        }
    }

    fn decrypt(&self, block: &mut [u8; BLOCK]) {
        match self {
            Cipher::Short(cipher) => cipher.decrypt_block(block.into()),
            Cipher::Long(cipher) => cipher.decrypt_block(block.into()),
        }
    }
}

pub(super) fn encrypt(key: &[u8], plain: &[u8]) -> Vec<u8> {
    assert!(plain.len() >= BLOCK, "a confounder stands in front");
    let cipher = Cipher::new(key);
    let mut previous = IV;
    let mut blocks = Vec::with_capacity(plain.len().div_ceil(BLOCK));
    for chunk in plain.chunks(BLOCK) {
        // The last one is filled with zeros.
        let mut block = previous;
        for (byte, plain) in block.iter_mut().zip(chunk) {
            *byte ^= plain;
        }
        cipher.encrypt(&mut block);
        previous = block;
        blocks.push(block);
    }
    if let [.., before, last] = &mut blocks[..] {
        std::mem::swap(before, last);
    }
    let mut out = blocks.concat();
    out.truncate(plain.len());
    out
}

pub(super) fn decrypt(key: &[u8], sealed: &[u8]) -> Vec<u8> {
    assert!(sealed.len() >= BLOCK, "what is shorter is refused before");
    let cipher = Cipher::new(key);
    // In front of the last two blocks, or of the only one.
    let plain_cbc = match sealed.len() {
        BLOCK => BLOCK,
        length => (length.div_ceil(BLOCK) - 2) * BLOCK,
    };
    let mut out = Vec::with_capacity(sealed.len());
    let mut previous = IV;
    let (head, tail) = sealed.split_at(plain_cbc);
    for chunk in head.chunks_exact(BLOCK) {
        let block = whole(chunk);
        let mut plain = block;
        cipher.decrypt(&mut plain);
        out.extend(xor(&plain, &previous));
        previous = block;
    }
    let Some((last, stolen)) = tail.split_at_checked(BLOCK) else {
        return out;
    };
    let mut end = whole(last);
    cipher.decrypt(&mut end);
    // What was not sent of the block before the last one is what the padding was mixed with.
    let mut before = end;
    before[..stolen.len()].copy_from_slice(stolen);
    let mut middle = before;
    cipher.decrypt(&mut middle);
    out.extend(xor(&middle, &previous));
    out.extend(xor(&end, &before).take(stolen.len()));
    out
}

fn whole(chunk: &[u8]) -> [u8; BLOCK] {
    chunk.try_into().expect("a chunk of a block's length")
}

fn xor<'a>(a: &'a [u8; BLOCK], b: &'a [u8; BLOCK]) -> impl Iterator<Item = u8> + 'a {
    a.iter().zip(b).map(|(a, b)| a ^ b)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// RFC 3962, appendix B.
    #[test]
    fn vectors() {
        let key = b"chicken teriyaki";
        let plain = b"I would like the General Gau's Chicken, please, and wonton soup.";
        for (length, expected) in [
            (17, "c6353568f2bf8cb4d8a580362da7ff7f97"),
            (
                31,
                "fc00783e0efdb2c1d445d4c8eff7ed2297687268d6ecccc0c07b25e25ecfe5",
            ),
            (
                32,
                "39312523a78662d5be7fcbcc98ebf5a897687268d6ecccc0c07b25e25ecfe584",
            ),
        ] {
            let sealed = encrypt(key, &plain[..length]);
            let hex: String = sealed.iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(hex, expected);
            assert_eq!(decrypt(key, &sealed), plain[..length]);
        }
    }

    proptest! {
        #[test]
        fn there_and_back(key in prop_oneof![Just(16_usize), Just(32)], plain in proptest::collection::vec(any::<u8>(), 16..100)) {
            let key = vec![3; key];
            let sealed = encrypt(&key, &plain);
            prop_assert_eq!(sealed.len(), plain.len());
            prop_assert_eq!(decrypt(&key, &sealed), plain);
        }
    }
}
