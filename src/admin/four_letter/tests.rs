#![allow(clippy::unwrap_used)]

use std::cell::Cell;
use std::net::SocketAddr;
use std::ops::ControlFlow;

use super::*;
use crate::admin::metrics::{Metrics, Sink, Value};
use crate::admin::stats::Sizes;
use crate::admin::version;
use crate::proto::OpCode;

/// A server that looks as the examples of the expected texts need it.
struct Fake {
    state: Option<ServerState>,
    serves_clients: bool,
    connections: Vec<ConnectionView>,
    ensemble: Option<EnsembleView>,
    local: Option<Vec<ExpiryBucket>>,
    metrics: Metrics,
    trace_mask: Cell<i64>,
    resets: Cell<(u32, u32)>,
    watches_asked: Cell<usize>,
    endless: bool,
}

fn peer(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn fake(state: impl Into<Option<ServerState>>) -> Fake {
    let session = ConnectionSession {
        id: 0x100001d0f0a0001,
        last_operation: last_operation(OpCode::PING),
        established_unix_ms: 1795235395342,
        timeout_ms: 40000,
        last_xid: 2,
        last_zxid: 3,
        last_response_ms: 1906447,
        last_latency_ms: 0,
        latency_ms_min: 0,
        latency_ms_avg: 1,
        latency_ms_max: 2,
    };
    let fresh = ConnectionSession {
        last_operation: "NA",
        last_xid: -1,
        last_zxid: -1,
        ..session.clone()
    };
    let connection = |address: &str, interest_ops, session| ConnectionView {
        peer: peer(address),
        interest_ops,
        queued: 0,
        received: 4,
        sent: 4,
        since_unix_ms: 1_700_000_000_000,
        session,
    };
    Fake {
        state: state.into(),
        serves_clients: true,
        connections: vec![
            connection("127.0.0.1:36318", 1, Some(session)),
            connection("[::1]:36306", 0x15, Some(fresh)),
            connection("127.0.0.1:36352", 0, None),
        ],
        ensemble: None,
        local: None,
        metrics: Metrics::default(),
        trace_mask: Cell::new(306),
        resets: Cell::new((0, 0)),
        watches_asked: Cell::new(0),
        endless: false,
    }
}

impl StatusSource for Fake {
    fn state(&self) -> Option<ServerState> {
        self.state
    }

    fn serves_clients(&self) -> bool {
        self.serves_clients
    }

    fn server(&self) -> ServerView {
        ServerView {
            latency_ms_min: 0,
            latency_ms_avg: 4.125,
            latency_ms_max: 18,
            packets_received: 68,
            packets_sent: 67,
            connections: 3,
            requests_outstanding: 0,
            zxid: 0x100000005,
            nodes: 6,
            proposal_bytes: (self.state == Some(ServerState::Leader)).then_some(Sizes {
                last: 36,
                min: 32,
                max: 158,
            }),
        }
    }

    fn gauges(&self) -> Gauges {
        Gauges {
            uptime_ms: 2303,
            watches: 4,
            ephemerals: 1,
            approximate_data_bytes: 46,
            global_sessions: 2,
            local_sessions: 0,
            connection_drop_probability: 0.0,
            response_bytes: Sizes::NONE,
            tls_handshakes_outstanding: 0,
            auth_failed: 0,
            non_mtls_remote_connections: 0,
            non_mtls_local_connections: 0,
        }
    }

    fn more_gauges(&self, sink: &mut Sink<'_>) {
        sink("app_quota_count_limit_per_namespace", Value::Int(5));
    }

    fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    fn peer_state(&self) -> Option<String> {
        (self.state == Some(ServerState::Leader)).then(|| "leading - broadcast".to_owned())
    }

    fn config(&self) -> ConfigView {
        ConfigView {
            client_port: 2181,
            secure_client_port: -1,
            data_dir: "/data/version-2".to_owned(),
            data_log_dir: "/log/version-2".to_owned(),
            tick_time_ms: 2000,
            client_connections_max: 60,
            session_timeout_ms_min: 4000,
            session_timeout_ms_max: 40000,
            listen_backlog: -1,
            server_id: 0,
            ensemble: self.ensemble.clone(),
        }
    }

    fn directory_sizes(&self) -> (u64, u64) {
        (671, 672)
    }

    fn connections(&self, each: &mut dyn FnMut(ConnectionView)) {
        self.connections.iter().cloned().for_each(each);
    }

    fn global_sessions(&self) -> GlobalSessions {
        if self.state == Some(ServerState::Follower) {
            return GlobalSessions::Known(vec![(-1, 4000), (0x100001d0f0a0000, 30_000)]);
        }
        GlobalSessions::Expiring(vec![
            ExpiryBucket {
                expires_unix_ms: 1795235424000,
                sessions: vec![],
            },
            ExpiryBucket {
                expires_unix_ms: 1795235426000,
                sessions: vec![0x100001d0f0a0000, -1],
            },
        ])
    }

    fn local_session_buckets(&self) -> Option<Vec<ExpiryBucket>> {
        self.local.clone()
    }

    fn connection_buckets(&self) -> Vec<ConnectionBucket> {
        vec![ConnectionBucket {
            expires_unix_ms: 1795235428000,
            connections: vec![(peer("127.0.0.1:36306"), 0x100001d0f0a0000)],
        }]
    }

    fn ephemerals(&self) -> Vec<(i64, Vec<String>)> {
        vec![(0x100001d0f0a0000, vec!["/e".to_owned(), "/f".to_owned()])]
    }

    fn watch_summary(&self) -> WatchSummary {
        WatchSummary {
            connections: 2,
            paths: 2,
            watches: 3,
        }
    }

    fn watches_by_session(&self, line: &mut dyn FnMut(WatchLine<'_>) -> ControlFlow<()>) {
        let _ = line(WatchLine::Session(0x1));
        let long = "/p".repeat(1 << 19);
        for asked in 1..=if self.endless { 1000 } else { 1 } {
            self.watches_asked.set(asked);
            let path = if self.endless { &long } else { "/e2" };
            if line(WatchLine::Path(path)).is_break() {
                return;
            }
        }
    }

    fn watches_by_path(&self, line: &mut dyn FnMut(WatchLine<'_>) -> ControlFlow<()>) {
        for entry in [
            WatchLine::Path("/e2"),
            WatchLine::Session(1),
            WatchLine::Session(-1),
        ] {
            let _ = line(entry);
        }
    }

    fn digests(&self) -> Vec<(i64, u64)> {
        vec![(0x80, 1_371_985_504), (0x100000000, u64::MAX)]
    }

    fn reset_connections(&self) {
        self.resets
            .set((self.resets.get().0 + 1, self.resets.get().1));
    }

    fn reset_server(&self) {
        self.resets
            .set((self.resets.get().0, self.resets.get().1 + 1));
    }

    fn trace_mask(&self) -> i64 {
        self.trace_mask.get()
    }

    fn set_trace_mask(&self, mask: i64) {
        self.trace_mask.set(mask);
    }
}

fn ask(fake: &Fake, word: Word) -> String {
    match answer(word, &[], &Whitelist::new(Some("*"), false), fake) {
        Answer::Text(text) => text,
        Answer::Close => panic!("{word:?} is not answered"),
    }
}

fn standalone(word: Word) -> String {
    ask(&fake(ServerState::Standalone), word)
}

#[test]
fn words_are_their_bytes() {
    for word in Word::ALL {
        if word != Word::TelnetClose {
            let bytes = word.name().as_bytes().try_into().unwrap();
            assert_eq!(Word::from_bytes(bytes), Some(word));
        }
    }
    assert_eq!(
        Word::from_bytes([0xff, 0xf4, 0xff, 0xfd]),
        Some(Word::TelnetClose)
    );
    for bytes in [*b"RUOK", *b"kill", *b"reqs", [0, 0, 0, 45]] {
        assert_eq!(Word::from_bytes(bytes), None);
    }
}

#[test]
fn whitelists() {
    for (setting, read_only, allowed) in [
        (None, false, vec![Word::Srvr]),
        (Some(""), true, vec![Word::Srvr, Word::Isro]),
        (
            Some(" stat, ruok ,nope,,"),
            false,
            vec![Word::Ruok, Word::Srvr, Word::Stat],
        ),
        (Some("STAT"), false, vec![Word::Srvr]),
        (Some("stat, *"), false, Word::ALL.to_vec()),
    ] {
        let whitelist = Whitelist::new(setting, read_only);
        for word in Word::ALL {
            assert_eq!(
                whitelist.allows(word),
                allowed.contains(&word),
                "{setting:?} {word:?}"
            );
        }
    }
}

#[test]
fn refusals() {
    let refuse = |word| answer(word, &[0; 8], &Whitelist::new(None, false), &fake(None));
    assert_eq!(
        refuse(Word::Stat),
        Answer::Text("stat is not executed because it is not in the whitelist.\n".to_owned())
    );
    assert_eq!(
        refuse(Word::TelnetClose),
        Answer::Text(
            "telnet close is not executed because it is not in the whitelist.\n".to_owned()
        )
    );
    let all = Whitelist::new(Some("*"), false);
    assert_eq!(
        answer(Word::TelnetClose, &[], &all, &fake(None)),
        Answer::Close
    );
}

#[test]
fn a_server_that_does_not_serve() {
    let silent = fake(None);
    let mut leader_without_clients = fake(ServerState::Leader);
    leader_without_clients.serves_clients = false;
    for word in Word::ALL {
        let expected = match word {
            Word::Ruok => "imok",
            Word::Isro => "null",
            Word::Gtmk => "306",
            Word::Hash => "This ZooKeeper instance is not currently serving requests",
            Word::Stmk | Word::TelnetClose | Word::Envi => continue,
            _ => "This ZooKeeper instance is not currently serving requests\n",
        };
        assert_eq!(ask(&silent, word), expected, "{word:?}");
        assert_eq!(ask(&leader_without_clients, word), expected, "{word:?}");
    }
    assert!(ask(&silent, Word::Envi).starts_with("Environment:\nzookeeper.version=3.9."));
    assert_eq!(silent.resets.get(), (0, 0));
}

const STATUS: &str = "Latency min/avg/max: 0/4.125/18\nReceived: 68\nSent: 67\nConnections: 3\nOutstanding: 0\n\
    Zxid: 0x100000005\n";

#[test]
fn srvr() {
    let version = version::FULL;
    assert_eq!(
        standalone(Word::Srvr),
        format!("Zookeeper version: {version}\n{STATUS}Mode: standalone\nNode count: 6\n")
    );
    assert_eq!(
        ask(&fake(ServerState::Leader), Word::Srvr),
        format!(
            "Zookeeper version: {version}\n{STATUS}Mode: leader\nNode count: 6\n\
             Proposal sizes last/min/max: 36/32/158\n"
        )
    );
    assert_eq!(
        ask(&fake(ServerState::ReadOnly), Word::Srvr),
        format!(
            "Zookeeper version: {version}\nREAD-ONLY mode; serving only read-only clients\n\
             {STATUS}Mode: read-only\nNode count: 6\n"
        )
    );
}

#[test]
fn stat() {
    let version = version::FULL;
    assert_eq!(
        standalone(Word::Stat),
        format!(
            "Zookeeper version: {version}\nClients:\n \
             /127.0.0.1:36318[1](queued=0,recved=4,sent=4)\n \
             /0:0:0:0:0:0:0:1:36306[15](queued=0,recved=4,sent=4)\n \
             /127.0.0.1:36352[0](queued=0,recved=4,sent=4)\n\n\
             {STATUS}Mode: standalone\nNode count: 6\n"
        )
    );
}

#[test]
fn cons() {
    assert_eq!(
        standalone(Word::Cons),
        " /127.0.0.1:36318[1](queued=0,recved=4,sent=4,sid=0x100001d0f0a0001,lop=PING,est=1795235395342,\
         to=40000,lcxid=0x2,lzxid=0x3,lresp=1906447,llat=0,minlat=0,avglat=1,maxlat=2)\n \
         /0:0:0:0:0:0:0:1:36306[15](queued=0,recved=4,sent=4,sid=0x100001d0f0a0001,lop=NA,est=1795235395342,\
         to=40000,lzxid=0xffffffffffffffff,lresp=1906447,llat=0,minlat=0,avglat=1,maxlat=2)\n \
         /127.0.0.1:36352[0](queued=0,recved=4,sent=4)\n\n"
    );
}

const CONF: &str = "clientPort=2181\nsecureClientPort=-1\ndataDir=/data/version-2\ndataDirSize=671\n\
    dataLogDir=/log/version-2\ndataLogSize=672\ntickTime=2000\nmaxClientCnxns=60\nminSessionTimeout=4000\n\
    maxSessionTimeout=40000\nclientPortListenBacklog=-1\nserverId=0\n";

#[test]
fn conf() {
    assert_eq!(standalone(Word::Conf), CONF);
    let mut leader = fake(ServerState::Leader);
    leader.ensemble = Some(EnsembleView {
        init_limit: 10,
        sync_limit: 5,
        election_ports: vec![3888, 3889],
        quorum_ports: vec![2888],
        observer: false,
        membership: Some("server.1=h:2888:3888:participant;0.0.0.0:2181\nversion=0".to_owned()),
    });
    assert_eq!(
        ask(&leader, Word::Conf),
        format!(
            "{CONF}initLimit=10\nsyncLimit=5\nelectionAlg=3\nelectionPort=3888|3889\nquorumPort=2888\n\
             peerType=0\nmembership: \nserver.1=h:2888:3888:participant;0.0.0.0:2181\nversion=0"
        )
    );
}

const SETS: &str = "Session Sets (2)/(2):\n0 expire at Sat Nov 21 04:30:24 UTC 2026:\n\
    2 expire at Sat Nov 21 04:30:26 UTC 2026:\n\t0x100001d0f0a0000\n\t0xffffffffffffffff\n";
const DUMP_END: &str = "ephemeral nodes dump:\nSessions with Ephemerals (1):\n0x100001d0f0a0000:\n\t/e\n\t/f\n\
    Connections dump:\nConnections Sets (1)/(1):\n1 expire at Sat Nov 21 04:30:28 UTC 2026:\n\
    \tip: /127.0.0.1:36306 sessionId: 0x100001d0f0a0000\n";

#[test]
fn dump() {
    assert_eq!(
        standalone(Word::Dump),
        format!("SessionTracker dump:\n{SETS}{DUMP_END}")
    );
    let mut with_local = fake(ServerState::Leader);
    with_local.local = Some(vec![]);
    assert_eq!(
        ask(&with_local, Word::Dump),
        format!("SessionTracker dump:\nLocal Session Sets (0)/(0):\nGlobal {SETS}{DUMP_END}")
    );
    let known = "Global Sessions(2):\n0xffffffffffffffff\t4000ms\n0x100001d0f0a0000\t30000ms\n";
    let mut follower = fake(ServerState::Follower);
    assert_eq!(
        ask(&follower, Word::Dump),
        format!("SessionTracker dump:\n{known}{DUMP_END}")
    );
    follower.local = Some(vec![]);
    assert_eq!(
        ask(&follower, Word::Dump),
        format!("SessionTracker dump:\nLocal Session Sets (0)/(0):\n{known}{DUMP_END}")
    );
}

#[test]
fn short_answers() {
    assert_eq!(standalone(Word::Ruok), "imok");
    assert_eq!(standalone(Word::Isro), "rw");
    assert_eq!(ask(&fake(ServerState::ReadOnly), Word::Isro), "ro");
    assert_eq!(
        standalone(Word::Dirs),
        "datadir_size: 671\nlogdir_size: 672\n"
    );
    assert_eq!(
        standalone(Word::Wchs),
        "2 connections watching 2 paths\nTotal watches:3\n"
    );
    assert_eq!(standalone(Word::Wchc), "0x1\n\t/e2\n\n");
    assert_eq!(
        standalone(Word::Wchp),
        "/e2\n\t0x1\n\t0xffffffffffffffff\n\n"
    );
    assert_eq!(
        standalone(Word::Hash),
        "80: 1371985504\n100000000: 18446744073709551615\n"
    );
}

#[test]
fn lists_of_watches_are_bounded() {
    let mut fake = fake(ServerState::Standalone);
    fake.endless = true;
    assert!(ask(&fake, Word::Wchc).len() < 70 << 20);
    assert!(fake.watches_asked.get() < 100);
}

#[test]
fn only_so_many_long_lists_of_watches_are_under_way() {
    let mut fake = fake(ServerState::Standalone);
    fake.endless = true;
    let (lists, all) = (Lists::default(), Whitelist::new(Some("*"), false));
    let ask = |fake: &Fake, word| match lists.answer(word, &[], &all, fake) {
        (Answer::Text(text), held) => (text, held),
        (Answer::Close, _) => panic!("no answer"),
    };
    let (first, held) = ask(&fake, Word::Wchc);
    assert!(first.len() > 1 << 20 && held.is_some());
    let (_, other) = ask(&fake, Word::Wchc);
    let refused = "too many long lists of watches are being sent, ask again later.\n";
    for word in [Word::Wchc, Word::Wchp] {
        let (text, none) = ask(&fake, word);
        assert_eq!(text, format!("{}: {refused}", word.name()));
        assert!(none.is_none());
    }
    assert_eq!(
        ask(&fake, Word::Ruok).0,
        "imok",
        "everything else is as ever"
    );
    drop(held);
    // A short one counts for nothing.
    fake.endless = false;
    let short: Vec<_> = (0..9).map(|_| ask(&fake, Word::Wchp)).collect();
    assert!(
        short
            .iter()
            .all(|(text, held)| !text.contains(refused) && held.is_none())
    );
    fake.endless = true;
    assert!(ask(&fake, Word::Wchc).1.is_some());
    drop(other);
}

#[test]
fn resets() {
    let fake = fake(ServerState::Standalone);
    assert_eq!(ask(&fake, Word::Crst), "Connection stats reset.\n");
    assert_eq!(fake.resets.get(), (1, 0));
    assert_eq!(ask(&fake, Word::Srst), "Server stats reset.\n");
    assert_eq!(fake.resets.get(), (1, 1));
}

#[test]
fn the_trace_mask() {
    let fake = fake(None);
    let all = Whitelist::new(Some("*"), false);
    assert_eq!(Word::Stmk.argument_len(), 8);
    assert_eq!(answer(Word::Stmk, &[0; 7], &all, &fake), Answer::Close);
    assert_eq!(ask(&fake, Word::Gtmk), "306");
    let mask = [0, 0, 0, 0, 0, 0, 1, 2];
    assert_eq!(
        answer(Word::Stmk, &mask, &all, &fake),
        Answer::Text("258".to_owned())
    );
    assert_eq!(ask(&fake, Word::Gtmk), "258");
    let negative = [0xff; 8];
    assert_eq!(
        answer(Word::Stmk, &negative, &all, &fake),
        Answer::Text("-1".to_owned())
    );
}

#[test]
fn mntr() {
    let leader = fake(ServerState::Leader);
    leader.metrics.fsynctime.record(3);
    let text = ask(&leader, Word::Mntr);
    let version = version::FULL;
    assert!(text.starts_with(&format!(
        "zk_version\t{version}\nzk_server_state\tleader\nzk_peer_state\tleading - broadcast\n"
    )));
    for line in [
        "zk_avg_latency\t4.125",
        "zk_uptime\t2303",
        "zk_znode_count\t6",
        "zk_connection_drop_probability\t0.0",
        "zk_min_client_response_size\t-1",
        "zk_max_proposal_size\t158",
        "zk_app_quota_count_limit_per_namespace\t5",
        "zk_avg_fsynctime\t3.0",
        "zk_cnt_fsynctime\t1",
        "zk_p999_updatelatency\t0",
    ] {
        assert_eq!(
            text.lines().filter(|found| *found == line).count(),
            1,
            "{line}"
        );
    }
    // An agent that reads with a pattern gives up on the first line that does not match it.
    for line in text.lines() {
        let (key, value) = line.split_once('\t').unwrap();
        assert!(
            key.starts_with("zk_") && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'),
            "{line}"
        );
        assert!(!value.is_empty() && !value.contains('\t'), "{line}");
    }
    let standalone = ask(&fake(ServerState::Standalone), Word::Mntr);
    assert!(!standalone.contains("proposal_size\t") && !standalone.contains("zk_peer_state"));
}

#[test]
fn envi() {
    let text = standalone(Word::Envi);
    let keys: Vec<_> = text
        .lines()
        .skip(1)
        .map(|line| line.split_once('=').unwrap().0)
        .collect();
    assert_eq!(
        keys,
        [
            "zookeeper.version",
            "host.name",
            "java.version",
            "java.vendor",
            "java.home",
            "java.class.path",
            "java.library.path",
            "java.io.tmpdir",
            "java.compiler",
            "os.name",
            "os.arch",
            "os.version",
            "user.name",
            "user.home",
            "user.dir",
            "os.memory.free",
            "os.memory.max",
            "os.memory.total",
            "server.implementation",
        ]
    );
}

#[test]
fn the_version_suits_its_parsers() {
    // Clients branch on the first two numbers; agents cut at ", " and at the first hyphen.
    let (version, built) = version::FULL.split_once(", built on ").unwrap();
    let (numbers, revision) = version.split_once('-').unwrap();
    let numbers: Vec<u32> = numbers.split('.').map(|n| n.parse().unwrap()).collect();
    assert_eq!(numbers.len(), 3);
    assert_eq!(numbers[..2], [3, 9]);
    assert!(!revision.is_empty());
    let pattern = "0000-00-00 00:00 UTC";
    let digits = |text: &str| text.replace(|c: char| c.is_ascii_digit(), "0");
    assert_eq!(digits(built), pattern);
}
