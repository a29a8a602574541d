//! Four-letter words: which bytes are one, who may say it, and what is answered.
//!
//! Reading the word off a socket and writing the answer belong to the connection; the facts come
//! from a `StatusSource`. Answers to Java's `FourLetterCommands` and `server.command`.

mod lists;
mod render;
mod view;
mod whitelist;
mod word;

pub use lists::{Lists, LongList};
pub use render::{WATCH_LIST_BYTES_MAX, gauges};
pub use view::{
    ConfigView, ConnectionBucket, ConnectionSession, ConnectionView, EnsembleView, ExpiryBucket,
    Gauges, GlobalSessions, ServerState, ServerView, StatusSource, WatchLine, WatchSummary,
    last_operation,
};
pub use whitelist::Whitelist;
pub use word::Word;

/// What to do for a word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Write this, then close.
    Text(String),
    /// Close without an answer.
    Close,
}

/// The answer to `word`. `argument` holds the bytes that `Word::argument_len` asked for; a client
/// that sent fewer is not answered.
pub fn answer(
    word: Word,
    argument: &[u8],
    whitelist: &Whitelist,
    source: &dyn StatusSource,
) -> Answer {
    if !whitelist.allows(word) {
        let name = word.name();
        return Answer::Text(format!(
            "{name} is not executed because it is not in the whitelist.\n"
        ));
    }
    match word {
        // Allowed, it still is no command.
        Word::TelnetClose => Answer::Close,
        Word::Stmk => match argument.first_chunk() {
            Some(mask) => {
                let mask = i64::from_be_bytes(*mask);
                source.set_trace_mask(mask);
                Answer::Text(mask.to_string())
            }
            None => Answer::Close,
        },
        word => Answer::Text(render::reply(word, source)),
    }
}

#[cfg(test)]
mod tests;
