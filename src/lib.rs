//! Ferrokeeper.

pub mod auth;
pub mod ids;
pub mod net;
pub mod ops;
pub mod pipeline;
pub mod proto;
pub mod server;
pub mod session;
pub mod storage;
pub mod tree;
