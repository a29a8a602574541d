//! A leader's side of what learners pass on: their clients' requests and sessions. Answers to `LearnerHandler.run`
//! and the owners of `SessionTrackerImpl`.

use super::prep::{BroughtBy, Prep, Request};
use super::role::Role;
use super::{Pipeline, wall_ms};
use crate::auth::Id;
use crate::ids::{LinkId, SessionId, Zxid};
use crate::ops;
use crate::proto::quorum::{ForwardedRequest, PacketError, QuorumPacket};
use crate::proto::{self, ErrorCode, OpCode};
use crate::session::Owner;
use crate::tree::Tree;

/// Requests that are judged under one hold of the locks.
const REQUESTS_MAX: usize = 256;

/// What is wrong with a session, and what with it as the owner of an ephemeral.
struct Claim {
    session_error: Option<ErrorCode>,
    ephemeral_error: Option<ErrorCode>,
}

impl Claim {
    fn of_all(error: Option<ErrorCode>) -> Claim {
        Claim {
            session_error: error,
            ephemeral_error: error,
        }
    }
}

impl Pipeline {
    /// Packets with requests of a learner. Each becomes one transaction, be it an error: its learner waits for exactly
    /// one. Those before one that cannot be read count.
    pub fn remote_requests(
        &self,
        link: LinkId,
        packets: &[QuorumPacket],
    ) -> Result<(), PacketError> {
        for some in packets.chunks(REQUESTS_MAX) {
            self.some_remote_requests(link, some)?;
        }
        Ok(())
    }

    fn some_remote_requests(
        &self,
        link: LinkId,
        packets: &[QuorumPacket],
    ) -> Result<(), PacketError> {
        let tree = self.tree.read();
        if self.role() != Role::Leading {
            return Ok(());
        }
        let time = wall_ms();
        let mut prep = self.prep.lock();
        let mut submitted = 0;
        let all = packets.iter().try_for_each(|packet| {
            let request = ForwardedRequest::decode(packet)?;
            let ids = packet.authinfo.as_deref().unwrap_or_default();
            self.remote_request(link, &request, ids, &tree, &mut prep, time);
            submitted += 1;
            Ok(())
        });
        // Of one that sends many at a time there is more to read while the disk writes.
        let by = match packets {
            [_] => BroughtBy::Link(link),
            _ => BroughtBy::Many,
        };
        let wake = self.submitted(&mut prep, submitted, by);
        drop(prep);
        drop(tree);
        self.see_to(wake);
        all
    }

    fn remote_request(
        &self,
        link: LinkId,
        request: &ForwardedRequest,
        ids: &[proto::Id<'_>],
        tree: &Tree,
        prep: &mut Prep,
        time: i64,
    ) {
        let ids: Vec<Id> = ids.iter().map(Id::from_wire).collect();
        let id = SessionId(request.session_id);
        let op = match ops::route(request.op) {
            ops::Route::Write => request.op,
            _ if request.op == OpCode::CREATE_SESSION => request.op,
            // Nobody may ask for it, and yet it has to be answered.
            _ => OpCode::ERROR,
        };
        let claim = self.claim(id, Owner::Link(link), request);
        let request = Request {
            session: id,
            session_error: claim.session_error,
            ephemeral_error: claim.ephemeral_error,
            cxid: request.cxid,
            op,
            body: &request.record,
            ids: &ids,
            origin: None,
            is_remote: true,
            held: None,
        };
        prep.submit(tree, &self.rules, time, request);
    }

    /// The last transaction that was made, proposed or not.
    pub fn prepared(&self) -> Zxid {
        self.prep.lock().last()
    }

    /// What is wrong with the session of a learner's request.
    fn claim(&self, id: SessionId, owner: Owner, request: &ForwardedRequest) -> Claim {
        if request.op == OpCode::CREATE_SESSION {
            let timeout_ms = request
                .record
                .first_chunk()
                .map_or(0, |bytes| i32::from_be_bytes(*bytes));
            let session = self.sessions.track(id, timeout_ms, self.now_ms());
            session.set_owner(owner);
            return Claim::of_all(None);
        }
        let Some(session) = self.sessions.get(id) else {
            return Claim {
                session_error: (!self.may_be_local_elsewhere(id))
                    .then_some(ErrorCode::SESSION_EXPIRED),
                ephemeral_error: Some(ErrorCode::SESSION_EXPIRED),
            };
        };
        if request.op == OpCode::CLOSE_SESSION {
            session.begin_closing();
            return Claim::of_all(None);
        }
        if session.is_closing() {
            return Claim::of_all(Some(ErrorCode::SESSION_EXPIRED));
        }
        Claim::of_all((!session.claim(owner)).then_some(ErrorCode::SESSION_MOVED))
    }

    /// A client of that learner is back. False if its session is over.
    pub fn revalidate_remote(&self, link: LinkId, id: SessionId, timeout_ms: i32) -> bool {
        let known = self.sessions.get(id);
        let Some(session) = known.filter(|s| !s.is_closing() && !s.is_local()) else {
            return false;
        };
        self.sessions
            .touch_with(&session, timeout_ms, self.now_ms());
        session.set_owner(Owner::Link(link));
        true
    }
}
