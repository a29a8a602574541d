//! SASL of clients: who may authenticate, and what becomes of those that fail.
//!
//! Answers to `ZooKeeperSaslServer`, `SaslServerCallbackHandler` and `ZooKeeperServer.processSasl`.

use crate::auth::{Id, scheme};
use crate::proto::ErrorCode;
use crate::sasl::digest_md5::{Refusal, Server, Service};
use crate::sasl::{Accounts, nonce};

#[derive(Clone, Debug, Default)]
pub struct SaslSettings {
    pub accounts: Accounts,
    /// Users that may do everything (`superUser.*`).
    pub super_users: Vec<String>,
    /// Whoever fails goes on as nobody (`allowSaslFailedClients`).
    pub lets_failed_go_on: bool,
}

/// What a token leads to.
pub(super) enum Step {
    /// The next token is the other side's.
    Challenge(Vec<u8>),
    Proved {
        answer: Vec<u8>,
        user: String,
        ids: Vec<Id>,
    },
    Failed(Failure),
}

#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error(transparent)]
    Refusal(#[from] Refusal),
    #[error("DIGEST-MD5 must not have an initial response")]
    InitialResponse,
    #[error("no random bytes for a nonce: {0}")]
    NoNonce(getrandom::Error),
}

impl SaslSettings {
    /// `exchange` is that of the connection: begun by an empty token, ended by the next one.
    pub(super) fn step(&self, exchange: &mut Option<Box<Server>>, token: &[u8]) -> Step {
        let stepped = match exchange.take() {
            Some(server) => self.verify(*server, token),
            None if !token.is_empty() => Err(Failure::InitialResponse),
            None => nonce().map_err(Failure::NoNonce).map(|nonce| {
                let server = exchange.insert(Box::new(Server::new(Service::CLIENTS, nonce)));
                Step::Challenge(server.challenge())
            }),
        };
        stepped.unwrap_or_else(Step::Failed)
    }

    fn verify(&self, server: Server, token: &[u8]) -> Result<Step, Failure> {
        let verified = server.verify(token, &self.accounts)?;
        // As whom a client wants to act is not asked: as in Java it is the user that authenticated.
        let user = verified.user;
        let mut ids = vec![Id::new(scheme::SASL, user.clone())];
        if self.super_users.contains(&user) {
            ids.push(Id::new(scheme::SUPER, ""));
        }
        Ok(Step::Proved {
            answer: verified.answer,
            user,
            ids,
        })
    }

    /// How a client is told that it failed; `None`: it is not, and goes on.
    pub(super) fn error_for_failed(&self, enforced_schemes: &[String]) -> Option<ErrorCode> {
        if enforced_schemes.iter().any(|one| one == scheme::SASL) {
            Some(ErrorCode::SESSION_CLOSED_REQUIRE_SASL_AUTH)
        } else if self.lets_failed_go_on {
            None
        } else {
            Some(ErrorCode::AUTH_FAILED)
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::sasl::digest_md5::Client;
    use crate::sasl::{Login, Password};

    fn settings() -> SaslSettings {
        let account = |user: &str| (user.to_owned(), Password::new(format!("{user}'s")));
        SaslSettings {
            accounts: ["bob", "root"].map(account).into_iter().collect(),
            super_users: vec!["root".to_owned(), "nobody".to_owned()],
            lets_failed_go_on: false,
        }
    }

    fn login(user: &str) -> Login {
        Login {
            user: user.to_owned(),
            password: Password::new(format!("{user}'s")),
        }
    }

    fn prove(user: &str) -> Step {
        let (settings, mut exchange) = (settings(), None);
        let Step::Challenge(challenge) = settings.step(&mut exchange, b"") else {
            panic!("no challenge");
        };
        let login = login(user);
        let client = Client::new(Service::CLIENTS, &login, "c".to_owned());
        let (response, reply) = client.respond(&challenge).unwrap();
        let step = settings.step(&mut exchange, &response);
        assert!(exchange.is_none(), "an exchange has one end");
        if let Step::Proved { answer, .. } = &step {
            reply.check(answer).unwrap();
        }
        step
    }

    #[test]
    fn users_get_their_ids() {
        let ids = |user: &str| match prove(user) {
            Step::Proved { ids, .. } => ids,
            _ => panic!("{user} has no account"),
        };
        assert_eq!(ids("bob"), [Id::new("sasl", "bob")]);
        assert_eq!(ids("root"), [Id::new("sasl", "root"), Id::new("super", "")]);
        assert!(matches!(prove("eve"), Step::Failed(Failure::Refusal(_))));
    }

    #[test]
    fn an_exchange_begins_with_an_empty_token() {
        let (settings, mut exchange) = (settings(), None);
        let step = settings.step(&mut exchange, b"x");
        assert!(matches!(step, Step::Failed(Failure::InitialResponse)));
    }

    #[test]
    fn what_a_failure_leads_to() {
        let sasl = ["digest".to_owned(), "sasl".to_owned()];
        let digest = ["digest".to_owned()];
        let mut settings = settings();
        let required = Some(ErrorCode::SESSION_CLOSED_REQUIRE_SASL_AUTH);
        assert_eq!(settings.error_for_failed(&sasl), required);
        assert_eq!(
            settings.error_for_failed(&digest),
            Some(ErrorCode::AUTH_FAILED)
        );
        settings.lets_failed_go_on = true;
        assert_eq!(settings.error_for_failed(&sasl), required);
        assert_eq!(settings.error_for_failed(&digest), None);
    }
}
