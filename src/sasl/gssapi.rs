//! GSSAPI (RFC 4752) with Kerberos, the server's side: authentication alone, without a layer of security.
//!
//! ```text
//! client                                   server
//! AP-REQ                                   ->  begin
//!                                 <- AP-REP, if the client wants one, and then:
//! (empty)                                  ->  step
//!                                 <- which layers are offered: none
//! which layer, as whom to act              ->  step
//! ```
//!
//! Answers to `GssKrb5Server` of the JDK.

use crate::kerberos::accept::Acceptor;
use crate::kerberos::principal::Principal;
use crate::kerberos::wrap::Context;
use crate::kerberos::{self, Randomness};

/// In the offer and in the choice.
const NO_LAYER: u8 = 1;
/// No layer, and how much the JDK takes at a time, which does not matter without one.
const OFFER: [u8; 4] = [NO_LAYER, 1, 0, 0];
/// A choice and a name behind it.
const CHOICE_BYTES_MAX: usize = 4096;

#[derive(Debug)]
pub struct Server {
    client: Principal,
    context: Context,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    /// The client has the proof that it asked for.
    Replied,
    /// The client has the offer.
    Offered,
}

#[derive(Debug)]
pub enum Step {
    Continue(Box<Server>, Vec<u8>),
    /// As whom the client wants to act, if said.
    Proved {
        client: Principal,
        authorization: Option<String>,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error(transparent)]
    Kerberos(#[from] kerberos::Refusal),
    #[error(
        "it sent no token of Kerberos to begin with; it may have tried DIGEST-MD5, which is not offered beside Kerberos"
    )]
    NoToken,
    #[error("it did not wait for the offer of layers")]
    NotEmpty,
    #[error("it did not choose what was offered: authentication alone")]
    OtherLayer,
    #[error("it wants to act under a name that is not in UTF-8")]
    NotUtf8,
    #[error("it sent {0} bytes to choose a layer")]
    TooLong(usize),
}

impl Server {
    /// `now`: seconds since 1970.
    pub fn begin(
        acceptor: &Acceptor,
        token: &[u8],
        now: i64,
        fresh: &Randomness,
    ) -> Result<Step, Refusal> {
        if token.is_empty() {
            return Err(Refusal::NoToken);
        }
        let accepted = acceptor.accept(token, now, fresh)?;
        let server = Server {
            client: accepted.client,
            context: accepted.context,
            stage: Stage::Replied,
        };
        Ok(match accepted.reply {
            Some(reply) => Step::Continue(Box::new(server), reply),
            None => server.offer(),
        })
    }

    pub fn step(mut self, token: &[u8]) -> Result<Step, Refusal> {
        match self.stage {
            Stage::Replied if token.is_empty() => Ok(self.offer()),
            Stage::Replied => Err(Refusal::NotEmpty),
            Stage::Offered => {
                if token.len() > CHOICE_BYTES_MAX {
                    return Err(Refusal::TooLong(token.len()));
                }
                let choice = self.context.unwrap(token)?;
                let Some((&[NO_LAYER, ..], name)) = choice.split_first_chunk::<4>() else {
                    return Err(Refusal::OtherLayer);
                };
                let name = std::str::from_utf8(name).map_err(|_| Refusal::NotUtf8)?;
                Ok(Step::Proved {
                    client: self.client,
                    authorization: (!name.is_empty()).then(|| name.to_owned()),
                })
            }
        }
    }

    fn offer(mut self) -> Step {
        let offer = self.context.wrap(&OFFER);
        self.stage = Stage::Offered;
        Step::Continue(Box::new(self), offer)
    }
}
