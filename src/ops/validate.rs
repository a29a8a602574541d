//! Whether bytes from a peer are a transaction. Asked before they get into the log: what is there is applied some day,
//! and applying cannot fail.
//!
//! Reads what [`apply`](super::apply()) will read, with the same records. Answers to
//! `SerializeUtils.deserializeTxn` as `Follower` calls it.

use jute::Error;
use serde::Deserialize;
use serde::de::Error as _;

use super::{create, multi};
use crate::ids::Zxid;
use crate::proto::OpCode;
use crate::proto::txn::{
    CreateContainerTxn, CreateSessionTxn, CreateTtlTxn, DeleteTxn, ErrorTxn, SetAclTxn, SetDataTxn,
    TxnHeader,
};

/// What is wrong with a transaction.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    #[error("its header cannot be read: {0}")]
    Header(Error),
    #[error("its header is of {0}")]
    Zxid(Zxid),
    #[error("its record, {op}, cannot be read: {error}")]
    Record { op: OpCode, error: Error },
}

/// That `bytes` are a transaction of this zxid, and will be applied without an error.
pub fn validate(zxid: Zxid, bytes: &[u8]) -> Result<(), Invalid> {
    let mut body = bytes;
    let header: TxnHeader = jute::read(&mut body).map_err(Invalid::Header)?;
    if header.zxid != zxid.0 {
        return Err(Invalid::Zxid(Zxid(header.zxid)));
    }
    let op = header.op;
    record(op, &mut body).map_err(|error| Invalid::Record { op, error })
}

pub(super) fn record(op: OpCode, body: &mut &[u8]) -> Result<(), Error> {
    match op {
        OpCode::CREATE | OpCode::CREATE2 => create::read_create(op, body).map(|_| ()),
        OpCode::CREATE_CONTAINER => read::<CreateContainerTxn<'_>>(body),
        OpCode::CREATE_TTL => read::<CreateTtlTxn<'_>>(body),
        OpCode::DELETE | OpCode::DELETE_CONTAINER => read::<DeleteTxn<'_>>(body),
        OpCode::SET_DATA | OpCode::RECONFIG => read::<SetDataTxn<'_>>(body),
        OpCode::SET_ACL => read::<SetAclTxn<'_>>(body),
        OpCode::CREATE_SESSION => read::<CreateSessionTxn>(body),
        OpCode::ERROR => read::<ErrorTxn>(body),
        OpCode::MULTI => multi::validate_parts(body),
        // These need no record, or take what they find.
        OpCode::CHECK | OpCode::CLOSE_SESSION => Ok(()),
        other => Err(Error::custom(format_args!("{other} is not a transaction"))),
    }
}

fn read<'a, T: Deserialize<'a>>(body: &mut &'a [u8]) -> Result<(), Error> {
    jute::read::<T>(body).map(|_| ())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::{Unwatched, apply};
    use super::*;
    use crate::ids::Epoch;
    use crate::proto::txn::{CloseSessionTxn, CreateTxn, MultiTxn, Txn};
    use crate::proto::{Acl, ErrorCode, Id};
    use crate::tree::Tree;
    use jute::{Buffer, Text};
    use proptest::prelude::*;
    use serde::Serialize;

    const ZXID: Zxid = Zxid::new(Epoch(3), 7);

    fn txn(op: OpCode, record: &impl Serialize) -> Vec<u8> {
        let header = TxnHeader {
            client_id: 5,
            cxid: 1,
            zxid: ZXID.0,
            time: 1,
            op,
        };
        [
            jute::to_vec(&header).unwrap(),
            jute::to_vec(record).unwrap(),
        ]
        .concat()
    }

    fn create() -> CreateTxn<'static> {
        let open = Acl {
            perms: 31,
            id: Id {
                scheme: Text::from("world"),
                id: Text::from("anyone"),
            },
        };
        CreateTxn {
            path: Text::from("/a"),
            data: Buffer::from(b"data"),
            acl: Some(vec![open]),
            ephemeral: false,
            parent_c_version: 1,
        }
    }

    fn set() -> SetDataTxn<'static> {
        SetDataTxn {
            path: Text::from("/a"),
            data: Buffer::from(b"more"),
            version: 1,
        }
    }

    fn multi(parts: &[(OpCode, Vec<u8>)]) -> Vec<u8> {
        let part = |(op, data): &(OpCode, Vec<u8>)| Txn {
            op: *op,
            data: Buffer::from(data.clone()),
        };
        let record = MultiTxn {
            txns: parts.iter().map(part).collect(),
        };
        txn(OpCode::MULTI, &record)
    }

    fn examples() -> Vec<Vec<u8>> {
        let parts = [
            (OpCode::CREATE, jute::to_vec(&create()).unwrap()),
            (OpCode::SET_DATA, jute::to_vec(&set()).unwrap()),
        ];
        vec![
            txn(OpCode::CREATE, &create()),
            txn(OpCode::SET_DATA, &set()),
            txn(OpCode::CREATE_SESSION, &CreateSessionTxn { time_out: 4000 }),
            txn(
                OpCode::CLOSE_SESSION,
                &CloseSessionTxn {
                    paths2_delete: vec![Text::from("/a")],
                },
            ),
            txn(
                OpCode::ERROR,
                &ErrorTxn {
                    err: ErrorCode::NO_NODE,
                },
            ),
            multi(&parts),
        ]
    }

    #[test]
    fn what_is_wrong_is_said() {
        for good in examples() {
            assert_eq!(validate(ZXID, &good), Ok(()));
            let header = validate(ZXID, &good[..31]);
            assert!(matches!(header, Err(Invalid::Header(_))), "{header:?}");
            assert_eq!(validate(ZXID.next(), &good), Err(Invalid::Zxid(ZXID)));
        }
        let half = &txn(OpCode::SET_DATA, &set())[..40];
        let unknown = txn(OpCode::GET_DATA, &set());
        for bytes in [half, &unknown] {
            let record = validate(ZXID, bytes);
            assert!(matches!(record, Err(Invalid::Record { .. })), "{record:?}");
        }
        let said = validate(ZXID, &unknown).unwrap_err().to_string();
        assert!(said.contains("is not a transaction"), "{said}");
    }

    #[test]
    fn a_multi_in_a_multi_is_none_however_deep() {
        let mut inner = jute::to_vec(&MultiTxn { txns: Vec::new() }).unwrap();
        for _ in 0..10_000 {
            let outer = MultiTxn {
                txns: vec![Txn {
                    op: OpCode::MULTI,
                    data: Buffer::from(inner),
                }],
            };
            inner = jute::to_vec(&outer).unwrap();
        }
        let bytes = multi(&[(OpCode::MULTI, inner)]);
        let record = validate(ZXID, &bytes);
        assert!(matches!(record, Err(Invalid::Record { .. })), "{record:?}");
        assert!(apply(&mut Tree::new(true), &bytes, &mut Unwatched).is_err());
    }

    proptest! {
        /// The invariant: what is valid is applied.
        #[test]
        fn what_is_valid_is_applied(
            which in any::<prop::sample::Index>(),
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
            len in any::<prop::sample::Index>(),
            is_cut in any::<bool>(),
        ) {
            let examples = examples();
            let mut bytes = which.get(&examples).clone();
            // Behind the zxid: with another one nothing is valid.
            for (at, byte) in changes {
                let at = 20 + at.index(bytes.len() - 20);
                bytes[at] = byte;
            }
            if is_cut {
                bytes.truncate(len.index(bytes.len()));
            }
            let valid = validate(ZXID, &bytes).is_ok();
            let applied = apply(&mut Tree::new(true), &bytes, &mut Unwatched).is_ok();
            prop_assert!(applied || !valid);
        }
    }
}
