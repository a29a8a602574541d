//! How far the other members are: each is asked by `srvr` at its clients' port, which every server answers, of this kind or
//! Java's. Only while somebody looks at the dashboard, not more often than every few seconds, and nobody waits for a member
//! that says nothing for longer than a moment.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::ids::Zxid;

const EVERY: Duration = Duration::from_secs(4);
const ANSWER_LIMIT: Duration = Duration::from_secs(1);
const ANSWER_BYTES_MAX: u64 = 4096;

/// What a member says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Neighbour {
    pub zxid: i64,
    pub mode: String,
    /// By how many transactions it was ahead of this server when it answered; `None`: those of another epoch cannot be
    /// counted.
    pub ahead: Option<i64>,
}

/// By its number. Who did not answer, or does only within TLS, is missing.
pub(super) type Neighbours = HashMap<i64, Neighbour>;

#[derive(Default)]
pub(super) struct Watch(Mutex<Option<(Instant, Neighbours)>>);

impl Watch {
    /// `members`: their numbers and where their clients connect. `own`: where this server is at that moment.
    pub async fn look(
        &self,
        members: Vec<(i64, String, u16)>,
        own: impl Fn() -> Zxid,
    ) -> Neighbours {
        let mut last = self.0.lock().await;
        if let Some((at, found)) = &*last
            && at.elapsed() < EVERY
        {
            return found.clone();
        }
        let mut asked = JoinSet::new();
        for (id, host, port) in members {
            asked.spawn(async move {
                let answer = timeout(ANSWER_LIMIT, ask(host, port)).await.ok()??;
                Some((id, answer))
            });
        }
        let mut found = Neighbours::default();
        while let Some(answered) = asked.join_next().await {
            let Ok(Some((id, (zxid, mode)))) = answered else {
                continue;
            };
            let own = own();
            let is_countable = own.epoch() == Zxid(zxid).epoch();
            let neighbour = Neighbour {
                zxid,
                mode,
                ahead: is_countable.then_some(zxid - own.0),
            };
            found.insert(id, neighbour);
        }
        *last = Some((Instant::now(), found.clone()));
        found
    }
}

async fn ask(host: String, port: u16) -> Option<(i64, String)> {
    let mut stream = TcpStream::connect((host, port)).await.ok()?;
    stream.write_all(b"srvr").await.ok()?;
    let mut text = Vec::new();
    stream
        .take(ANSWER_BYTES_MAX)
        .read_to_end(&mut text)
        .await
        .ok()?;
    parse(&String::from_utf8_lossy(&text))
}

/// Where it is, and as what it serves.
fn parse(text: &str) -> Option<(i64, String)> {
    let line = |name: &str| text.lines().find_map(|line| line.strip_prefix(name));
    let zxid = line("Zxid: 0x")?;
    let known = ["standalone", "leader", "follower", "observer", "read-only"];
    let zxid = i64::from_str_radix(zxid.trim(), 16).ok()?;
    let told = line("Mode: ")?.trim();
    let mode = known.into_iter().find(|mode| *mode == told)?;
    Some((zxid, mode.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_member_says_is_read_and_what_is_no_answer_is_none() {
        let text = "Zookeeper version: 3.9.5-x, built on y\nLatency min/avg/max: 0/0.0/0\nZxid: 0x100000005\nMode: follower\nNode count: 5\n";
        let told = parse(text).expect("it is an answer");
        assert_eq!(told, (0x1_0000_0005, "follower".to_owned()));
        for text in [
            "",
            "This ZooKeeper instance is not currently serving requests\n",
            "Zxid: 0xnothing\nMode: leader\n",
            "Zxid: 0x1\nMode: <b>\n",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
