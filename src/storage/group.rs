//! What one key of the log holds: the transactions of one group commit, one after the other.
//!
//! `[u32 big-endian length][transaction]`, repeated; a transaction begins with Java's `TxnHeader`,
//! of which only the zxid is looked at. The same bytes are proposed and exported; nothing is
//! encoded again.

/// A transaction header: clientId i64, cxid i32, zxid i64, time i64, type i32.
const HEADER_LEN: usize = 32;
const ZXID_AT: usize = 12;

/// Appends one transaction to a group.
pub fn push(group: &mut Vec<u8>, txn: &[u8]) {
    let len = u32::try_from(txn.len()).expect("a transaction is shorter than 4 GiB");
    group.extend_from_slice(&len.to_be_bytes());
    group.extend_from_slice(txn);
}

/// The zxid in the header of a transaction.
pub fn zxid_of(txn: &[u8]) -> Option<i64> {
    let bytes = txn.get(..HEADER_LEN)?[ZXID_AT..].first_chunk::<8>()?;
    Some(i64::from_be_bytes(*bytes))
}

/// Walks over the transactions of a group.
#[derive(Clone, Debug)]
pub struct Txns<'a> {
    rest: &'a [u8],
}

impl<'a> Txns<'a> {
    pub fn new(group: &'a [u8]) -> Self {
        Self { rest: group }
    }

    /// The next transaction and its zxid; `Ok(None)` at the end, `Err` if the group is malformed.
    #[expect(
        clippy::should_implement_trait,
        reason = "a malformed group is an error, once"
    )]
    pub fn next(&mut self) -> Result<Option<(i64, &'a [u8])>, Malformed> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let (len, rest) = self.rest.split_first_chunk::<4>().ok_or(Malformed)?;
        let (txn, rest) = rest
            .split_at_checked(u32::from_be_bytes(*len) as usize)
            .ok_or(Malformed)?;
        self.rest = rest;
        Ok(Some((zxid_of(txn).ok_or(Malformed)?, txn)))
    }

    /// The bytes that were not walked over yet.
    pub fn rest_len(&self) -> usize {
        self.rest.len()
    }
}

/// The bytes are not a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// Whether `group` is well formed, its zxids rise from above `after`, and it ends with `last`.
pub(super) fn is_valid(group: &[u8], after: i64, last: i64) -> bool {
    let mut txns = Txns::new(group);
    let mut previous = after;
    loop {
        match txns.next() {
            Ok(Some((zxid, _))) if zxid > previous => previous = zxid,
            Ok(None) => return previous == last && last > after,
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn txn(zxid: i64, extra: usize) -> Vec<u8> {
        let mut bytes = vec![0; HEADER_LEN + extra];
        bytes[ZXID_AT..ZXID_AT + 8].copy_from_slice(&zxid.to_be_bytes());
        bytes
    }

    #[test]
    fn what_was_pushed_comes_out_in_order() {
        let mut group = Vec::new();
        push(&mut group, &txn(5, 0));
        push(&mut group, &txn(9, 3));
        let mut txns = Txns::new(&group);
        assert_eq!(txns.next(), Ok(Some((5, &txn(5, 0)[..]))));
        assert_eq!(txns.next(), Ok(Some((9, &txn(9, 3)[..]))));
        assert_eq!(txns.next(), Ok(None));
        assert!(is_valid(&group, 4, 9));
        assert!(!is_valid(&group, 5, 9), "5 is not above 5");
        assert!(!is_valid(&group, 4, 8), "does not end with 8");
        assert!(!is_valid(&[], 4, 4), "an empty group acknowledges nothing");
    }

    #[test]
    fn every_cut_is_seen() {
        let mut group = Vec::new();
        push(&mut group, &txn(5, 2));
        for len in 1..group.len() {
            assert_eq!(Txns::new(&group[..len]).next(), Err(Malformed), "{len}");
        }
    }

    proptest! {
        #[test]
        fn garbage_never_panics(bytes in any::<Vec<u8>>()) {
            let mut txns = Txns::new(&bytes);
            while let Ok(Some(_)) = txns.next() {}
        }
    }
}
