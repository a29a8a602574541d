//! Sessions that only stay alive: N of them, each with a ping in every third of the session timeout.
//! An operation is a ping; what counts is the server's memory and CPU time.

use anyhow::{Result, ensure};

use crate::conn::Conn;
use crate::engine::{Limits, SCRATCH_BYTES};
use crate::epoll::{Epoll, now_ns, raise_descriptor_limit};
use crate::report::Meter;
use crate::wire;

/// Opened at once, so that those that are open already get their pings in between.
const OPENED_TOGETHER: usize = 100;

struct Session {
    ping_at: u64,
    pinged_at: u64,
    waits: bool,
}

pub fn run(limits: &Limits, meter: &mut Meter) -> Result<()> {
    raise_descriptor_limit(limits.connections as u64 + 50)?;
    let mut epoll = Epoll::new()?;
    let mut conns: Vec<Conn> = Vec::new();
    let mut sessions: Vec<Session> = Vec::new();
    let interval_ns = limits.session_timeout_ms as u64 * 1_000_000 / 3;
    let (mut measure_at, mut end_at) = (u64::MAX, u64::MAX);
    let mut scratch = vec![0; SCRATCH_BYTES];
    let mut ready = Vec::new();
    loop {
        let missing = limits.connections - conns.len();
        if missing > 0 {
            let more = missing.min(OPENED_TOGETHER);
            for conn in Conn::open(&limits.servers, more, limits.session_timeout_ms)? {
                let token = conns.len();
                epoll.add(conn.fd(), token, false)?;
                // First pings are spread over the interval, as those of independent clients are.
                let share = interval_ns as u128 * token as u128 / limits.connections as u128;
                let ping_at = now_ns() + share as u64;
                sessions.push(Session {
                    ping_at,
                    pinged_at: 0,
                    waits: false,
                });
                conns.push(conn);
            }
            if conns.len() == limits.connections {
                measure_at = now_ns() + limits.warmup_ns;
                end_at = measure_at + limits.measured_ns.unwrap_or(30_000_000_000);
            }
        }
        let now = now_ns();
        if now >= measure_at && !meter.is_measuring() {
            meter.start()?;
        }
        if now >= end_at {
            meter.stop()?;
            break;
        }
        for (token, session) in sessions.iter_mut().enumerate() {
            if session.ping_at > now {
                continue;
            }
            ensure!(
                !session.waits,
                "the server has not answered a session's last ping"
            );
            wire::ping(&mut conns[token].out);
            conns[token].flush(&epoll, token)?;
            session.pinged_at = now;
            session.ping_at += interval_ns;
            session.waits = true;
        }
        epoll.wait(if missing > 0 { 0 } else { 2 }, &mut ready)?;
        for &(token, readable, _) in &ready {
            if readable {
                let session = &mut sessions[token];
                let open = conns[token].receive(&mut scratch, |_, frame| {
                    let reply = wire::reply(frame)?;
                    if reply.xid != wire::XID_PING || reply.err != 0 {
                        meter.error(reply.err);
                    }
                    session.waits = false;
                    meter.record(session.pinged_at, now_ns(), 1);
                    Ok(())
                })?;
                ensure!(open, "the server closed an idle session");
            }
            conns[token].flush(&epoll, token)?;
        }
    }
    Conn::close(conns)
}
