//! Sockets and what comes through them. Knows frames, and that a connection may begin with a word instead of
//! one; leaves what either means to others. Answers to `NIOServerCnxnFactory` and `NIOServerCnxn`.

pub mod client;
pub mod election;
pub mod http;
pub mod listener;
pub mod loops;
pub mod peer_auth;
pub mod peer_stream;
pub mod quorum;
pub mod reach;
mod rest;
pub mod security;
mod socket;

/// Whether the first bytes of a connection are a four-letter word.
#[derive(Debug, PartialEq, Eq)]
pub enum Heard {
    NoWord,
    /// Not to be told before this many bytes are there.
    More(usize),
    /// All of it is there.
    Word,
}

/// Dropped when what it stands for is sent, or never will be.
pub type Held = Option<Box<dyn Send>>;

/// Answers to four-letter words.
pub trait Words: Send + Sync {
    fn hear(&self, first: &[u8]) -> Heard;

    /// The text to send before closing, and what to hold until it is sent; `first` was a word.
    fn answer(&self, first: &[u8], asker: std::net::SocketAddr) -> (String, Held);
}
