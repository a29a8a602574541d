//! Who gives a command, by its `Authorization`, and whether the list of the root lets it. Answers to
//! `Commands.handleAuthentication` and `handleAuthorization`.

use std::net::IpAddr;

use crate::auth::{AuthOutcome, Id, Providers, perm, scheme};
use crate::net::http::Request;
use crate::pipeline::Pipeline;
use crate::tls::names;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Denied {
    Missing,
    NotAuthenticated,
    NotAuthorized,
}

impl Denied {
    pub fn status(self) -> u16 {
        match self {
            Denied::Missing | Denied::NotAuthenticated => 401,
            Denied::NotAuthorized => 403,
        }
    }

    pub fn text(self) -> &'static str {
        match self {
            Denied::Missing => "Auth info is missing for the command",
            Denied::NotAuthenticated => "Not authenticated",
            Denied::NotAuthorized => "Not authorized",
        }
    }
}

pub(super) fn identities(
    request: &Request,
    providers: &Providers,
    trusts_forwarded_for: bool,
) -> Result<Vec<Id>, Denied> {
    let given = request.head.header("authorization");
    let given = given.ok_or(Denied::Missing)?;
    let (scheme, credential) = parts(given).ok_or(Denied::NotAuthenticated)?;
    let ids = match scheme {
        scheme::X509 if providers.has_scheme(scheme) => {
            let own = request.certificates.first();
            let subject = own.and_then(|own| names::subject_of(own).ok());
            subject.map_or(Vec::new(), |subject| providers.x509_ids(&subject))
        }
        scheme::IP => vec![Providers::initial_id(address(
            request,
            trusts_forwarded_for,
        ))],
        _ => {
            let credential = credential.map(str::as_bytes);
            match providers.authenticate(Some(scheme), credential, request.remote.ip()) {
                AuthOutcome::Added(ids) => ids,
                AuthOutcome::Accepted | AuthOutcome::Refused | AuthOutcome::Close => Vec::new(),
            }
        }
    };
    if ids.is_empty() {
        return Err(Denied::NotAuthenticated);
    }
    Ok(ids)
}

/// A scheme and perhaps a credential, with one blank between.
fn parts(given: &str) -> Option<(&str, Option<&str>)> {
    let mut parts = given.trim_end_matches(' ').split(' ');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(scheme), credential, None) => Some((scheme, credential)),
        _ => None,
    }
}

/// What proxies say can be said by anybody: it counts only where that is wanted.
fn address(request: &Request, trusts_forwarded_for: bool) -> IpAddr {
    let remote = request.remote.ip();
    let forwarded = request.head.header("x-forwarded-for");
    forwarded
        .filter(|_| trusts_forwarded_for)
        // The proxy's own word is the last one; those before it came with the request.
        .and_then(|list| list.rsplit(',').next())
        .and_then(|last| last.trim().parse().ok())
        .unwrap_or(remote)
}

/// Every right on the root, each by itself.
pub(super) fn authorize(pipeline: &Pipeline, ids: &[Id]) -> Result<(), Denied> {
    let tree = pipeline.tree();
    let root = tree.get("/").ok_or(Denied::NotAuthorized)?;
    let list = tree.acl(root);
    let rights = [
        perm::READ,
        perm::WRITE,
        perm::CREATE,
        perm::DELETE,
        perm::ADMIN,
    ];
    let providers = &pipeline.rules().providers;
    match rights
        .iter()
        .all(|right| providers.check(list, *right, ids))
    {
        true => Ok(()),
        false => Err(Denied::NotAuthorized),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_scheme_and_one_credential_at_most() {
        assert_eq!(parts("digest a:b"), Some(("digest", Some("a:b"))));
        assert_eq!(parts("digest a:b  "), Some(("digest", Some("a:b"))));
        assert_eq!(parts("ip"), Some(("ip", None)));
        assert_eq!(parts("digest  a:b"), None);
        assert_eq!(parts("digest a b"), None);
        assert_eq!(parts(""), Some(("", None)));
    }
}
