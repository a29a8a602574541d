//! Records to bytes.

use bytes::BufMut;
use serde::ser::{self, Serialize};

use crate::error::Error;

const NULL: i32 = -1;

pub struct Serializer<'b, B> {
    out: &'b mut B,
}

impl<'b, B: BufMut> Serializer<'b, B> {
    #[inline]
    pub fn new(out: &'b mut B) -> Self {
        Serializer { out }
    }

    /// `BufMut` panics when it is full; a growing buffer compiles this away.
    #[inline]
    fn put(&mut self, bytes: &[u8]) -> Result<(), Error> {
        if self.out.remaining_mut() < bytes.len() {
            return Err(Error::OutputFull);
        }
        self.out.put_slice(bytes);
        Ok(())
    }

    #[inline]
    fn length(&mut self, length: usize) -> Result<(), Error> {
        let length = i32::try_from(length).map_err(|_| Error::TooLong {
            length,
            max: i32::MAX as usize,
        })?;
        self.put(&length.to_be_bytes())
    }

    #[inline]
    fn prefixed(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.length(bytes.len())?;
        self.put(bytes)
    }

    /// Java encodes each UTF-16 unit by itself, so a character above U+FFFF
    /// becomes two surrogates of three bytes each.
    #[cold]
    fn supplementary(&mut self, text: &str) -> Result<(), Error> {
        let supplementary = text.bytes().filter(|byte| *byte >= SUPPLEMENTARY).count();
        self.length(text.len() + 2 * supplementary)?;
        let mut units = [0; 2];
        let mut encoded = [0; 4];
        for c in text.chars() {
            if c.len_utf16() == 1 {
                self.put(c.encode_utf8(&mut encoded).as_bytes())?;
                continue;
            }
            for unit in c.encode_utf16(&mut units) {
                let unit = *unit;
                self.put(&[
                    0xe0 | (unit >> 12) as u8,
                    0x80 | (unit >> 6 & 0x3f) as u8,
                    0x80 | (unit & 0x3f) as u8,
                ])?;
            }
        }
        Ok(())
    }
}

/// First byte of a character above U+FFFF, at least.
const SUPPLEMENTARY: u8 = 0xf0;

macro_rules! unsupported {
    ($($method:ident($type:ty): $what:literal,)*) => {$(
        fn $method(self, _: $type) -> Result<(), Error> {
            Err(Error::Unsupported($what))
        }
    )*};
}

impl<B: BufMut> ser::Serializer for &mut Serializer<'_, B> {
    type Ok = ();
    type Error = Error;
    type SerializeSeq = Self;
    type SerializeTuple = Self;
    type SerializeTupleStruct = Self;
    type SerializeTupleVariant = ser::Impossible<(), Error>;
    type SerializeMap = Self;
    type SerializeStruct = Self;
    type SerializeStructVariant = ser::Impossible<(), Error>;

    #[inline]
    fn is_human_readable(&self) -> bool {
        false
    }

    #[inline]
    fn serialize_bool(self, value: bool) -> Result<(), Error> {
        self.put(&[u8::from(value)])
    }

    #[inline]
    fn serialize_i32(self, value: i32) -> Result<(), Error> {
        self.put(&value.to_be_bytes())
    }

    #[inline]
    fn serialize_i64(self, value: i64) -> Result<(), Error> {
        self.put(&value.to_be_bytes())
    }

    #[inline]
    fn serialize_str(self, text: &str) -> Result<(), Error> {
        // A fold without an early exit is vectorised, and almost no text exits.
        if text.bytes().fold(0, u8::max) < SUPPLEMENTARY {
            self.prefixed(text.as_bytes())
        } else {
            self.supplementary(text)
        }
    }

    #[inline]
    fn serialize_bytes(self, bytes: &[u8]) -> Result<(), Error> {
        self.prefixed(bytes)
    }

    #[inline]
    fn serialize_none(self) -> Result<(), Error> {
        self.put(&NULL.to_be_bytes())
    }

    #[inline]
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Error> {
        value.serialize(self)
    }

    #[inline]
    fn serialize_unit(self) -> Result<(), Error> {
        Ok(())
    }

    #[inline]
    fn serialize_unit_struct(self, _: &'static str) -> Result<(), Error> {
        Ok(())
    }

    #[inline]
    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        value.serialize(self)
    }

    #[inline]
    fn serialize_seq(self, length: Option<usize>) -> Result<Self, Error> {
        self.length(length.ok_or(Error::Unsupported("a sequence of unknown length"))?)?;
        Ok(self)
    }

    #[inline]
    fn serialize_map(self, length: Option<usize>) -> Result<Self, Error> {
        self.length(length.ok_or(Error::Unsupported("a map of unknown length"))?)?;
        Ok(self)
    }

    #[inline]
    fn serialize_tuple(self, _: usize) -> Result<Self, Error> {
        Ok(self)
    }

    #[inline]
    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Self, Error> {
        Ok(self)
    }

    #[inline]
    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self, Error> {
        Ok(self)
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, _: &'static str) -> Result<(), Error> {
        Err(Error::Unsupported("enum"))
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<(), Error> {
        Err(Error::Unsupported("enum"))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, Error> {
        Err(Error::Unsupported("enum"))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant, Error> {
        Err(Error::Unsupported("enum"))
    }

    unsupported! {
        serialize_i8(i8): "i8",
        serialize_i16(i16): "i16",
        serialize_u8(u8): "u8",
        serialize_u16(u16): "u16",
        serialize_u32(u32): "u32",
        serialize_u64(u64): "u64",
        serialize_f32(f32): "f32",
        serialize_f64(f64): "f64",
        serialize_char(char): "char",
    }
}

impl<B: BufMut> ser::SerializeSeq for &mut Serializer<'_, B> {
    type Ok = ();
    type Error = Error;

    #[inline]
    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        value.serialize(&mut **self)
    }

    #[inline]
    fn end(self) -> Result<(), Error> {
        Ok(())
    }
}

impl<B: BufMut> ser::SerializeTuple for &mut Serializer<'_, B> {
    type Ok = ();
    type Error = Error;

    #[inline]
    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        value.serialize(&mut **self)
    }

    #[inline]
    fn end(self) -> Result<(), Error> {
        Ok(())
    }
}

impl<B: BufMut> ser::SerializeTupleStruct for &mut Serializer<'_, B> {
    type Ok = ();
    type Error = Error;

    #[inline]
    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        value.serialize(&mut **self)
    }

    #[inline]
    fn end(self) -> Result<(), Error> {
        Ok(())
    }
}

impl<B: BufMut> ser::SerializeMap for &mut Serializer<'_, B> {
    type Ok = ();
    type Error = Error;

    #[inline]
    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Error> {
        key.serialize(&mut **self)
    }

    #[inline]
    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        value.serialize(&mut **self)
    }

    #[inline]
    fn end(self) -> Result<(), Error> {
        Ok(())
    }
}

impl<B: BufMut> ser::SerializeStruct for &mut Serializer<'_, B> {
    type Ok = ();
    type Error = Error;

    #[inline]
    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        _: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        value.serialize(&mut **self)
    }

    #[inline]
    fn end(self) -> Result<(), Error> {
        Ok(())
    }
}
