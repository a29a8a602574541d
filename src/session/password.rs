//! The password of a session: sixteen bytes that every server can compute from the id. A checksum, not a secret.

use crate::ids::SessionId;

const SECRET: i64 = 0xB341_5C00;

/// `java.util.Random` seeded with the id, as clients hold passwords from Java servers.
pub fn password(id: SessionId) -> [u8; 16] {
    const MULTIPLIER: u64 = 0x5_DEEC_E66D;
    const MASK: u64 = (1 << 48) - 1;
    let mut state = ((id.0 ^ SECRET) as u64 ^ MULTIPLIER) & MASK;
    let mut bytes = [0; 16];
    for word in bytes.chunks_exact_mut(4) {
        state = state.wrapping_mul(MULTIPLIER).wrapping_add(0xB) & MASK;
        word.copy_from_slice(&((state >> 16) as u32).to_le_bytes());
    }
    bytes
}

pub fn matches(id: SessionId, given: &[u8]) -> bool {
    id != SessionId::NONE && given == password(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_of_the_java_server() {
        for (id, hex) in [
            (0x0100_0000_0000_0000u64, "f22acd4a97e69d6d20a49bb638eadb38"),
            (0x7200_0000_0000_0001, "054cc74a37327db215e702e20c73f005"),
            (0x0100_01a2_b3c4_d500, "7cab402ba6584d536b21bbb0da2ae164"),
            (0xffff_ffff_ffff_ffff, "20f62cb5648dc2d771471c8a2486a9ee"),
        ] {
            let got: String = password(SessionId(id as i64))
                .iter()
                .map(|b| format!("{b:02x}"))
                .collect();
            assert_eq!(got, hex);
        }
    }

    #[test]
    fn no_session_has_no_password() {
        assert!(!matches(SessionId::NONE, &password(SessionId::NONE)));
        assert!(matches(SessionId(5), &password(SessionId(5))));
        assert!(!matches(SessionId(5), &[0; 16]));
        assert!(!matches(SessionId(5), &[]));
    }
}
