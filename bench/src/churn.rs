//! Sessions that open and close at once, N at a time: connect, handshake, closeSession, and the server's close.
//! A latency goes from the connect to the reply to closeSession.

use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use socket2::{Domain, Protocol, Socket, Type};

use crate::conn::Conn;
use crate::engine::{Limits, SCRATCH_BYTES};
use crate::epoll::{Epoll, now_ns};
use crate::report::Meter;
use crate::wire;

struct Slot {
    conn: Conn,
    begun: u64,
    frames: u32,
}

pub fn run(limits: &Limits, meter: &mut Meter) -> Result<()> {
    let mut epoll = Epoll::new()?;
    let mut slots = Vec::new();
    for token in 0..limits.connections {
        slots.push(Some(open(limits, &epoll, token)?));
    }
    let measure_at = now_ns() + limits.warmup_ns;
    let end_at = measure_at + limits.measured_ns.unwrap_or(5_000_000_000);
    let mut sending = true;
    let mut left = slots.len();
    let mut scratch = vec![0; SCRATCH_BYTES];
    let mut ready = Vec::new();
    let mut last_progress = now_ns();
    while left > 0 {
        epoll.wait(50, &mut ready)?;
        for &(token, readable, ended) in &ready {
            let Some(slot) = &mut slots[token] else {
                continue;
            };
            let mut still_open = true;
            if readable {
                let Slot {
                    conn,
                    begun,
                    frames,
                } = slot;
                still_open = conn.receive(&mut scratch, |conn, frame| {
                    *frames += 1;
                    match *frames {
                        1 => {
                            ensure!(
                                wire::granted_timeout_ms(frame)? > 0,
                                "the server refused a new session"
                            );
                            wire::close(&mut conn.out, 1);
                        }
                        2 => {
                            let reply = wire::reply(frame)?;
                            if reply.err != 0 {
                                meter.error(reply.err);
                            }
                            last_progress = now_ns();
                            meter.record(*begun, last_progress, 1);
                        }
                        _ => bail!("a frame after the end of a session"),
                    }
                    Ok(())
                })?;
            }
            if still_open && !(ended && slot.frames == 2) {
                slot.conn.flush(&epoll, token)?;
            } else {
                ensure!(
                    slot.frames == 2,
                    "the server closed a connection after {} frames",
                    slot.frames
                );
                // The server has closed its end; a reset instead of TIME_WAIT saves our ports.
                slots[token] = if sending {
                    Some(open(limits, &epoll, token)?)
                } else {
                    None
                };
                left -= usize::from(slots[token].is_none());
            }
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
            now.saturating_sub(last_progress) < 30_000_000_000,
            "no session was closed for 30 s"
        );
    }
    Ok(())
}

fn open(limits: &Limits, epoll: &Epoll, token: usize) -> Result<Slot> {
    let begun = now_ns();
    let server = limits.servers[token % limits.servers.len()];
    let socket = Socket::new(
        Domain::for_address(server),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_nonblocking(true)?;
    socket.set_linger(Some(Duration::ZERO))?;
    match socket.connect(&server.into()) {
        Err(e) if e.raw_os_error() != Some(libc::EINPROGRESS) => {
            return Err(e).context("cannot connect");
        }
        _ => {}
    }
    let mut conn = Conn::new(TcpStream::from(socket));
    wire::connect(&mut conn.out, limits.session_timeout_ms);
    epoll.add(conn.fd(), token, false)?;
    // On one machine the connection is there already; if not, we are told when it is.
    conn.flush(epoll, token)?;
    Ok(Slot {
        conn,
        begun,
        frames: 0,
    })
}
