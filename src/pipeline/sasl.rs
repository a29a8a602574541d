//! SASL of clients: who may authenticate, and what becomes of those that fail.
//!
//! Answers to `ZooKeeperSaslServer`, `SaslServerCallbackHandler` and `ZooKeeperServer.processSasl`.

use std::sync::Arc;

use crate::auth::{Id, scheme};
use crate::kerberos::Randomness;
use crate::kerberos::accept::Acceptor;
use crate::kerberos::local_name::{LocalNames, NoLocalName};
use crate::proto::ErrorCode;
use crate::sasl::digest_md5::{self, Service};
use crate::sasl::{Accounts, gssapi, nonce};

#[derive(Clone, Debug)]
pub struct SaslSettings {
    pub mechanism: Mechanism,
    /// Users that may do everything (`superUser.*`).
    pub super_users: Vec<String>,
    /// Whoever fails goes on as nobody (`allowSaslFailedClients`).
    pub lets_failed_go_on: bool,
}

/// One for all clients, as on the JVM: they do not say which one they use.
#[derive(Clone, Debug)]
pub enum Mechanism {
    DigestMd5(Accounts),
    Gssapi {
        acceptor: Arc<Acceptor>,
        names: Arc<LocalNames>,
    },
}

/// That of a connection, between two tokens.
#[derive(Debug)]
pub(super) enum Exchange {
    DigestMd5(Box<digest_md5::Server>),
    Gssapi(Box<gssapi::Server>),
}

/// What a token leads to.
pub(super) enum Step {
    /// The next token is the other side's.
    Challenge(Vec<u8>),
    Proved(Proved),
    Failed(Failure),
}

pub(super) struct Proved {
    pub answer: Option<Vec<u8>>,
    /// Who it is, and as whom it wanted to act.
    pub authentication: String,
    pub authorization: String,
    /// As whom it acts.
    pub user: String,
    pub ids: Vec<Id>,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error(transparent)]
    DigestMd5(#[from] digest_md5::Refusal),
    #[error(transparent)]
    Gssapi(#[from] gssapi::Refusal),
    #[error(transparent)]
    NoLocalName(#[from] NoLocalName),
    #[error("DIGEST-MD5 must not have an initial response")]
    InitialResponse,
    #[error("no random bytes: {0}")]
    NotRandom(#[from] getrandom::Error),
}

impl SaslSettings {
    /// `exchange` is that of the connection: begun by a token, ended by a proof or a failure. `now_ms` since 1970.
    pub(super) fn step(&self, exchange: &mut Option<Exchange>, token: &[u8], now_ms: i64) -> Step {
        let stepped = match (exchange.take(), &self.mechanism) {
            (Some(Exchange::DigestMd5(server)), Mechanism::DigestMd5(accounts)) => {
                self.verify(*server, token, accounts)
            }
            (Some(Exchange::Gssapi(server)), Mechanism::Gssapi { names, .. }) => {
                let stepped = server.step(token).map_err(Failure::from);
                stepped.and_then(|step| self.gssapi(step, exchange, names))
            }
            (_, Mechanism::DigestMd5(_)) => begin_digest_md5(exchange, token),
            (_, Mechanism::Gssapi { acceptor, names }) => Randomness::new()
                .map_err(Failure::from)
                .and_then(|fresh| {
                    let now = now_ms.div_euclid(1000);
                    Ok(gssapi::Server::begin(acceptor, token, now, &fresh)?)
                })
                .and_then(|step| self.gssapi(step, exchange, names)),
        };
        stepped.unwrap_or_else(Step::Failed)
    }

    fn verify(
        &self,
        server: digest_md5::Server,
        token: &[u8],
        accounts: &Accounts,
    ) -> Result<Step, Failure> {
        let verified = server.verify(token, accounts)?;
        // As whom a client wants to act is not asked: as in Java it is the user that authenticated.
        let user = verified.user;
        Ok(Step::Proved(Proved {
            answer: Some(verified.answer),
            authorization: verified.authorization.unwrap_or_else(|| user.clone()),
            authentication: user.clone(),
            ids: self.ids_of(&user),
            user,
        }))
    }

    fn gssapi(
        &self,
        step: gssapi::Step,
        exchange: &mut Option<Exchange>,
        names: &LocalNames,
    ) -> Result<Step, Failure> {
        let (client, authorization) = match step {
            gssapi::Step::Continue(server, token) => {
                *exchange = Some(Exchange::Gssapi(server));
                return Ok(Step::Challenge(token));
            }
            gssapi::Step::Proved {
                client,
                authorization,
            } => (client, authorization),
        };
        let name = names.of(&client, authorization.as_deref())?;
        if !name.by_a_rule {
            tracing::warn!("No rule of auth_to_local fits {client}, which keeps its whole name");
        }
        let authentication = client.to_string();
        Ok(Step::Proved(Proved {
            answer: None,
            authorization: authorization.unwrap_or_else(|| authentication.clone()),
            authentication,
            ids: self.ids_of(&name.id),
            user: name.id,
        }))
    }

    fn ids_of(&self, user: &str) -> Vec<Id> {
        let mut ids = vec![Id::new(scheme::SASL, user)];
        if self.super_users.iter().any(|one| one == user) {
            ids.push(Id::new(scheme::SUPER, ""));
        }
        ids
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

fn begin_digest_md5(exchange: &mut Option<Exchange>, token: &[u8]) -> Result<Step, Failure> {
    if !token.is_empty() {
        return Err(Failure::InitialResponse);
    }
    let server = Box::new(digest_md5::Server::new(Service::CLIENTS, nonce()?));
    let challenge = server.challenge();
    *exchange = Some(Exchange::DigestMd5(server));
    Ok(Step::Challenge(challenge))
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
            mechanism: Mechanism::DigestMd5(["bob", "root"].map(account).into_iter().collect()),
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
        let Step::Challenge(challenge) = settings.step(&mut exchange, b"", 0) else {
            panic!("no challenge");
        };
        let login = login(user);
        let client = Client::new(Service::CLIENTS, &login, "c".to_owned());
        let (response, reply) = client.respond(&challenge).unwrap();
        let step = settings.step(&mut exchange, &response, 0);
        assert!(exchange.is_none(), "an exchange has one end");
        if let Step::Proved(Proved { answer, .. }) = &step {
            reply.check(answer.as_deref().unwrap()).unwrap();
        }
        step
    }

    #[test]
    fn users_get_their_ids() {
        let ids = |user: &str| match prove(user) {
            Step::Proved(proved) => proved.ids,
            _ => panic!("{user} has no account"),
        };
        assert_eq!(ids("bob"), [Id::new("sasl", "bob")]);
        assert_eq!(ids("root"), [Id::new("sasl", "root"), Id::new("super", "")]);
        assert!(matches!(prove("eve"), Step::Failed(Failure::DigestMd5(_))));
    }

    #[test]
    fn an_exchange_begins_with_an_empty_token() {
        let (settings, mut exchange) = (settings(), None);
        let step = settings.step(&mut exchange, b"x", 0);
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
