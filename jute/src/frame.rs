//! Frames: a length of four bytes, then that many bytes.
//!
//! [`split`] serves a read loop that owns its buffer; [`FrameCodec`] serves
//! tokio's framed streams. Both refuse a length before any room is made for it.

use std::io;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio_util::codec::{Decoder, Encoder};

/// Bytes of the length in front of a frame.
pub const HEADER_LEN: usize = 4;

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    #[error("negative frame length {0}")]
    Negative(i32),
    #[error("frame of {length} bytes is above the limit of {max}")]
    TooLong { length: usize, max: usize },
}

impl From<FrameError> for io::Error {
    fn from(error: FrameError) -> Self {
        io::Error::new(io::ErrorKind::InvalidData, error)
    }
}

/// Length of the frame at the front of `buf`, once its four bytes are there.
#[inline]
pub fn length(buf: &[u8], max: usize) -> Result<Option<usize>, FrameError> {
    let Some(header) = buf.first_chunk::<HEADER_LEN>() else {
        return Ok(None);
    };
    let claimed = i32::from_be_bytes(*header);
    let length = usize::try_from(claimed).map_err(|_| FrameError::Negative(claimed))?;
    if length > max {
        return Err(FrameError::TooLong { length, max });
    }
    Ok(Some(length))
}

/// A frame and what follows it.
pub type Split<'a> = (&'a [u8], &'a [u8]);

/// The first frame of `buf`; `None` while it is incomplete.
#[inline]
pub fn split(buf: &[u8], max: usize) -> Result<Option<Split<'_>>, FrameError> {
    let Some(length) = length(buf, max)? else {
        return Ok(None);
    };
    Ok(buf[HEADER_LEN..].split_at_checked(length))
}

/// Appends a frame whose body `fill` writes, and puts its length in front
/// afterwards. When `fill` fails, or the body does not fit into a frame, `out`
/// is as before.
#[inline]
pub fn write<E: From<FrameError>>(
    out: &mut Vec<u8>,
    fill: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
) -> Result<(), E> {
    let start = out.len();
    out.extend_from_slice(&[0; HEADER_LEN]);
    let body = start + HEADER_LEN;
    let filled = fill(out).and_then(|()| header(out.len() - body).map_err(E::from));
    match filled {
        Ok(header) => {
            out[start..body].copy_from_slice(&header);
            Ok(())
        }
        Err(error) => {
            out.truncate(start);
            Err(error)
        }
    }
}

#[inline]
fn header(length: usize) -> Result<[u8; HEADER_LEN], FrameError> {
    let length = i32::try_from(length).map_err(|_| FrameError::TooLong {
        length,
        max: i32::MAX as usize,
    })?;
    Ok(length.to_be_bytes())
}

/// Frames of at most `frame_len_max` bytes in both directions.
#[derive(Debug, Clone, Copy)]
pub struct FrameCodec {
    frame_len_max: usize,
}

impl FrameCodec {
    pub const fn new(frame_len_max: usize) -> Self {
        FrameCodec { frame_len_max }
    }
}

impl Decoder for FrameCodec {
    type Item = Bytes;
    type Error = io::Error;

    fn decode(&mut self, src: &mut BytesMut) -> io::Result<Option<Bytes>> {
        let Some(length) = length(src, self.frame_len_max)? else {
            return Ok(None);
        };
        let missing = (HEADER_LEN + length).saturating_sub(src.len());
        if missing > 0 {
            src.reserve(missing);
            return Ok(None);
        }
        src.advance(HEADER_LEN);
        Ok(Some(src.split_to(length).freeze()))
    }
}

impl<T: AsRef<[u8]>> Encoder<T> for FrameCodec {
    type Error = io::Error;

    fn encode(&mut self, frame: T, dst: &mut BytesMut) -> io::Result<()> {
        let frame = frame.as_ref();
        if frame.len() > self.frame_len_max {
            return Err(FrameError::TooLong {
                length: frame.len(),
                max: self.frame_len_max,
            }
            .into());
        }
        dst.reserve(HEADER_LEN + frame.len());
        dst.put_slice(&header(frame.len())?);
        dst.put_slice(frame);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn split_waits_for_the_whole_frame() {
        let bytes = [0, 0, 0, 3, 1, 2, 3, 9];
        for end in 0..7 {
            assert_eq!(split(&bytes[..end], 3).unwrap(), None);
        }
        assert_eq!(split(&bytes, 3).unwrap(), Some((&[1, 2, 3][..], &[9][..])));
    }

    #[test]
    fn a_bad_length_is_refused_at_its_fourth_byte() {
        let too_long = 4_i32.to_be_bytes();
        let error = FrameError::TooLong { length: 4, max: 3 };
        assert_eq!(split(&too_long, 3), Err(error));
        assert_eq!(
            split(&(-1_i32).to_be_bytes(), 3),
            Err(FrameError::Negative(-1))
        );

        let mut src = BytesMut::from(&i32::MAX.to_be_bytes()[..]);
        let room = src.capacity();
        let error = FrameCodec::new(1024).decode(&mut src).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        assert_eq!(src.capacity(), room, "room was made for a refused frame");
    }

    #[test]
    fn codec_round_trip_byte_by_byte() {
        let mut codec = FrameCodec::new(16);
        let mut wire = BytesMut::new();
        codec.encode(&b"first"[..], &mut wire).unwrap();
        codec.encode(&b""[..], &mut wire).unwrap();
        codec.encode(&b"third"[..], &mut wire).unwrap();
        codec.encode([0; 17], &mut wire).unwrap_err();

        let mut src = BytesMut::new();
        let mut frames = Vec::new();
        for byte in wire {
            src.put_u8(byte);
            frames.extend(codec.decode(&mut src).unwrap());
        }
        assert_eq!(frames, [&b"first"[..], b"", b"third"]);
    }

    #[test]
    fn write_puts_the_length_in_front_or_leaves_no_trace() {
        let mut out = vec![7];
        write::<FrameError>(&mut out, |out| {
            out.extend_from_slice(b"abc");
            Ok(())
        })
        .unwrap();
        assert_eq!(out, [7, 0, 0, 0, 3, b'a', b'b', b'c']);

        let failed = write(&mut out, |out| {
            out.push(1);
            Err(FrameError::Negative(-7))
        });
        assert_eq!(failed, Err(FrameError::Negative(-7)));
        assert_eq!(out.len(), 8);
    }
}
