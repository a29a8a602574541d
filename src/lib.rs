//! Ferrokeeper.

pub mod proto;
