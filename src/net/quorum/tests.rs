//! Links over loopback. Limits are short: what is waited for is that they strike.

#![allow(clippy::unwrap_used)]

use std::future::Future;
use std::pin::Pin;

use bytes::BufMut;

use super::*;

const LIMITS: LinkLimits = LinkLimits {
    packet_bytes_max: 1 << 20,
    snapshot_silence: Duration::from_millis(50),
};

/// Remembers what came. What begins with `X` is refused.
#[derive(Default)]
struct Heard {
    packets: Mutex<Vec<i64>>,
    /// How many came together.
    batches: Mutex<Vec<usize>>,
    /// Bytes of a snapshot.
    stream: Mutex<usize>,
    /// Where it ends.
    stream_len: usize,
    ups: Mutex<Vec<Arc<Link>>>,
    downs: Mutex<usize>,
}

impl Events for Heard {
    fn up(&self, link: &Arc<Link>) {
        self.ups.lock().push(link.clone());
    }

    fn packets(&self, _: &Arc<Link>, packets: &mut Vec<QuorumPacket>) -> Result<(), String> {
        if packets.iter().any(|packet| packet.data_or_empty() == b"X") {
            return Err("an X".to_owned());
        }
        self.batches.lock().push(packets.len());
        self.packets
            .lock()
            .extend(packets.drain(..).map(|p| p.zxid));
        Ok(())
    }

    fn snapshot(&self, _: &Arc<Link>, bytes: &mut BytesMut) -> Result<bool, String> {
        let mut stream = self.stream.lock();
        let used = bytes.len().min(self.stream_len - *stream);
        *stream += used;
        bytes.advance(used);
        Ok(*stream == self.stream_len)
    }

    fn down(&self, _: &Arc<Link>, _: Duration) {
        *self.downs.lock() += 1;
    }
}

/// A link that heard tells of, running, and the other end.
struct Pair {
    heard: Arc<Heard>,
    far: TcpStream,
    link: Pin<Box<dyn Future<Output = ()>>>,
}

async fn pair(heard: Heard) -> Pair {
    let listener = listen("127.0.0.1", 0, false).await.unwrap();
    let address = listener.local_addr().unwrap();
    let far = TcpStream::connect(address).await.unwrap();
    let (near, remote) = listener.accept().await.unwrap();
    let heard = Arc::new(heard);
    let events = heard.clone();
    let link = Box::pin(async move {
        Links::default()
            .run(
                PeerStream::plain(near),
                BytesMut::new(),
                remote,
                events,
                LIMITS,
            )
            .await;
    });
    Pair { heard, far, link }
}

fn bytes_of(packets: &[QuorumPacket]) -> BytesMut {
    let mut bytes = BytesMut::new();
    for packet in packets {
        packet.encode(&mut bytes);
    }
    bytes
}

fn test<F: Future<Output = ()>>(body: F) {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_all().build().unwrap().block_on(body);
}

#[test]
fn what_came_together_is_told_together_and_a_refusal_ends_it() {
    test(async {
        let mut pair = pair(Heard::default()).await;
        let commit = |zxid| QuorumPacket::new(PacketKind::COMMIT, zxid);
        let refused = QuorumPacket::with_data(PacketKind::PROPOSAL, 3, &b"X"[..]);
        let snap = QuorumPacket::new(PacketKind::SNAP, 4);
        let good = bytes_of(&[commit(1), commit(2), snap, commit(5), commit(6)]);
        pair.far.write_all(&good).await.unwrap();
        let all = async {
            while pair.heard.packets.lock().len() < 5 {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            () = &mut pair.link => panic!("it ended"),
            () = all => {}
        }
        assert_eq!(*pair.heard.packets.lock(), [1, 2, 4, 5, 6]);
        let bad = bytes_of(&[refused, commit(7)]);
        pair.far.write_all(&bad).await.unwrap();
        pair.link.await;
        assert_eq!(
            pair.heard.packets.lock().len(),
            5,
            "nothing of what came with it"
        );
        assert_eq!(*pair.heard.downs.lock(), 1);
    });
}

#[test]
fn a_snapshot_that_stops_coming_ends_the_link() {
    test(async {
        let mut pair = pair(Heard {
            stream_len: 1000,
            ..Heard::default()
        })
        .await;
        let mut bytes = bytes_of(&[QuorumPacket::new(PacketKind::SNAP, 1)]);
        bytes.put_bytes(0, 400);
        pair.far.write_all(&bytes).await.unwrap();
        // Without a limit this would wait for ever.
        pair.link.await;
        assert_eq!(*pair.heard.stream.lock(), 400);
        assert_eq!(*pair.heard.downs.lock(), 1);
    });
}

/// A leader whose machine died there would be waited for, for ever.
#[test]
fn a_complete_snapshot_without_the_packet_behind_it_ends_the_link() {
    test(async {
        let mut pair = pair(Heard {
            stream_len: 1000,
            ..Heard::default()
        })
        .await;
        let mut bytes = bytes_of(&[QuorumPacket::new(PacketKind::SNAP, 1)]);
        bytes.put_bytes(0, 1000);
        pair.far.write_all(&bytes).await.unwrap();
        pair.link.await;
        assert_eq!(*pair.heard.stream.lock(), 1000);
        assert_eq!(*pair.heard.downs.lock(), 1);
    });
}

#[test]
fn behind_a_snapshot_a_link_may_be_silent_again() {
    test(async {
        let mut pair = pair(Heard {
            stream_len: 1000,
            ..Heard::default()
        })
        .await;
        let mut bytes = bytes_of(&[QuorumPacket::new(PacketKind::SNAP, 1)]);
        bytes.put_bytes(0, 1000);
        bytes.extend_from_slice(&bytes_of(&[QuorumPacket::new(PacketKind::NEWLEADER, 2)]));
        pair.far.write_all(&bytes).await.unwrap();
        let silence = tokio::time::sleep(4 * LIMITS.snapshot_silence);
        tokio::select! {
            () = &mut pair.link => panic!("it ended"),
            () = silence => {}
        }
        assert_eq!(*pair.heard.packets.lock(), [1, 2]);
    });
}

/// How many packets were sent together, and whether they had to wait.
#[derive(Clone, Default)]
struct Sent(Arc<Mutex<Vec<(usize, bool)>>>);

impl Waits for Sent {
    fn sent(&self, packets: usize, waited: Duration) {
        self.0.lock().push((packets, waited > Duration::ZERO));
    }
}

#[test]
fn packets_that_wait_are_known_to_wait() {
    test(async {
        let Pair {
            heard,
            far,
            mut link,
        } = pair(Heard::default()).await;
        let sent = Sent::default();
        let up = async {
            while heard.ups.lock().is_empty() {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            () = &mut link => panic!("it ended"),
            () = up => {}
        }
        let near = heard.ups.lock()[0].clone();
        near.measure(Box::new(sent.clone()));
        let commit = QuorumPacket::new(PacketKind::COMMIT, 1);
        for _ in 0..3 {
            near.send(&commit);
        }
        assert_eq!(near.flush(), 3);
        assert_eq!(*sent.0.lock(), [(3, false)]);
        assert_eq!(near.flush(), 0, "nothing is sent twice");

        // More than sockets hold, and nobody reads at the far end.
        let large = QuorumPacket::with_data(PacketKind::PROPOSAL, 2, vec![0; 16 << 20]);
        near.send(&large);
        near.flush();
        near.send(&commit);
        near.send(&commit);
        assert!(near.flush() >= 2);
        assert_eq!(sent.0.lock().len(), 1, "all of it waits");
        let (mut reader, _writer) = far.into_split();
        let taken = async {
            let mut rest = vec![0; 1 << 20];
            while sent
                .0
                .lock()
                .iter()
                .map(|(packets, _)| packets)
                .sum::<usize>()
                < 6
            {
                assert_ne!(reader.read(&mut rest).await.unwrap(), 0);
            }
        };
        tokio::select! {
            () = &mut link => panic!("it ended"),
            () = taken => {}
        }
        assert!(sent.0.lock()[1..].iter().all(|(_, waited)| *waited));
    });
}

struct Zeros;

impl Pieces for Zeros {
    fn next(&mut self, out: &mut BytesMut) -> io::Result<bool> {
        out.put_bytes(0, 1 << 20);
        Ok(true)
    }
}

#[test]
fn a_snapshot_that_is_not_taken_ends_the_link() {
    test(async {
        let mut pair = pair(Heard::default()).await;
        let stuck = async {
            while pair.heard.ups.lock().is_empty() {
                tokio::task::yield_now().await;
            }
            let link = pair.heard.ups.lock()[0].clone();
            link.send_pieces(Box::new(Zeros));
            link.flush();
        };
        tokio::select! {
            () = &mut pair.link => panic!("it ended"),
            () = stuck => {}
        }
        // More than sockets hold, and nobody reads at the far end.
        pair.link.await;
        assert_eq!(*pair.heard.downs.lock(), 1);
    });
}

#[test]
fn connections_have_places_and_give_them_back() {
    test(async {
        let listener = listen("127.0.0.1", 0, false).await.unwrap();
        let address = listener.local_addr().unwrap();
        let places = Arc::new(Semaphore::new(1));
        let accepted = Mutex::new(Vec::new());
        let accepting = accept(listener, places, |stream, _, place| {
            accepted.lock().push((stream, place));
        });
        let clients = async {
            let first = TcpStream::connect(address).await.unwrap();
            let mut second = TcpStream::connect(address).await.unwrap();
            assert_eq!(
                second.read(&mut [0]).await.unwrap(),
                0,
                "there is one place"
            );
            accepted.lock().clear();
            let mut third = TcpStream::connect(address).await.unwrap();
            while accepted.lock().is_empty() {
                tokio::task::yield_now().await;
            }
            let (stream, _place) = accepted.lock().pop().unwrap();
            stream.writable().await.unwrap();
            stream.try_write(b"a").unwrap();
            assert_eq!(third.read(&mut [0]).await.unwrap(), 1);
            drop(first);
        };
        tokio::select! {
            () = accepting => unreachable!("it accepts for ever"),
            () = clients => {}
        }
    });
}

#[test]
fn a_leader_is_dialled_again_after_the_pause() {
    test(async {
        // Taken and left: nobody listens there now.
        let left = listen("127.0.0.1", 0, false)
            .await
            .unwrap()
            .local_addr()
            .unwrap();
        let hosts = [("127.0.0.1".to_owned(), left.port())];
        let began = std::time::Instant::now();
        let pause = Duration::from_millis(150);
        let dialling = Dialling {
            limit: Duration::from_secs(600),
            pause,
            check: None,
        };
        let dialled = dial(&hosts, &dialling, &PeerSecurity::default()).await;
        assert!(dialled.is_err());
        assert!(began.elapsed() >= pause * DIAL_PAUSES as u32);
    });
}

#[test]
fn a_leader_that_is_silent_at_one_address_is_found_at_another() {
    test(async {
        let silent = crate::net::reach::tests::silent().await;
        let listening = listen("127.0.0.1", 0, false).await.unwrap();
        let good = listening.local_addr().unwrap();
        let hosts = [silent.address, good].map(|at| (at.ip().to_string(), at.port()));
        // Were it waited for, the test would not end.
        let dialling = Dialling {
            limit: Duration::from_secs(6000),
            pause: Duration::ZERO,
            check: Some(Duration::from_secs(3000)),
        };
        let dialled = dial(&hosts, &dialling, &PeerSecurity::default()).await;
        assert_eq!(dialled.unwrap().1, good);
    });
}
