#![allow(clippy::unwrap_used)]
use super::*;
use crate::sasl::Password;
use tokio::io::DuplexStream;

fn member(user: &str, password: &str, is_required: bool) -> PeerAuth {
    let password = || Password::new(password.to_owned());
    PeerAuth {
        login: Some(Login {
            user: user.to_owned(),
            password: password(),
        }),
        accounts: [(user.to_owned(), password())].into_iter().collect(),
        is_required,
    }
}

/// A dialler that sends `hello` once it has proved who it is, and what the listener makes of it.
async fn meet(dialler: &PeerAuth, listener: &PeerAuth) -> (io::Result<()>, io::Result<Vec<u8>>) {
    let (mut near, mut far) = tokio::io::duplex(1 << 16);
    let dial = async move {
        dialler.prove(&mut near, "the listener").await?;
        near.write_all(HELLO).await
    };
    let accept = async move {
        let mut read = listener
            .ask(&mut far, BytesMut::new(), "the dialler")
            .await?;
        while far.read_buf(&mut read).await? > 0 {}
        io::Result::Ok(read.to_vec())
    };
    tokio::join!(dial, accept)
}

const HELLO: &[u8] = b"hello, listener";

#[tokio::test]
async fn members_with_the_same_accounts_meet() {
    let one = member("test", "secret", true);
    let (dialled, accepted) = meet(&one, &one).await;
    dialled.unwrap();
    assert_eq!(accepted.unwrap(), HELLO);
}

#[tokio::test]
async fn a_wrong_password_is_told_to_both_without_the_password() {
    let listener = member("test", "secret", true);
    let refused = |dialler: PeerAuth| {
        let listener = listener.clone();
        async move {
            let (dialled, accepted) = meet(&dialler, &listener).await;
            (
                dialled.unwrap_err().to_string(),
                accepted.unwrap_err().to_string(),
            )
        }
    };
    let (dialled, accepted) = refused(member("test", "typo", true)).await;
    assert!(
        accepted.contains("user \"test\" gave a wrong password"),
        "{accepted}"
    );
    assert!(dialled.contains("the server refuses it"), "{dialled}");
    let (_, unknown) = refused(member("guest", "secret", true)).await;
    assert!(unknown.contains("user \"guest\" is not among"), "{unknown}");
    for text in [dialled, accepted, unknown, format!("{listener:?}")] {
        assert!(!text.contains("secret") && !text.contains("typo"), "{text}");
    }
}

#[tokio::test]
async fn whoever_says_nothing_is_let_in_only_where_it_may_be() {
    let silent = PeerAuth::default();
    let (dialled, accepted) = meet(&silent, &member("test", "secret", false)).await;
    dialled.unwrap();
    assert_eq!(accepted.unwrap(), HELLO);
    let (_, accepted) = meet(&silent, &member("test", "secret", true)).await;
    let error = accepted.unwrap_err().to_string();
    assert!(error.contains("authentication is required"), "{error}");
}

#[tokio::test]
async fn where_it_is_not_required_a_failure_ends_only_the_diallers_side() {
    let listener = member("test", "secret", false);
    let (dialled, accepted) = meet(&member("test", "typo", true), &listener).await;
    dialled.unwrap_err();
    assert_eq!(accepted.unwrap(), b"");
}

#[tokio::test]
async fn a_connection_that_ends_at_once_is_like_one_that_says_nothing() {
    async fn ask(listener: &PeerAuth, sent: &[u8]) -> io::Result<BytesMut> {
        let (mut near, mut far): (DuplexStream, DuplexStream) = tokio::io::duplex(64);
        near.write_all(sent).await.unwrap();
        drop(near);
        listener.ask(&mut far, BytesMut::new(), "somebody").await
    }
    let magic = QuorumAuthPacket::MAGIC.to_be_bytes();
    assert_eq!(ask(&member("a", "b", false), b"").await.unwrap(), b""[..]);
    assert_eq!(
        ask(&member("a", "b", false), &magic[..5]).await.unwrap(),
        magic[..5]
    );
    assert!(ask(&member("a", "b", true), b"").await.is_err());
    assert!(ask(&member("a", "b", true), &magic).await.is_err());
}

/// What came with the greeting is part of the exchange, or of what follows it.
#[tokio::test]
async fn what_was_read_ahead_counts() {
    let listener = member("test", "secret", false);
    let (_near, mut far) = tokio::io::duplex(64);
    let read = BytesMut::from(&b"frames of the dialler"[..]);
    assert_eq!(
        listener.ask(&mut far, read.clone(), "x").await.unwrap(),
        read
    );
}

#[tokio::test]
async fn a_server_that_cannot_prove_itself_is_no_server() {
    let learner = member("test", "secret", true);
    let (mut near, mut far) = tokio::io::duplex(1 << 16);
    let impostor = async move {
        let mut read = BytesMut::new();
        receive(&mut far, &mut read).await.unwrap();
        let challenge = Server::new(Service::MEMBERS, "n".to_owned()).challenge();
        send(&mut far, QuorumAuthPacket::IN_PROGRESS, Some(&challenge))
            .await
            .unwrap();
        receive(&mut far, &mut read).await.unwrap();
        let answer = format!("rspauth={}", "0".repeat(32));
        send(&mut far, QuorumAuthPacket::SUCCESS, Some(answer.as_bytes()))
            .await
            .unwrap();
    };
    let (dialled, ()) = tokio::join!(learner.prove(&mut near, "x"), impostor);
    let error = dialled.unwrap_err().to_string();
    assert!(error.contains("does not know the password"), "{error}");
}

#[tokio::test]
async fn a_token_that_is_too_long_is_not_waited_for() {
    let mut bytes = BytesMut::new();
    bytes.extend_from_slice(&QuorumAuthPacket::MAGIC.to_be_bytes());
    bytes.extend_from_slice(&[0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff]);
    let received = receive(&mut tokio::io::empty(), &mut bytes).await;
    assert!(matches!(received, Err(AuthError::Protocol(_))));
}

#[tokio::test]
async fn a_listener_may_speak_at_once() {
    let one = member("test", "secret", true);
    let (mut near, mut far) = tokio::io::duplex(1 << 16);
    let accept = async {
        one.ask(&mut far, BytesMut::new(), "the dialler")
            .await
            .unwrap();
        far.write_all(HELLO).await.unwrap();
        drop(far);
    };
    let dial = async {
        // The end of the exchange and what follows it are there at once.
        one.prove(&mut near, "the listener").await.unwrap();
        let mut heard = Vec::new();
        near.read_to_end(&mut heard).await.unwrap();
        assert_eq!(heard, HELLO);
    };
    tokio::join!(dial, accept);
}
