//! Which ZooKeeper this server says it is.

/// Shaped as `major.minor.micro-<revision>, built on <date>`. Clients branch on the first two
/// numbers; monitoring agents cut at the first hyphen, at the comma, or search three numbers.
pub const FULL: &str = concat!(
    "3.9.5-ferrokeeper-",
    env!("CARGO_PKG_VERSION"),
    ", built on 2026-11-21 00:00 UTC"
);
