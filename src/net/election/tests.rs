#![allow(clippy::unwrap_used)]

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::proto::election::{Greeting, GreetingVersion, PeerState};
use tokio::net::TcpStream;

fn notification(round: i64) -> Notification {
    Notification {
        state: PeerState::Looking,
        leader: 1,
        zxid: 2,
        election_epoch: round,
        peer_epoch: 3,
        version: Notification::VERSION,
        config: Some("version=0".into()),
    }
}

/// Ports of 127.0.0.1 that were free a moment ago.
fn ports<const N: usize>() -> [u16; N] {
    let held = [(); N].map(|()| std::net::TcpListener::bind("127.0.0.1:0").unwrap());
    held.map(|listener| listener.local_addr().unwrap().port())
}

fn membership(election_ports: &[u16]) -> Membership {
    let mut text = "version=0".to_owned();
    for (at, port) in election_ports.iter().enumerate() {
        text += &format!("\nserver.{}=127.0.0.1:9:{port}", at + 1);
    }
    text.parse().unwrap()
}

fn config(id: i64, committed: &Membership) -> ElectionNetConfig {
    ElectionNetConfig {
        id: ServerId(id),
        committed: committed.clone(),
        last_seen: None,
        listen_on_all_addresses: false,
        connect_timeout: Duration::from_secs(5),
        handshake_timeout: Duration::from_secs(30),
        tcp_keepalive: true,
        bind_attempts_max: 1,
        multiple_addresses: false,
        reachability_check: None,
        security: Default::default(),
        auth: None,
    }
}

async fn start(id: i64, committed: &Membership) -> (ElectionNet, ElectionInbox) {
    ElectionNet::start(config(id, committed)).await.unwrap()
}

/// A peer without a manager: the test is the other server.
async fn greet(port: u16, id: i64, own_port: u16) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let greeting = Greeting {
        server_id: id,
        addresses: vec![format!("127.0.0.1:{own_port}")],
        version: GreetingVersion::V1,
    };
    let mut bytes = BytesMut::new();
    greeting.encode(&mut bytes);
    stream.write_all(&bytes).await.unwrap();
    stream
}

async fn is_closed(mut stream: TcpStream) -> bool {
    matches!(stream.read(&mut [0; 16]).await, Ok(0) | Err(_))
}

async fn frame_of(stream: &mut TcpStream) -> Notification {
    let mut payload = vec![0; stream.read_i32().await.unwrap() as usize];
    stream.read_exact(&mut payload).await.unwrap();
    Notification::decode(&payload).unwrap()
}

#[tokio::test]
async fn whoever_sends_first_both_hear_each_other() {
    for first in [0, 1] {
        let committed = membership(&ports::<2>());
        let mut ends = [start(1, &committed).await, start(2, &committed).await];
        let id = |at: usize| ServerId(at as i64 + 1);
        ends[first].0.send(id(1 - first), &notification(7));
        assert_eq!(ends[1 - first].1.recv().await, (id(first), notification(7)));
        ends[1 - first].0.send(id(first), &notification(8));
        assert_eq!(ends[first].1.recv().await, (id(1 - first), notification(8)));
    }
}

#[tokio::test]
async fn a_message_to_oneself_arrives() {
    let committed = membership(&ports::<1>());
    let (net, mut inbox) = start(1, &committed).await;
    net.send(ServerId(1), &notification(1));
    assert_eq!(inbox.recv().await, (ServerId(1), notification(1)));
}

#[tokio::test]
async fn a_smaller_server_is_dialled_back_where_it_says() {
    let [own, elsewhere] = ports();
    let committed = membership(&[1, own]);
    let (net, mut inbox) = start(2, &committed).await;
    let dialled = TcpListener::bind(("127.0.0.1", elsewhere)).await.unwrap();
    assert!(is_closed(greet(own, 1, elsewhere).await).await);
    let (mut back, _) = dialled.accept().await.unwrap();
    let mut greeting = [0; 20];
    back.read_exact(&mut greeting).await.unwrap();
    let expected = [&(-65536_i64).to_be_bytes()[..], &2_i64.to_be_bytes()].concat();
    assert_eq!(greeting[..16], expected);
    let mut address = vec![0; greeting[19] as usize];
    back.read_exact(&mut address).await.unwrap();
    assert_eq!(address, format!("127.0.0.1:{own}").into_bytes());

    back.write_all(&frame(&notification(4))).await.unwrap();
    assert_eq!(inbox.recv().await, (ServerId(1), notification(4)));
    net.send(ServerId(1), &notification(5));
    assert_eq!(frame_of(&mut back).await, notification(5));
}

#[tokio::test]
async fn a_newer_connection_takes_the_place_of_an_older_one_and_hears_the_last_message() {
    let [own] = ports();
    let committed = membership(&[own, 1]);
    let (net, mut inbox) = start(1, &committed).await;
    let mut first = greet(own, 2, 1).await;
    first.write_all(&frame(&notification(1))).await.unwrap();
    inbox.recv().await;
    net.send(ServerId(2), &notification(6));
    assert_eq!(frame_of(&mut first).await, notification(6));
    let mut second = greet(own, 2, 1).await;
    assert_eq!(frame_of(&mut second).await, notification(6));
    assert!(is_closed(first).await);
}

#[tokio::test]
async fn strangers_with_larger_numbers_are_heard_and_answered() {
    let [own] = ports();
    let (net, mut inbox) = start(1, &membership(&[own])).await;
    let mut stranger = greet(own, 9, 1).await;
    stranger.write_all(&frame(&notification(1))).await.unwrap();
    assert_eq!(inbox.recv().await.0, ServerId(9));
    net.send(ServerId(9), &notification(2));
    assert_eq!(frame_of(&mut stranger).await, notification(2));
}

#[tokio::test]
async fn malformed_bytes_close_the_connection() {
    let [own] = ports();
    let (_net, mut inbox) = start(1, &membership(&[own, 1])).await;
    let with = async |bytes: &[u8]| {
        let mut stream = TcpStream::connect(("127.0.0.1", own)).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        is_closed(stream).await
    };
    assert!(
        with(&(-7_i64).to_be_bytes()).await,
        "a version that nobody knows"
    );
    let too_long = [
        &(-65536_i64).to_be_bytes()[..],
        &[0, 0, 0, 0, 0, 0, 0, 2],
        &[0, 0, 8, 1],
    ];
    assert!(with(&too_long.concat()).await, "an address of 2049 bytes");
    for length in [0, -1, 524_289, i32::MAX] {
        let mut stream = greet(own, 2, 1).await;
        stream.write_i32(length).await.unwrap();
        assert!(is_closed(stream).await, "a frame of {length} bytes");
    }
    // A frame without sense is skipped, and the next one counts.
    let mut stream = greet(own, 2, 1).await;
    stream.write_all(&[0, 0, 0, 3, 1, 2, 3]).await.unwrap();
    stream.write_all(&frame(&notification(3))).await.unwrap();
    assert_eq!(inbox.recv().await, (ServerId(2), notification(3)));
}

#[tokio::test]
async fn who_says_nothing_is_cut() {
    let [own] = ports();
    let mut config = config(1, &membership(&[own]));
    config.handshake_timeout = Duration::from_millis(20);
    let (_net, _inbox) = ElectionNet::start(config).await.unwrap();
    let silent = TcpStream::connect(("127.0.0.1", own)).await.unwrap();
    assert!(is_closed(silent).await);
}

#[tokio::test]
async fn a_new_address_is_listened_on_and_known_to_greetings() {
    let [own, moved, peer] = ports();
    let (net, mut inbox) = start(1, &membership(&[own, peer])).await;
    let now = membership(&[moved, peer]);
    net.reconfigure(&now, None);
    let (other, mut other_inbox) = start(2, &now).await;
    // Until it listens there, attempts fail: ask as an election does.
    loop {
        other.send(ServerId(1), &notification(1));
        let asked = tokio::time::timeout(Duration::from_millis(100), inbox.recv()).await;
        if asked.is_ok() {
            break;
        }
    }
    net.send(ServerId(2), &notification(2));
    assert_eq!(other_inbox.recv().await, (ServerId(1), notification(2)));
    assert_eq!(
        net.shared.configs.lock().own_addresses,
        [format!("127.0.0.1:{moved}")]
    );
    assert!(
        TcpStream::connect(("127.0.0.1", own)).await.is_err(),
        "the old one is closed"
    );
}

#[tokio::test]
async fn who_is_listed_again_at_the_same_place_listens_all_the_time() {
    let [own, peer] = ports();
    let both = membership(&[own, peer]);
    let (net, _inbox) = start(1, &both).await;
    let mut without = both.clone();
    without.servers.remove(&ServerId(1));
    for members in [&without, &both] {
        net.reconfigure(members, None);
        tokio::task::yield_now().await;
        let connected = TcpStream::connect(("127.0.0.1", own)).await;
        assert!(connected.is_ok());
        assert_eq!(net.shared.listening.lock().len(), 1);
    }
}

#[tokio::test]
async fn a_port_that_is_taken_is_an_error() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = taken.local_addr().unwrap().port();
    let error = ElectionNet::start(config(1, &membership(&[port])))
        .await
        .err()
        .unwrap();
    let expected =
        format!("cannot listen on the election address 127.0.0.1:{port} after 1 attempts: ");
    assert!(error.to_string().starts_with(&expected), "{error}");
    let unlisted = ElectionNet::start(config(9, &membership(&[port])))
        .await
        .err()
        .unwrap();
    assert!(matches!(unlisted, ElectionNetError::NotListed(ServerId(9))));
}

#[tokio::test]
async fn stopping_closes_everything() {
    let [own] = ports();
    let (net, mut inbox) = start(1, &membership(&[own, 1])).await;
    let mut peer = greet(own, 2, 1).await;
    peer.write_all(&frame(&notification(1))).await.unwrap();
    inbox.recv().await;
    net.stop();
    assert!(is_closed(peer).await);
    while TcpStream::connect(("127.0.0.1", own)).await.is_ok() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn any_thread_may_send() {
    let committed = membership(&ports::<2>());
    let (net, _inbox) = start(1, &committed).await;
    let (_other, mut other_inbox) = start(2, &committed).await;
    let sender = std::thread::spawn(move || net.send(ServerId(2), &notification(3)));
    sender.join().unwrap();
    assert_eq!(other_inbox.recv().await, (ServerId(1), notification(3)));
}
