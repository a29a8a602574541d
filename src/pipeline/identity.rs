//! Who a connection is: auth and sasl, handled the moment they are read.

use std::sync::atomic::Ordering;

use super::Pipeline;
use super::client::{Client, State, header_frame, put_reply};
use crate::auth::AuthOutcome;
use crate::ops;
use crate::proto::client::{AuthPacket, GetSaslRequest, RequestHeader, SetSaslResponse};
use crate::proto::{ErrorCode, OpCode};

impl Pipeline {
    /// auth and sasl: what is read after them is judged by who the connection is then.
    pub(super) fn identify(
        &self,
        client: &Client,
        state: &mut State,
        header: RequestHeader,
        body: &[u8],
    ) {
        if header.op == OpCode::SASL {
            if jute::from_slice::<GetSaslRequest<'_>>(body).is_err() {
                return state.close_in_turn();
            }
            // No SASL is set up here: clients take an answer without a token as that.
            let mut reply = Vec::new();
            put_reply(&mut reply, header.xid, 0, |out| {
                ops::put(
                    out,
                    &SetSaslResponse {
                        token: jute::Buffer::NULL,
                    },
                );
                Ok(())
            });
            return state.answer_in_turn(&reply);
        }
        let Ok(packet) = jute::from_slice::<AuthPacket<'_>>(body) else {
            return state.close_in_turn();
        };
        let outcome = self.rules.providers.authenticate(
            packet.scheme.as_str(),
            packet.auth.as_bytes(),
            client.remote.ip(),
        );
        match outcome {
            AuthOutcome::Added(new) => {
                let mut ids = state.ids.to_vec();
                for id in new {
                    if !ids.contains(&id) {
                        ids.push(id);
                    }
                }
                state.ids = ids.into();
                state.answer_in_turn(&header_frame(header.xid, 0, ErrorCode::OK));
            }
            AuthOutcome::Accepted => {
                state.answer_in_turn(&header_frame(header.xid, 0, ErrorCode::OK))
            }
            AuthOutcome::Refused => {
                self.stats.auth_failed.fetch_add(1, Ordering::Relaxed);
                state.answer_in_turn(&header_frame(header.xid, 0, ErrorCode::AUTH_FAILED));
                state.close_in_turn();
            }
            AuthOutcome::Close => state.close_in_turn(),
        }
    }
}
