//! Sessions that only stay alive: N of them, each with a ping in every third of the session timeout.
//! An operation is a ping; what counts is the server's memory and CPU time.

use anyhow::{Result, ensure};

use crate::conn::Conn;
use crate::engine::{Limits, SCRATCH_BYTES};
use crate::epoll::{Epoll, now_ns, raise_descriptor_limit};
use crate::report::Meter;
use crate::wire;

pub fn run(limits: &Limits, meter: &mut Meter) -> Result<()> {
    raise_descriptor_limit(limits.connections as u64 + 50)?;
    let mut conns = Conn::open(limits.server, limits.connections, limits.session_timeout_ms)?;
    let mut epoll = Epoll::new()?;
    for (token, conn) in conns.iter().enumerate() {
        epoll.add(conn.fd(), token, false)?;
    }
    let interval_ns = limits.session_timeout_ms as u64 * 1_000_000 / 3;
    let begun = now_ns();
    let measure_at = begun + limits.warmup_ns;
    let end_at = measure_at + limits.measured_ns.unwrap_or(30_000_000_000);
    let mut pinged_at = vec![0u64; conns.len()];
    let mut scheduled = 0u64;
    let mut replies = 0u64;
    let mut scratch = vec![0; SCRATCH_BYTES];
    let mut ready = Vec::new();
    loop {
        let now = now_ns();
        if now >= measure_at && !meter.is_measuring() {
            meter.start()?;
        }
        if now >= end_at {
            meter.stop()?;
            break;
        }
        // Pings are spread evenly over the interval, as those of independent clients are.
        let due = ((now - begun) as u128 * conns.len() as u128 / interval_ns as u128) as u64;
        while scheduled < due {
            let token = (scheduled % conns.len() as u64) as usize;
            wire::ping(&mut conns[token].out);
            pinged_at[token] = now_ns();
            conns[token].flush(&epoll, token)?;
            scheduled += 1;
        }
        ensure!(
            scheduled - replies <= conns.len() as u64,
            "the server does not answer pings"
        );
        epoll.wait(2, &mut ready)?;
        for &(token, readable, _) in &ready {
            if readable {
                let open = conns[token].receive(&mut scratch, |_, frame| {
                    let reply = wire::reply(frame)?;
                    replies += 1;
                    if reply.xid != wire::XID_PING || reply.err != 0 {
                        meter.error(reply.err);
                    }
                    meter.record(pinged_at[token], now_ns(), 1);
                    Ok(())
                })?;
                ensure!(open, "the server closed an idle session");
            }
            conns[token].flush(&epoll, token)?;
        }
    }
    Conn::close(conns)
}
