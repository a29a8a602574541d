//! What would stop or mislead a Java server, sent to one server alone: it has to answer as the list of deliberate
//! differences says, and to go on serving.

use crate::admin::{Admin, open_acl};
use crate::profile::Profile;
use crate::request::{Field, Request};
use crate::servers::Server;
use anyhow::{Context, Result, ensure};
use std::path::Path;

struct Case {
    name: &'static str,
    /// Requests and the answers they must get.
    requests: Vec<(Request, i32)>,
}

pub fn run(starter: &Path, directory: &Path, kind: &str) -> Result<()> {
    let profile = Profile::named("quota").context("the configuration that enforces quotas")?;
    let mut server = Server::start(kind, starter, directory.join("defects"), &profile)?;
    let (mut passed, mut failed) = (0, 0);
    for case in cases() {
        match play(&mut server, &case) {
            Ok(()) => passed += 1,
            Err(e) => {
                failed += 1;
                println!("FAILED {}: {e:#}", case.name);
                server.restart()?;
            }
        }
    }
    println!("{passed} passed, {failed} failed");
    ensure!(passed > 0 && failed == 0, "defects");
    Ok(())
}

fn play(server: &mut Server, case: &Case) -> Result<()> {
    let mut admin = Admin::open(server.address())?;
    for (request, expected) in &case.requests {
        let answer = admin.call(std::slice::from_ref(request))?[0].0.err;
        ensure!(
            answer == *expected,
            "{request:?}: {answer} instead of {expected}"
        );
        if answer == -6 {
            // An unknown operation ends the connection.
            admin = Admin::open(server.address())?;
        }
    }
    let mut another = Admin::open(server.address()).context("no new session afterwards")?;
    let probe = another.call(&[create("/probe", b""), delete("/probe")])?;
    ensure!(
        probe.iter().all(|(h, _)| h.err == 0),
        "the server no longer writes"
    );
    another.wipe()?;
    server.check()
}

fn create(path: &str, data: &[u8]) -> Request {
    Request::new(
        1,
        vec![
            Field::str(path),
            Field::Buf(data.to_vec()),
            open_acl(31),
            Field::Int(0),
        ],
    )
}

fn set(path: &str, data: Field) -> Request {
    Request::new(5, vec![Field::str(path), data, Field::Int(-1)])
}

fn delete(path: &str) -> Request {
    Request::new(2, vec![Field::str(path), Field::Int(-1)])
}

fn negative_ttl(flags: i32) -> Request {
    let mut request = create("/ttl", b"");
    request.op = 21;
    request.fields[3] = Field::Int(flags);
    request.fields.push(Field::Long(-5));
    request
}

fn delete_container(path: &str) -> Request {
    Request::new(20, vec![Field::str(path)])
}

fn cases() -> Vec<Case> {
    let limits = "/zookeeper/quota/d/zookeeper_limits";
    let stats = "/zookeeper/quota/d/zookeeper_stats";
    let quota = |limits_data: &[u8], stats_data: &[u8]| {
        vec![
            (create("/d", b"12"), 0),
            (create("/zookeeper/quota/d", b""), 0),
            (create(limits, limits_data), 0),
            (create(stats, stats_data), 0),
        ]
    };
    let mut malformed_limits = quota(b"garbage", b"count=0,bytes=0");
    malformed_limits.extend([
        (create("/d/a", b"x"), 0),
        (set("/d", Field::Buf(b"y".to_vec())), 0),
        (delete("/d/a"), 0),
    ]);
    let mut malformed_stats = quota(b"count=-1,bytes=-1", b"garbage");
    malformed_stats.extend([
        (set(stats, Field::Buf(b"count=x".to_vec())), 0),
        (create("/d/a", b"x"), 0),
        (set(stats, Field::Null), 0),
        (create("/d/b", b"x"), 0),
        (set(stats, Field::Buf(vec![0xff, 0xfe])), 0),
        (delete("/d/b"), 0),
        (set("/d", Field::Null), 0),
    ]);
    vec![
        Case {
            name: "negative-ttl",
            requests: (0..=4).map(|flags| (negative_ttl(flags), -8)).collect(),
        },
        Case {
            name: "limits right under /zookeeper/quota",
            requests: vec![
                (
                    create("/zookeeper/quota/zookeeper_limits", b"count=1,bytes=1"),
                    0,
                ),
                (
                    create("/zookeeper/quota/zookeeper_stats", b"count=1,bytes=1"),
                    0,
                ),
                (create("/x", b"12345"), 0),
                (create("/y", b"12345"), 0),
                (delete("/zookeeper/quota/zookeeper_limits"), 0),
                (delete("/zookeeper/quota/zookeeper_stats"), 0),
            ],
        },
        Case {
            name: "limits outside of /zookeeper/quota",
            requests: vec![
                (create("/zookeeper/a", b""), 0),
                (create("/zookeeper/a/zookeeper_limits", b"x"), 0),
                (delete("/zookeeper/a/zookeeper_limits"), 0),
                (create("/zookeeper/zookeeper_limits", b"x"), 0),
                (delete("/zookeeper/zookeeper_limits"), 0),
            ],
        },
        Case {
            name: "malformed limits",
            requests: malformed_limits,
        },
        Case {
            name: "malformed usage",
            requests: malformed_stats,
        },
        Case {
            name: "deleteContainer from a client",
            requests: vec![
                (create("/mine", b""), 0),
                (delete_container("/mine"), -6),
                (set("/mine", Field::Null), 0),
            ],
        },
        Case {
            name: "createSession from a client",
            requests: vec![(Request::new(-10, vec![Field::Int(1000)]), -6)],
        },
    ]
}
