//! A node as the state keeps it: a few varints, then the data.
//!
//! Most nodes are written once and have no children: their three zxids are equal, both times are
//! equal and all versions are zero. A flag byte tells which fields differ, and only those are
//! stored, as differences. A persistent node of 100 B then costs about 112 B. It must not know
//! where records are kept. Answers to Java's `DataNode` and `StatPersisted`.

/// One node, borrowed from the tree or from the store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NodeRecord<'a> {
    pub czxid: i64,
    pub mzxid: i64,
    pub pzxid: i64,
    pub ctime: i64,
    pub mtime: i64,
    pub ephemeral_owner: i64,
    pub version: i32,
    pub cversion: i32,
    pub aversion: i32,
    /// The id under which the tree keeps the ACL list; see `put_acl`.
    pub acl: u32,
    /// `None` is Java's null data, which is not the same as empty data.
    pub data: Option<&'a [u8]>,
}

const HAS_DATA: u8 = 1;
const HAS_OWNER: u8 = 2;
const HAS_MZXID: u8 = 4;
const HAS_PZXID: u8 = 8;
const HAS_MTIME: u8 = 16;
const HAS_VERSION: u8 = 32;
const HAS_CVERSION: u8 = 64;
const HAS_AVERSION: u8 = 128;

impl<'a> NodeRecord<'a> {
    /// Appends the record to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let flag = |on: bool, bit: u8| if on { bit } else { 0 };
        let flags = flag(self.data.is_some(), HAS_DATA)
            | flag(self.ephemeral_owner != 0, HAS_OWNER)
            | flag(self.mzxid != self.czxid, HAS_MZXID)
            | flag(self.pzxid != self.czxid, HAS_PZXID)
            | flag(self.mtime != self.ctime, HAS_MTIME)
            | flag(self.version != 0, HAS_VERSION)
            | flag(self.cversion != 0, HAS_CVERSION)
            | flag(self.aversion != 0, HAS_AVERSION);
        out.push(flags);
        put_signed(out, self.czxid);
        put_signed(out, self.ctime);
        put_varint(out, u64::from(self.acl));
        if flags & HAS_OWNER != 0 {
            // A session id uses its upper bits: a varint would be longer.
            out.extend_from_slice(&self.ephemeral_owner.to_be_bytes());
        }
        if flags & HAS_MZXID != 0 {
            put_signed(out, self.mzxid.wrapping_sub(self.czxid));
        }
        if flags & HAS_PZXID != 0 {
            put_signed(out, self.pzxid.wrapping_sub(self.czxid));
        }
        if flags & HAS_MTIME != 0 {
            put_signed(out, self.mtime.wrapping_sub(self.ctime));
        }
        for (bit, value) in [
            (HAS_VERSION, self.version),
            (HAS_CVERSION, self.cversion),
            (HAS_AVERSION, self.aversion),
        ] {
            if flags & bit != 0 {
                put_signed(out, i64::from(value));
            }
        }
        if let Some(data) = self.data {
            out.extend_from_slice(data);
        }
    }

    /// Reads what `encode` wrote. `None` for anything else.
    pub fn decode(mut bytes: &'a [u8]) -> Option<Self> {
        let input = &mut bytes;
        let (&flags, rest) = input.split_first()?;
        *input = rest;
        let czxid = take_signed(input)?;
        let ctime = take_signed(input)?;
        let acl = u32::try_from(take_varint(input)?).ok()?;
        let mut node = NodeRecord {
            czxid,
            mzxid: czxid,
            pzxid: czxid,
            ctime,
            mtime: ctime,
            acl,
            ..NodeRecord::default()
        };
        if flags & HAS_OWNER != 0 {
            let (owner, rest) = input.split_first_chunk::<8>()?;
            node.ephemeral_owner = i64::from_be_bytes(*owner);
            *input = rest;
        }
        if flags & HAS_MZXID != 0 {
            node.mzxid = czxid.wrapping_add(take_signed(input)?);
        }
        if flags & HAS_PZXID != 0 {
            node.pzxid = czxid.wrapping_add(take_signed(input)?);
        }
        if flags & HAS_MTIME != 0 {
            node.mtime = ctime.wrapping_add(take_signed(input)?);
        }
        for (bit, field) in [
            (HAS_VERSION, &mut node.version),
            (HAS_CVERSION, &mut node.cversion),
            (HAS_AVERSION, &mut node.aversion),
        ] {
            if flags & bit != 0 {
                *field = i32::try_from(take_signed(input)?).ok()?;
            }
        }
        if flags & HAS_DATA != 0 {
            node.data = Some(input);
        } else if !input.is_empty() {
            return None;
        }
        Some(node)
    }
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Zigzag, so that small negative numbers are short too.
fn put_signed(out: &mut Vec<u8>, value: i64) {
    put_varint(out, ((value << 1) ^ (value >> 63)) as u64);
}

fn take_varint(input: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = input.split_first()?;
        *input = rest;
        let part = u64::from(byte & 0x7f);
        if shift == 63 && part > 1 {
            return None;
        }
        value |= part << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

fn take_signed(input: &mut &[u8]) -> Option<i64> {
    let value = take_varint(input)?;
    Some((value >> 1) as i64 ^ -((value & 1) as i64))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn decoding_gives_back_what_was_encoded(
            z in any::<[i64; 6]>(), v in any::<[i32; 3]>(), acl in any::<u32>(),
            same in any::<u8>(), data in any::<Option<Vec<u8>>>(),
        ) {
            let node = NodeRecord {
                czxid: z[0],
                mzxid: if same & 1 == 0 { z[0] } else { z[1] },
                pzxid: if same & 2 == 0 { z[0] } else { z[2] },
                ctime: z[3],
                mtime: if same & 4 == 0 { z[3] } else { z[4] },
                ephemeral_owner: if same & 8 == 0 { 0 } else { z[5] },
                version: v[0], cversion: v[1], aversion: v[2], acl,
                data: data.as_deref(),
            };
            let mut bytes = Vec::new();
            node.encode(&mut bytes);
            prop_assert_eq!(NodeRecord::decode(&bytes), Some(node));
        }

        #[test]
        fn garbage_is_refused_or_read_but_never_panics(bytes in any::<Vec<u8>>()) {
            let _ = NodeRecord::decode(&bytes);
        }
    }

    #[test]
    fn a_fresh_leaf_of_100_bytes_costs_at_most_20_more() {
        let data = [7; 100];
        let node = NodeRecord {
            czxid: 1 << 32 | 1_000_000,
            mzxid: 1 << 32 | 1_000_000,
            pzxid: 1 << 32 | 1_000_000,
            ctime: 1_700_000_000_000,
            mtime: 1_700_000_000_000,
            acl: 1,
            data: Some(&data),
            ..NodeRecord::default()
        };
        let mut bytes = Vec::new();
        node.encode(&mut bytes);
        assert!(bytes.len() <= 120, "{} bytes", bytes.len());
    }

    #[test]
    fn null_data_and_empty_data_differ() {
        for data in [None, Some(&[][..])] {
            let mut bytes = Vec::new();
            NodeRecord {
                data,
                ..NodeRecord::default()
            }
            .encode(&mut bytes);
            assert_eq!(NodeRecord::decode(&bytes).unwrap().data, data);
        }
    }
}
