//! Who a connection is: auth and sasl, handled the moment they are read.

use std::sync::atomic::Ordering;

use super::client::{Client, State, header_frame};
use super::sasl::{Proved, Step};
use super::{Pipeline, wall_ms};
use crate::auth::{AuthOutcome, Id};
use crate::ids::SessionId;
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
            return match jute::from_slice::<GetSaslRequest<'_>>(body) {
                Ok(GetSaslRequest { token }) => match token.as_bytes() {
                    Some(token) => self.authenticate(client, state, header.xid, token),
                    None => state.close_in_turn(),
                },
                Err(_) => state.close_in_turn(),
            };
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
                add_ids(state, new);
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

    /// One token of a SASL exchange.
    fn authenticate(&self, client: &Client, state: &mut State, xid: i32, token: &[u8]) {
        let Some(sasl) = &self.settings.sasl else {
            // Clients take an answer without a token as a server without SASL.
            return state.answer_in_turn(&sasl_frame(xid, ErrorCode::OK, None));
        };
        let token = match sasl.step(&mut state.sasl, token, wall_ms()) {
            Step::Challenge(token) => Some(token),
            Step::Proved(proved) => {
                log_success(state, &proved);
                add_ids(state, proved.ids);
                proved.answer
            }
            Step::Failed(why) => {
                tracing::warn!(
                    "Client /{} failed to SASL authenticate: {why}",
                    client.remote
                );
                if let Some(error) = sasl.error_for_failed(&self.settings.enforced_schemes) {
                    state.answer_in_turn(&sasl_frame(xid, error, None));
                    return state.close_in_turn();
                }
                None
            }
        };
        state.answer_in_turn(&sasl_frame(xid, ErrorCode::OK, token.as_deref()));
    }
}

/// People look for these lines when they search for why somebody is not let in.
fn log_success(state: &State, proved: &Proved) {
    let Proved {
        authentication,
        authorization,
        user,
        ..
    } = proved;
    let session = state.session.as_ref().map_or(SessionId::NONE, |s| s.id);
    // What clients made up could end the line.
    let authorization = authorization.escape_debug();
    tracing::info!(
        "Successfully authenticated client: authenticationID={authentication};  authorizationID={authorization}."
    );
    tracing::info!("Setting authorizedID: {user}");
    tracing::info!(
        "Session 0x{:x}: adding SASL authorization for authorizationID: {user}",
        session.0
    );
}

fn add_ids(state: &mut State, new: Vec<Id>) {
    let mut ids = state.ids.to_vec();
    for id in new {
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    state.ids = ids.into();
}

/// Clients expect a token beside an error, too: a null one.
fn sasl_frame(xid: i32, err: ErrorCode, token: Option<&[u8]>) -> Vec<u8> {
    let mut reply = header_frame(xid, 0, err);
    let token = jute::Buffer::from(token);
    ops::put(&mut reply, &SetSaslResponse { token });
    let length = (reply.len() - LENGTH_BYTES) as u32;
    reply[..LENGTH_BYTES].copy_from_slice(&length.to_be_bytes());
    reply
}

/// In front of every frame.
const LENGTH_BYTES: usize = 4;
