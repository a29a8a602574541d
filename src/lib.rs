//! Ferrokeeper.

pub mod admin;
pub mod auth;
pub mod ids;
pub mod ops;
pub mod proto;
pub mod session;
pub mod tree;
