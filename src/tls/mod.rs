//! TLS, for clients and between servers: stores and settings in, connections out.
//!
//! A handshake says whether the other side has a certificate that is trusted. What needs more than the certificate
//! (the address of the other side, a list of revoked ones) is checked behind it, before anything is read.
//!
//! Must not know what is said over a connection. Answers to `X509Util` and its subclasses.

mod ciphers;
pub mod context;
mod jks;
pub mod names;
mod pem;
mod revocation;
pub mod session;
pub mod store;
mod trust;

#[cfg(test)]
mod tests;
