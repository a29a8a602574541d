//! How far a long piece of work is, on a terminal. Nobody is told of what takes less than a second, and no file or
//! pipe of any of it.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

const SILENT: Duration = Duration::from_secs(1);
const STEP: Duration = Duration::from_millis(200);
const WIDTH: usize = 30;

pub struct Progress {
    what: &'static str,
    /// Zero where nobody knows.
    total: u64,
    begin: Instant,
    next: Instant,
    is_shown: bool,
    is_terminal: bool,
}

impl Progress {
    pub fn new(what: &'static str, total: u64) -> Progress {
        let begin = Instant::now();
        Progress {
            what,
            total,
            begin,
            next: begin + SILENT,
            is_shown: false,
            is_terminal: std::io::stderr().is_terminal(),
        }
    }

    pub fn at(&mut self, done: u64) {
        if !self.is_terminal {
            return;
        }
        let now = Instant::now();
        if now < self.next {
            return;
        }
        self.next = now + STEP;
        self.is_shown = true;
        let line = line(self.what, done, self.total, now - self.begin);
        // A terminal that is gone does not end the work.
        let _ = write!(std::io::stderr(), "\r{line}\x1b[K");
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.is_shown {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}

fn line(what: &str, done: u64, total: u64, took: Duration) -> String {
    let seconds = took.as_secs();
    if total == 0 {
        return format!("{what}: {done} ({seconds} s)");
    }
    let done = done.min(total);
    let filled = (done * WIDTH as u64 / total) as usize;
    let bar = format!("{}{}", "#".repeat(filled), ".".repeat(WIDTH - filled));
    format!("{what} [{bar}] {} % ({seconds} s)", done * 100 / total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars() {
        let took = Duration::from_millis(2500);
        assert_eq!(line("writing", 7, 0, took), "writing: 7 (2 s)");
        assert_eq!(
            line("writing", 50, 100, took),
            "writing [###############...............] 50 % (2 s)"
        );
        assert_eq!(
            line("writing", 200, 100, took),
            "writing [##############################] 100 % (2 s)"
        );
    }
}
