//! Ferrokeeper.

pub mod auth;
pub mod proto;
pub mod storage;
