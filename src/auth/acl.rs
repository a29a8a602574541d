//! Access lists: the form in which a requested list is stored, the check, and the masking.
//!
//! Answers to Java's `PrepRequestProcessor.fixupACL`, `ZooKeeperServer.checkACL` and the masking in
//! `FinalRequestProcessor`.

use std::borrow::Cow;
use std::collections::HashSet;

use super::{Acl, AclEntry, Id, Provider, Providers, digest, ip, perm, sasl, scheme, x509};

/// An entry as a request carries it: the wire allows null where a stored entry does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RequestedAcl<'a> {
    pub perms: i32,
    pub scheme: Option<&'a str>,
    pub id: Option<&'a str>,
}

/// Why a requested list cannot be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AclError {
    /// Answered with InvalidACL (-114).
    #[error("the access list is not valid")]
    Invalid,
    /// An id is null where its scheme needs one: Java stumbles and answers MarshallingError (-5).
    #[error("an entry of the access list has no id")]
    NullId,
}

/// The expansion of `auth` multiplies what a client sent by the identities it has; beyond this
/// many bytes nobody could read the list back.
const EXPANDED_BYTES_MAX: usize = 4 << 20;

impl Providers {
    /// Turns a requested list into the one to store, on behalf of a requester with `ids`.
    pub fn fix_up(
        &self,
        requested: Option<Vec<RequestedAcl<'_>>>,
        ids: &[Id],
    ) -> Result<Vec<AclEntry>, AclError> {
        let requested = requested.unwrap_or_default();
        stumble_over_null(&requested)?;
        let requested = without_duplicates(requested);
        if requested.is_empty() {
            return Err(AclError::Invalid);
        }
        let mut fixed = Vec::with_capacity(requested.len());
        let mut expanded_bytes = 0;
        for entry in requested {
            let scheme = entry.scheme.ok_or(AclError::Invalid)?;
            if scheme == scheme::AUTH {
                self.expand_auth(entry.perms, ids, &mut fixed, &mut expanded_bytes)?;
                continue;
            }
            self.check_id(scheme, entry.id)?;
            let id = entry.id.ok_or(AclError::NullId)?;
            fixed.push(AclEntry::new(entry.perms, scheme, id));
        }
        Ok(fixed)
    }

    fn expand_auth(
        &self,
        perms: i32,
        ids: &[Id],
        fixed: &mut Vec<AclEntry>,
        expanded_bytes: &mut usize,
    ) -> Result<(), AclError> {
        let before = fixed.len();
        for id in ids {
            if self
                .provider(&id.scheme)
                .is_some_and(Provider::authenticates)
            {
                *expanded_bytes += size_of::<AclEntry>() + id.scheme.len() + id.id.len();
                if *expanded_bytes > EXPANDED_BYTES_MAX {
                    return Err(AclError::Invalid);
                }
                fixed.push(AclEntry {
                    perms,
                    scheme: id.scheme.clone(),
                    id: id.id.clone(),
                });
            }
        }
        if fixed.len() == before {
            return Err(AclError::Invalid);
        }
        Ok(())
    }

    /// Whether `scheme` takes `id` in a list.
    fn check_id(&self, scheme: &str, id: Option<&str>) -> Result<(), AclError> {
        let provider = self.provider(scheme);
        let valid = match provider {
            None if scheme == scheme::WORLD => id.ok_or(AclError::NullId)? == super::ANYONE,
            None | Some(Provider::Ensemble) => false,
            Some(provider) => {
                let id = id.ok_or(AclError::NullId)?;
                match provider {
                    Provider::Digest => digest::is_valid_id(id),
                    Provider::Ip => ip::Pattern::parse(id).is_some(),
                    Provider::X509 => x509::is_valid_name(id),
                    Provider::Sasl => sasl::is_valid_name(id),
                    Provider::Ensemble => false,
                }
            }
        };
        if valid {
            Ok(())
        } else {
            Err(AclError::Invalid)
        }
    }

    /// Whether a requester with `ids` has one of the bits of `perm` by `acl`.
    pub fn check(&self, acl: &Acl, perm: i32, ids: &[Id]) -> bool {
        // Nearly every list is open to the world, so that is asked first: it decides without a look
        // at the identities and the order of the questions cannot be seen from outside.
        self.skip_acl
            || acl.is_empty()
            || acl
                .iter()
                .any(|entry| entry.perms & perm != 0 && entry.is_world())
            || ids.iter().any(|id| &*id.scheme == scheme::SUPER)
            || acl
                .iter()
                .any(|entry| entry.perms & perm != 0 && self.entry_matches(entry, ids))
    }

    fn entry_matches(&self, entry: &AclEntry, ids: &[Id]) -> bool {
        let Some(provider) = self.provider(&entry.scheme) else {
            return false;
        };
        let mut same_scheme = ids.iter().filter(|id| id.scheme == entry.scheme);
        match provider {
            Provider::Digest => same_scheme.any(|id| id.id == entry.id),
            Provider::Ip => ip::Pattern::parse(&entry.id).is_some_and(|pattern| {
                same_scheme.any(|id| ip::parse(&id.id).is_some_and(|ip| pattern.matches(ip)))
            }),
            Provider::X509 => same_scheme
                .any(|id| id.id == entry.id || self.x509_super_user.as_deref() == Some(&*id.id)),
            Provider::Sasl => same_scheme.any(|id| {
                &*id.id == sasl::SUPER_USER
                    || id.id == entry.id
                    || self.let_any_sasl_user_do.as_deref() == Some(&*entry.id)
            }),
            Provider::Ensemble => false,
        }
    }

    /// What getACL shows of `acl` to a requester with `ids`; `None`: it may not see the list.
    pub fn visible_acl<'a>(&self, acl: &'a Acl, ids: &[Id]) -> Option<Cow<'a, Acl>> {
        if self.check(acl, perm::ADMIN, ids) {
            Some(Cow::Borrowed(acl))
        } else if self.check(acl, perm::READ, ids) {
            Some(self.mask(acl))
        } else {
            None
        }
    }

    /// The list as someone sees it who may read the node but not administer it: digests are hidden.
    pub fn mask<'a>(&self, acl: &'a Acl) -> Cow<'a, Acl> {
        if acl.iter().all(|entry| &*entry.scheme != scheme::DIGEST) {
            return Cow::Borrowed(acl);
        }
        let masked = acl.iter().map(|entry| {
            if &*entry.scheme == scheme::DIGEST {
                AclEntry::new(entry.perms, scheme::DIGEST, digest::mask(&entry.id))
            } else {
                entry.clone()
            }
        });
        Cow::Owned(masked.collect())
    }
}

/// Java compares each entry with those before it, and stumbles where that meets a null. Only the
/// first entry of its kind is looked at for what is wrong with it.
fn stumble_over_null(list: &[RequestedAcl<'_>]) -> Result<(), AclError> {
    if list.iter().all(|e| e.scheme.is_some() && e.id.is_some()) {
        return Ok(());
    }
    let mut kept: Vec<&RequestedAcl<'_>> = Vec::new();
    for entry in list {
        let mut known = false;
        for earlier in kept.iter().filter(|e| e.perms == entry.perms) {
            let scheme = entry.scheme.ok_or(AclError::NullId)?;
            if earlier.scheme == Some(scheme) {
                known = entry
                    .id
                    .ok_or(AclError::NullId)
                    .map(|id| earlier.id == Some(id))?;
                if known {
                    break;
                }
            }
        }
        if !known {
            if kept.len() == NULLS_LOOKED_AT_MAX {
                return Err(AclError::Invalid);
            }
            kept.push(entry);
        }
    }
    Ok(())
}

/// Lists with nulls are only ever a mistake; longer ones are not worth comparing entry by entry.
const NULLS_LOOKED_AT_MAX: usize = 256;

/// Drops later exact duplicates. Lists are nearly always tiny; a long one goes through a set so
/// that a hostile one costs no more than its length.
fn without_duplicates(mut list: Vec<RequestedAcl<'_>>) -> Vec<RequestedAcl<'_>> {
    const SMALL: usize = 8;
    if list.len() <= SMALL {
        let mut kept = 0;
        for at in 0..list.len() {
            if !list[..kept].contains(&list[at]) {
                list[kept] = list[at];
                kept += 1;
            }
        }
        list.truncate(kept);
    } else {
        let mut seen = HashSet::with_capacity(list.len());
        list.retain(|entry| seen.insert(*entry));
    }
    list
}
