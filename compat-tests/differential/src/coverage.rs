//! Which operation was answered with which code, how often; and what must have been seen.

use crate::play::Transcript;
use crate::request::{OPCODES, op_name};
use std::collections::BTreeMap;

#[derive(Default)]
pub struct Coverage {
    counts: BTreeMap<String, BTreeMap<i32, u64>>,
    notifications: BTreeMap<String, u64>,
}

/// Never sent: what Java does with them is a defect.
const NOT_SENT: [i32; 2] = [20, -10];
/// A standalone server reconfigures nothing, and `check` exists only within multi.
const NEVER_SUCCEEDS: [i32; 2] = [16, 13];
/// Nothing in their requests can be wrong.
const NEVER_FAILS: [i32; 4] = [11, 102, 107, -11];

impl Coverage {
    pub fn add(&mut self, transcript: &Transcript) {
        for entry in transcript.steps.iter().flatten() {
            for (op, err) in &entry.outcomes {
                *self
                    .counts
                    .entry(op.clone())
                    .or_default()
                    .entry(*err)
                    .or_default() += 1;
            }
            if entry.op == "notification" {
                let kind = entry
                    .text
                    .split(' ')
                    .find(|w| w.starts_with("type="))
                    .unwrap_or("type=?");
                *self.notifications.entry(kind.to_string()).or_default() += 1;
            }
        }
    }

    pub fn print(&self) {
        println!("\n{:<32} answers (code x times)", "operation");
        for (op, codes) in &self.counts {
            let codes: Vec<String> = codes
                .iter()
                .rev()
                .map(|(code, n)| format!("{code} x {n}"))
                .collect();
            println!("{op:<32} {}", codes.join(", "));
        }
        let kinds: Vec<String> = self
            .notifications
            .iter()
            .map(|(k, n)| format!("{k} x {n}"))
            .collect();
        println!("{:<32} {}", "notifications", kinds.join(", "));
    }

    /// What should have been seen but was not.
    pub fn gaps(&self) -> Vec<String> {
        let mut gaps = Vec::new();
        for (name, code) in OPCODES {
            if NOT_SENT.contains(code) {
                continue;
            }
            let seen = self.counts.get(*name);
            if !NEVER_SUCCEEDS.contains(code) && !seen.is_some_and(|s| s.contains_key(&0)) {
                gaps.push(format!("{name} never succeeded"));
            }
            if !NEVER_FAILS.contains(code) && !seen.is_some_and(|s| s.keys().any(|c| *c != 0)) {
                gaps.push(format!("{name} never failed"));
            }
        }
        for sub in [1, 2, 5, 13, 15, 19, 21] {
            let name = format!("{} in multi", op_name(sub));
            let seen = self.counts.get(&name);
            if !seen.is_some_and(|s| s.contains_key(&0) && s.keys().any(|c| *c < -100)) {
                gaps.push(format!("{name} needs successes and failures"));
            }
        }
        let answered = |code| self.counts.values().any(|codes| codes.contains_key(&code));
        for code in [
            -2, -5, -6, -8, -101, -102, -103, -108, -110, -111, -114, -115, -121, -123, -125,
        ] {
            if !answered(code) {
                gaps.push(format!("nothing was answered with {code}"));
            }
        }
        for kind in 1..=4 {
            if !self.notifications.contains_key(&format!("type={kind}")) {
                gaps.push(format!("no notification of type {kind}"));
            }
        }
        gaps
    }
}
