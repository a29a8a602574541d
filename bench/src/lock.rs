//! The classic lock recipe with contenders that want nothing but the lock: create an ephemeral sequential node, list
//! them, watch the one before, and when there is none before, hold the lock and let go. An operation is one acquisition
//! with everything it needs; its latency goes from the create to the moment at which the lock is held.

use anyhow::{Context, Result, bail, ensure};

use crate::client::Client;
use crate::conn::Conn;
use crate::engine::{Limits, SCRATCH_BYTES};
use crate::epoll::{Epoll, now_ns};
use crate::report::Meter;
use crate::wire::{self, Reply, err, op};

/// What a contender waits for.
enum State {
    Created {
        begun: u64,
    },
    Listed {
        begun: u64,
        mine: String,
    },
    /// The reply to getData with a watch on the node before.
    Watched {
        begun: u64,
        mine: String,
    },
    Gone {
        begun: u64,
        mine: String,
    },
    Released,
    Done,
}

struct Contender<'a> {
    directory: &'a str,
    prefix: &'a str,
    state: State,
}

pub fn run(limits: &Limits, root: &str, meter: &mut Meter) -> Result<()> {
    let directory = format!("{root}/lock");
    let prefix = format!("{directory}/l-");
    let mut client = Client::open(&limits.servers, limits.session_timeout_ms)?;
    client.create_all(&[root.to_string(), directory.clone()], b"")?;
    client.close()?;

    let mut conns = Conn::open(
        &limits.servers,
        limits.connections,
        limits.session_timeout_ms,
    )?;
    let mut epoll = Epoll::new()?;
    let mut contenders = Vec::new();
    for (token, conn) in conns.iter_mut().enumerate() {
        epoll.add(conn.fd(), token, false)?;
        let mut contender = Contender {
            directory: &directory,
            prefix: &prefix,
            state: State::Released,
        };
        contender.create(conn);
        contenders.push(contender);
        conn.flush(&epoll, token)?;
    }

    let measure_at = now_ns() + limits.warmup_ns;
    let end_at = measure_at + limits.measured_ns.unwrap_or(5_000_000_000);
    let mut sending = true;
    let mut left = contenders.len();
    let mut scratch = vec![0; SCRATCH_BYTES];
    let mut ready = Vec::new();
    let mut last_progress = now_ns();
    while left > 0 {
        epoll.wait(50, &mut ready)?;
        for &(token, readable, _) in &ready {
            if readable {
                let contender = &mut contenders[token];
                let open = conns[token].receive(&mut scratch, |conn, frame| {
                    let reply = wire::reply(frame)?;
                    if reply.xid == wire::XID_PING {
                        return Ok(());
                    }
                    last_progress = now_ns();
                    contender.advance(conn, &reply, sending, meter)?;
                    if matches!(contender.state, State::Done) {
                        left -= 1;
                    }
                    Ok(())
                })?;
                ensure!(open, "the server closed a contender's connection");
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
            now.saturating_sub(last_progress) < 30_000_000_000,
            "nobody got the lock for 30 s"
        );
    }
    Conn::close(conns)
}

impl Contender<'_> {
    fn create(&mut self, conn: &mut Conn) {
        let xid = conn.next_xid();
        wire::create(
            &mut conn.out,
            xid,
            self.prefix,
            b"",
            wire::EPHEMERAL_SEQUENTIAL,
        );
        self.state = State::Created { begun: now_ns() };
    }

    fn list(&mut self, conn: &mut Conn, begun: u64, mine: String) {
        let xid = conn.next_xid();
        wire::read(&mut conn.out, xid, op::GET_CHILDREN, self.directory, false);
        self.state = State::Listed { begun, mine };
    }

    fn advance(
        &mut self,
        conn: &mut Conn,
        reply: &Reply,
        sending: bool,
        meter: &mut Meter,
    ) -> Result<()> {
        let notification = reply.xid == wire::XID_NOTIFICATION;
        let gone = reply.err == err::NO_NODE;
        if reply.err != 0 && !(gone && matches!(self.state, State::Watched { .. })) {
            meter.error(reply.err);
            bail!("error {} in the lock recipe", reply.err);
        }
        match std::mem::replace(&mut self.state, State::Done) {
            State::Created { begun } if !notification => {
                let mine = wire::str_at(reply.body, 0)?.0.to_string();
                self.list(conn, begun, mine);
            }
            State::Listed { begun, mine } if !notification => {
                let names = wire::strings(reply.body)?;
                let own = mine.rsplit_once('/').context("a path without a slash")?.1;
                ensure!(names.contains(&own), "my own node {mine} is not listed");
                let before = names.iter().filter(|name| **name < own).max();
                let xid = conn.next_xid();
                match before {
                    Some(name) => {
                        // getData, not exists: exists would leave a watch behind when the node is gone already.
                        wire::read(
                            &mut conn.out,
                            xid,
                            op::GET_DATA,
                            &format!("{}/{name}", self.directory),
                            true,
                        );
                        self.state = State::Watched { begun, mine };
                    }
                    None => {
                        meter.record(begun, now_ns(), 1);
                        wire::delete(&mut conn.out, xid, &mine);
                        self.state = State::Released;
                    }
                }
            }
            State::Watched { begun, mine } if !notification => {
                if gone {
                    self.list(conn, begun, mine);
                } else {
                    self.state = State::Gone { begun, mine };
                }
            }
            State::Gone { begun, mine } if notification => self.list(conn, begun, mine),
            State::Released if !notification => {
                if sending {
                    self.create(conn);
                }
            }
            _ => bail!("an answer that the lock recipe does not expect"),
        }
        Ok(())
    }
}
