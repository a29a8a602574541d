//! A connection of a pair, in use: frames in, frames out, until it breaks or another one takes its place.

use std::io;
use std::sync::Arc;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::Shared;
use super::peers::Worker;
use crate::ids::ServerId;
use crate::net::peer_stream::PeerStream;
use crate::proto::election::{FRAME_LEN_MAX, Notification};

pub(super) async fn run(
    shared: Arc<Shared>,
    peer: ServerId,
    worker: Worker,
    stream: PeerStream,
    read_ahead: BytesMut,
) {
    let ended = tokio::select! {
        ended = read(&shared, peer, stream.clone(), read_ahead) => Some(ended),
        ended = write(&shared, peer, &worker, stream.clone()) => Some(ended),
        () = worker.stop.notified() => None,
    };
    match ended {
        Some(Err(error)) => tracing::warn!("election connection to server {peer} ends: {error}"),
        Some(Ok(())) => tracing::debug!("election connection to server {peer} was closed by it"),
        None => tracing::debug!("election connection to server {peer} is replaced"),
    }
    shared.peers.lock().end_connection(peer, &worker);
}

/// Until the other side closes.
async fn read(
    shared: &Shared,
    peer: ServerId,
    mut from: PeerStream,
    mut bytes: BytesMut,
) -> io::Result<()> {
    loop {
        while let Some(length) = frame_length(&bytes)? {
            if bytes.len() < 4 + length {
                bytes.reserve(4 + length - bytes.len());
                break;
            }
            bytes.advance(4);
            let payload = bytes.split_to(length);
            match Notification::decode(&payload) {
                Ok(notification) => shared.inbox.put(peer, notification),
                Err(error) => {
                    tracing::warn!("skipping a notification of server {peer}: {error}");
                }
            }
        }
        if from.read_buf(&mut bytes).await? == 0 {
            return Ok(());
        }
    }
}

fn frame_length(bytes: &[u8]) -> io::Result<Option<usize>> {
    let Some(header) = bytes.first_chunk() else {
        return Ok(None);
    };
    let claimed = i32::from_be_bytes(*header);
    match usize::try_from(claimed) {
        Ok(length) if (1..=FRAME_LEN_MAX).contains(&length) => Ok(Some(length)),
        _ => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("frame length: {claimed}, allowed are 1 to {FRAME_LEN_MAX}"),
        )),
    }
}

async fn write(
    shared: &Shared,
    peer: ServerId,
    worker: &Worker,
    mut to: PeerStream,
) -> io::Result<()> {
    loop {
        worker.wake.notified().await;
        loop {
            let next = shared.peers.lock().next_frame(peer, worker);
            let Some(frame) = next else { break };
            to.write_all(&frame).await?;
        }
    }
}
