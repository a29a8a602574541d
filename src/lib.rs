//! Ferrokeeper.
