//! A serde format without bytes: it makes up the value of every field.
//!
//! One implementation fills every record, so a new record needs no new code to be
//! tested. Where the values come from is a [`Source`].

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error as _, SeqAccess, Visitor};

type Error = serde::de::value::Error;

/// Values for the field that is called `key`.
pub trait Source {
    fn bool(&mut self, key: &str) -> bool;
    fn int(&mut self, key: &str) -> i32;
    fn long(&mut self, key: &str) -> i64;
    fn text(&mut self, key: &str) -> String;
    fn bytes(&mut self, key: &str) -> Vec<u8>;
    fn is_null(&mut self, key: &str) -> bool;
    fn count(&mut self, key: &str) -> usize;
}

/// A record made of the values of `source`. `name` is the schema's name of it.
pub fn record<T: Deserialize<'static>>(name: &str, source: &mut dyn Source) -> T {
    let filler = Filler {
        source,
        name: name.to_owned(),
        index: String::new(),
    };
    T::deserialize(filler).unwrap()
}

struct Filler<'s> {
    source: &'s mut dyn Source,
    /// Of the field, as the schema spells it.
    name: String,
    /// Of the vector's element, empty outside of vectors.
    index: String,
}

impl Filler<'_> {
    fn key(&self) -> String {
        format!("{}{}", self.name, self.index)
    }
}

/// `last_zxid_seen` is `lastZxidSeen` in the schema, and two names are keywords.
fn schema_name(field: &str) -> String {
    if field == "op" || field == "kind" {
        return "type".to_owned();
    }
    let mut words = field.split('_');
    let mut name = words.next().unwrap().to_owned();
    for word in words {
        name.push_str(&word[..1].to_uppercase());
        name.push_str(&word[1..]);
    }
    name
}

macro_rules! unsupported {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'static>>(self, _: V) -> Result<V::Value, Error> {
            Err(Error::custom(stringify!($method)))
        }
    )*};
}

impl Deserializer<'static> for Filler<'_> {
    type Error = Error;

    fn is_human_readable(&self) -> bool {
        false
    }

    fn deserialize_bool<V: Visitor<'static>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_bool(self.source.bool(&self.key()))
    }

    fn deserialize_i32<V: Visitor<'static>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_i32(self.source.int(&self.key()))
    }

    fn deserialize_i64<V: Visitor<'static>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_i64(self.source.long(&self.key()))
    }

    fn deserialize_str<V: Visitor<'static>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_string(self.source.text(&self.key()))
    }

    fn deserialize_bytes<V: Visitor<'static>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_bytes(&self.source.bytes(&self.key()))
    }

    fn deserialize_option<V: Visitor<'static>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.source.is_null(&self.key()) {
            visitor.visit_none()
        } else {
            visitor.visit_some(self)
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'static>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'static>>(self, visitor: V) -> Result<V::Value, Error> {
        let count = self.source.count(&self.key());
        visitor.visit_seq(Elements {
            filler: self,
            next: 0,
            count,
        })
    }

    fn deserialize_struct<V: Visitor<'static>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_seq(Fields {
            source: self.source,
            index: self.index,
            fields: fields.iter(),
        })
    }

    fn deserialize_unit_struct<V: Visitor<'static>>(
        self,
        _: &'static str,
        _: V,
    ) -> Result<V::Value, Error> {
        Err(Error::custom("unit struct"))
    }

    fn deserialize_tuple<V: Visitor<'static>>(self, _: usize, _: V) -> Result<V::Value, Error> {
        Err(Error::custom("tuple"))
    }

    fn deserialize_tuple_struct<V: Visitor<'static>>(
        self,
        _: &'static str,
        _: usize,
        _: V,
    ) -> Result<V::Value, Error> {
        Err(Error::custom("tuple struct"))
    }

    fn deserialize_enum<V: Visitor<'static>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Error> {
        Err(Error::custom("enum"))
    }

    unsupported! {
        deserialize_any deserialize_ignored_any deserialize_identifier deserialize_unit
        deserialize_i8 deserialize_i16 deserialize_u8 deserialize_u16 deserialize_u32
        deserialize_u64 deserialize_f32 deserialize_f64 deserialize_char deserialize_map
        deserialize_string deserialize_byte_buf
    }
}

struct Fields<'s> {
    source: &'s mut dyn Source,
    index: String,
    fields: std::slice::Iter<'static, &'static str>,
}

impl SeqAccess<'static> for Fields<'_> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'static>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Error> {
        let Some(field) = self.fields.next() else {
            return Ok(None);
        };
        let filler = Filler {
            source: &mut *self.source,
            name: schema_name(field),
            index: self.index.clone(),
        };
        seed.deserialize(filler).map(Some)
    }
}

struct Elements<'s> {
    filler: Filler<'s>,
    next: usize,
    count: usize,
}

impl SeqAccess<'static> for Elements<'_> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'static>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Error> {
        if self.next == self.count {
            return Ok(None);
        }
        let filler = Filler {
            source: &mut *self.filler.source,
            name: self.filler.name.clone(),
            index: format!("{}{}", self.filler.index, self.next),
        };
        self.next += 1;
        seed.deserialize(filler).map(Some)
    }
}
