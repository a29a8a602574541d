//! What programs do with zookeeper-client, against a server of their own or one for all.
#![allow(clippy::unwrap_used)]

mod harness;
mod sessions;
mod znodes;
