//! Connections between learners and their leader, both ends: packets over TCP.
//!
//! What is sent goes out from the thread that sends it while the socket takes it, and from the link's own task from
//! there on. What is too long to be queued (a snapshot, a history) is made piece by piece as the socket takes it.
//! Must not know what a packet means, but for the one that a snapshot's stream follows. Answers to `LearnerHandler`,
//! `LearnerSender` and the sockets of `Learner`.

use std::collections::VecDeque;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use bytes::{Buf, BytesMut};
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use super::peer_stream::{PeerSecurity, PeerStream};
use super::reach::Tries;
use crate::ids::LinkId;
use crate::proto::quorum::{PacketKind, QuorumPacket};

/// Bytes that may wait for a learner that is slow to take them. Beyond, it is cut off and has to sync anew.
const UNSENT_BYTES_MAX: usize = 256 << 20;
const READ_BYTES: usize = 64 << 10;
/// Learners that may wait to be accepted.
const BACKLOG: u32 = 128;
/// Connections on the quorum port at one time, whoever they are of: more than any ensemble has learners.
const LEARNERS_MAX: usize = 1024;
/// A listener that fails (no descriptors left) is asked again after this.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// A leader that was just elected may not listen yet. Java makes four pauses of the configured length. Shorter ones
/// come before them: mostly both have decided at the same time. All together are more than the 200 ms that a Java server
/// takes to decide after its last message.
const DIAL_PAUSES: usize = 4;
const SHORT_PAUSES_MS: [u64; 5] = [5, 10, 20, 40, 75];

/// Who hears what happens on links. Called from the link's task; must not block for long.
pub trait Events: Send + Sync + 'static {
    fn up(&self, link: &Arc<Link>);
    /// What one read brought, in its order. A SNAP is the last one. An error closes the link.
    fn packets(&self, link: &Arc<Link>, packets: &mut Vec<QuorumPacket>) -> Result<(), String>;
    /// More of the stream that follows a SNAP packet. Takes what it can use; `true` at the end of the stream.
    fn snapshot(&self, link: &Arc<Link>, bytes: &mut BytesMut) -> Result<bool, String>;
    /// Told once, after everything else of the link, and how long closing it took.
    fn down(&self, link: &Arc<Link>, closing: Duration);
}

/// Who wants to know how long packets wait before they are sent. Must not block.
pub trait Waits: Send + Sync {
    /// What is sent now has so many packets, and the first of them waited for so long.
    fn sent(&self, packets: usize, waited: Duration);
}

/// What is too long to be queued as bytes.
pub trait Pieces: Send {
    /// Appends the next piece; `false` when there is none. May block: it has a thread to itself.
    fn next(&mut self, out: &mut BytesMut) -> io::Result<bool>;
}

enum Item {
    Packets(Packets),
    Pieces(Box<dyn Pieces>),
}

/// What goes out in a row.
#[derive(Default)]
struct Packets {
    bytes: BytesMut,
    count: usize,
    /// Since when they have to wait; `None`: they did not yet.
    since: Option<Instant>,
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

impl Queue {
    fn packets(&self) -> usize {
        let packets = self.items.iter().map(|item| match item {
            Item::Packets(packets) => packets.count,
            Item::Pieces(_) => 0,
        });
        packets.sum()
    }
}

pub struct Link {
    pub id: LinkId,
    pub remote: SocketAddr,
    stream: PeerStream,
    queue: Mutex<Queue>,
    more: Notify,
    close: Notify,
    waits: OnceLock<Box<dyn Waits>>,
}

impl Link {
    /// From now on; once.
    pub fn measure(&self, waits: Box<dyn Waits>) {
        let _ = self.waits.set(waits);
    }

    /// Queues a packet; [`Link::flush`] sends it.
    pub fn send(&self, packet: &QuorumPacket) {
        self.put(|out| packet.encode(out));
    }

    /// As [`Link::send`], for one packet that is written by whoever has its parts.
    pub fn put(&self, put: impl FnOnce(&mut BytesMut)) {
        let mut queue = self.queue.lock();
        if queue.closed {
            return;
        }
        if !matches!(queue.items.back(), Some(Item::Packets(_))) {
            queue.items.push_back(Item::Packets(Packets::default()));
        }
        let Some(Item::Packets(packets)) = queue.items.back_mut() else {
            unreachable!("it was just put there");
        };
        let before = packets.bytes.len();
        put(&mut packets.bytes);
        packets.count += 1;
        let added = packets.bytes.len() - before;
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

    /// Sends what the socket takes now, and leaves the rest to the link's task. How many packets there were.
    pub fn flush(&self) -> usize {
        let mut queue = self.queue.lock();
        if queue.closed {
            return 0;
        }
        let packets = queue.packets();
        if queue.busy {
            self.note_that_it_waits(&mut queue);
            return packets;
        }
        while let Some(Item::Packets(packets)) = queue.items.front_mut() {
            match self.stream.try_write(&packets.bytes) {
                Ok(sent) => {
                    packets.bytes.advance(sent);
                    let count = packets.count;
                    let empty = packets.bytes.is_empty();
                    queue.bytes -= sent;
                    if empty {
                        queue.items.pop_front();
                        if let Some(waits) = self.waits.get() {
                            waits.sent(count, Duration::ZERO);
                        }
                    }
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                // The reader finds out as well, and says so.
                Err(_) => {
                    self.shut(&mut queue);
                    return 0;
                }
            }
        }
        if !queue.items.is_empty() {
            queue.busy = true;
            self.note_that_it_waits(&mut queue);
            self.more.notify_one();
        }
        packets
    }

    /// Only then it is worth a look at the clock.
    fn note_that_it_waits(&self, queue: &mut Queue) {
        if self.waits.get().is_some()
            && let Some(Item::Packets(last)) = queue.items.back_mut()
        {
            last.since.get_or_insert_with(Instant::now);
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
    async fn write(&self, mut output: impl AsyncWriteExt + Unpin, silence: Duration) {
        loop {
            let item = {
                let mut queue = self.queue.lock();
                if queue.closed {
                    return;
                }
                let item = queue.items.pop_front();
                if let Some(Item::Packets(packets)) = &item {
                    queue.bytes -= packets.bytes.len();
                }
                queue.busy = item.is_some();
                item
            };
            let written = match item {
                None => {
                    self.more.notified().await;
                    continue;
                }
                Some(Item::Packets(packets)) => {
                    let written = output.write_all(&packets.bytes).await;
                    if let Some(waits) = self.waits.get() {
                        let waited = packets.since.map_or(Duration::ZERO, |at| at.elapsed());
                        waits.sent(packets.count, waited);
                    }
                    written
                }
                Some(Item::Pieces(pieces)) => write_pieces(&mut output, pieces, silence).await,
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
    silence: Duration,
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
        within(silence, output.write_all(&buffer)).await?;
        if !more {
            return Ok(());
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub struct LinkLimits {
    /// Of the data of one packet.
    pub packet_bytes_max: usize,
    /// While a snapshot or a history is on its way there are no packets by which somebody could tell that the other
    /// side lives: then its bytes, up to the packet behind them, have to come, and ours to be taken, in this time.
    pub snapshot_silence: Duration,
}

async fn within<T>(limit: Duration, done: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    match tokio::time::timeout(limit, done).await {
        Ok(done) => done,
        Err(_) => Err(io::Error::new(
            io::ErrorKind::TimedOut,
            format!("nothing moved for {limit:?} while it was brought up to date"),
        )),
    }
}

/// Makes links with numbers of their own.
#[derive(Default)]
pub struct Links {
    next: AtomicU64,
}

impl Links {
    /// Both directions of a connection until it ends. `received` is what was read of it before.
    pub async fn run(
        &self,
        stream: PeerStream,
        received: BytesMut,
        remote: SocketAddr,
        events: Arc<dyn Events>,
        limits: LinkLimits,
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
            waits: OnceLock::new(),
        });
        events.up(&link);
        let read = async {
            tokio::select! {
                ended = read(input, received, &link, &*events, limits) => ended,
                () = link.close.notified() => Ok(()),
            }
        };
        let write = link.write(link.stream.clone(), limits.snapshot_silence);
        let ended = tokio::select! {
            ended = read => ended,
            () = write => Ok(()),
        };
        if let Err(why) = ended {
            tracing::warn!("closing the quorum connection to {remote}: {why}");
        }
        let closing = Instant::now();
        link.close();
        // Others may hold the link for a while.
        link.stream.close();
        events.down(&link, closing.elapsed());
    }
}

async fn read(
    mut input: PeerStream,
    mut buffer: BytesMut,
    link: &Arc<Link>,
    events: &dyn Events,
    limits: LinkLimits,
) -> Result<(), String> {
    let mut packets = Vec::new();
    // Behind a SNAP packet comes a stream that is no packet.
    let mut in_snapshot = false;
    // And until the packet behind that, whoever takes packets does not look at the time.
    let mut limit = None;
    loop {
        loop {
            if in_snapshot && !events.snapshot(link, &mut buffer)? {
                break;
            }
            let last = decode_up_to_snapshot(&mut buffer, limits.packet_bytes_max, &mut packets)?;
            if let Some(kind) = last {
                limit = (kind == PacketKind::SNAP).then_some(limits.snapshot_silence);
            }
            if !packets.is_empty() {
                events.packets(link, &mut packets)?;
                packets.clear();
            }
            in_snapshot = last == Some(PacketKind::SNAP);
            if !in_snapshot {
                break;
            }
        }
        buffer.reserve(READ_BYTES);
        let more = input.read_buf(&mut buffer);
        let more = match limit {
            Some(limit) => within(limit, more).await,
            None => more.await,
        };
        match more {
            Ok(0) => return Err("the other side closed it".to_owned()),
            Ok(_) => {}
            Err(e) => return Err(e.to_string()),
        }
    }
}

/// Every complete packet, but none behind a SNAP. Says what the last one was.
fn decode_up_to_snapshot(
    buffer: &mut BytesMut,
    packet_bytes_max: usize,
    packets: &mut Vec<QuorumPacket>,
) -> Result<Option<PacketKind>, String> {
    let mut last = None;
    while last != Some(PacketKind::SNAP) {
        let decoded = QuorumPacket::decode(buffer, packet_bytes_max);
        let Some(packet) = decoded.map_err(|e| e.to_string())? else {
            break;
        };
        last = Some(packet.kind);
        packets.push(packet);
    }
    Ok(last)
}

/// Listens on that address of this machine, or on the port on all of them.
pub async fn listen(host: &str, port: u16, on_all: bool) -> io::Result<TcpListener> {
    let named = tokio::net::lookup_host((host, port)).await?.next();
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

/// How many learners may be connected; for all listeners together.
pub fn places() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(LEARNERS_MAX))
}

/// Accepts for as long as it is run. A connection keeps its place until it has ended; without one it is closed.
pub async fn accept(
    listener: TcpListener,
    places: Arc<Semaphore>,
    begin: impl Fn(TcpStream, SocketAddr, OwnedSemaphorePermit),
) {
    loop {
        match listener.accept().await {
            Ok((stream, remote)) => match places.clone().try_acquire_owned() {
                Ok(place) => begin(stream, remote, place),
                Err(_) => tracing::warn!("too many learners, closing the connection of {remote}"),
            },
            Err(e) => {
                tracing::warn!("accepting a learner: {e}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// How a server is looked for.
#[derive(Clone, Copy, Debug)]
pub struct Dialling {
    /// All tries together.
    pub limit: Duration,
    /// Between rounds of them.
    pub pause: Duration,
    /// How long several addresses of one server are asked together; `None`: they are tried one after the other.
    pub check: Option<Duration>,
}

impl Dialling {
    /// One round; each address has its part of the time.
    pub async fn once(
        &self,
        hosts: &[(String, u16)],
        security: &PeerSecurity,
    ) -> io::Result<(PeerStream, SocketAddr)> {
        let patience = self.limit / hosts.len().max(1) as u32;
        let mut tries = Tries::begin(hosts, self.check, patience).await;
        let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
        while let Some(((host, _), connected)) = tries.next().await {
            let secured = async {
                let tcp = connected?;
                let remote = tcp.peer_addr()?;
                let securing = security.dialled(tcp, host);
                let secured = tokio::time::timeout(patience, securing).await;
                let stream = secured.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
                Ok((stream, remote))
            };
            match secured.await {
                Ok(connected) => return Ok(connected),
                Err(e) => last = e,
            }
        }
        Err(last)
    }
}

/// Connects to the first of the leader's addresses that will do.
pub async fn dial(
    hosts: &[(String, u16)],
    dialling: &Dialling,
    security: &PeerSecurity,
) -> io::Result<(PeerStream, SocketAddr)> {
    let pause = dialling.pause;
    let attempts = async {
        let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
        let short = SHORT_PAUSES_MS.map(Duration::from_millis);
        let short = short.into_iter().filter(|short| *short < pause);
        let pauses = short.chain(std::iter::repeat_n(pause, DIAL_PAUSES));
        for pause in std::iter::once(Duration::ZERO).chain(pauses) {
            if !pause.is_zero() {
                tokio::time::sleep(pause).await;
            }
            match dialling.once(hosts, security).await {
                Ok(connected) => return Ok(connected),
                Err(e) => last = e,
            }
        }
        Err(last)
    };
    tokio::time::timeout(dialling.limit, attempts)
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

#[cfg(test)]
mod tests;
