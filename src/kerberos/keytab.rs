//! Keytab files of MIT Kerberos, versions 0x0501 and 0x0502: principals with their keys.
//!
//! ```text
//! 05 02, then entries: length (i32; negative: a hole of that many bytes),
//!   number of components (u16), realm, components (each: u16 length, bytes), type of name (u32),
//!   time (u32), version of the key (u8), its type (u16), its bytes (u16 length), version again (u32, may be missing)
//! ```
//!
//! 0x0502 is big-endian; 0x0501 is in the order of the machine that wrote it, counts the realm as a component, and has
//! no type of name. Answers to the JDK's `KeyTab` and `KeyTabInputStream`.

use super::Refusal;
use super::crypto::{Enctype, EnctypeName, Key};
use super::principal::Principal;

/// Far above what anybody keeps in one.
pub const KEYTAB_BYTES_MAX: usize = 4 << 20;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keytab {
    entries: Vec<Entry>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    principal: Principal,
    kvno: u32,
    enctype: EnctypeName,
    /// `None`: of a type that is not known here.
    key: Option<Key>,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeytabError {
    #[error("it is no keytab: it does not begin with 05 01 or 05 02")]
    NoKeytab,
    #[error("the entry at byte {at} is damaged: {what}")]
    Damaged { at: usize, what: &'static str },
}

impl Keytab {
    pub fn parse(bytes: &[u8]) -> Result<Keytab, KeytabError> {
        let has_name_type = match bytes {
            [5, 1, ..] => false,
            [5, 2, ..] => true,
            _ => return Err(KeytabError::NoKeytab),
        };
        let order = match has_name_type {
            true => Order::Big,
            false => Order::Native,
        };
        let mut entries = Vec::new();
        let mut at = 2;
        while at < bytes.len() {
            let damaged = |what| KeytabError::Damaged { at, what };
            let mut rest = Fields {
                rest: &bytes[at..],
                order,
            };
            let length = rest.u32().ok_or_else(|| damaged("its length is cut off"))? as i32;
            let size = length.unsigned_abs() as usize;
            // A length of zero ends the file: what follows was set aside by whoever wrote it.
            if size == 0 {
                break;
            }
            let content = rest
                .bytes(size)
                .ok_or_else(|| damaged("it is longer than the file"))?;
            if length > 0 {
                let fields = Fields {
                    rest: content,
                    order,
                };
                entries.push(entry(fields, has_name_type).map_err(damaged)?);
            }
            at += 4 + size;
        }
        Ok(Keytab { entries })
    }

    /// The keys that may have encrypted something for this principal. `kvno`: the version that was used, if said.
    pub fn find(
        &self,
        principal: &Principal,
        enctype: Enctype,
        kvno: Option<u32>,
    ) -> Result<Vec<&Key>, Refusal> {
        let own = || {
            self.entries
                .iter()
                .filter(|entry| entry.principal == *principal)
        };
        let is_version = |entry: &&Entry| match kvno {
            // Not told apart: KDCs without versions say 0 or nothing.
            None | Some(0) => true,
            // Some programs write no more than the lowest byte.
            Some(kvno) => entry.kvno == kvno || entry.kvno == kvno & 0xff || entry.kvno == 0,
        };
        let keys = own()
            .filter(is_version)
            .filter_map(|entry| entry.key.as_ref());
        let keys: Vec<&Key> = keys.filter(|key| key.enctype() == enctype).collect();
        if !keys.is_empty() {
            return Ok(keys);
        }
        let has = own().map(|entry| format!("{} version {}", entry.enctype, entry.kvno));
        let has: Vec<String> = has.collect();
        Err(Refusal::NoKey {
            service: principal.to_string(),
            enctype: enctype.into(),
            kvno: kvno.unwrap_or(0),
            has: match has.is_empty() {
                true => "nothing of it".to_owned(),
                false => has.join(", "),
            },
        })
    }

    /// Whether it has a key that can be used here.
    pub fn serves(&self, principal: &Principal) -> bool {
        let mut own = self
            .entries
            .iter()
            .filter(|entry| entry.principal == *principal);
        own.any(|entry| entry.key.is_some())
    }

    /// What is in it, for whoever looks for something else.
    pub fn listing(&self) -> String {
        let line = |entry: &Entry| format!("{} ({})", entry.principal, entry.enctype);
        let mut lines: Vec<String> = self.entries.iter().map(line).collect();
        lines.dedup();
        match lines.is_empty() {
            true => "nothing".to_owned(),
            false => lines.join(", "),
        }
    }
}

fn entry(mut fields: Fields<'_>, has_name_type: bool) -> Result<Entry, &'static str> {
    let cut = "its fields do not fit into its length";
    let count = usize::from(fields.u16().ok_or(cut)?);
    let count = match has_name_type {
        true => count,
        false => count.checked_sub(1).ok_or("it has no realm")?,
    };
    let text = "a name is not in UTF-8";
    let realm = fields.text().ok_or(cut)?.ok_or(text)?;
    let mut components = Vec::new();
    for _ in 0..count {
        components.push(fields.text().ok_or(cut)?.ok_or(text)?);
    }
    if has_name_type {
        fields.u32().ok_or(cut)?;
    }
    fields.u32().ok_or(cut)?;
    let short_kvno = u32::from(fields.u8().ok_or(cut)?);
    let enctype = i32::from(fields.u16().ok_or(cut)? as i16);
    let length = usize::from(fields.u16().ok_or(cut)?);
    let bytes = fields.bytes(length).ok_or(cut)?;
    let kvno = match fields.u32() {
        Some(kvno) if kvno != 0 => kvno,
        _ => short_kvno,
    };
    let key = match Enctype::from_number(enctype) {
        Some(enctype) => {
            Some(Key::new(enctype, bytes).ok_or("its key is not as long as its type asks for")?)
        }
        None => None,
    };
    Ok(Entry {
        principal: Principal::new(components, realm),
        kvno,
        enctype: EnctypeName(enctype),
        key,
    })
}

#[derive(Clone, Copy)]
enum Order {
    Big,
    Native,
}

struct Fields<'a> {
    rest: &'a [u8],
    order: Order,
}

impl<'a> Fields<'a> {
    fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (found, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(found)
    }

    fn u8(&mut self) -> Option<u8> {
        self.bytes(1).map(|bytes| bytes[0])
    }

    fn u16(&mut self) -> Option<u16> {
        let bytes = self.bytes(2)?.try_into().ok()?;
        Some(match self.order {
            Order::Big => u16::from_be_bytes(bytes),
            Order::Native => u16::from_ne_bytes(bytes),
        })
    }

    fn u32(&mut self) -> Option<u32> {
        let bytes = self.bytes(4)?.try_into().ok()?;
        Some(match self.order {
            Order::Big => u32::from_be_bytes(bytes),
            Order::Native => u32::from_ne_bytes(bytes),
        })
    }

    /// `Some(None)`: no text.
    fn text(&mut self) -> Option<Option<String>> {
        let length = usize::from(self.u16()?);
        let bytes = self.bytes(length)?;
        Some(String::from_utf8(bytes.to_vec()).ok())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    struct Written {
        is_new: bool,
        out: Vec<u8>,
    }

    impl Written {
        fn new(is_new: bool) -> Written {
            Written {
                is_new,
                out: vec![5, 1 + u8::from(is_new)],
            }
        }

        fn u16(&self, n: u16) -> [u8; 2] {
            if self.is_new {
                n.to_be_bytes()
            } else {
                n.to_ne_bytes()
            }
        }

        fn u32(&self, n: u32) -> [u8; 4] {
            if self.is_new {
                n.to_be_bytes()
            } else {
                n.to_ne_bytes()
            }
        }

        fn entry(
            mut self,
            name: &[&str],
            kvno: (u8, Option<u32>),
            enctype: u16,
            key: &[u8],
        ) -> Written {
            let mut entry = Vec::new();
            entry.extend(self.u16(name.len() as u16 + u16::from(!self.is_new)));
            for part in ["R"].iter().chain(name) {
                entry.extend(self.u16(part.len() as u16));
                entry.extend(part.as_bytes());
            }
            if self.is_new {
                entry.extend(self.u32(1));
            }
            entry.extend(self.u32(1_700_000_000));
            entry.push(kvno.0);
            entry.extend(self.u16(enctype));
            entry.extend(self.u16(key.len() as u16));
            entry.extend(key);
            if let Some(kvno) = kvno.1 {
                entry.extend(self.u32(kvno));
            }
            self.out.extend(self.u32(entry.len() as u32));
            self.out.extend(entry);
            self
        }

        fn hole(mut self) -> Written {
            self.out.extend(self.u32(-5_i32 as u32));
            self.out.extend([9; 5]);
            self
        }
    }

    fn full(is_new: bool) -> Vec<u8> {
        Written::new(is_new)
            .entry(&["zookeeper", "localhost"], (2, None), 18, &[1; 32])
            .hole()
            .entry(&["zookeeper", "localhost"], (44, Some(300)), 18, &[2; 32])
            .entry(&["zookeeper", "localhost"], (44, Some(300)), 23, &[3; 16])
            .entry(&["alice"], (1, Some(0)), 17, &[4; 16])
            .out
    }

    #[test]
    fn both_versions() {
        let service = Principal::parse("zookeeper/localhost@R", None).unwrap();
        let alice = Principal::parse("alice@R", None).unwrap();
        for is_new in [true, false] {
            let keytab = Keytab::parse(&full(is_new)).unwrap();
            let find = |principal, enctype, kvno| {
                let found = keytab.find(principal, enctype, kvno);
                found.map(|keys| keys.iter().map(|key| key.reveal()[0]).collect::<Vec<_>>())
            };
            let long = Enctype::Aes256Sha1;
            assert_eq!(find(&service, long, Some(2)), Ok(vec![1]));
            assert_eq!(find(&service, long, Some(300)), Ok(vec![2]));
            assert_eq!(find(&service, long, None), Ok(vec![1, 2]));
            assert_eq!(find(&alice, Enctype::Aes128Sha1, Some(1)), Ok(vec![4]));
            assert!(keytab.serves(&service) && keytab.serves(&alice));
            assert!(!keytab.serves(&Principal::parse("alice@S", None).unwrap()));
            let error = find(&service, long, Some(3)).unwrap_err().to_string();
            assert!(
                error.ends_with(
                    "with version 3; it has aes256-cts-hmac-sha1-96 version 2, aes256-cts-hmac-sha1-96 version 300, \
                     rc4-hmac version 300"
                ),
                "{error}"
            );
            let error = find(&alice, long, None).unwrap_err().to_string();
            assert!(
                error.starts_with("the keytab has no key of alice@R for aes256"),
                "{error}"
            );
        }
    }

    #[test]
    fn only_keys_that_are_known_count() {
        let keytab = Written::new(true)
            .entry(&["a"], (1, None), 23, &[3; 16])
            .out;
        let keytab = Keytab::parse(&keytab).unwrap();
        assert!(!keytab.serves(&Principal::parse("a@R", None).unwrap()));
        assert_eq!(keytab.listing(), "a@R (rc4-hmac)");
        assert_eq!(Keytab::parse(&[5, 2]).unwrap().listing(), "nothing");
    }

    #[test]
    fn damage_has_a_place() {
        assert_eq!(Keytab::parse(b""), Err(KeytabError::NoKeytab));
        assert_eq!(Keytab::parse(b"\x05\x03"), Err(KeytabError::NoKeytab));
        assert_eq!(Keytab::parse(b"-----BEGIN"), Err(KeytabError::NoKeytab));
        let whole = Written::new(true)
            .entry(&["a"], (1, None), 17, &[3; 16])
            .out;
        let second = whole.len();
        let text = |bytes: &[u8]| Keytab::parse(bytes).unwrap_err().to_string();
        let twice = [&whole[..], &whole[2..]].concat();
        assert_eq!(
            text(&twice[..twice.len() - 1]),
            format!("the entry at byte {second} is damaged: it is longer than the file")
        );
        let short = Written::new(true)
            .entry(&["a"], (1, None), 17, &[3; 15])
            .out;
        assert_eq!(
            text(&short),
            "the entry at byte 2 is damaged: its key is not as long as its type asks for"
        );
        let mut many = whole.clone();
        many[6] = 0xff;
        assert_eq!(
            text(&many),
            "the entry at byte 2 is damaged: its fields do not fit into its length"
        );
        let mut minimum = whole;
        minimum[2..6].copy_from_slice(&i32::MIN.to_be_bytes());
        assert!(text(&minimum).contains("longer than the file"));
    }

    proptest! {
        #[test]
        fn any_file_is_read_or_refused(is_new: bool, changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 0..6)) {
            let mut bytes = full(is_new);
            for (at, to) in changes {
                let at = at.index(bytes.len());
                bytes[at] = to;
            }
            let _ = Keytab::parse(&bytes);
        }
    }
}
