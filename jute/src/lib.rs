//! The jute wire format as a serde data format.
//!
//! A record is a struct that derives `Serialize` and `Deserialize` with its
//! fields in the order of the schema: jute puts no tag, length or padding
//! between them, so the order of the fields is the format. This crate knows the
//! format and the frames around it and nothing about the records themselves.
//! It answers to `org.apache.jute.BinaryInputArchive` and `BinaryOutputArchive`.
//!
//! | jute | Rust |
//! |---|---|
//! | boolean, int, long | `bool`, `i32`, `i64` |
//! | ustring | [`Text`]; `&str` or `String` where null is an error |
//! | buffer | [`Buffer`] |
//! | vector | `Vec<T>` (null reads as empty), `Option<Vec<T>>` (null is kept) |
//! | map | any map type, written in its own order |
//! | record | a struct |
//!
//! Nothing is allocated by a length that the sender claims: a length is compared
//! with what is left of the input first, and a vector grows as its elements come.

mod buffer;
mod de;
mod error;
pub mod frame;
mod ser;
mod text;
mod trailing;

pub use buffer::Buffer;
pub use bytes::BufMut;
pub use de::Deserializer;
pub use error::Error;
pub use ser::Serializer;
pub use text::{Text, decode_utf8};
pub use trailing::Trailing;

use serde::{Deserialize, Serialize};

/// Reads one record from the front of `input` and moves `input` behind it.
/// After an error `input` is where it was.
#[inline]
pub fn read<'de, T: Deserialize<'de>>(input: &mut &'de [u8]) -> Result<T, Error> {
    read_limited(input, usize::MAX)
}

/// As [`read`], but a string or buffer longer than `length_max` is an error even
/// when the input has that many bytes.
#[inline]
pub fn read_limited<'de, T: Deserialize<'de>>(
    input: &mut &'de [u8],
    length_max: usize,
) -> Result<T, Error> {
    let mut deserializer = Deserializer::new(input, length_max);
    let value = T::deserialize(&mut deserializer)?;
    *input = deserializer.rest();
    Ok(value)
}

/// Reads a record that fills `input`; bytes behind it are ignored, as the
/// original server ignores them.
#[inline]
pub fn from_slice<'de, T: Deserialize<'de>>(input: &'de [u8]) -> Result<T, Error> {
    let mut input = input;
    read(&mut input)
}

/// Appends a record to `out`. It fails only when a length does not fit into the
/// format, the type has no place in it, or `out` cannot grow and is full; what
/// was written up to there stays in `out`.
#[inline]
pub fn write<T: Serialize + ?Sized>(out: &mut impl BufMut, value: &T) -> Result<(), Error> {
    value.serialize(&mut Serializer::new(out))
}

/// Writes a record into a new vector.
pub fn to_vec<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, Error> {
    let mut out = Vec::new();
    write(&mut out, value)?;
    Ok(out)
}
