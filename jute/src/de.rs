//! Bytes to records.

use std::borrow::Cow;

use serde::de::{self, DeserializeSeed, MapAccess, SeqAccess, Visitor};

use crate::error::Error;
use crate::text::decode_utf8;
use crate::trailing::TRAILING;

const NULL: i32 = -1;

/// Elements for which a vector may reserve room before they are read.
const SIZE_HINT_MAX: usize = 64;

pub struct Deserializer<'de> {
    input: &'de [u8],
    length_max: usize,
}

impl<'de> Deserializer<'de> {
    #[inline]
    pub fn new(input: &'de [u8], length_max: usize) -> Self {
        Deserializer { input, length_max }
    }

    /// What has not been read yet.
    #[inline]
    pub fn rest(&self) -> &'de [u8] {
        self.input
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let Some((bytes, rest)) = self.input.split_first_chunk::<N>() else {
            return Err(Error::UnexpectedEnd);
        };
        self.input = rest;
        Ok(*bytes)
    }

    #[inline]
    fn int(&mut self) -> Result<i32, Error> {
        self.array().map(i32::from_be_bytes)
    }

    /// The bytes of a string or buffer that is not null.
    #[inline]
    fn bytes(&mut self) -> Result<&'de [u8], Error> {
        let claimed = self.int()?;
        if claimed == NULL {
            return Err(Error::Null);
        }
        let length = usize::try_from(claimed).map_err(|_| Error::NegativeLength(claimed))?;
        if length > self.length_max {
            return Err(Error::TooLong {
                length,
                max: self.length_max,
            });
        }
        let (bytes, rest) = self
            .input
            .split_at_checked(length)
            .ok_or(Error::UnexpectedEnd)?;
        self.input = rest;
        Ok(bytes)
    }

    /// The count of a vector or map; every negative count means none.
    #[inline]
    fn count(&mut self) -> Result<usize, Error> {
        Ok(usize::try_from(self.int()?).unwrap_or(0))
    }

    #[inline]
    fn at_null(&self) -> bool {
        self.input.first_chunk::<4>() == Some(&NULL.to_be_bytes())
    }
}

macro_rules! unsupported {
    ($($method:ident: $what:literal,)*) => {$(
        fn $method<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
            Err(Error::Unsupported($what))
        }
    )*};
}

impl<'de> de::Deserializer<'de> for &mut Deserializer<'de> {
    type Error = Error;

    #[inline]
    fn is_human_readable(&self) -> bool {
        false
    }

    #[inline]
    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let [byte] = self.array()?;
        visitor.visit_bool(byte != 0)
    }

    #[inline]
    fn deserialize_i32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_i32(self.int()?)
    }

    #[inline]
    fn deserialize_i64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_i64(i64::from_be_bytes(self.array()?))
    }

    #[inline]
    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match decode_utf8(self.bytes()?) {
            Cow::Borrowed(text) => visitor.visit_borrowed_str(text),
            Cow::Owned(text) => visitor.visit_string(text),
        }
    }

    #[inline]
    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    #[inline]
    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_borrowed_bytes(self.bytes()?)
    }

    #[inline]
    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_bytes(visitor)
    }

    /// Strings, buffers and vectors all spell null as a length of -1, and
    /// nothing else can be null.
    #[inline]
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.at_null() {
            self.int()?;
            visitor.visit_none()
        } else {
            visitor.visit_some(self)
        }
    }

    #[inline]
    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    #[inline]
    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    #[inline]
    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        if name == TRAILING && self.input.is_empty() {
            return visitor.visit_none();
        }
        visitor.visit_newtype_struct(self)
    }

    #[inline]
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let left = self.count()?;
        visitor.visit_seq(Elements {
            deserializer: self,
            left,
        })
    }

    #[inline]
    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let left = self.count()?;
        visitor.visit_map(Elements {
            deserializer: self,
            left,
        })
    }

    #[inline]
    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_seq(Fields {
            deserializer: self,
            left: length,
        })
    }

    #[inline]
    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_tuple(length, visitor)
    }

    #[inline]
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_tuple(fields.len(), visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Error> {
        Err(Error::Unsupported("enum"))
    }

    unsupported! {
        deserialize_any: "a value of unknown type",
        deserialize_ignored_any: "a value of unknown type",
        deserialize_identifier: "identifier",
        deserialize_i8: "i8",
        deserialize_i16: "i16",
        deserialize_u8: "u8",
        deserialize_u16: "u16",
        deserialize_u32: "u32",
        deserialize_u64: "u64",
        deserialize_f32: "f32",
        deserialize_f64: "f64",
        deserialize_char: "char",
    }
}

/// The fields of a record: as many as its type has.
struct Fields<'a, 'de> {
    deserializer: &'a mut Deserializer<'de>,
    left: usize,
}

impl<'de> SeqAccess<'de> for Fields<'_, 'de> {
    type Error = Error;

    #[inline]
    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Error> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        seed.deserialize(&mut *self.deserializer).map(Some)
    }

    #[inline]
    fn size_hint(&self) -> Option<usize> {
        Some(self.left)
    }
}

/// The elements of a vector, or the entries of a map: as many as the sender
/// claims, which is believed one element at a time.
struct Elements<'a, 'de> {
    deserializer: &'a mut Deserializer<'de>,
    left: usize,
}

impl<'de> Elements<'_, 'de> {
    #[inline]
    fn next<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        let before = self.deserializer.input.len();
        let element = seed.deserialize(&mut *self.deserializer)?;
        if self.deserializer.input.len() == before {
            return Err(Error::EmptyElement);
        }
        Ok(Some(element))
    }

    #[inline]
    fn reserve(&self) -> usize {
        self.left
            .min(self.deserializer.input.len())
            .min(SIZE_HINT_MAX)
    }
}

impl<'de> SeqAccess<'de> for Elements<'_, 'de> {
    type Error = Error;

    #[inline]
    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Error> {
        self.next(seed)
    }

    #[inline]
    fn size_hint(&self) -> Option<usize> {
        Some(self.reserve())
    }
}

impl<'de> MapAccess<'de> for Elements<'_, 'de> {
    type Error = Error;

    #[inline]
    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Error> {
        self.next(seed)
    }

    #[inline]
    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        seed.deserialize(&mut *self.deserializer)
    }

    #[inline]
    fn size_hint(&self) -> Option<usize> {
        Some(self.reserve())
    }
}
