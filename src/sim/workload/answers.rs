//! What a client is told, checked as it is told.

use super::{Act, Client, History, Link, Time, What};
use crate::ids::{Epoch, SessionId, Zxid};
use crate::ops::{Route, route};
use crate::proto::{ErrorCode, OpCode};
use crate::sim::checkers::linearizability;
use crate::sim::checkers::requests::Requests;
use crate::sim::checkers::session_order::SessionOrder;
use crate::sim::checkers::watches::Kind;
use crate::sim::checkers::{Verdict, Violation, ephemerals, reads, violated};
use crate::sim::requests;
use crate::sim::serving::Answer;
use crate::sim::truth::Truth;

impl Client {
    pub fn answered(
        &mut self,
        now: Time,
        answer: Answer,
        truth: &Truth,
        newest: Option<Epoch>,
        history: &mut History,
        acts: &mut Vec<Act>,
    ) -> Verdict {
        self.heard_at = now;
        match answer {
            Answer::Connected { session } => self.connected(now, session, acts),
            Answer::Pong => {}
            Answer::Event { zxid, kind, path } => {
                self.look_again |= path == "/lock";
                return self.watches.fired(truth, &path, kind, zxid);
            }
            Answer::Reply {
                xid,
                zxid,
                error,
                path,
                body,
                epoch,
            } => {
                let Some(outstanding) = self.outstanding.pop_front() else {
                    return violated("session order", format!("an answer to {xid} out of turn"));
                };
                self.order
                    .replied(self.session, xid, outstanding.xid, zxid)?;
                self.last_zxid = self.last_zxid.max(zxid);
                let is_write = route(outstanding.op) == Route::Write;
                if is_write && outstanding.op != OpCode::CLOSE_SESSION {
                    Requests::acknowledged(truth, self.session, xid, zxid, error, path.as_deref())?;
                }
                if !matches!(outstanding.what, What::Watches) {
                    self.watches.seen(truth, zxid)?;
                }
                let stale = newest.is_some_and(|newest| newest > epoch);
                let reply = Reply {
                    zxid,
                    error,
                    path,
                    body,
                    stale,
                };
                self.reply(now, outstanding.what, reply, truth, history)?;
                if matches!(error, ErrorCode::SESSION_EXPIRED | ErrorCode::SESSION_MOVED) {
                    self.drop_link(acts);
                }
            }
        }
        Ok(())
    }

    fn connected(&mut self, now: Time, session: SessionId, acts: &mut Vec<Act>) {
        self.link = Link::Up;
        if session == SessionId::NONE {
            self.session = SessionId::NONE;
            self.watches.clear();
            self.ticket = None;
            self.drop_link(acts);
            return;
        }
        if self.session == SessionId::NONE {
            self.order = SessionOrder::default();
        }
        self.session = session;
        if !self.watches.is_empty() {
            let body = requests::set_watches(
                self.last_zxid.0,
                &self.watches.of(Kind::Data),
                &self.watches.of(Kind::Exist),
                &self.watches.of(Kind::Child),
            );
            self.send(What::Watches, OpCode::SET_WATCHES, body, now, acts);
        }
    }

    fn reply(
        &mut self,
        now: Time,
        what: What,
        reply: Reply,
        truth: &Truth,
        history: &mut History,
    ) -> Verdict {
        let Reply { zxid, error, .. } = reply;
        match what {
            What::Write(at) => conclude(history, &[at], now, zxid, error),
            What::Pair(a, b) if error == ErrorCode::OK => {
                conclude(history, &[a, b], now, zxid, error);
            }
            What::Pair(a, b) => {
                history.forget(a);
                history.forget(b);
            }
            What::Read {
                path,
                watch,
                counts,
            } => {
                let seen = requests::data(&reply.body).filter(|_| error == ErrorCode::OK);
                reads::node(
                    truth,
                    &path,
                    zxid,
                    seen.as_ref()
                        .map(|(data, version)| (data.as_slice(), *version)),
                )?;
                if watch && error == ErrorCode::OK {
                    self.watches.set(&path, Kind::Data, zxid);
                }
                // A leader that was replaced and does not know answers a sync from what it has, as the original does.
                if let Some(at) = counts
                    && !reply.stale
                {
                    let answer = match seen {
                        None => linearizability::Answer::NoNode,
                        Some((data, version)) => linearizability::Answer::Found {
                            value: number(&data),
                            version,
                        },
                    };
                    history.end(at, now, zxid, answer);
                }
            }
            What::Exists { path, watch } => {
                let exists = error == ErrorCode::OK;
                if exists != truth.node(&path, zxid).is_some() {
                    return violated(
                        "reads",
                        format!("{path} at {zxid} was said to be there: {exists}"),
                    );
                }
                if watch {
                    let kind = if exists { Kind::Data } else { Kind::Exist };
                    self.watches.set(&path, kind, zxid);
                }
            }
            What::Children { watch } => {
                let is_there = self.listed(&reply, truth)?;
                if is_there && watch {
                    self.watches.set("/lock", Kind::Child, zxid);
                }
            }
            // Whoever comes first has the lock, and gives it back with the next thing that it does.
            What::Rank => {
                if self.listed(&reply, truth)? {
                    self.watches.set("/lock", Kind::Child, zxid);
                }
            }
            What::Queue => {
                self.ticket = reply.path;
                self.look_again = true;
            }
            What::Watches => self.rewatched(truth, zxid),
            What::Close if error == ErrorCode::OK => {
                self.is_done = true;
                ephemerals::closed(truth, self.session)?;
            }
            What::Probe if error == ErrorCode::OK => self.is_done = true,
            What::Close => {
                self.session = SessionId::NONE;
                self.is_done = true;
            }
            What::Sync | What::Release | What::Ephemeral | What::Probe => {}
        }
        Ok(())
    }

    /// Whether the node of the lock was there.
    fn listed(&self, reply: &Reply, truth: &Truth) -> Result<bool, Violation> {
        if reply.error != ErrorCode::OK {
            if truth.node("/lock", reply.zxid).is_some() {
                violated("reads", format!("/lock was missed at {}", reply.zxid))?;
            }
            return Ok(false);
        }
        let names = requests::names(&reply.body).unwrap_or_default();
        reads::children(truth, "/lock", reply.zxid, &names)?;
        Ok(true)
    }

    /// A node that came and went while a client was away leaves no trace for a watch that waited for it: so it is
    /// with the original.
    fn rewatched(&mut self, truth: &Truth, zxid: Zxid) {
        for path in self.watches.of(Kind::Exist) {
            if truth.node(&path, zxid).is_none() {
                self.watches.move_on(&path, Kind::Exist, zxid);
            }
        }
    }
}

struct Reply {
    zxid: Zxid,
    error: ErrorCode,
    path: Option<String>,
    body: Vec<u8>,
    /// The server served in an epoch that is over.
    stale: bool,
}

fn number(data: &[u8]) -> u64 {
    data.first_chunk().map_or(0, |b| u64::from_be_bytes(*b))
}

fn conclude(history: &mut History, ops: &[usize], now: Time, zxid: Zxid, error: ErrorCode) {
    use linearizability::Answer;
    let answer = match error {
        ErrorCode::OK => Answer::Done,
        ErrorCode::NO_NODE => Answer::NoNode,
        ErrorCode::NODE_EXISTS => Answer::Exists,
        ErrorCode::BAD_VERSION => Answer::BadVersion,
        _ => {
            for at in ops {
                history.forget(*at);
            }
            return;
        }
    };
    for at in ops {
        history.end(*at, now, zxid, answer);
    }
}
