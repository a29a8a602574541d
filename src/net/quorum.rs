//! Connections between learners and their leader, both ends: packets over TCP.
//!
//! What is sent goes out from the thread that sends it while the socket takes it, and from the link's own task from
//! there on. What is too long to be queued (a snapshot, a history) is made piece by piece as the socket takes it.
//! Must not know what a packet means, but for the one that a snapshot's stream follows. Answers to `LearnerHandler`,
//! `LearnerSender` and the sockets of `Learner`.

use std::collections::VecDeque;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Notify;

use super::peer_stream::{PeerSecurity, PeerStream};
use crate::ids::LinkId;
use crate::proto::quorum::{PacketKind, QuorumPacket};

/// Bytes that may wait for a learner that is slow to take them. Beyond, it is cut off and has to sync anew.
const UNSENT_BYTES_MAX: usize = 256 << 20;
const READ_BYTES: usize = 64 << 10;
/// Learners that may wait to be accepted.
const BACKLOG: u32 = 128;
/// A leader that was just elected may not listen yet.
const DIAL_TRIES: u32 = 5;
const DIAL_PAUSE: Duration = Duration::from_millis(100);

/// Who hears what happens on links. Called from the link's task; must not block for long.
pub trait Events: Send + Sync + 'static {
    fn up(&self, link: &Arc<Link>);
    fn packet(&self, link: &Arc<Link>, packet: QuorumPacket);
    /// More of the stream that follows a SNAP packet. Takes what it can use; `true` at the end of the stream.
    fn snapshot(&self, link: &Arc<Link>, bytes: &mut BytesMut) -> Result<bool, String>;
    /// Told once, after everything else of the link.
    fn down(&self, link: &Arc<Link>);
}

/// What is too long to be queued as bytes.
pub trait Pieces: Send {
    /// Appends the next piece; `false` when there is none. May block: it has a thread to itself.
    fn next(&mut self, out: &mut BytesMut) -> io::Result<bool>;
}

enum Item {
    Bytes(BytesMut),
    Pieces(Box<dyn Pieces>),
}

#[derive(Default)]
struct Queue {
    items: VecDeque<Item>,
    /// Of all items that are bytes.
    bytes: usize,
    /// The link's task is writing: nobody else may.
    busy: bool,
    closed: bool,
}

pub struct Link {
    pub id: LinkId,
    pub remote: SocketAddr,
    stream: PeerStream,
    queue: Mutex<Queue>,
    more: Notify,
    close: Notify,
}

impl Link {
    /// Queues a packet; [`Link::flush`] sends it.
    pub fn send(&self, packet: &QuorumPacket) {
        self.put(|out| packet.encode(out));
    }

    fn put(&self, put: impl FnOnce(&mut BytesMut)) {
        let mut queue = self.queue.lock();
        if queue.closed {
            return;
        }
        if !matches!(queue.items.back(), Some(Item::Bytes(_))) {
            queue.items.push_back(Item::Bytes(BytesMut::new()));
        }
        let Some(Item::Bytes(bytes)) = queue.items.back_mut() else {
            unreachable!("it was just put there");
        };
        let before = bytes.len();
        put(bytes);
        let added = bytes.len() - before;
        queue.bytes += added;
        if queue.bytes > UNSENT_BYTES_MAX {
            tracing::warn!(
                "closing the connection to the learner {}: {} bytes wait for it",
                self.remote,
                queue.bytes
            );
            self.shut(&mut queue);
        }
    }

    pub fn send_pieces(&self, pieces: Box<dyn Pieces>) {
        let mut queue = self.queue.lock();
        if !queue.closed {
            queue.items.push_back(Item::Pieces(pieces));
        }
    }

    /// Sends what the socket takes now, and leaves the rest to the link's task.
    pub fn flush(&self) {
        let mut queue = self.queue.lock();
        if queue.busy || queue.closed {
            return;
        }
        while let Some(Item::Bytes(bytes)) = queue.items.front_mut() {
            match self.stream.try_write(bytes) {
                Ok(sent) => {
                    bytes.advance(sent);
                    let empty = bytes.is_empty();
                    queue.bytes -= sent;
                    if empty {
                        queue.items.pop_front();
                    }
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                // The reader finds out as well, and says so.
                Err(_) => return self.shut(&mut queue),
            }
        }
        if !queue.items.is_empty() {
            queue.busy = true;
            self.more.notify_one();
        }
    }

    pub fn close(&self) {
        self.shut(&mut self.queue.lock());
    }

    fn shut(&self, queue: &mut Queue) {
        queue.closed = true;
        queue.items.clear();
        queue.bytes = 0;
        self.close.notify_one();
        self.more.notify_one();
    }

    /// The link's writing task.
    async fn write(&self, mut output: impl AsyncWriteExt + Unpin) {
        loop {
            let item = {
                let mut queue = self.queue.lock();
                if queue.closed {
                    return;
                }
                let item = queue.items.pop_front();
                if let Some(Item::Bytes(bytes)) = &item {
                    queue.bytes -= bytes.len();
                }
                queue.busy = item.is_some();
                item
            };
            let written = match item {
                None => {
                    self.more.notified().await;
                    continue;
                }
                Some(Item::Bytes(bytes)) => output.write_all(&bytes).await,
                Some(Item::Pieces(pieces)) => write_pieces(&mut output, pieces).await,
            };
            if let Err(e) = written {
                tracing::info!("the connection to {} broke: {e}", self.remote);
                return self.close();
            }
        }
    }
}

async fn write_pieces(
    output: &mut (impl AsyncWriteExt + Unpin),
    mut pieces: Box<dyn Pieces>,
) -> io::Result<()> {
    let mut buffer = BytesMut::new();
    loop {
        let made = tokio::task::spawn_blocking(move || {
            buffer.clear();
            let more = pieces.next(&mut buffer);
            (pieces, buffer, more)
        });
        let (back, filled, more) = made.await.map_err(io::Error::other)?;
        pieces = back;
        buffer = filled;
        let more = more?;
        output.write_all(&buffer).await?;
        if !more {
            return Ok(());
        }
    }
}

/// Makes links with numbers of their own.
#[derive(Default)]
pub struct Links {
    next: AtomicU64,
}

impl Links {
    /// Both directions of a connection until it ends. `packet_bytes_max` bounds the data of one packet.
    pub async fn run(
        &self,
        stream: PeerStream,
        remote: SocketAddr,
        events: Arc<dyn Events>,
        packet_bytes_max: usize,
    ) {
        let _ = stream.tcp().set_nodelay(true);
        let input = stream.clone();
        let link = Arc::new(Link {
            id: LinkId(self.next.fetch_add(1, Ordering::Relaxed)),
            remote,
            stream,
            queue: Mutex::default(),
            more: Notify::new(),
            close: Notify::new(),
        });
        events.up(&link);
        let read = async {
            tokio::select! {
                ended = read(input, &link, &*events, packet_bytes_max) => ended,
                () = link.close.notified() => Ok(()),
            }
        };
        let write = link.write(link.stream.clone());
        let ended = tokio::select! {
            ended = read => ended,
            () = write => Ok(()),
        };
        if let Err(why) = ended {
            tracing::warn!("closing the quorum connection to {remote}: {why}");
        }
        link.close();
        // Others may hold the link for a while.
        link.stream.close();
        events.down(&link);
    }
}

async fn read(
    mut input: PeerStream,
    link: &Arc<Link>,
    events: &dyn Events,
    packet_bytes_max: usize,
) -> Result<(), String> {
    let mut buffer = BytesMut::new();
    // Behind a SNAP packet comes a stream that is no packet.
    let mut in_snapshot = false;
    loop {
        loop {
            if in_snapshot && !events.snapshot(link, &mut buffer)? {
                break;
            }
            in_snapshot = false;
            match QuorumPacket::decode(&mut buffer, packet_bytes_max) {
                Ok(None) => break,
                Ok(Some(packet)) => {
                    in_snapshot = packet.kind == PacketKind::SNAP;
                    events.packet(link, packet);
                }
                Err(e) => return Err(e.to_string()),
            }
        }
        buffer.reserve(READ_BYTES);
        match input.read_buf(&mut buffer).await {
            Ok(0) => return Err("the other side closed it".to_owned()),
            Ok(_) => {}
            Err(e) => return Err(e.to_string()),
        }
    }
}

/// Listens on that address of this machine, or on the port on all of them.
pub fn listen(host: &str, port: u16, on_all: bool) -> io::Result<TcpListener> {
    let named = (host, port).to_socket_addrs()?.next();
    let named = named.ok_or_else(|| io::Error::from(io::ErrorKind::AddrNotAvailable))?;
    let address = match named {
        SocketAddr::V4(_) if on_all => (Ipv4Addr::UNSPECIFIED, port).into(),
        SocketAddr::V6(_) if on_all => (Ipv6Addr::UNSPECIFIED, port).into(),
        one => one,
    };
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Connects to the first of the leader's addresses that answers.
pub async fn dial(
    hosts: &[(String, u16)],
    within: Duration,
    security: &PeerSecurity,
) -> io::Result<(PeerStream, SocketAddr)> {
    let attempts = async {
        let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
        for attempt in 0..DIAL_TRIES {
            if attempt > 0 {
                tokio::time::sleep(DIAL_PAUSE).await;
            }
            for (host, port) in hosts {
                match connect(host, *port, security).await {
                    Ok(stream) => {
                        let remote = stream.peer_addr()?;
                        return Ok((stream, remote));
                    }
                    Err(e) => last = e,
                }
            }
        }
        Err(last)
    };
    tokio::time::timeout(within, attempts)
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

async fn connect(host: &str, port: u16, security: &PeerSecurity) -> io::Result<PeerStream> {
    let tcp = TcpStream::connect((host, port)).await?;
    security.dialled(tcp, host).await
}
