//! `buffer`: bytes that may be null, borrowed from the input.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Visitor};
use serde::ser::{Serialize, Serializer};

/// A nullable byte string. Null and empty are different values and the server
/// stores them as such.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Buffer<'a>(Option<Cow<'a, [u8]>>);

impl<'a> Buffer<'a> {
    pub const NULL: Buffer<'static> = Buffer(None);

    #[inline]
    pub const fn borrowed(bytes: &'a [u8]) -> Self {
        Buffer(Some(Cow::Borrowed(bytes)))
    }

    #[inline]
    pub fn is_null(&self) -> bool {
        self.0.is_none()
    }

    #[inline]
    pub fn as_bytes(&self) -> Option<&[u8]> {
        self.0.as_deref()
    }

    /// The bytes, with null as no bytes.
    #[inline]
    pub fn or_empty(&self) -> &[u8] {
        self.0.as_deref().unwrap_or(&[])
    }

    pub fn into_owned(self) -> Buffer<'static> {
        Buffer(self.0.map(|bytes| Cow::Owned(bytes.into_owned())))
    }

    #[inline]
    pub fn into_inner(self) -> Option<Cow<'a, [u8]>> {
        self.0
    }

    /// The same bytes, borrowed from this one.
    #[inline]
    pub fn reborrow(&self) -> Buffer<'_> {
        Buffer(self.0.as_deref().map(Cow::Borrowed))
    }
}

impl<'a> From<&'a [u8]> for Buffer<'a> {
    #[inline]
    fn from(bytes: &'a [u8]) -> Self {
        Buffer(Some(Cow::Borrowed(bytes)))
    }
}

impl<'a, const N: usize> From<&'a [u8; N]> for Buffer<'a> {
    #[inline]
    fn from(bytes: &'a [u8; N]) -> Self {
        Buffer(Some(Cow::Borrowed(bytes)))
    }
}

impl From<Vec<u8>> for Buffer<'_> {
    #[inline]
    fn from(bytes: Vec<u8>) -> Self {
        Buffer(Some(Cow::Owned(bytes)))
    }
}

impl<'a> From<Option<&'a [u8]>> for Buffer<'a> {
    #[inline]
    fn from(bytes: Option<&'a [u8]>) -> Self {
        Buffer(bytes.map(Cow::Borrowed))
    }
}

impl fmt::Debug for Buffer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(bytes) => write!(f, "b\"{}\"", bytes.escape_ascii()),
            None => f.write_str("null"),
        }
    }
}

impl Serialize for Buffer<'_> {
    #[inline]
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Some(bytes) => serializer.serialize_bytes(bytes),
            None => serializer.serialize_none(),
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Buffer<'a> {
    #[inline]
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_option(BufferVisitor)
    }
}

struct BufferVisitor;

impl<'de> Visitor<'de> for BufferVisitor {
    type Value = Buffer<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bytes or null")
    }

    #[inline]
    fn visit_none<E>(self) -> Result<Self::Value, E> {
        Ok(Buffer(None))
    }

    #[inline]
    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_bytes(self)
    }

    #[inline]
    fn visit_borrowed_bytes<E>(self, bytes: &'de [u8]) -> Result<Self::Value, E> {
        Ok(Buffer(Some(Cow::Borrowed(bytes))))
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Self::Value, E> {
        Ok(Buffer(Some(Cow::Owned(bytes.to_owned()))))
    }
}
