//! Grams: lists of spans, with or without the bytes that they name. Little-endian.
//!
//! u32 magic, u16 version 1, u16 flags (1: bytes follow), u64 number of the gram, u32 spans, u32
//! bytes of head and spans, u64 bytes that follow, u32 0 (a check sum that nobody fills), u32 0;
//! then spans, then bytes.

use super::Span;
use crate::formats::cursor::Cursor;
use crate::formats::error::{Fault, FormatError};

const FORMAT: &str = "gram";
const MAGIC: &[u8; 4] = b"PFRG";
const HEAD: usize = 40;
const WITH_PAYLOAD: u16 = 1;

/// A gram.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gram<'a> {
    /// Its number.
    pub seq: u64,
    /// Spans, in order; fewer than 2^27.
    pub spans: Vec<Span>,
    /// Bytes that they name.
    pub payload: Option<&'a [u8]>,
}

impl<'a> Gram<'a> {
    /// Reads all of `bytes`.
    ///
    /// # Errors
    /// When they are not exactly one gram.
    pub fn read(bytes: &'a [u8]) -> Result<Self, FormatError> {
        let mut cursor = Cursor::new(FORMAT, bytes);
        cursor.magic(MAGIC)?;
        let version = cursor.u16_le()?;
        if version != 1 {
            return Err(cursor.fail(Fault::Version(version.into())));
        }
        let flags = cursor.u16_le()?;
        if flags > WITH_PAYLOAD {
            return Err(cursor.fail(Fault::Unknown { what: "flags", value: flags.into() }));
        }
        let seq = cursor.u64_le()?;
        let count = cursor.u32_le()?;
        let head_len = cursor.u32_le()?;
        let payload_len = cursor.u64_le()?;
        let zeros = cursor.u64_le()?;
        if zeros != 0 {
            return Err(cursor.fail(Fault::Unknown { what: "check sum", value: zeros }));
        }
        let want = HEAD as u64 + u64::from(count) * Span::BYTES as u64;
        if u64::from(head_len) != want {
            let what = "bytes of head and spans";
            return Err(cursor.fail(Fault::Differs { what, value: head_len.into(), want }));
        }
        let count = cursor.count(count.into(), Span::BYTES, "number of spans")?;
        let spans = (0..count).map(|_| Span::take(&mut cursor)).collect::<Result<_, _>>()?;
        if flags & WITH_PAYLOAD == 0 && payload_len != 0 {
            let what = "bytes that follow without their flag";
            return Err(cursor.fail(Fault::TooMuch { what, value: payload_len, most: 0 }));
        }
        let payload = cursor.take(usize::try_from(payload_len).unwrap_or(usize::MAX))?;
        cursor.finish()?;
        Ok(Self { seq, spans, payload: (flags & WITH_PAYLOAD != 0).then_some(payload) })
    }

    /// The gram.
    #[must_use]
    pub fn write(&self) -> Vec<u8> {
        let payload = self.payload.unwrap_or_default();
        let head_len = HEAD + self.spans.len() * Span::BYTES;
        let mut out = Vec::with_capacity(head_len + payload.len());
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&1_u16.to_le_bytes());
        out.extend_from_slice(&u16::from(self.payload.is_some()).to_le_bytes());
        out.extend_from_slice(&self.seq.to_le_bytes());
        out.extend_from_slice(&(self.spans.len() as u32).to_le_bytes());
        out.extend_from_slice(&(head_len as u32).to_le_bytes());
        out.extend_from_slice(&(payload.len() as u64).to_le_bytes());
        out.extend_from_slice(&[0; 8]);
        self.spans.iter().for_each(|span| span.put(&mut out));
        out.extend_from_slice(payload);
        out
    }
}

/// The original's generator of spans: the same sequence from the same seed.
#[derive(Clone, Debug)]
pub struct Generator {
    state: u64,
    blob: u64,
    max_len: u32,
    /// A power of two.
    align: u64,
}

impl Generator {
    /// Spans of 1 to `max_len` bytes in a blob of `blob` bytes, at multiples of `align`, which is
    /// rounded up to a power of two; `None` where there can be none.
    #[must_use]
    pub fn new(seed: u64, blob: u64, max_len: u32, align: u64) -> Option<Self> {
        let align = align.max(1).checked_next_power_of_two()?;
        let possible = blob > 0 && max_len > 0;
        possible.then_some(Self {
            state: if seed == 0 { SEED } else { seed },
            blob,
            max_len,
            align,
        })
    }
}

/// What seed 0 stands for.
const SEED: u64 = 0x9e37_79b9_7f4a_7c15;

impl Iterator for Generator {
    type Item = Span;

    fn next(&mut self) -> Option<Span> {
        let mut step = || {
            let mut x = self.state;
            x ^= x >> 12;
            x ^= x << 25;
            x ^= x >> 27;
            self.state = x.wrapping_mul(2_685_821_657_736_338_717);
            self.state
        };
        let down = |offset: u64| offset & !(self.align - 1);
        let len = 1 + step() % u64::from(self.max_len);
        let offset = down(step() % self.blob);
        if offset.checked_add(len).is_some_and(|end| end <= self.blob) {
            return Some(Span::new(offset, len as u32));
        }
        let len = len.min(self.blob);
        Some(Span::new(down(self.blob - len), len as u32))
    }
}
