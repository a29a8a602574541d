//! Members that prove to one another who they are, before anything else is said on a connection between them.
//!
//! Whoever dials proves, whoever listens believes or not; the same on the election port and on quorum ports. Knows how
//! the exchange travels, not what the connection is for. Answers to `SaslQuorumAuthLearner` and `SaslQuorumAuthServer`.

use std::fmt;
use std::io;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::proto::quorum::QuorumAuthPacket;
use crate::sasl::digest_md5::{Client, Refusal, Server, Service};
use crate::sasl::{Accounts, Login, nonce};

/// Longer than any token of DIGEST-MD5.
const TOKEN_BYTES_MAX: usize = 8192;
const HEADER_BYTES: usize = 16;

/// Who this member is to others, and whom it believes.
#[derive(Clone, Debug, Default)]
pub struct PeerAuth {
    /// `None`: it says nothing (`quorum.auth.learnerRequireSasl`).
    pub login: Option<Login>,
    pub accounts: Accounts,
    /// Whoever says nothing, or nothing right, is sent away (`quorum.auth.serverRequireSasl`).
    pub is_required: bool,
}

#[derive(Debug, thiserror::Error)]
enum AuthError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Refusal(#[from] Refusal),
    #[error("{0}")]
    Protocol(&'static str),
}

/// As it travels, with its token if it is not null.
struct Message {
    status: i32,
    token: Option<Vec<u8>>,
}

impl PeerAuth {
    /// After dialling: nothing may be sent on the stream before this is done.
    pub async fn prove<S>(&self, stream: &mut S, remote: impl fmt::Display) -> io::Result<()>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let Some(login) = &self.login else {
            tracing::debug!("Skipping SASL authentication as quorum.auth.learnerRequireSasl=false");
            return Ok(());
        };
        match exchange_as_learner(stream, login).await {
            Ok(()) => {
                tracing::info!(
                    "Successfully completed the authentication using SASL. server addr: {remote}, status: SUCCESS"
                );
                Ok(())
            }
            Err(error) => Err(denied(format!(
                "SASL authentication against server addr {remote} failed: {error}"
            ))),
        }
    }

    /// After accepting, with what was read beyond what came before. Gives back what was read beyond the exchange.
    pub async fn ask<S>(
        &self,
        stream: &mut S,
        mut read: BytesMut,
        remote: impl fmt::Display,
    ) -> io::Result<BytesMut>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let answered = match is_exchange(stream, &mut read).await {
            Ok(true) => exchange_as_server(stream, &mut read, &self.accounts)
                .await
                .map(Some),
            Ok(false) => Ok(None),
            Err(error) => Err(AuthError::Io(error)),
        };
        match answered {
            Ok(Some(user)) => tracing::info!(
                "Successfully completed the authentication using SASL. learner addr: {remote}, user: {user}"
            ),
            Ok(None) if self.is_required => {
                return Err(denied(
                    "Learner not trying to authenticate and authentication is required".to_owned(),
                ));
            }
            Ok(None) => {}
            Err(error) if self.is_required => {
                return Err(denied(format!(
                    "Failed to authenticate using SASL: {error}"
                )));
            }
            Err(error) => tracing::warn!(
                "Maintaining learner connection despite SASL authentication failure. learner addr: {remote}, \
                 quorum.auth.serverRequireSasl: false: {error}"
            ),
        }
        Ok(read)
    }
}

async fn exchange_as_learner<S>(stream: &mut S, login: &Login) -> Result<(), AuthError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    const UNFINISHED: AuthError =
        AuthError::Protocol("the server refuses it, or does not take part");
    let mut read = BytesMut::new();
    send(stream, QuorumAuthPacket::IN_PROGRESS, Some(b"")).await?;
    let challenge = receive(stream, &mut read).await?;
    if challenge.status != QuorumAuthPacket::IN_PROGRESS {
        return Err(UNFINISHED);
    }
    let client = Client::new(Service::MEMBERS, login, nonce().map_err(io::Error::other)?);
    let (response, reply) = client.respond(&challenge.token.unwrap_or_default())?;
    send(stream, QuorumAuthPacket::IN_PROGRESS, Some(&response)).await?;
    let answer = receive(stream, &mut read).await?;
    if answer.status != QuorumAuthPacket::SUCCESS {
        return Err(UNFINISHED);
    }
    reply.check(&answer.token.unwrap_or_default())?;
    Ok(())
}

/// Gives back whom it believes. Whoever fails is told so.
async fn exchange_as_server<S>(
    stream: &mut S,
    read: &mut BytesMut,
    accounts: &Accounts,
) -> Result<String, AuthError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    match believe(stream, read, accounts).await {
        Ok((user, answer)) => {
            send(stream, QuorumAuthPacket::SUCCESS, Some(&answer)).await?;
            Ok(user)
        }
        Err(error) => {
            send(stream, QuorumAuthPacket::ERROR, Some(b"")).await.ok();
            Err(error)
        }
    }
}

async fn believe<S>(
    stream: &mut S,
    read: &mut BytesMut,
    accounts: &Accounts,
) -> Result<(String, Vec<u8>), AuthError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let first = receive(stream, read).await?;
    if first.token.is_some_and(|token| !token.is_empty()) {
        return Err(AuthError::Protocol(
            "DIGEST-MD5 must not have an initial response",
        ));
    }
    let server = Server::new(Service::MEMBERS, nonce().map_err(io::Error::other)?);
    send(
        stream,
        QuorumAuthPacket::IN_PROGRESS,
        Some(&server.challenge()),
    )
    .await?;
    let response = receive(stream, read).await?;
    let verified = server.verify(&response.token.unwrap_or_default(), accounts)?;
    let verified = verified.as_itself()?;
    Ok((verified.user, verified.answer))
}

/// Whether the stream begins with an exchange rather than with what follows one. Takes nothing off it.
async fn is_exchange<S: AsyncRead + Unpin>(
    stream: &mut S,
    read: &mut BytesMut,
) -> io::Result<bool> {
    let magic = QuorumAuthPacket::MAGIC.to_be_bytes();
    loop {
        let known = read.len().min(magic.len());
        if read[..known] != magic[..known] {
            return Ok(false);
        }
        if known == magic.len() {
            return Ok(true);
        }
        // Java takes a closed connection for a failed exchange, too: the end is told by whoever reads on.
        if stream.read_buf(read).await? == 0 {
            return Ok(false);
        }
    }
}

async fn send<S: AsyncWrite + Unpin>(
    stream: &mut S,
    status: i32,
    token: Option<&[u8]>,
) -> io::Result<()> {
    let packet = QuorumAuthPacket {
        magic: QuorumAuthPacket::MAGIC,
        status,
        token: token.map_or(jute::Buffer::NULL, jute::Buffer::from),
    };
    let bytes = jute::to_vec(&packet).map_err(io::Error::other)?;
    stream.write_all(&bytes).await?;
    stream.flush().await
}

/// Reads not a byte more than the message: what follows the last one may be there already.
async fn receive<S>(stream: &mut S, read: &mut BytesMut) -> Result<Message, AuthError>
where
    S: AsyncRead + Unpin,
{
    fill(stream, read, HEADER_BYTES).await?;
    let (magic, status, length) = (read.get_i64(), read.get_i32(), read.get_i32());
    if magic != QuorumAuthPacket::MAGIC {
        return Err(AuthError::Protocol(
            "the other side does not take part in the exchange",
        ));
    }
    let token = match usize::try_from(length) {
        Ok(length) if length > TOKEN_BYTES_MAX => {
            return Err(AuthError::Protocol("the token is too long"));
        }
        Ok(length) => {
            fill(stream, read, length).await?;
            Some(read.split_to(length).to_vec())
        }
        Err(_) => None,
    };
    Ok(Message { status, token })
}

/// Until there are so many bytes.
async fn fill<S>(stream: &mut S, read: &mut BytesMut, length: usize) -> io::Result<()>
where
    S: AsyncRead + Unpin,
{
    while read.len() < length {
        let missing = (length - read.len()) as u64;
        if stream.take(missing).read_buf(read).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(())
}

fn denied(why: String) -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, why)
}

#[cfg(test)]
mod tests;
