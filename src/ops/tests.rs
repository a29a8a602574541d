//! What prep says the tree's digest will be, against what it is when the transactions are applied some time later.

#![allow(clippy::unwrap_used)]

use super::pending::Pending;
use super::*;
use crate::auth::AuthSettings;
use crate::ids::SessionId;
use crate::proto::client::{
    CheckVersionRequest, CreateRequest, DeleteRequest, MultiHeader, SetAclRequest, SetDataRequest,
};
use crate::proto::txn::{CreateSessionTxn, TxnDigest, TxnHeader};
use crate::proto::{Acl, Id};
use crate::tree::{NodeId, Tree, digest};
use jute::{Buffer, Text};
use proptest::prelude::*;
use std::collections::VecDeque;

/// Prep and, some transactions behind it, the tree.
struct Server {
    tree: Tree,
    pending: Pending,
    rules: Rules,
    zxid: i64,
    waiting: VecDeque<Vec<u8>>,
}

impl Server {
    fn new(tree: Tree) -> Server {
        Server {
            tree,
            pending: Pending::default(),
            rules: Rules {
                providers: Providers::new(AuthSettings::default()).unwrap(),
                extended_types: true,
                enforce_quota: false,
                close_session_lists_paths: true,
                reconfig_enabled: false,
            },
            zxid: 0,
            waiting: VecDeque::new(),
        }
    }

    fn submit(&mut self, session: i64, op: OpCode, body: &[u8]) {
        self.zxid += 1;
        let mut txn = Vec::new();
        let mut ctx = WriteContext {
            tree: &self.tree,
            pending: &mut self.pending,
            rules: &self.rules,
            is_remote: false,
            members: None,
            session: SessionId(session),
            session_error: None,
            ephemeral_error: None,
            ids: &[],
            zxid: self.zxid,
            time: 1_700_000_000_000 + self.zxid,
        };
        assert_eq!(write(&mut ctx, 1, op, body, &mut txn), Written::Txn);
        self.waiting.push_back(txn);
    }

    fn apply(&mut self, count: usize) {
        for _ in 0..count {
            let Some(txn) = self.waiting.pop_front() else {
                return;
            };
            let (header, _) = apply(&mut self.tree, &txn, &mut Unwatched).unwrap();
            self.pending.applied(header.zxid);
        }
    }
}

/// The sum over all nodes, from nothing.
fn recount(tree: &Tree) -> u64 {
    tree.all()
        .map(|(id, node)| {
            let path = tree.path_of(id);
            if !digest::counts(&path) {
                return 0;
            }
            let body = digest::NodeDigest::of_body(&path, node.data());
            body.with(&node.numbers()).value()
        })
        .fold(0, u64::wrapping_add)
}

fn create(path: &str, data: &[u8], flags: i32) -> Vec<u8> {
    let anyone = Acl {
        perms: 31,
        id: Id {
            scheme: Text::from("world"),
            id: Text::from("anyone"),
        },
    };
    jute::to_vec(&CreateRequest {
        path: Text::from(path),
        data: Buffer::from(data),
        acl: Some(vec![anyone]),
        flags,
    })
    .unwrap()
}

/// One request as bytes, of small numbers.
fn request(kind: u8, which: u8, data: &[u8]) -> (OpCode, Vec<u8>) {
    let paths = [
        "/a",
        "/b",
        "/a/a",
        "/a/b",
        "/zookeeper/quota/a",
        "/zookeeper/quota/a/zookeeper_limits",
        "/zookeeper/quota/a/zookeeper_stats",
        "/zookeeper/x",
    ];
    let path = paths[which as usize % paths.len()];
    match kind % 7 {
        0 | 1 => (OpCode::CREATE, create(path, data, i32::from(kind / 7 % 4))),
        2 => (OpCode::CREATE2, create(path, data, 0)),
        3 => (
            OpCode::DELETE,
            jute::to_vec(&DeleteRequest {
                path: Text::from(path),
                version: -1,
            })
            .unwrap(),
        ),
        4 => (
            OpCode::SET_DATA,
            jute::to_vec(&SetDataRequest {
                path: Text::from(if which & 0x80 == 0 { path } else { "/" }),
                data: Buffer::from(data),
                version: -1,
            })
            .unwrap(),
        ),
        5 => (OpCode::CLOSE_SESSION, Vec::new()),
        _ => (
            OpCode::SET_ACL,
            jute::to_vec(&SetAclRequest {
                path: Text::from(path),
                acl: Some(vec![Acl {
                    perms: 31,
                    id: Id {
                        scheme: Text::from("world"),
                        id: Text::from("anyone"),
                    },
                }]),
                version: -1,
            })
            .unwrap(),
        ),
    }
}

fn multi(parts: &[(OpCode, Vec<u8>)], fails: bool) -> Vec<u8> {
    let mut body = Vec::new();
    for (op, record) in parts {
        put(&mut body, &MultiHeader::success(*op));
        body.extend_from_slice(record);
    }
    if fails {
        put(&mut body, &MultiHeader::success(OpCode::CHECK));
        let check = CheckVersionRequest {
            path: Text::from("/nowhere"),
            version: 1,
        };
        put(&mut body, &check);
    }
    put(&mut body, &MultiHeader::END);
    body
}

#[test]
fn a_new_tree_has_the_digest_that_java_gives_it() {
    assert_eq!(Tree::new(true).digest_sum(), Some(1_371_985_504));
    assert_eq!(Tree::new(true).without_digest().digest_sum(), None);
}

#[test]
fn without_digests_transactions_end_with_their_record() {
    let mut server = Server::new(Tree::new(true).without_digest());
    server.submit(1, OpCode::CREATE_SESSION, &[0, 0, 0x10, 0]);
    let mut txn = &server.waiting[0][..];
    let _: TxnHeader = jute::read(&mut txn).unwrap();
    let _: CreateSessionTxn = jute::read(&mut txn).unwrap();
    assert!(txn.is_empty());

    // A tree that has one takes such transactions, and the other way round.
    let mut with = Server::new(Tree::new(true));
    with.submit(1, OpCode::CREATE, &create("/a", b"x", 0));
    server.submit(1, OpCode::CREATE, &create("/a", b"x", 0));
    let (plain, digested) = (
        server.waiting.pop_back().unwrap(),
        with.waiting.pop_back().unwrap(),
    );
    assert_eq!(plain.len() + 12, digested.len());
    apply(&mut server.tree, &digested, &mut Unwatched).unwrap();
    apply(&mut with.tree, &plain, &mut Unwatched).unwrap();
    assert_eq!(with.tree.digest_sum(), Some(recount(&with.tree)));
    assert!(server.tree.get("/a").is_some());
}

#[test]
fn a_wrong_digest_is_counted_and_nothing_more() {
    let mut server = Server::new(Tree::new(true));
    server.submit(1, OpCode::CREATE, &create("/a", b"x", 0));
    let mut txn = server.waiting.pop_back().unwrap();
    let at = txn.len() - 1;
    txn[at] ^= 1;
    apply(&mut server.tree, &txn, &mut Unwatched).unwrap();
    assert_eq!(server.tree.digest().unwrap().mismatches(), 1);
    assert!(server.tree.get("/a").is_some());
    let digest: TxnDigest = jute::from_slice(&txn[at - 11..]).unwrap();
    assert_eq!(digest.version, digest::VERSION);
}

#[test]
fn a_usage_node_is_filled_in_behind_its_answer() {
    let mut server = Server::new(Tree::new(true));
    let usage = "/zookeeper/quota/a/zookeeper_stats";
    server.submit(1, OpCode::CREATE, &create("/zookeeper/quota/a", b"", 0));
    server.apply(1);
    server.submit(1, OpCode::CREATE2, &create(usage, b"", 0));
    let txn = server.waiting.pop_back().unwrap();
    let (_, answer) = apply(&mut server.tree, &txn, &mut Unwatched).unwrap();
    let Applied::PathStat(_, stat) = answer else {
        panic!("create2 answers with a stat")
    };
    assert_eq!(stat.data_length, 0);
    assert_eq!(
        server.tree.get(usage).unwrap().data(),
        Some(&b"count=0,bytes=0"[..])
    );
}

proptest! {
    #[test]
    fn what_was_promised_is_what_comes(
        steps in proptest::collection::vec(
            (any::<u8>(), any::<u8>(), 0..40usize, 0..4i64, 0..4usize), 1..120
        ),
    ) {
        let mut server = Server::new(Tree::new(true));
        for (kind, which, len, session, applied) in steps {
            let data = vec![kind; len];
            let (op, body) = request(kind, which, &data);
            if which % 5 == 4 && op != OpCode::CLOSE_SESSION && op != OpCode::SET_ACL {
                let (second, more) = request(4, which / 5, &data);
                let body = multi(&[(op, body), (second, more)], which % 2 == 0);
                server.submit(session, OpCode::MULTI, &body);
            } else {
                server.submit(session, op, &body);
            }
            server.apply(applied);
            if server.waiting.is_empty() {
                prop_assert_eq!(server.pending.digest(&server.tree), server.tree.digest_sum());
            }
        }
        server.apply(usize::MAX);
        prop_assert_eq!(server.tree.digest_sum(), Some(recount(&server.tree)));
        prop_assert_eq!(server.tree.digest().unwrap().mismatches(), 0);
        prop_assert!(server.tree.node(NodeId::ROOT).child_count() > 0);
    }
}

/// A leader of three servers, of which 1 and 2 are there.
mod reconfig {
    use super::*;
    use crate::auth::Id;
    use crate::ids::ServerId;
    use crate::membership::Membership;
    use crate::membership::change::Limits;
    use crate::ops::members::Members;
    use crate::proto::client::ReconfigRequest;
    use crate::proto::txn::SetDataTxn;
    use crate::zab::quorum::is_quorum;

    struct Leader {
        server: Server,
        members: Option<Members>,
        ids: Vec<Id>,
        session_error: Option<ErrorCode>,
    }

    fn members(text: &str) -> Membership {
        text.replace(' ', "\n").parse().unwrap()
    }

    fn three() -> Membership {
        members("server.1=a:1:2;3 server.2=b:1:2;3 server.3=c:1:2;3 version=100000000")
    }

    impl Leader {
        fn new(skip_acl: bool) -> Leader {
            let mut server = Server::new(Tree::new(true));
            server.zxid = 0x1_0000_0004;
            server.rules.reconfig_enabled = true;
            let settings = AuthSettings {
                skip_acl,
                super_digest: Some("super:D/InIHSb7yEEbrWz8b9l71RjZJU=".to_owned()),
                ..AuthSettings::default()
            };
            server.rules.providers = Providers::new(settings).unwrap();
            let limits = Limits {
                standalone_enabled: true,
                multiple_addresses: false,
            };
            let mut members = Members::new(ServerId(1), limits, is_quorum, &three());
            members.set_synced(vec![ServerId(2)]);
            Leader {
                server,
                members: Some(members),
                ids: Vec::new(),
                session_error: None,
            }
        }

        /// Error, or the text of the transaction.
        fn ask(&mut self, request: &ReconfigRequest<'_>) -> Result<String, i32> {
            let server = &mut self.server;
            server.zxid += 1;
            let mut ctx = WriteContext {
                tree: &server.tree,
                pending: &mut server.pending,
                rules: &server.rules,
                is_remote: false,
                members: self.members.as_mut(),
                session: SessionId(1),
                session_error: self.session_error,
                ephemeral_error: self.session_error,
                ids: &self.ids,
                zxid: server.zxid,
                time: 5,
            };
            let body = jute::to_vec(request).unwrap();
            let mut txn = Vec::new();
            assert_eq!(
                write(&mut ctx, 1, OpCode::RECONFIG, &body, &mut txn),
                Written::Txn
            );
            let mut rest = &txn[..];
            let header: TxnHeader = jute::read(&mut rest).unwrap();
            if header.op == OpCode::ERROR {
                return Err(i32::from_be_bytes(rest[..4].try_into().unwrap()));
            }
            let record: SetDataTxn<'_> = jute::read(&mut rest).unwrap();
            assert_eq!(
                (header.op, record.path.as_str(), record.version),
                (OpCode::RECONFIG, Some("/zookeeper/config"), -1)
            );
            let text = String::from_utf8(record.data.or_empty().to_vec()).unwrap();
            server.waiting.push_back(txn);
            Ok(text)
        }

        fn code(&mut self, request: &ReconfigRequest<'_>) -> i32 {
            self.ask(request).err().unwrap_or(0)
        }
    }

    fn leaving(servers: &str) -> ReconfigRequest<'_> {
        ReconfigRequest {
            joining_servers: None::<&str>.into(),
            leaving_servers: servers.into(),
            new_members: None::<&str>.into(),
            cur_config_id: -1,
        }
    }

    #[test]
    fn refusals_come_in_the_order_of_the_original() {
        let mut leader = Leader::new(false);
        // Everything is wrong with this one; repaired one after the other.
        let mut request = leaving("x");
        request.cur_config_id = 7;
        let pending = leader.members.take();
        leader.server.rules.reconfig_enabled = false;
        leader.session_error = Some(ErrorCode::SESSION_EXPIRED);
        assert_eq!(leader.code(&request), -123);
        leader.server.rules.reconfig_enabled = true;
        assert_eq!(leader.code(&request), -112);
        leader.session_error = None;
        assert_eq!(leader.code(&request), -6, "alone");
        leader.members = pending;
        let newer = Membership {
            version: 0x1_0000_0003,
            ..three()
        };
        leader.members.as_mut().unwrap().propose(newer.clone());
        assert_eq!(leader.code(&request), -14);
        leader.members.as_mut().unwrap().commit(&newer);
        assert_eq!(leader.code(&request), -103);
        request.cur_config_id = newer.version;
        assert_eq!(leader.code(&request), -5);
        request.leaving_servers = "1,2".into();
        assert_eq!(leader.code(&request), -8);
        request.leaving_servers = "2".into();
        assert_eq!(leader.code(&request), -13, "1 alone of 1 and 3");
        request.leaving_servers = "3".into();
        assert_eq!(leader.code(&request), -102);
        leader.ids = vec![Id::new("super", "")];
        assert_eq!(leader.code(&request), 0);
        assert_eq!(leader.code(&request), -14, "that one is under way");
    }

    #[test]
    fn the_transaction_is_the_configuration_with_its_zxid() {
        let mut leader = Leader::new(true);
        let text = leader.ask(&leaving("3")).unwrap();
        let two = "server.1=a:1:2:participant;0.0.0.0:3\nserver.2=b:1:2:participant;0.0.0.0:3\nversion=100000005";
        assert_eq!(text, two);
        // Who asked gets it back, with the node's stat.
        let txn = leader.server.waiting.pop_front().unwrap();
        let (header, applied) = apply(&mut leader.server.tree, &txn, &mut Unwatched).unwrap();
        let Applied::Data(data, stat) = applied else {
            panic!("{applied:?}");
        };
        assert_eq!(data.or_empty(), two.as_bytes());
        assert_eq!((stat.mzxid, stat.version, stat.mtime), (header.zxid, -1, 5));
        // The next one begins with these members, once they are in force.
        leader.members.as_mut().unwrap().commit(&members(two));
        let all = ReconfigRequest {
            leaving_servers: None::<&str>.into(),
            new_members: "server.2=b:1:2,server.1=a:1:2:participant;3".into(),
            cur_config_id: 0x1_0000_0005,
            ..leaving("")
        };
        let text = leader.ask(&all).unwrap();
        assert_eq!(
            text,
            "server.1=a:1:2:participant;0.0.0.0:3\nserver.2=b:1:2:participant\nversion=100000006"
        );
    }

    #[test]
    fn who_may_is_said_by_the_list_of_the_node() {
        let mut leader = Leader::new(false);
        let body = jute::to_vec(&SetAclRequest {
            path: "/zookeeper/config".into(),
            acl: Some(vec![Acl {
                perms: 31,
                id: Id::new("world", "anyone").to_wire().into_owned(),
            }]),
            version: -1,
        })
        .unwrap();
        let mut txn = Vec::new();
        let server = &mut leader.server;
        server.zxid += 1;
        let ids = [Id::new("super", "")];
        let mut ctx = WriteContext {
            tree: &server.tree,
            pending: &mut server.pending,
            rules: &server.rules,
            is_remote: false,
            members: None,
            session: SessionId(1),
            session_error: None,
            ephemeral_error: None,
            ids: &ids,
            zxid: server.zxid,
            time: 5,
        };
        assert_eq!(
            write(&mut ctx, 1, OpCode::SET_ACL, &body, &mut txn),
            Written::Txn
        );
        assert_eq!(leader.code(&leaving("3")), 0);
    }
}
