//! Many sessions hold a persistent watch on one node, one session changes it: notifications per second.
//! A latency goes from the send of the change to the arrival of one session's notification.

use anyhow::{Result, bail, ensure};

use crate::client::Client;
use crate::conn::Conn;
use crate::engine::{Limits, SCRATCH_BYTES};
use crate::epoll::{Epoll, now_ns};
use crate::report::Meter;
use crate::wire;

pub fn run(limits: &Limits, root: &str, data: &[u8], meter: &mut Meter) -> Result<()> {
    let node = format!("{root}/watched");
    let mut client = Client::open(&limits.servers, limits.session_timeout_ms)?;
    client.create_all(&[root.to_string(), node.clone()], data)?;
    client.close()?;

    let watchers = limits.connections;
    let mut conns = Conn::open(&limits.servers, watchers + 1, limits.session_timeout_ms)?;
    let writer = watchers;
    let mut epoll = Epoll::new()?;
    for (token, conn) in conns.iter_mut().enumerate() {
        epoll.add(conn.fd(), token, false)?;
        if token != writer {
            let xid = conn.next_xid();
            wire::add_persistent_watch(&mut conn.out, xid, &node);
            conn.flush(&epoll, token)?;
        }
    }

    let mut armed = 0;
    let mut notified = vec![0u64; watchers];
    let mut notified_total = 0u64;
    let mut sent_at: Vec<u64> = Vec::new();
    let mut set_replies = 0u64;
    let mut sending = true;
    let mut scratch = vec![0; SCRATCH_BYTES];
    let mut ready = Vec::new();
    let (mut measure_at, mut end_at) = (u64::MAX, u64::MAX);
    let mut last_progress = now_ns();
    loop {
        if armed == watchers && measure_at == u64::MAX {
            measure_at = now_ns() + limits.warmup_ns;
            end_at = measure_at + limits.measured_ns.unwrap_or(5_000_000_000);
        }
        // `depth` changes are under way: one counts as finished when as many notifications came as it causes.
        let conn = &mut conns[writer];
        while sending
            && armed == watchers
            && (sent_at.len() * watchers) as u64
                <= notified_total + ((limits.depth - 1) * watchers) as u64
        {
            let xid = conn.next_xid();
            sent_at.push(now_ns());
            wire::set(&mut conn.out, xid, &node, data);
        }
        conn.flush(&epoll, writer)?;
        if !sending
            && set_replies == sent_at.len() as u64
            && notified_total == set_replies * watchers as u64
        {
            break;
        }

        epoll.wait(50, &mut ready)?;
        for &(token, readable, _) in &ready {
            if readable {
                let mut now = 0;
                let open = conns[token].receive(&mut scratch, |_, frame| {
                    if now == 0 {
                        now = now_ns();
                        last_progress = now;
                    }
                    let reply = wire::reply(frame)?;
                    if reply.xid == wire::XID_NOTIFICATION && token != writer {
                        let Some(&sent) = sent_at.get(notified[token] as usize) else {
                            bail!("more notifications than changes");
                        };
                        notified[token] += 1;
                        notified_total += 1;
                        meter.record(sent, now, 1);
                    } else if reply.xid != wire::XID_PING {
                        if reply.err != 0 {
                            meter.error(reply.err);
                        }
                        if token == writer {
                            set_replies += 1
                        } else {
                            armed += 1
                        }
                    }
                    Ok(())
                })?;
                ensure!(open, "the server closed a connection");
            }
            conns[token].flush(&epoll, token)?;
        }

        let now = now_ns();
        if sending && now >= measure_at && !meter.is_measuring() {
            meter.start()?;
        }
        if sending && (now >= end_at || limits.ops.is_some_and(|ops| meter.done >= ops)) {
            sending = false;
            meter.stop()?;
        }
        ensure!(
            now.saturating_sub(last_progress) < 60_000_000_000,
            "nothing for 60 s; {notified_total} notifications of {} came",
            sent_at.len() * watchers
        );
    }
    Conn::close(conns)
}
