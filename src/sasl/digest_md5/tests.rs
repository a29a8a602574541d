#![allow(clippy::unwrap_used)]
use super::super::Password;
use super::*;
use proptest::prelude::*;

fn accounts(user: &str, password: &str) -> Accounts {
    [(user.to_owned(), Password::new(password.to_owned()))]
        .into_iter()
        .collect()
}

fn login(user: &str, password: &str) -> Login {
    Login {
        user: user.to_owned(),
        password: Password::new(password.to_owned()),
    }
}

/// RFC 2831, section 4: IMAP.
const IMAP: Secret<'_> = Secret {
    user: "chris",
    realm: "elwood.innosoft.com",
    password: "secret",
    nonce: "OA6MG9tEQGm2hh",
    cnonce: "OA6MHXh6VqTrRk",
    authorization: None,
    uri: "imap/elwood.innosoft.com",
};

#[test]
fn the_examples_of_the_rfc() {
    assert_eq!(
        IMAP.proof("AUTHENTICATE"),
        "d388dad90d4bbd760a152321f2143af7"
    );
    assert_eq!(IMAP.proof(""), "ea40f60335c427b5527b84dbabcdfffd");
    let acap = Secret {
        nonce: "OA9BSXrbuRhWay",
        cnonce: "OA9BSuZWMSpW8m",
        uri: "acap/elwood.innosoft.com",
        ..IMAP
    };
    assert_eq!(
        acap.proof("AUTHENTICATE"),
        "6084c6db3fede7352c551284490fd0fc"
    );
    assert_eq!(acap.proof(""), "2f0b3d7c3c2e486600ef710726aa2eae");
}

/// What the RFC's server sends, answered by this client.
#[test]
fn a_client_answers_the_challenge_of_the_rfc() {
    let imap = Service {
        protocol: "imap",
        host: "elwood.innosoft.com",
    };
    let chris = login("chris", "secret");
    let challenge = br#"realm="elwood.innosoft.com",nonce="OA6MG9tEQGm2hh",qop="auth",algorithm=md5-sess,charset=utf-8"#;
    let (response, _) = Client::new(imap, &chris, "OA6MHXh6VqTrRk".to_owned())
        .respond(challenge)
        .unwrap();
    let response = Directives::parse(std::str::from_utf8(&response).unwrap()).unwrap();
    for (name, value) in [
        ("charset", "utf-8"),
        ("username", "chris"),
        ("realm", "elwood.innosoft.com"),
        ("nonce", "OA6MG9tEQGm2hh"),
        ("nc", "00000001"),
        ("cnonce", "OA6MHXh6VqTrRk"),
        ("digest-uri", "imap/elwood.innosoft.com"),
        ("qop", "auth"),
        // As Java's members do, which makes the proof another one.
        ("authzid", "chris"),
    ] {
        assert_eq!(response.one(name), Ok(value), "{name}");
    }
}

/// The RFC's client, answered by a server of that name.
#[test]
fn a_server_believes_the_response_of_the_rfc() {
    let imap = Service {
        protocol: "imap",
        host: "elwood.innosoft.com",
    };
    let response = br#"charset=utf-8,username="chris",realm="elwood.innosoft.com",nonce="OA6MG9tEQGm2hh",nc=00000001,cnonce="OA6MHXh6VqTrRk",digest-uri="imap/elwood.innosoft.com",response=d388dad90d4bbd760a152321f2143af7,qop=auth"#;
    let server = || Server::new(imap, "OA6MG9tEQGm2hh".to_owned());
    let verified = server()
        .verify(response, &accounts("chris", "secret"))
        .unwrap();
    assert_eq!(verified.user, "chris");
    assert_eq!(verified.authorization, None);
    assert_eq!(verified.answer, b"rspauth=ea40f60335c427b5527b84dbabcdfffd");
    assert_eq!(
        server().verify(response, &accounts("chris", "other")),
        Err(Refusal::WrongPassword("chris".to_owned()))
    );
    assert_eq!(
        server().verify(response, &accounts("bob", "secret")),
        Err(Refusal::UnknownUser("chris".to_owned()))
    );
}

#[test]
fn the_challenge_has_the_form_of_javas() {
    let server = Server::new(Service::MEMBERS, "n".to_owned());
    assert_eq!(
        server.challenge(),
        br#"realm="zk-quorum-sasl-md5",nonce="n",charset=utf-8,algorithm=md5-sess"#
    );
}

#[test]
fn what_was_not_offered_is_refused() {
    let bob = accounts("bob", "secret");
    let me = login("bob", "secret");
    let response = |change: (&str, &str)| {
        let server = Server::new(Service::CLIENTS, "n".to_owned());
        let client = Client::new(Service::CLIENTS, &me, "c".to_owned());
        let (response, _) = client.respond(&server.challenge()).unwrap();
        let response = String::from_utf8(response).unwrap();
        assert!(response.contains(change.0), "{response}");
        server.verify(response.replace(change.0, change.1).as_bytes(), &bob)
    };
    assert!(response(("charset", "charset")).is_ok());
    assert!(response(("charset=utf-8,", "")).is_ok());
    assert!(response(("qop=auth,", "")).is_ok());
    // Java's servers do not mind.
    assert!(response(("maxbuf=65536", "maxbuf=1")).is_ok());
    let not_offered = |name, value: &str| {
        Err(Refusal::NotOffered {
            name,
            value: value.to_owned(),
        })
    };
    assert_eq!(
        response(("qop=auth", "qop=auth-int")),
        not_offered("qop", "auth-int")
    );
    assert_eq!(
        response(("nc=00000001", "nc=00000002")),
        not_offered("nc", "00000002")
    );
    assert_eq!(
        response(("charset=utf-8", "charset=x")),
        not_offered("charset", "x")
    );
    assert_eq!(
        response(("realm=\"zk-sasl-md5\"", "realm=\"x\"")),
        not_offered("realm", "x")
    );
    assert_eq!(
        response(("realm=\"zk-sasl-md5\",", "")),
        Err(Refusal::Missing("realm"))
    );
    assert_eq!(
        response(("nonce=\"n\"", "nonce=\"m\"")),
        Err(Refusal::OtherNonce)
    );
    assert_eq!(
        response(("zookeeper/zk-sasl-md5", "zookeeper/zk-quorum-sasl-md5")),
        not_offered("digest-uri", "zookeeper/zk-quorum-sasl-md5")
    );
    assert_eq!(
        response(("authzid=\"bob\"", "authzid=\"al\"")),
        Err(Refusal::WrongPassword("bob".to_owned()))
    );
    assert_eq!(
        response(("response=", "x=")),
        Err(Refusal::Missing("response"))
    );
    assert_eq!(
        response(("nc=00000001", "nonce=\"n\"")),
        Err(Refusal::Repeated("nonce"))
    );
}

#[test]
fn nobody_acts_as_somebody_else() {
    let as_whom = |authorization: Option<&str>| Verified {
        user: "bob".to_owned(),
        authorization: authorization.map(str::to_owned),
        answer: Vec::new(),
    };
    assert!(as_whom(None).as_itself().is_ok());
    assert!(as_whom(Some("bob")).as_itself().is_ok());
    assert!(as_whom(Some("super")).as_itself().is_err());
}

#[test]
fn a_client_does_not_take_any_answer() {
    let me = login("bob", "secret");
    let server = Server::new(Service::MEMBERS, "n".to_owned());
    let client = || Client::new(Service::MEMBERS, &me, "c".to_owned());
    let (response, reply) = client().respond(&server.challenge()).unwrap();
    let proof = "0".repeat(32);
    assert_eq!(
        reply.check(format!("rspauth={proof}").as_bytes()),
        Err(Refusal::Impostor("bob".to_owned()))
    );
    let (_, reply) = client().respond(&server.challenge()).unwrap();
    let verified = server
        .verify(&response, &accounts("bob", "secret"))
        .unwrap();
    assert_eq!(reply.check(&verified.answer), Ok(()));
    for challenge in [
        "realm=\"r\",algorithm=md5-sess",
        "nonce=\"n\"",
        "nonce=\"n\",algorithm=md5",
        "nonce=\"n\",algorithm=md5-sess,qop=\"auth-conf,auth-int\"",
        "nonce=\"n\",nonce=\"m\",algorithm=md5-sess",
        "",
    ] {
        assert!(
            client().respond(challenge.as_bytes()).is_err(),
            "{challenge}"
        );
    }
    let long = format!("nonce=\"{}\",algorithm=md5-sess", "n".repeat(2048));
    assert!(client().respond(long.as_bytes()).is_err());
}

#[test]
fn secrets_are_not_printed() {
    let me = login("bob", "hidden");
    let texts = [
        format!("{me:?}"),
        format!("{:?}", accounts("bob", "hidden")),
        format!("{:?}", Client::new(Service::CLIENTS, &me, "c".to_owned())),
        format!(
            "{:?}",
            Server::new(Service::CLIENTS, "n".to_owned())
                .verify(b"x=y", &accounts("bob", "hidden"))
        ),
    ];
    for text in texts {
        assert!(!text.contains("hidden"), "{text}");
    }
}

proptest! {
    /// Names and passwords of any letters, in both directions.
    #[test]
    fn both_sides_agree(user in "\\PC{1,20}", password in "\\PC{0,20}", other in "\\PC{0,20}") {
        let me = login(&user, &password);
        let server = Server::new(Service::CLIENTS, "nonce\"\\".to_owned());
        let client = Client::new(Service::CLIENTS, &me, "cnonce".to_owned());
        let (response, reply) = client.respond(&server.challenge()).unwrap();
        let verified = server.verify(&response, &accounts(&user, &password)).unwrap().as_itself().unwrap();
        prop_assert_eq!(&verified.user, &user);
        prop_assert_eq!(reply.check(&verified.answer), Ok(()));
        if other != password {
            let server = Server::new(Service::CLIENTS, "nonce\"\\".to_owned());
            prop_assert_eq!(server.verify(&response, &accounts(&user, &other)), Err(Refusal::WrongPassword(user)));
        }
    }

    #[test]
    fn any_token_is_answered(token in prop::collection::vec(any::<u8>(), 0..200)) {
        let me = login("bob", "secret");
        let _ = Server::new(Service::CLIENTS, "n".to_owned()).verify(&token, &accounts("bob", "secret"));
        let _ = Client::new(Service::CLIENTS, &me, "c".to_owned()).respond(&token);
    }
}
