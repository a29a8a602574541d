//! The handshake has a last byte that older clients neither send nor expect.

use ferrokeeper::proto::Trailing;
use ferrokeeper::proto::client::{ConnectRequest, ConnectResponse};

use crate::golden::golden;

#[test]
fn the_last_byte_of_the_handshake_may_be_missing() {
    for ((name, variant), bytes) in golden() {
        let legacy = &bytes[..bytes.len().saturating_sub(1)];
        match name {
            "ConnectRequest" => {
                let mut request: ConnectRequest = jute::from_slice(&bytes).unwrap();
                assert_eq!(request.read_only, Trailing(Some(variant == "filled")));
                request.read_only = Trailing(None);
                assert_eq!(jute::to_vec(&request).unwrap(), legacy);
                assert_eq!(jute::from_slice::<ConnectRequest>(legacy), Ok(request));
                let shorter = &legacy[..legacy.len() - 1];
                jute::from_slice::<ConnectRequest>(shorter).unwrap_err();
            }
            "ConnectResponse" => {
                let mut response: ConnectResponse = jute::from_slice(&bytes).unwrap();
                response.read_only = Trailing(None);
                assert_eq!(jute::to_vec(&response).unwrap(), legacy);
            }
            _ => {}
        }
    }
}
