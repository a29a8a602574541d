//! The request-reply loop: one thread, all connections. Closed loop (every connection keeps `depth` requests under
//! way) or open loop (requests leave at a rate whatever the server does, and a latency starts at the time at which
//! the request should have left). What is asked and which answers are right is the `Work`'s business.

use std::collections::VecDeque;
use std::net::SocketAddr;

use anyhow::{Result, bail, ensure};

use crate::conn::Conn;
use crate::epoll::{Epoll, Timer, now_ns};
use crate::report::Meter;
use crate::wire::{self, Reply};

const SECOND: u64 = 1_000_000_000;
/// No reply at all for so long: the server hangs, and so would we.
const STALL_NS: u64 = 60 * SECOND;
/// In the open loop, where depth is no bound: beyond this the server cannot keep up in any useful sense.
const IN_FLIGHT_MAX: usize = 4_000_000;
pub const SCRATCH_BYTES: usize = 1 << 18;

pub struct Limits {
    /// Connections go to each in turn.
    pub servers: Vec<SocketAddr>,
    pub connections: usize,
    pub depth: usize,
    /// Requests per second of the open loop.
    pub rate: Option<f64>,
    /// Ask for replies again and again rather than sleep until they come.
    pub poll: bool,
    pub warmup_ns: u64,
    /// None: until the work has no more requests.
    pub measured_ns: Option<u64>,
    /// Measured operations after which it is enough.
    pub ops: Option<u64>,
    pub session_timeout_ms: i32,
}

pub trait Work {
    /// Appends the next request of that connection and says what kind it is; None when all have been asked.
    fn request(&mut self, conn: usize, xid: i32, out: &mut Vec<u8>) -> Option<u32>;

    /// The error in the reply to a request of that kind, 0 for none.
    fn verdict(&self, _kind: u32, reply: &Reply) -> Result<i32> {
        Ok(reply.err)
    }

    /// How many operations one request of that kind is.
    fn weight(&self, _kind: u32) -> u64 {
        1
    }
}

struct Waiting {
    begun: u64,
    kind: u32,
    xid: i32,
}

struct Run<'a, W> {
    limits: &'a Limits,
    work: &'a mut W,
    meter: &'a mut Meter,
    conns: Vec<Conn>,
    waiting: Vec<VecDeque<Waiting>>,
    in_flight: usize,
    sending: bool,
    epoll: Epoll,
    last_reply: u64,
}

pub fn run<W: Work>(limits: &Limits, work: &mut W, meter: &mut Meter) -> Result<()> {
    let conns = Conn::open(
        &limits.servers,
        limits.connections,
        limits.session_timeout_ms,
    )?;
    let mut run = Run {
        limits,
        work,
        meter,
        waiting: conns.iter().map(|_| VecDeque::new()).collect(),
        conns,
        in_flight: 0,
        sending: true,
        epoll: Epoll::new()?,
        last_reply: now_ns(),
    };
    run.drive()?;
    Conn::close(run.conns)
}

impl<W: Work> Run<'_, W> {
    fn drive(&mut self) -> Result<()> {
        for (token, conn) in self.conns.iter().enumerate() {
            self.epoll.add(conn.fd(), token, false)?;
        }
        let timer = Timer::new()?;
        let timer_token = self.conns.len();
        self.epoll.add(timer.fd(), timer_token, false)?;

        let begun = now_ns();
        let measure_at = begun + self.limits.warmup_ns;
        let end_at = self.limits.measured_ns.map(|ns| measure_at + ns);
        let mut scheduled = 0u64;
        let mut next_conn = 0;
        if self.limits.warmup_ns == 0 {
            self.meter.start()?;
        }
        if self.limits.rate.is_none() {
            for token in 0..self.conns.len() {
                self.issue(token, self.limits.depth, now_ns());
                self.conns[token].flush(&self.epoll, token)?;
            }
        }

        let mut ready = Vec::new();
        let mut scratch = vec![0; SCRATCH_BYTES];
        while self.sending || self.in_flight > 0 {
            if let (true, Some(rate)) = (self.sending, self.limits.rate) {
                let interval = SECOND as f64 / rate;
                let mut touched = Vec::new();
                loop {
                    let due = begun + (scheduled as f64 * interval) as u64;
                    if due > now_ns() {
                        timer.set(due)?;
                        break;
                    }
                    self.issue(next_conn, 1, due);
                    touched.push(next_conn);
                    scheduled += 1;
                    next_conn = (next_conn + 1) % self.conns.len();
                    // Replies must not wait behind a long backlog of sends.
                    if touched.len() >= self.conns.len() || !self.sending {
                        timer.set(now_ns())?;
                        break;
                    }
                }
                ensure!(
                    self.in_flight <= IN_FLIGHT_MAX,
                    "the server is {} requests behind the rate",
                    self.in_flight
                );
                for token in touched {
                    self.conns[token].flush(&self.epoll, token)?;
                }
            }
            let wait_ms = if self.limits.poll { 0 } else { 50 };
            self.epoll.wait(wait_ms, &mut ready)?;
            for &(token, readable, _) in &ready {
                if token == timer_token {
                    continue;
                }
                if readable {
                    self.receive(token, &mut scratch)?;
                }
                self.conns[token].flush(&self.epoll, token)?;
            }

            let now = now_ns();
            if self.sending && !self.meter.is_measuring() && now >= measure_at {
                self.meter.start()?;
            }
            let enough = self.meter.is_measuring()
                && self.limits.ops.is_some_and(|ops| self.meter.done >= ops);
            if self.sending && (enough || end_at.is_some_and(|at| now >= at)) {
                self.sending = false;
                self.meter.stop()?;
            }
            if now.saturating_sub(self.last_reply) > STALL_NS && self.in_flight > 0 {
                bail!(
                    "no reply for {} s with {} requests under way",
                    STALL_NS / SECOND,
                    self.in_flight
                );
            }
        }
        // The work ran out of requests: then the last reply ends the measurement.
        if self.meter.is_measuring() {
            self.meter.stop()?;
        }
        Ok(())
    }

    fn issue(&mut self, token: usize, n: usize, begun: u64) {
        let conn = &mut self.conns[token];
        for _ in 0..n {
            let xid = conn.next_xid();
            let Some(kind) = self.work.request(token, xid, &mut conn.out) else {
                self.sending = false;
                return;
            };
            self.waiting[token].push_back(Waiting { begun, kind, xid });
            self.in_flight += 1;
        }
    }

    fn receive(&mut self, token: usize, scratch: &mut [u8]) -> Result<()> {
        let waiting = &mut self.waiting[token];
        let (work, meter) = (&mut *self.work, &mut *self.meter);
        let mut answered = 0;
        let mut now = 0;
        let open = self.conns[token].receive(scratch, |_, frame| {
            if now == 0 {
                now = now_ns();
            }
            let reply = wire::reply(frame)?;
            if reply.xid == wire::XID_NOTIFICATION || reply.xid == wire::XID_PING {
                return Ok(());
            }
            let Some(request) = waiting.pop_front().filter(|r| r.xid == reply.xid) else {
                bail!(
                    "a reply with xid {} that is not the next in order",
                    reply.xid
                );
            };
            answered += 1;
            let verdict = work.verdict(request.kind, &reply)?;
            if verdict != 0 {
                meter.error(verdict);
            }
            meter.record(request.begun, now, work.weight(request.kind));
            Ok(())
        })?;
        ensure!(
            open,
            "the server closed a connection with {} requests under way",
            self.in_flight
        );
        if answered > 0 {
            self.last_reply = now;
            self.in_flight -= answered;
            if self.sending && self.limits.rate.is_none() {
                self.issue(token, answered, now_ns());
            }
        }
        Ok(())
    }
}
