//! A stream cut at any place gives the same frames, from both readers, and never
//! more room than the limit.

#![no_main]

use bytes::BytesMut;
use jute::frame::{FrameCodec, HEADER_LEN, split};
use libfuzzer_sys::fuzz_target;
use tokio_util::codec::{Decoder, Encoder};

const FRAME_LEN_MAX: usize = 64;

fuzz_target!(|input: (u8, &[u8])| {
    let (piece_len, stream) = input;

    let mut expected = Vec::new();
    let mut rest = stream;
    let failed = loop {
        match split(rest, FRAME_LEN_MAX) {
            Ok(Some((frame, behind))) => {
                expected.push(frame);
                rest = behind;
            }
            Ok(None) => break false,
            Err(_) => break true,
        }
    };

    let mut codec = FrameCodec::new(FRAME_LEN_MAX);
    let mut received = BytesMut::new();
    let mut frames = Vec::new();
    let mut refused = false;
    'stream: for piece in stream.chunks(usize::from(piece_len).max(1)) {
        received.extend_from_slice(piece);
        loop {
            match codec.decode(&mut received) {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(_) => {
                    refused = true;
                    break 'stream;
                }
            }
        }
    }
    assert_eq!(frames, expected);
    assert_eq!(refused, failed);

    let mut written = BytesMut::new();
    for frame in &frames {
        assert!(frame.len() <= FRAME_LEN_MAX);
        codec
            .encode(frame, &mut written)
            .expect("a frame that was read");
    }
    let length: usize = frames.iter().map(|frame| HEADER_LEN + frame.len()).sum();
    assert_eq!(written, stream[..length]);
});
