//! One connection: dialled, encrypted if asked for, greeted; then frames in both directions.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use jute::{Buffer, Trailing, frame};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::tls::ClientTls;
use crate::net::peer_stream::PeerStream;
use crate::proto::client::{ConnectRequest, ConnectResponse};

/// What a server may send at once: more than any server's `jute.maxbuffer` in practice.
const FRAME_BYTES_MAX: usize = 256 << 20;

/// Who the session is, to be told to the next server.
pub(super) struct Identity {
    pub id: i64,
    pub password: Vec<u8>,
    pub last_zxid: i64,
    pub timeout: Duration,
    pub read_only: bool,
}

/// What the server made of it. A timeout of zero: the session is gone.
pub(super) struct Greeting {
    pub id: i64,
    pub password: Vec<u8>,
    pub timeout: Duration,
    pub read_only: bool,
}

pub(super) struct Connection {
    stream: PeerStream,
    input: BytesMut,
}

impl Connection {
    pub(super) async fn dial(
        (host, port): &(String, u16),
        tls: Option<&Arc<ClientTls>>,
        identity: &Identity,
    ) -> io::Result<(Connection, Greeting)> {
        let tcp = TcpStream::connect((host.as_str(), *port)).await?;
        tcp.set_nodelay(true)?;
        let stream = match tls {
            None => PeerStream::plain(tcp),
            Some(tls) => tls.connect(tcp, host).await?,
        };
        let mut connection = Connection {
            stream,
            input: BytesMut::new(),
        };
        let request = ConnectRequest {
            protocol_version: 0,
            last_zxid_seen: identity.last_zxid,
            time_out: i32::try_from(identity.timeout.as_millis()).unwrap_or(i32::MAX),
            session_id: identity.id,
            passwd: Buffer::from(&identity.password[..]),
            read_only: Trailing(Some(identity.read_only)),
        };
        let mut out = Vec::new();
        frame::write(&mut out, |out| {
            jute::write(out, &request).map_err(io::Error::other)
        })?;
        connection.stream.write_all(&out).await?;
        let answer = connection.frame().await?;
        let answer: ConnectResponse<'_> = jute::from_slice(&answer).map_err(io::Error::other)?;
        let greeting = Greeting {
            id: answer.session_id,
            password: answer.passwd.or_empty().to_vec(),
            timeout: Duration::from_millis(u64::try_from(answer.time_out).unwrap_or(0)),
            read_only: answer.read_only.0.unwrap_or(false),
        };
        Ok((connection, greeting))
    }

    /// The next frame. A call that is given up loses nothing.
    pub(super) async fn frame(&mut self) -> io::Result<BytesMut> {
        loop {
            if let Some(length) = frame::length(&self.input, FRAME_BYTES_MAX)?
                && self.input.len() >= frame::HEADER_LEN + length
            {
                self.input.advance(frame::HEADER_LEN);
                return Ok(self.input.split_to(length));
            }
            if self.stream.read_buf(&mut self.input).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    pub(super) async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await
    }

    pub(super) fn hang_up(self) {
        self.stream.close();
    }
}
