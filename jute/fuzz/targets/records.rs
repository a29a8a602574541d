//! Bytes as every record of the protocol: decoding never panics, and what was
//! decoded is encoded and decoded to itself.
//!
//! The records are included by path, since the server's package would bring its
//! storage engine along.

#![no_main]

use libfuzzer_sys::fuzz_target;
use proto::{client, quorum, txn};

#[allow(dead_code, unused_imports)]
#[path = "../../../src/proto/mod.rs"]
mod proto;

#[path = "../../../compat-tests/golden/records/list.rs"]
mod list;

/// Whether text in `encoded` may hold the surrogates of a character above U+FFFF,
/// which the original writes and does not read back.
fn has_surrogates(encoded: &[u8]) -> bool {
    let mut pairs = encoded.windows(2);
    pairs.any(|pair| pair[0] == 0xed && pair[1] >= 0xa0)
}

macro_rules! check_all {
    (($input:ident) $($module:ident::$record:ident = $name:literal,)*) => {$(
        let mut rest = $input;
        let decoded = jute::read::<$module::$record>(&mut rest);
        if let Ok(value) = decoded {
            let encoded = jute::to_vec(&value).expect("lengths of an input fit the format");
            let again: $module::$record = jute::from_slice(&encoded).expect("what was encoded");
            if !has_surrogates(&encoded) {
                assert_eq!(again, value, "{}", $name);
            }
            let encoded_again = jute::to_vec(&again).expect("lengths of an input fit the format");
            let third: $module::$record = jute::from_slice(&encoded_again).expect("what was encoded");
            assert_eq!(third, again, "{}", $name);
        } else {
            assert_eq!(rest.len(), $input.len(), "an error moved the input");
        }
        if let Ok(value) = jute::read_limited::<$module::$record>(&mut &$input[..], 16) {
            assert_eq!(Ok(value), jute::from_slice($input), "{}", $name);
        }
    )*};
}

fuzz_target!(|input: &[u8]| {
    list::with_every_record!(check_all, input);
});
