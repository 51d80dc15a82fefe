//! PFSX: spans of 16 bytes in a packet. Little-endian.
//!
//! u32 magic, u16 version, u16 flags (1: by difference; 4: streams), u64 number of the frame, u16
//! spans, u16 0; then spans. By difference the first offset is less half the blob, later ones less
//! the one before, modulo 2^64. Version 2 with flag 4 and no spans says that frames of
//! [`super::varint`] without head follow.

use super::Span;
use crate::formats::cursor::Cursor;
use crate::formats::error::{Fault, FormatError, Unwritable};

const FORMAT: &str = "PFSX";
const MAGIC: &[u8; 4] = b"XSVP";
const ARITH: u16 = 1;
const STREAMS: u16 = 4;

/// A frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pfsx {
    /// Its number.
    pub seq: u64,
    /// Whether offsets are written by difference; in [`Body::Init`], whether those that follow are.
    pub arith: bool,
    /// What it says.
    pub body: Body,
}

/// What a frame says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// Spans, with absolute offsets; at most 65,535.
    Spans(Vec<Span>),
    /// Frames of variable length follow.
    Init,
}

impl Pfsx {
    /// Reads all of `bytes`, with a blob of `blob` bytes.
    ///
    /// # Errors
    /// When they are not exactly one frame.
    pub fn read(bytes: &[u8], blob: u64) -> Result<Self, FormatError> {
        let mut cursor = Cursor::new(FORMAT, bytes);
        cursor.magic(MAGIC)?;
        let start = cursor.clone();
        let version = cursor.u16_le()?;
        let flags = cursor.u16_le()?;
        let seq = cursor.u64_le()?;
        let count = cursor.u16_le()?;
        let reserved = cursor.u16_le()?;
        if reserved != 0 {
            let what = "reserved field";
            return Err(start.fail(Fault::Unknown { what, value: reserved.into() }));
        }
        let arith = flags & ARITH != 0;
        let body = match (version, flags & !ARITH) {
            (1, 0) => Body::Spans(take_spans(&mut cursor, count, arith, blob)?),
            (2, STREAMS) if count == 0 => Body::Init,
            (2, STREAMS) => {
                let what = "number of spans";
                return Err(start.fail(Fault::TooMuch { what, value: count.into(), most: 0 }));
            }
            (1 | 2, _) => {
                return Err(start.fail(Fault::Unknown { what: "flags", value: flags.into() }));
            }
            _ => return Err(start.fail(Fault::Version(version.into()))),
        };
        cursor.finish()?;
        Ok(Self { seq, arith, body })
    }

    /// The frame, for a blob of `blob` bytes.
    ///
    /// # Errors
    /// When there are more spans than the frame can count.
    pub fn write(&self, blob: u64) -> Result<Vec<u8>, Unwritable> {
        let (version, flags, spans) = match &self.body {
            Body::Spans(spans) => (1_u16, 0, spans.as_slice()),
            Body::Init => (2, STREAMS, [].as_slice()),
        };
        let count = u16::try_from(spans.len()).map_err(|_| Unwritable::TooMuch {
            format: FORMAT,
            what: "number of spans",
            value: spans.len() as u64,
            most: u16::MAX.into(),
        })?;
        let mut out = Vec::with_capacity(20 + spans.len() * Span::BYTES);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&version.to_le_bytes());
        out.extend_from_slice(&(flags | u16::from(self.arith)).to_le_bytes());
        out.extend_from_slice(&self.seq.to_le_bytes());
        out.extend_from_slice(&count.to_le_bytes());
        out.extend_from_slice(&[0; 2]);
        let mut before = if self.arith { blob / 2 } else { 0 };
        for span in spans {
            Span { offset: span.offset.wrapping_sub(before), ..*span }.put(&mut out);
            if self.arith {
                before = span.offset;
            }
        }
        Ok(out)
    }
}

fn take_spans(
    cursor: &mut Cursor<'_>,
    count: u16,
    arith: bool,
    blob: u64,
) -> Result<Vec<Span>, FormatError> {
    let count = cursor.count(count.into(), Span::BYTES, "number of spans")?;
    let mut spans = Vec::with_capacity(count);
    let mut before = if arith { blob / 2 } else { 0 };
    for _ in 0..count {
        let mut span = Span::take(cursor)?;
        span.offset = span.offset.wrapping_add(before);
        if arith {
            before = span.offset;
        }
        spans.push(span);
    }
    Ok(spans)
}
