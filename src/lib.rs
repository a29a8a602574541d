//! Ferrokeeper.

pub mod auth;
pub mod proto;
