//! Random records survive the wire, and nearly right bytes do no harm.

use std::fmt::Debug;

use ferrokeeper::proto::{self, client, quorum, txn};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use serde::Deserialize;

use crate::fill::{self, Source};
use crate::golden::golden;
use crate::list::with_every_record;

/// Values cut from random bytes; zeros once they are used up.
struct Random(std::vec::IntoIter<u8>);

impl Random {
    fn array<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_| self.0.next().unwrap_or(0))
    }

    fn below(&mut self, bound: u8) -> u8 {
        self.array::<1>()[0] % bound
    }
}

impl Source for Random {
    fn bool(&mut self, _: &str) -> bool {
        self.below(2) == 1
    }

    fn int(&mut self, _: &str) -> i32 {
        i32::from_be_bytes(self.array())
    }

    fn long(&mut self, _: &str) -> i64 {
        i64::from_be_bytes(self.array())
    }

    /// Without characters above U+FFFF, which do not come back.
    fn text(&mut self, _: &str) -> String {
        let length = self.below(9);
        (0..length)
            .map(|_| match self.below(4) {
                0 => char::from_u32(u32::from(u16::from_be_bytes(self.array()))),
                _ => Some(char::from(self.below(128))),
            })
            .map(|c| c.unwrap_or('?'))
            .collect()
    }

    fn bytes(&mut self, _: &str) -> Vec<u8> {
        let length = self.below(20);
        (0..length).map(|_| self.below(255)).collect()
    }

    fn is_null(&mut self, _: &str) -> bool {
        self.below(4) == 3
    }

    fn count(&mut self, _: &str) -> usize {
        usize::from(self.below(4))
    }
}

/// The value comes back, and from no shorter input.
fn survives<'de, T>(value: &T, bytes: &'de [u8]) -> Result<(), TestCaseError>
where
    T: Deserialize<'de> + PartialEq + Debug,
{
    prop_assert_eq!(&jute::from_slice::<T>(bytes).unwrap(), value);
    for end in 0..bytes.len() {
        if let Ok(shorter) = jute::from_slice::<T>(&bytes[..end]) {
            prop_assert_ne!(&shorter, value);
        }
    }
    Ok(())
}

#[test]
fn random_records_survive() {
    let entropy = vec(any::<u8>(), 0..300);
    TestRunner::default()
        .run(&entropy, |entropy| {
            macro_rules! check_all {
                (() $($module:ident::$record:ident = $name:literal,)*) => {$(
                    let mut source = Random(entropy.clone().into_iter());
                    let value: $module::$record = fill::record($name, &mut source);
                    let bytes = jute::to_vec(&value).unwrap();
                    survives(&value, &bytes)?;
                )*};
            }
            with_every_record!(check_all);
            Ok(())
        })
        .unwrap();
}

/// Whether text in `encoded` may hold the surrogates of a character above U+FFFF,
/// which the original writes and does not read back.
fn has_surrogates(encoded: &[u8]) -> bool {
    let mut pairs = encoded.windows(2);
    pairs.any(|pair| pair[0] == 0xed && pair[1] >= 0xa0)
}

/// What `bytes` decode to, if they do, survives as any other record.
#[test]
fn nearly_right_bytes_do_no_harm() {
    let golden: Vec<Vec<u8>> = golden().into_values().collect();
    let edits = vec((any::<prop::sample::Index>(), any::<u8>()), 0..4);
    let mutated = (prop::sample::select(golden), edits).prop_map(|(mut bytes, edits)| {
        for (at, byte) in edits {
            if !bytes.is_empty() {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
        }
        bytes
    });
    TestRunner::default()
        .run(&mutated, |bytes| {
            macro_rules! check_all {
                (() $($module:ident::$record:ident = $name:literal,)*) => {$(
                    if let Ok(value) = jute::from_slice::<$module::$record>(&bytes) {
                        let encoded = jute::to_vec(&value).unwrap();
                        let again: $module::$record = jute::from_slice(&encoded).unwrap();
                        if !has_surrogates(&encoded) {
                            prop_assert_eq!(&again, &value, "{}", $name);
                        }
                        let encoded_again = jute::to_vec(&again).unwrap();
                        let third: $module::$record = jute::from_slice(&encoded_again).unwrap();
                        prop_assert_eq!(&third, &again, "{}", $name);
                    }
                )*};
            }
            with_every_record!(check_all);
            Ok(())
        })
        .unwrap();
}
