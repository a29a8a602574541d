//! The records of `proto` against the original's bytes, and against random ones.
//!
//! `golden.txt` is written by `compat-tests/golden/run.sh --update`.

#![allow(clippy::unwrap_used)]

mod fill;
mod golden;
mod handshake;
mod list;
mod roundtrip;
mod servers;
