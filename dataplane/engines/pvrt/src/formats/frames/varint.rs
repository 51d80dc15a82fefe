//! PVRT with integers of variable length: spans of up to 256 streams by difference.
//!
//! | part | content, little-endian |
//! |---|---|
//! | head, 10 bytes; left out after PFSX's INIT | `TRVP` · u8 version 1 · u8 shift of lengths · u16 bytes of the next part · u8 flags · u8 0 |
//! | spans | uvarint stream, 0 to 255 · for each span svarint of its offset less the stream's last one, uvarint of its length shifted right |
//! | u64 | hash ([`super::fnv`]) of all bytes that the spans name |
//!
//! The first offset of a stream is less half the blob, and so is one that follows an offset of 0:
//! the original keeps 0 for "none".
//!
//! The original never compares the hash, and when a frame is lost all later offsets of its stream
//! are wrong. Here a frame whose hash does not match changes nothing, and its stream is
//! [`VarintError::OutOfStep`] until a frame with flag 1, of our own: its first offset is less half
//! the blob again. Without head there is no flag: only [`Decoder::reset`], at the next INIT, helps.

use thiserror::Error;

use super::{FNV_BASIS, Span, fnv_on};
use crate::formats::cursor::{Cursor, put_uvarint, unzigzag, zigzag};
use crate::formats::error::{Fault, FormatError, Unwritable};

const FORMAT: &str = "PVRT";
const MAGIC: &[u8; 4] = b"TRVP";
const VERSION: u8 = 1;
/// Flag: the stream begins anew.
const RESYNC: u8 = 1;
/// Bytes of the hash.
const HASH: usize = 8;

/// Whether frames have a head.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Framing {
    /// They do.
    #[default]
    Head,
    /// They do not: both ends know the shift, and the packet's length.
    Bare,
}

/// A frame that was not taken. The decoder's state is as before, but for [`Self::Hash`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum VarintError {
    /// The bytes are no frame.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// The spans name other bytes than the sender's, or a frame before this one was lost.
    #[error("stream {stream}: the hash does not match; until the sender begins it anew it is lost")]
    Hash {
        /// The stream.
        stream: u8,
    },
    /// Offsets build on a frame that was not taken.
    #[error("stream {stream} is out of step since an earlier frame was lost")]
    OutOfStep {
        /// The stream.
        stream: u8,
    },
}

/// The last offset of each stream; 0 is none.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Streams(Box<[u64; 256]>);

impl Default for Streams {
    fn default() -> Self {
        Self(Box::new([0; 256]))
    }
}

/// What an offset after `last` is less.
const fn base(last: u64, blob: u64) -> u64 {
    if last == 0 { blob / 2 } else { last }
}

/// Writes frames of all streams about one blob.
#[derive(Clone, Debug)]
pub struct Encoder<'b> {
    blob: &'b [u8],
    framing: Framing,
    shift: u8,
    streams: Streams,
    /// Streams that are to begin anew.
    resync: Box<[bool; 256]>,
}

impl<'b> Encoder<'b> {
    /// For spans whose lengths are multiples of 2^`shift`, below 32, in `blob`.
    #[must_use]
    pub fn new(blob: &'b [u8], framing: Framing, shift: u8) -> Self {
        let shift = shift.min(31);
        Self { blob, framing, shift, streams: Streams::default(), resync: Box::new([false; 256]) }
    }

    /// Lets the next frame of `stream` build on none before it. Receivers of the original do not
    /// understand such a frame.
    pub fn resync(&mut self, stream: u8) {
        self.resync[usize::from(stream)] = true;
    }

    /// The next frame of `stream`.
    ///
    /// # Errors
    /// When a span is empty, outside the blob or of a length that the shift cuts, or they are too
    /// many for a frame; nothing is changed then.
    pub fn encode(&mut self, stream: u8, spans: &[Span]) -> Result<Vec<u8>, Unwritable> {
        let place = usize::from(stream);
        let resync = self.resync[place] && self.framing == Framing::Head;
        let blob = self.blob.len() as u64;
        let mut last = if resync { 0 } else { self.streams.0[place] };
        let mut region = Vec::with_capacity(2 + 6 * spans.len());
        put_uvarint(stream.into(), &mut region);
        let mut hash = FNV_BASIS;
        for span in spans {
            let no_place = |what| Unwritable::NoPlace { format: FORMAT, what };
            let bytes = bytes_of(self.blob, span.offset, span.len)
                .ok_or_else(|| no_place("a span must have bytes, all in the blob"))?;
            if span.len & ((1 << self.shift) - 1) != 0 {
                return Err(no_place("lengths must be multiples of what the shift says"));
            }
            let delta = span.offset.wrapping_sub(base(last, blob)).cast_signed();
            put_uvarint(zigzag(delta), &mut region);
            put_uvarint((span.len >> self.shift).into(), &mut region);
            hash = fnv_on(hash, bytes);
            last = span.offset;
        }
        let most = u16::MAX;
        let len = u16::try_from(region.len()).map_err(|_| Unwritable::TooMuch {
            format: FORMAT,
            what: "bytes of the spans",
            value: region.len() as u64,
            most: most.into(),
        })?;
        let mut out = Vec::with_capacity(10 + region.len() + HASH);
        if self.framing == Framing::Head {
            out.extend_from_slice(MAGIC);
            out.extend_from_slice(&[VERSION, self.shift]);
            out.extend_from_slice(&len.to_le_bytes());
            out.extend_from_slice(&[if resync { RESYNC } else { 0 }, 0]);
            self.resync[place] = false;
        }
        out.extend_from_slice(&region);
        out.extend_from_slice(&hash.to_le_bytes());
        self.streams.0[place] = last;
        Ok(out)
    }
}

/// Reads frames of all streams about one blob.
#[derive(Clone, Debug)]
pub struct Decoder<'b> {
    blob: &'b [u8],
    framing: Framing,
    shift: u8,
    streams: Streams,
    lost: Box<[bool; 256]>,
}

/// A frame's parts, before its spans are known.
struct Frame<'a> {
    shift: u8,
    resync: bool,
    region: Cursor<'a>,
    hash: u64,
}

impl<'b> Decoder<'b> {
    /// For spans in `blob`. With [`Framing::Head`] the frames tell the shift themselves, and
    /// `shift` is not used.
    #[must_use]
    pub fn new(blob: &'b [u8], framing: Framing, shift: u8) -> Self {
        let lost = Box::new([false; 256]);
        Self { blob, framing, shift: shift.min(31), streams: Streams::default(), lost }
    }

    /// Forgets all streams, as on PFSX's INIT.
    pub fn reset(&mut self) {
        self.streams = Streams::default();
        self.lost.fill(false);
    }

    /// Reads all of `bytes`, one frame, and gives its stream; its spans are appended to `spans`, all
    /// of them in the blob, and only when the hash matches.
    ///
    /// # Errors
    /// When it is no frame, or is not to be trusted.
    pub fn decode(&mut self, bytes: &[u8], spans: &mut Vec<Span>) -> Result<u8, VarintError> {
        let Frame { shift, resync, mut region, hash } = self.parts(bytes)?;
        let start = region.clone();
        let id = region.uvarint()?;
        let Ok(stream) = u8::try_from(id) else {
            let (what, most) = ("number of a stream", u8::MAX.into());
            return Err(start.fail(Fault::TooMuch { what, value: id, most }).into());
        };
        let place = usize::from(stream);
        if self.lost[place] && !resync {
            return Err(VarintError::OutOfStep { stream });
        }
        let mut last = if resync { 0 } else { self.streams.0[place] };
        let before = spans.len();
        let found = self.spans(&mut region, shift, &mut last, spans);
        match found {
            Ok(found) if found == hash => {
                self.lost[place] = false;
                self.streams.0[place] = last;
                Ok(stream)
            }
            Ok(_) => {
                spans.truncate(before);
                self.lost[place] = true;
                Err(VarintError::Hash { stream })
            }
            Err(error) => {
                spans.truncate(before);
                Err(error.into())
            }
        }
    }

    fn parts<'a>(&self, bytes: &'a [u8]) -> Result<Frame<'a>, FormatError> {
        let mut cursor = Cursor::new(FORMAT, bytes);
        let (mut shift, mut resync) = (self.shift, false);
        if self.framing == Framing::Head {
            cursor.magic(MAGIC)?;
            let start = cursor.clone();
            let unknown =
                |what, value: u8| Err(start.fail(Fault::Unknown { what, value: value.into() }));
            let version = cursor.u8()?;
            if version != VERSION {
                return Err(start.fail(Fault::Version(version.into())));
            }
            shift = cursor.u8()?;
            let len = cursor.u16_le()?;
            let flags = cursor.u8()?;
            let reserved = cursor.u8()?;
            if shift > 31 {
                return unknown("shift of lengths", shift);
            }
            if flags > RESYNC {
                return unknown("flags", flags);
            }
            if reserved != 0 {
                return unknown("reserved field", reserved);
            }
            resync = flags == RESYNC;
            let (value, want) = ((cursor.left() as u64).saturating_sub(HASH as u64), len.into());
            if value != want {
                return Err(start.fail(Fault::Differs { what: "bytes of the spans", value, want }));
            }
        }
        let Some(len) = cursor.left().checked_sub(HASH) else {
            let (need, have) = (HASH as u64, cursor.left() as u64);
            return Err(cursor.fail(Fault::Truncated { need, have }));
        };
        let at = cursor.at();
        let region = Cursor::within(FORMAT, cursor.take(len)?, at);
        let hash = cursor.u64_le()?;
        cursor.finish()?;
        Ok(Frame { shift, resync, region, hash })
    }

    /// Appends the spans, `last` being what the first builds on and at the end the last offset, and
    /// gives the hash of what they name.
    fn spans(
        &self,
        region: &mut Cursor<'_>,
        shift: u8,
        last: &mut u64,
        spans: &mut Vec<Span>,
    ) -> Result<u64, FormatError> {
        let blob = self.blob.len() as u64;
        let mut hash = FNV_BASIS;
        while region.left() > 0 {
            let start = region.clone();
            let delta = unzigzag(region.uvarint()?).cast_unsigned();
            let offset = base(*last, blob).wrapping_add(delta);
            let units = region.uvarint()?;
            let long = units.checked_shl(shift.into()).filter(|long| long >> shift == units);
            let len = long.and_then(|long| u32::try_from(long).ok());
            let bytes = len.and_then(|len| bytes_of(self.blob, offset, len));
            let (Some(len), Some(bytes)) = (len, bytes) else {
                let what = "end of a span";
                let value = offset.saturating_add(long.unwrap_or(u64::MAX));
                return Err(start.fail(Fault::TooMuch { what, value, most: blob }));
            };
            hash = fnv_on(hash, bytes);
            spans.push(Span::new(offset, len));
            *last = offset;
        }
        Ok(hash)
    }
}

/// At least one byte, all of them there.
fn bytes_of(blob: &[u8], offset: u64, len: u32) -> Option<&[u8]> {
    let from = usize::try_from(offset).ok()?;
    blob.get(from..from.checked_add(len as usize)?).filter(|bytes| !bytes.is_empty())
}
