//! How many long lists of watches may be under way at a time.
//!
//! A list is made in one piece and waits for its reader in the connection's output: a few readers that take their time
//! would hold a few times the longest list. Whoever comes while there are enough of them is told to come again.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{Answer, StatusSource, Whitelist, Word, answer};

/// What is shorter than this does not count.
const LONG_BYTES_MIN: usize = 1 << 20;
const LONG_MAX: usize = 2;

#[derive(Default)]
pub struct Lists {
    long: Arc<AtomicUsize>,
}

/// One that is long, until it is sent or nobody takes it any more.
pub struct LongList(Arc<AtomicUsize>);

impl Drop for LongList {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Lists {
    /// As [`answer`], with what has to be held as long as the text is.
    pub fn answer(
        &self,
        word: Word,
        argument: &[u8],
        whitelist: &Whitelist,
        source: &dyn StatusSource,
    ) -> (Answer, Option<LongList>) {
        let is_list = matches!(word, Word::Wchc | Word::Wchp) && whitelist.allows(word);
        if is_list && self.long.load(Ordering::Relaxed) >= LONG_MAX {
            let name = word.name();
            let text = format!(
                "{name}: too many long lists of watches are being sent, ask again later.\n"
            );
            return (Answer::Text(text), None);
        }
        let answer = answer(word, argument, whitelist, source);
        let is_long = matches!(&answer, Answer::Text(text) if text.len() >= LONG_BYTES_MIN);
        let held = (is_list && is_long).then(|| {
            self.long.fetch_add(1, Ordering::Relaxed);
            LongList(self.long.clone())
        });
        (answer, held)
    }
}
