#![allow(clippy::unwrap_used)]

use std::borrow::Cow;

use super::*;
use proptest::prelude::*;

const LOCAL: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

fn class(name: &str) -> String {
    format!("org.apache.zookeeper.server.auth.{name}AuthenticationProvider")
}

fn default() -> Providers {
    Providers::new(AuthSettings::default()).unwrap()
}

fn all() -> Providers {
    Providers::new(AuthSettings {
        super_digest: Some("super:D/InIHSb7yEEbrWz8b9l71RjZJU=".to_owned()),
        provider_classes: ["SASL", "X509", "Ensemble", "Key", "IP"]
            .map(class)
            .to_vec(),
        ensemble_names: Some("one, two".to_owned()),
        let_any_sasl_user_do: Some("anyone-with-sasl".to_owned()),
        x509_super_user: Some("CN=root".to_owned()),
        ..AuthSettings::default()
    })
    .unwrap()
}

fn id(scheme: &str, id: &str) -> Id {
    Id::new(scheme, id)
}

fn entry(perms: i32, scheme: &str, id: &str) -> AclEntry {
    AclEntry::new(perms, scheme, id)
}

fn asked<'a>(
    perms: i32,
    scheme: impl Into<Option<&'a str>>,
    id: impl Into<Option<&'a str>>,
) -> RequestedAcl<'a> {
    RequestedAcl {
        perms,
        scheme: scheme.into(),
        id: id.into(),
    }
}

#[test]
fn a_connection_starts_with_its_address() {
    assert_eq!(Providers::initial_id(LOCAL), id("ip", "127.0.0.1"));
    let v6 = "::1".parse().unwrap();
    assert_eq!(Providers::initial_id(v6), id("ip", "0:0:0:0:0:0:0:1"));
}

#[test]
fn digest_authentication_never_fails_on_data() {
    let providers = default();
    assert_eq!(
        providers.authenticate(Some("digest"), Some(b"user:pass"), LOCAL),
        AuthOutcome::Added(vec![id("digest", "user:smGaoVKd/cQkjm7b88GyorAUz20=")])
    );
    for data in [&b""[..], b"x", b"\xff\xfe:\x80"] {
        let outcome = providers.authenticate(Some("digest"), Some(data), LOCAL);
        assert!(
            matches!(outcome, AuthOutcome::Added(ids) if ids.len() == 1),
            "{data:?}"
        );
    }
    assert_eq!(
        providers.authenticate(Some("digest"), None, LOCAL),
        AuthOutcome::Refused
    );
}

#[test]
fn the_super_digest_grants_super() {
    let outcome = all().authenticate(Some("digest"), Some(b"super:test"), LOCAL);
    let digest = id("digest", "super:D/InIHSb7yEEbrWz8b9l71RjZJU=");
    assert_eq!(
        outcome,
        AuthOutcome::Added(vec![id("super", ""), digest.clone()])
    );
    let outcome = default().authenticate(Some("digest"), Some(b"super:test"), LOCAL);
    assert_eq!(outcome, AuthOutcome::Added(vec![digest]));
}

#[test]
fn outcomes_of_the_other_schemes() {
    let (providers, data) = (all(), Some(&b"x"[..]));
    let address = AuthOutcome::Added(vec![id("ip", "127.0.0.1")]);
    for (scheme, data, outcome) in [
        (Some("ip"), None, address.clone()),
        (Some("ip"), data, address),
        (Some("sasl"), data, AuthOutcome::Refused),
        (Some("x509"), data, AuthOutcome::Refused),
        (Some("world"), data, AuthOutcome::Refused),
        (Some("auth"), data, AuthOutcome::Refused),
        (Some("super"), data, AuthOutcome::Refused),
        (Some("Digest"), data, AuthOutcome::Refused),
        (Some(""), data, AuthOutcome::Refused),
        (None, data, AuthOutcome::Refused),
        (Some("ensemble"), None, AuthOutcome::Accepted),
        (Some("ensemble"), Some(&b""[..]), AuthOutcome::Accepted),
        (Some("ensemble"), Some(&b"two"[..]), AuthOutcome::Accepted),
        (Some("ensemble"), data, AuthOutcome::Close),
    ] {
        assert_eq!(
            providers.authenticate(scheme, data, LOCAL),
            outcome,
            "{scheme:?} {data:?}"
        );
    }
    assert_eq!(
        default().authenticate(Some("ensemble"), data, LOCAL),
        AuthOutcome::Refused
    );
    let nameless = Providers::new(AuthSettings {
        provider_classes: vec![class("Ensemble")],
        ..AuthSettings::default()
    });
    assert_eq!(
        nameless
            .unwrap()
            .authenticate(Some("ensemble"), data, LOCAL),
        AuthOutcome::Accepted
    );
}

#[test]
fn digest_can_be_switched_off_and_on() {
    let off = AuthSettings {
        digest_enabled: false,
        ..AuthSettings::default()
    };
    let providers = Providers::new(off.clone()).unwrap();
    assert_eq!(
        providers.authenticate(Some("digest"), Some(b"a:b"), LOCAL),
        AuthOutcome::Refused
    );
    assert_eq!(
        providers.fix_up(Some(vec![asked(31, "digest", "a:b")]), &[]),
        Err(AclError::Invalid)
    );
    assert!(!providers.check(
        &[entry(31, "digest", "a:b")],
        perm::READ,
        &[id("digest", "a:b")]
    ));
    let listed = Providers::new(AuthSettings {
        provider_classes: vec![class("Digest")],
        ..off
    });
    assert!(listed.unwrap().has_scheme("digest"));
}

#[test]
fn settings_that_cannot_be_honoured() {
    let algorithm = AuthSettings {
        digest_algorithm: "ROT13".to_owned(),
        ..AuthSettings::default()
    };
    assert_eq!(
        Providers::new(algorithm).unwrap_err(),
        AuthConfigError::UnknownDigestAlgorithm("ROT13".to_owned())
    );
    let provider = AuthSettings {
        provider_classes: vec!["com.example.Own".to_owned()],
        ..AuthSettings::default()
    };
    assert_eq!(
        Providers::new(provider).unwrap_err(),
        AuthConfigError::UnknownProvider("com.example.Own".to_owned())
    );
}

#[test]
fn fix_up_keeps_what_is_valid_in_order_without_duplicates() {
    let requested = vec![
        asked(31, "world", "anyone"),
        asked(1, "ip", "10.0.0.0/8"),
        asked(31, "world", "anyone"),
        asked(0, "digest", "a:b"),
        asked(-1, "sasl", "bob@REALM"),
        asked(1, "x509", "CN=a"),
        asked(2, "world", "anyone"),
        asked(1, "ip", "10.0.0.0/8"),
    ];
    let stored = [
        entry(31, "world", "anyone"),
        entry(1, "ip", "10.0.0.0/8"),
        entry(0, "digest", "a:b"),
        entry(-1, "sasl", "bob@REALM"),
        entry(1, "x509", "CN=a"),
        entry(2, "world", "anyone"),
    ];
    assert_eq!(all().fix_up(Some(requested.clone()), &[]).unwrap(), stored);
    // The way of long lists gives the same.
    let twice = [requested.clone(), requested].concat();
    assert_eq!(all().fix_up(Some(twice), &[]).unwrap(), stored);
}

#[test]
fn fix_up_refusals() {
    let ids = [id("ip", "127.0.0.1"), id("super", "")];
    for (list, error) in [
        (vec![], AclError::Invalid),
        (vec![asked(31, None, "anyone")], AclError::Invalid),
        (vec![asked(31, None, None)], AclError::Invalid),
        (vec![asked(31, "world", "me")], AclError::Invalid),
        (vec![asked(31, "world", None)], AclError::NullId),
        (vec![asked(31, "auth", "")], AclError::Invalid),
        (vec![asked(31, "auth", None)], AclError::Invalid),
        (vec![asked(31, "super", "")], AclError::Invalid),
        (vec![asked(31, "super", None)], AclError::Invalid),
        (vec![asked(31, "ensemble", "one")], AclError::Invalid),
        (vec![asked(31, "ensemble", None)], AclError::Invalid),
        (vec![asked(31, "nope", "x")], AclError::Invalid),
        (vec![asked(31, "nope", None)], AclError::Invalid),
        (vec![asked(31, "digest", "a")], AclError::Invalid),
        (vec![asked(31, "digest", None)], AclError::NullId),
        (vec![asked(31, "ip", "1.2.3")], AclError::Invalid),
        (vec![asked(31, "ip", None)], AclError::NullId),
        (vec![asked(31, "sasl", "a@b@c")], AclError::Invalid),
        (vec![asked(31, "x509", "a")], AclError::Invalid),
        (
            vec![asked(31, "world", "anyone"), asked(31, "ip", "")],
            AclError::Invalid,
        ),
    ] {
        assert_eq!(
            all().fix_up(Some(list.clone()), &ids),
            Err(error),
            "{list:?}"
        );
    }
    assert_eq!(all().fix_up(None, &ids), Err(AclError::Invalid));
    assert_eq!(
        default().fix_up(Some(vec![asked(1, "sasl", "bob")]), &ids),
        Err(AclError::Invalid)
    );
}

#[test]
fn auth_expands_to_the_authenticated_identities() {
    let ids = [
        id("ip", "127.0.0.1"),
        id("super", ""),
        id("digest", "a:b"),
        id("sasl", "bob"),
        id("x509", "CN=a"),
    ];
    // Duplicates that come of the expansion stay.
    let requested = vec![
        asked(1, "auth", None),
        asked(3, "digest", "a:b"),
        asked(3, "auth", "ignored"),
    ];
    let stored = [
        entry(1, "digest", "a:b"),
        entry(1, "sasl", "bob"),
        entry(1, "x509", "CN=a"),
        entry(3, "digest", "a:b"),
        entry(3, "digest", "a:b"),
        entry(3, "sasl", "bob"),
        entry(3, "x509", "CN=a"),
    ];
    assert_eq!(all().fix_up(Some(requested), &ids).unwrap(), stored);
    // Without its provider an identity does not count.
    let requested = Some(vec![asked(1, "auth", None)]);
    assert_eq!(
        default().fix_up(requested, &ids).unwrap(),
        [entry(1, "digest", "a:b")]
    );
}

#[test]
fn auth_does_not_multiply_without_bound() {
    let ids: Vec<_> = (0..2000).map(|n| id("digest", &format!("{n}:x"))).collect();
    let requested = (0..2000).map(|n| asked(n, "auth", None)).collect();
    assert_eq!(
        default().fix_up(Some(requested), &ids),
        Err(AclError::Invalid)
    );
}

#[test]
fn checks() {
    let local = id("ip", "127.0.0.1");
    let user = id("digest", "a:b");
    for (acl, perms, ids, allowed) in [
        (vec![], perm::ADMIN, vec![], true),
        (vec![AclEntry::world(31)], perm::ADMIN, vec![], true),
        (
            vec![AclEntry::world(perm::READ)],
            perm::WRITE,
            vec![user.clone()],
            false,
        ),
        (
            vec![AclEntry::world(perm::READ)],
            perm::READ | perm::ADMIN,
            vec![],
            true,
        ),
        (vec![AclEntry::world(0)], perm::READ, vec![], false),
        (
            vec![AclEntry::world(0)],
            perm::READ,
            vec![id("super", "")],
            true,
        ),
        (
            vec![AclEntry::world(0)],
            perm::READ,
            vec![id("super", "CN=root")],
            true,
        ),
        (
            vec![entry(31, "digest", "a:b")],
            perm::READ,
            vec![local.clone(), user.clone()],
            true,
        ),
        (
            vec![entry(31, "digest", "a:c")],
            perm::READ,
            vec![local.clone(), user.clone()],
            false,
        ),
        (
            vec![entry(31, "sasl", "a:b")],
            perm::READ,
            vec![user.clone()],
            false,
        ),
        (
            vec![entry(31, "ip", "127.0.0.0/8")],
            perm::READ,
            vec![local.clone()],
            true,
        ),
        (
            vec![entry(31, "ip", "127.0.0.2/31")],
            perm::READ,
            vec![local.clone()],
            false,
        ),
        (
            vec![entry(31, "ip", "::1")],
            perm::READ,
            vec![id("ip", "0:0:0:0:0:0:0:1")],
            true,
        ),
        (
            vec![entry(31, "ip", "not an address")],
            perm::READ,
            vec![local.clone()],
            false,
        ),
        (
            vec![entry(31, "sasl", "bob")],
            perm::READ,
            vec![id("sasl", "bob")],
            true,
        ),
        (
            vec![entry(31, "sasl", "bob")],
            perm::READ,
            vec![id("sasl", "eve")],
            false,
        ),
        (
            vec![entry(31, "sasl", "bob")],
            perm::READ,
            vec![id("sasl", "super")],
            true,
        ),
        (
            vec![entry(31, "sasl", "anyone-with-sasl")],
            perm::READ,
            vec![id("sasl", "eve")],
            true,
        ),
        (
            vec![entry(31, "sasl", "anyone-with-sasl")],
            perm::READ,
            vec![user.clone()],
            false,
        ),
        (
            vec![entry(31, "x509", "CN=a")],
            perm::READ,
            vec![id("x509", "CN=a")],
            true,
        ),
        (
            vec![entry(31, "x509", "CN=a")],
            perm::READ,
            vec![id("x509", "CN=b")],
            false,
        ),
        (
            vec![entry(31, "x509", "CN=a")],
            perm::READ,
            vec![id("x509", "CN=root")],
            true,
        ),
        (
            vec![entry(31, "nope", "x")],
            perm::READ,
            vec![id("nope", "x")],
            false,
        ),
        (
            vec![entry(31, "world", "me")],
            perm::READ,
            vec![id("world", "me")],
            false,
        ),
        (
            vec![
                entry(perm::WRITE, "digest", "a:b"),
                entry(perm::READ, "ip", "127.0.0.1"),
            ],
            perm::READ,
            vec![user, local],
            true,
        ),
    ] {
        assert_eq!(
            all().check(&acl, perms, &ids),
            allowed,
            "{acl:?} {perms} {ids:?}"
        );
    }
}

#[test]
fn skip_acl_opens_everything() {
    let open = Providers::new(AuthSettings {
        skip_acl: true,
        ..AuthSettings::default()
    });
    assert!(open.unwrap().check(&[AclEntry::world(0)], perm::ADMIN, &[]));
}

#[test]
fn lists_are_masked_for_readers() {
    let acl = [
        entry(31, "digest", "a:b"),
        entry(1, "ip", "::1"),
        AclEntry::world(perm::READ),
    ];
    let providers = default();
    let owner = [id("digest", "a:b")];
    assert_eq!(
        providers.visible_acl(&acl, &owner),
        Some(Cow::Borrowed(&acl[..]))
    );
    let masked = [entry(31, "digest", "a:x"), acl[1].clone(), acl[2].clone()];
    assert_eq!(
        providers.visible_acl(&acl, &[]).as_deref(),
        Some(&masked[..])
    );
    assert_eq!(providers.visible_acl(&acl[..2], &[]), None);
    assert!(matches!(providers.mask(&acl[1..]), Cow::Borrowed(_)));
}

#[test]
fn user_names() {
    for (scheme, given, user) in [
        ("digest", "bob:hash", "bob"),
        ("digest", ":hash", ""),
        ("ip", "127.0.0.1", "127.0.0.1"),
        ("sasl", "bob@R", "bob@R"),
        ("x509", "CN=a", "CN=a"),
        ("super", "", ""),
        ("super", "CN=root", ""),
        ("nope", "x", ""),
    ] {
        assert_eq!(
            all().user_name(&id(scheme, given)),
            user,
            "{scheme}:{given}"
        );
    }
    assert_eq!(default().user_name(&id("sasl", "bob")), "");
}

#[test]
fn enforcement() {
    let providers = default();
    let ids = [id("ip", "127.0.0.1"), id("digest", "a:b")];
    assert!(providers.satisfies_enforcement::<&str>(&[], &[]));
    assert!(providers.satisfies_enforcement(&["sasl", "digest"], &ids));
    assert!(!providers.satisfies_enforcement(&["sasl"], &ids));
    assert!(!providers.satisfies_enforcement(&["digest"], &ids[..1]));
    assert_eq!(providers.check_enforced_schemes(&["digest", "ip"]), Ok(()));
    assert_eq!(
        providers
            .check_enforced_schemes(&["digest", "sasl"])
            .unwrap_err()
            .to_string(),
        "Authentication scheme sasl is not available."
    );
    assert_eq!(
        providers.check_enforced_schemes::<&str>(&[]),
        Err(AuthConfigError::NoEnforcedScheme)
    );
}

fn any_scheme() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("world".to_owned()),
        Just("auth".to_owned()),
        Just("digest".to_owned()),
        Just("ip".to_owned()),
        Just("sasl".to_owned()),
        Just("x509".to_owned()),
        Just("super".to_owned()),
        any::<String>(),
    ]
}

proptest! {
    #[test]
    fn strangers_cannot_break_it(
        lists in prop::collection::vec((any::<i32>(), prop::option::of(any_scheme()), prop::option::of(any::<String>())), 0..20),
        ids in prop::collection::vec((any_scheme(), any::<String>()), 0..4),
        data in any::<Vec<u8>>(),
        perms in any::<i32>(),
    ) {
        let providers = all();
        let ids: Vec<Id> = ids.into_iter().map(|(s, i)| Id::new(s, i)).collect();
        let requested = lists.iter().map(|(p, s, i)| asked(*p, s.as_deref(), i.as_deref())).collect();
        if let Ok(stored) = providers.fix_up(Some(requested), &ids) {
            prop_assert!(!stored.is_empty());
            prop_assert!(stored.iter().all(|entry| &*entry.scheme != scheme::AUTH));
            let _ = providers.check(&stored, perms, &ids);
            let _ = providers.mask(&stored);
        }
        for (_, scheme, _) in &lists {
            let _ = providers.authenticate(scheme.as_deref(), Some(&data), LOCAL);
        }
        for id in &ids {
            let _ = providers.user_name(id);
        }
    }
}
