#![doc = include_str!("ARCHITECTURE.md")]

pub mod admin;
pub mod auth;
pub mod cli;
pub mod config;
pub mod ids;
pub mod membership;
pub mod net;
pub mod ops;
pub mod pipeline;
pub mod proto;
pub mod server;
pub mod session;
pub mod storage;
pub mod tree;
pub mod zab;
