//! The last stage: durable transactions are applied in zxid order, watchers hear of them, requesters get their
//! answers. Answers to `FinalRequestProcessor`.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::Pipeline;
use super::audit;
use super::client::{Client, State, Waiting, put_reply, reply_xid};
use super::outbox::deliver;
use super::prep::{Group, Queued};
use super::watchers::Firing;
use crate::ids::{SessionId, Zxid};
use crate::ops::{self, Applied, WatchTable};
use crate::proto::client::{ErrorResponse, MultiHeader};
use crate::proto::txn::TxnHeader;
use crate::proto::{ErrorCode, OpCode};
use crate::tree::Tree;

/// Transactions that are applied under one hold of the tree's lock: readers wait for no more than these.
const APPLY_MAX: usize = 256;

impl Pipeline {
    /// How long it took is given back.
    pub(super) fn finalize(&self, group: &mut Group) -> Duration {
        let mut touched: Vec<Arc<Client>> = Vec::new();
        // One look at the clocks for all of them.
        let (now, now_ms) = (Instant::now(), self.now_ms());
        for chunk in group.txns.chunks_mut(APPLY_MAX) {
            let mut tree = self.tree.write();
            let mut watchers = self.watchers.lock();
            let metrics = &self.stats.metrics;
            let mut firing = Firing::new(&mut watchers, &self.rules, metrics, &mut touched);
            // Nobody comes to wait while the tree is locked.
            let someone_catches_up = self.someone_catches_up();
            let bytes_of = |txn: &Queued| &group.bytes[txn.start..txn.end];
            let mut fetched = 0;
            for at in 0..chunk.len() {
                if at == fetched && tree.is_large() {
                    fetched +=
                        tree.fetch(chunk[at..].iter().map(|txn| ops::path_of(bytes_of(txn))));
                }
                let txn = &mut chunk[at];
                let bytes = bytes_of(txn);
                if self.settings.audit {
                    audit_end_of_session(bytes, &tree, &mut firing);
                }
                let (header, applied) = match ops::apply(&mut tree, bytes, &mut firing) {
                    Ok(done) => done,
                    Err(e) => panic!("a transaction of our own cannot be read: {e}"),
                };
                if header.op == OpCode::CREATE_SESSION {
                    // Whoever asked for it may be gone already: it expires like any other.
                    let id = SessionId(header.client_id);
                    let timeout_ms = tree.session_timeout(id).unwrap_or(0);
                    self.sessions.track(id, timeout_ms, now_ms);
                }
                if txn.origin.is_none() {
                    txn.origin = self.waits_here(&header, firing.watchers);
                }
                if header.op == OpCode::CLOSE_SESSION {
                    self.session_closed(
                        &mut firing,
                        SessionId(header.client_id),
                        txn.origin.as_ref(),
                    );
                }
                // Before the answer: a client that has it finds the room that it made.
                txn.held = None;
                if let Some(client) = &txn.origin {
                    self.complete(client, &header, &applied, &tree, &mut firing, (now, now_ms));
                }
                if someone_catches_up {
                    self.caught_up(Zxid(header.zxid), &tree, &mut firing);
                }
            }
            let sent = firing.sent;
            let audit = std::mem::take(&mut firing.audit);
            let last = tree.last_zxid();
            drop(watchers);
            drop(tree);
            audit.iter().for_each(audit::write);
            self.stats.sent(sent);
            self.prep.lock().pending.applied(last.0);
        }
        if group.is_prepared {
            self.completed(group.txns.len());
        }
        deliver(touched);
        let took = now.elapsed();
        self.stats.stages.apply.record(took.as_micros() as i64);
        took
    }

    /// Those of a role that ended are not counted any more.
    fn completed(&self, requests: usize) {
        let subtract = |outstanding: usize| Some(outstanding.saturating_sub(requests));
        let _ = self
            .outstanding
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, subtract);
    }

    fn session_closed(&self, firing: &mut Firing<'_>, id: SessionId, origin: Option<&Arc<Client>>) {
        let Some(session) = self.sessions.remove(id) else {
            return;
        };
        let Some(conn) = session.conn() else { return };
        if origin.is_some_and(|o| o.id == conn) {
            return;
        }
        if let Some(client) = firing.watchers.clients.get(&conn) {
            client.state().kill();
            client.wake();
        }
    }

    /// Answers the request that a transaction came from, and the reads that waited behind it.
    fn complete(
        &self,
        client: &Arc<Client>,
        header: &TxnHeader,
        applied: &Applied<'_>,
        tree: &Tree,
        firing: &mut Firing<'_>,
        (now, now_ms): (Instant, i64),
    ) {
        let mut state = client.state();
        if !state.is_open() {
            return;
        }
        if !std::mem::replace(&mut state.touched, true) {
            firing.touched.push(client.clone());
        }
        let mut answered = 0;
        let mut slowest = None;
        match state.queue.pop_front() {
            Some(Waiting::Connect { timeout_ms, legacy }) => {
                self.session_opened(
                    client,
                    &mut state,
                    SessionId(header.client_id),
                    timeout_ms,
                    legacy,
                );
            }
            Some(Waiting::Write {
                xid,
                op,
                since,
                held,
                refused_as,
                audited,
            }) => {
                drop(held);
                if let Some(body) = audited {
                    let asker = (header.client_id, &*state.ids);
                    audit::completed(client, asker, (op, &body), applied, &mut firing.audit);
                }
                answered += 1;
                slowest = Some(since);
                // Clients never hear of this error: the connection ends.
                let moved = applied.says(ErrorCode::SESSION_MOVED);
                if !moved {
                    put_reply(state.out(), reply_xid(op, xid), header.zxid, |out| {
                        put_applied(out, applied).map_err(|code| refused_as.unwrap_or(code))
                    });
                }
                if op == OpCode::CLOSE_SESSION || moved {
                    state.finish();
                }
            }
            _ => panic!("a transaction without its request at the head of the connection's queue"),
        }
        let watches = &mut firing.watchers.watches;
        answered += self.answer_waiting(client, &mut state, tree, watches, &mut slowest);
        drop(state);
        let took = slowest.map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
        let latency_ms = took.as_millis() as i64;
        self.stats.stages.write.record(took.as_micros() as i64);
        self.stats.answered(answered, latency_ms);
        self.stats.metrics.updatelatency.record(latency_ms);
        client
            .stats
            .answered(answered, latency_ms, header.zxid, now_ms);
    }

    /// Everything up to the next write has its turn now.
    pub(super) fn answer_waiting(
        &self,
        client: &Client,
        state: &mut State,
        tree: &Tree,
        watches: &mut dyn WatchTable,
        slowest: &mut Option<Instant>,
    ) -> u64 {
        let mut answered = 0;
        while let Some(next) = state.queue.pop_front() {
            match next {
                Waiting::Read {
                    xid,
                    op,
                    body,
                    ids,
                    since,
                    held,
                } => {
                    drop(held);
                    answered += 1;
                    slowest.get_or_insert(since);
                    self.answer(client, state, tree, watches, xid, op, &body, &ids);
                }
                Waiting::Refused {
                    xid,
                    err,
                    since,
                    held,
                } => {
                    drop(held);
                    answered += 1;
                    slowest.get_or_insert(since);
                    let zxid = tree.last_zxid().0;
                    put_reply(state.out(), xid, zxid, |_| Err(err));
                }
                Waiting::Sync {
                    xid,
                    body,
                    since,
                    synced: true,
                } => {
                    answered += 1;
                    slowest.get_or_insert(since);
                    let ids = state.ids.clone();
                    self.answer(client, state, tree, watches, xid, OpCode::SYNC, &body, &ids);
                }
                Waiting::CloseLocal { xid, since } => {
                    answered += 1;
                    slowest.get_or_insert(since);
                    put_reply(state.out(), xid, tree.last_zxid().0, |_| Ok(()));
                    state.finish();
                    if let Some(session) = &state.session {
                        self.sessions.remove(session.id);
                    }
                }
                Waiting::Ready(bytes) => state.out().extend_from_slice(&bytes),
                Waiting::Close => state.finish(),
                write
                @ (Waiting::Write { .. } | Waiting::Connect { .. } | Waiting::Sync { .. }) => {
                    state.queue.push_front(write);
                    break;
                }
            }
        }
        answered
    }
}

/// Which ephemeral nodes go, while they are there.
#[cold]
fn audit_end_of_session(txn: &[u8], tree: &Tree, firing: &mut Firing<'_>) {
    let Ok(header) = jute::from_slice::<TxnHeader>(txn) else {
        return;
    };
    if header.op == OpCode::CLOSE_SESSION {
        let session = SessionId(header.client_id);
        let paths = tree.ephemerals_of(session).map(|id| tree.path_of(id));
        audit::session_ended(session.0, &paths.collect::<Vec<_>>(), &mut firing.audit);
    }
}

/// The body of a write's answer.
fn put_applied(out: &mut Vec<u8>, applied: &Applied<'_>) -> Result<(), ErrorCode> {
    match applied {
        Applied::Nothing => {}
        Applied::Error(code) => return Err(*code),
        Applied::Path(path) => ops::put(out, path),
        Applied::PathStat(path, stat) => {
            ops::put(out, path);
            ops::put(out, stat);
        }
        Applied::Stat(stat) => ops::put(out, stat),
        Applied::Data(data, stat) => {
            ops::put(out, data);
            ops::put(out, stat);
        }
        Applied::Multi(results) => {
            for (op, result) in results {
                put_part(out, *op, result);
            }
            ops::put(out, &MultiHeader::END);
        }
    }
    Ok(())
}

/// One result of a multi.
fn put_part(out: &mut Vec<u8>, op: OpCode, result: &Applied<'_>) {
    if let Applied::Error(err) = result {
        ops::put(out, &MultiHeader::failure(*err));
        ops::put(out, &ErrorResponse { err: *err });
        return;
    }
    // Clients know one type of result for every create that returns a stat.
    let op = match op {
        OpCode::CREATE_CONTAINER | OpCode::CREATE_TTL => OpCode::CREATE2,
        other => other,
    };
    ops::put(out, &MultiHeader::success(op));
    if put_applied(out, result).is_err() {
        unreachable!("errors were handled above");
    }
}
