//! Tokens of an established context (RFC 4121, 4.2.6.2): what is said in it, protected.
//!
//! ```text
//! 05 04, flags, ff, extra count (u16), right rotation (u16), sequence (u64), then rotated:
//!   plaintext, checksum of (plaintext, header)        integrity alone
//!   encrypted (plaintext, extra bytes, header)        confidentiality
//! ```
//!
//! Answers to the JDK's `MessageToken_v2` and `WrapToken_v2`.

use super::Refusal;
use super::crypto::Key;

const HEADER_BYTES: usize = 16;
const TOKEN: [u8; 2] = [5, 4];
const FILLER: u8 = 0xff;
const BY_ACCEPTOR: u8 = 1;
const SEALED: u8 = 2;
const WITH_ACCEPTORS_KEY: u8 = 4;
const ACCEPTORS_USAGE: u32 = 22;
const INITIATORS_USAGE: u32 = 24;

const WHAT: &str = "the token of the context";

/// The acceptor's end.
#[derive(Debug)]
pub struct Context {
    pub(super) key: Key,
    /// The key is one that the acceptor chose.
    pub(super) is_acceptors_key: bool,
    pub(super) sends: u32,
    pub(super) awaits: u32,
}

impl Context {
    /// Readable by all, but as it was sent.
    pub fn wrap(&mut self, plain: &[u8]) -> Vec<u8> {
        let mut flags = BY_ACCEPTOR;
        if self.is_acceptors_key {
            flags |= WITH_ACCEPTORS_KEY;
        }
        let bare = header(flags, 0, 0, self.sends);
        let checksum = self.key.checksum(ACCEPTORS_USAGE, &[plain, &bare]);
        let header = header(flags, checksum.len() as u16, 0, self.sends);
        self.sends = self.sends.wrapping_add(1);
        [&header, plain, &checksum].concat()
    }

    /// Sealed or not: either is what the other side said, or is refused.
    pub fn unwrap(&mut self, token: &[u8]) -> Result<Vec<u8>, Refusal> {
        let malformed = || Refusal::Malformed(WHAT);
        let (head, body) = token.split_at_checked(HEADER_BYTES).ok_or_else(malformed)?;
        let flags = head[2];
        let is_ours = head[..2] == TOKEN
            && head[3] == FILLER
            && flags & BY_ACCEPTOR == 0
            && (flags & WITH_ACCEPTORS_KEY != 0) == self.is_acceptors_key;
        if !is_ours {
            return Err(malformed());
        }
        let extra = usize::from(u16::from_be_bytes([head[4], head[5]]));
        let rotation = usize::from(u16::from_be_bytes([head[6], head[7]]));
        let mut body = body.to_vec();
        if !body.is_empty() {
            let turned = rotation % body.len();
            body.rotate_left(turned);
        }
        let wrong_key = || Refusal::WrongKey(WHAT);
        let plain = if flags & SEALED == 0 {
            let length = body.len().checked_sub(extra).ok_or_else(malformed)?;
            let (plain, checksum) = body.split_at(length);
            let mut bare = [0; HEADER_BYTES];
            bare.copy_from_slice(head);
            bare[4..8].fill(0);
            let parts = [plain, &bare[..]];
            if !self.key.is_checksum(INITIATORS_USAGE, &parts, checksum) {
                return Err(wrong_key());
            }
            plain.to_vec()
        } else {
            let inner = self
                .key
                .decrypt(INITIATORS_USAGE, &body)
                .ok_or_else(wrong_key)?;
            let end = inner
                .len()
                .checked_sub(HEADER_BYTES)
                .ok_or_else(malformed)?;
            let (plain, copy) = inner.split_at(end);
            let mut unturned = [0; HEADER_BYTES];
            unturned.copy_from_slice(head);
            unturned[6..8].fill(0);
            if copy != unturned {
                return Err(malformed());
            }
            let length = plain.len().checked_sub(extra).ok_or_else(malformed)?;
            plain[..length].to_vec()
        };
        // Java counts in 32 bits, others in 64 of which the upper ones are their business.
        if head[12..16] != self.awaits.to_be_bytes() {
            return Err(Refusal::OutOfOrder);
        }
        self.awaits = self.awaits.wrapping_add(1);
        Ok(plain)
    }
}

fn header(flags: u8, extra: u16, rotation: u16, sequence: u32) -> [u8; HEADER_BYTES] {
    let mut header = [0; HEADER_BYTES];
    header[..2].copy_from_slice(&TOKEN);
    header[2] = flags;
    header[3] = FILLER;
    header[4..6].copy_from_slice(&extra.to_be_bytes());
    header[6..8].copy_from_slice(&rotation.to_be_bytes());
    header[12..].copy_from_slice(&sequence.to_be_bytes());
    header
}

/// What a client makes of the same key.
#[cfg(test)]
pub(super) mod initiator {
    use super::*;

    pub(crate) struct Initiator {
        pub key: Key,
        pub flags: u8,
        pub sends: u32,
    }

    impl Initiator {
        pub(crate) fn wrap(&mut self, plain: &[u8], rotation: usize) -> Vec<u8> {
            let bare = header(self.flags, 0, 0, self.sends);
            let checksum = self.key.checksum(INITIATORS_USAGE, &[plain, &bare]);
            let mut body = [plain, &checksum].concat();
            self.finish(&mut body, checksum.len() as u16, rotation)
        }

        pub(crate) fn seal(&mut self, plain: &[u8], extra: u16, rotation: usize) -> Vec<u8> {
            self.flags |= SEALED;
            let copy = header(self.flags, extra, 0, self.sends);
            let inner = [plain, &vec![0xff; usize::from(extra)], &copy].concat();
            let mut body = self.key.encrypt(INITIATORS_USAGE, &[1; 16], &inner);
            let token = self.finish(&mut body, extra, rotation);
            self.flags &= !SEALED;
            token
        }

        fn finish(&mut self, body: &mut [u8], extra: u16, rotation: usize) -> Vec<u8> {
            body.rotate_right(rotation % body.len());
            let header = header(self.flags, extra, rotation as u16, self.sends);
            self.sends = self.sends.wrapping_add(1);
            [&header, &*body].concat()
        }

        /// Of a token that the acceptor made.
        pub(crate) fn unwrap(&self, token: &[u8]) -> Vec<u8> {
            let (head, body) = token.split_at(HEADER_BYTES);
            assert_eq!(head[2], self.flags | BY_ACCEPTOR);
            let length = body.len() - usize::from(u16::from_be_bytes([head[4], head[5]]));
            let (plain, checksum) = body.split_at(length);
            let bare = [&head[..4], &[0; 4], &head[8..]].concat();
            assert!(
                self.key
                    .is_checksum(ACCEPTORS_USAGE, &[plain, &bare], checksum)
            );
            plain.to_vec()
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::initiator::Initiator;
    use super::*;
    use crate::kerberos::crypto::Enctype;
    use proptest::prelude::*;

    fn pair(enctype: Enctype, is_acceptors_key: bool) -> (Context, Initiator) {
        let key = Key::new(enctype, &vec![5; enctype.key_bytes()]).unwrap();
        let context = Context {
            key: key.clone(),
            is_acceptors_key,
            sends: 7,
            awaits: u32::MAX,
        };
        let flags = if is_acceptors_key {
            WITH_ACCEPTORS_KEY
        } else {
            0
        };
        let initiator = Initiator {
            key,
            flags,
            sends: u32::MAX,
        };
        (context, initiator)
    }

    #[test]
    fn tokens_have_their_order() {
        let (mut context, mut initiator) = pair(Enctype::Aes256Sha1, false);
        assert_eq!(initiator.unwrap(&context.wrap(b"offer")), b"offer");
        assert_eq!(context.sends, 8);
        let first = initiator.wrap(b"x", 0);
        assert_eq!(context.unwrap(&first), Ok(b"x".to_vec()));
        assert_eq!(context.unwrap(&first), Err(Refusal::OutOfOrder));
    }

    #[test]
    fn nobody_is_sent_back_what_it_said() {
        let (mut context, _) = pair(Enctype::Aes128Sha256, true);
        let own = context.wrap(b"offer");
        assert_eq!(context.unwrap(&own), Err(Refusal::Malformed(WHAT)));
    }

    #[test]
    fn whose_key_it_is_counts() {
        let (mut context, _) = pair(Enctype::Aes128Sha1, true);
        let (_, mut other) = pair(Enctype::Aes128Sha1, false);
        assert_eq!(
            context.unwrap(&other.wrap(b"x", 0)),
            Err(Refusal::Malformed(WHAT))
        );
    }

    proptest! {
        #[test]
        fn any_rotation_and_any_damage(
            which in 0..4_usize,
            is_acceptors_key: bool,
            is_sealed: bool,
            plain in proptest::collection::vec(any::<u8>(), 0..60),
            extra in 0..20_u16,
            rotation in 0..200_usize,
            place: proptest::sample::Index,
            bit in 0..8_u32,
        ) {
            let enctypes = [Enctype::Aes128Sha1, Enctype::Aes256Sha1, Enctype::Aes128Sha256, Enctype::Aes256Sha384];
            let (mut context, mut initiator) = pair(enctypes[which], is_acceptors_key);
            let mut token = match is_sealed {
                true => initiator.seal(&plain, extra, rotation),
                false => initiator.wrap(&plain, rotation),
            };
            let at = place.index(token.len());
            token[at] ^= 1 << bit;
            let damaged = context.unwrap(&token);
            // Which way it was turned is not protected where turning it makes no difference; the upper half of the
            // sequence is not looked at unless it is protected, and then it is.
            prop_assert!(damaged.is_err() || (6..8).contains(&at), "{at}: {damaged:?}");
            token[at] ^= 1 << bit;
            if damaged.is_err() {
                prop_assert_eq!(context.unwrap(&token), Ok(plain));
            }
            prop_assert!(context.unwrap(&token[..at]).is_err());
        }
    }
}
