//! Which words this server answers.

use super::Word;

/// The words of `4lw.commands.whitelist`, and those that are always or sometimes added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Whitelist {
    words: u32,
}

impl Whitelist {
    /// Reads the setting: words between commas, `*` for all; unknown ones mean nothing.
    pub fn new(setting: Option<&str>, read_only_mode_enabled: bool) -> Self {
        // The status script and clients that look for a writable server could not do without.
        let mut whitelist = Whitelist { words: 0 };
        whitelist.add(Word::Srvr);
        if read_only_mode_enabled {
            whitelist.add(Word::Isro);
        }
        for name in setting.unwrap_or_default().split(',').map(str::trim) {
            for word in Word::ALL {
                if name == "*" || name == word.name() {
                    whitelist.add(word);
                }
            }
        }
        whitelist
    }

    pub fn allows(&self, word: Word) -> bool {
        self.words & bit(word) != 0
    }

    fn add(&mut self, word: Word) {
        self.words |= bit(word);
    }
}

fn bit(word: Word) -> u32 {
    1 << word as u8
}
