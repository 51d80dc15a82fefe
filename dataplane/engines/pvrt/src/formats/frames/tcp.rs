//! Typed messages on a stream: `PFS1`, u32 type, u32 bytes, and as many bytes. Big-endian.
//!
//! Grams ([`gram`]) and files ([`file`](mod@file)) use the same numbers for different types, on ports of their
//! own.

use serde::{Deserialize, Serialize};

use crate::formats::cursor::Cursor;
use crate::formats::error::{Fault, FormatError, Unwritable};

const FORMAT: &str = "PFS1";
const MAGIC: &[u8; 4] = b"PFS1";
const HEAD: usize = 12;

/// Longest message.
pub const MESSAGE_MAX: u32 = 64 << 20;

/// Types of messages about grams.
pub mod gram {
    /// First message.
    pub const HELLO: u32 = 1;
    /// A [`super::GramRequest`].
    pub const REQUEST: u32 = 40;
    /// A gram.
    pub const DATA: u32 = 41;
    /// A [`super::GramComplete`].
    pub const COMPLETE: u32 = 42;
    /// Text.
    pub const ERROR: u32 = 255;
}

/// Types of messages about files.
pub mod file {
    /// First message.
    pub const HELLO: u32 = 1;
    /// Asks for what has changed.
    pub const SYNC_REQUEST: u32 = 2;
    /// Says it.
    pub const SYNC_DATA: u32 = 3;
    /// Asks for a file.
    pub const REQUEST: u32 = 4;
    /// A part of it.
    pub const DATA: u32 = 5;
    /// Its end.
    pub const COMPLETE: u32 = 6;
    /// Asks for a blueprint.
    pub const BLUEPRINT_REQUEST: u32 = 7;
}

/// A message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// Any number.
    pub kind: u32,
    /// At most [`MESSAGE_MAX`] bytes.
    pub body: &'a [u8],
}

impl<'a> Message<'a> {
    /// Reads a message off the front of `bytes`, and gives it with its whole length; `None` as long
    /// as it is not all there.
    ///
    /// # Errors
    /// When the bytes are no message, or it is longer than [`MESSAGE_MAX`].
    pub fn read(bytes: &'a [u8]) -> Result<Option<(Self, usize)>, FormatError> {
        let mut cursor = Cursor::new(FORMAT, bytes);
        if bytes.len() < HEAD {
            let seen = bytes.len().min(MAGIC.len());
            let is = bytes[..seen] == MAGIC[..seen];
            return if is { Ok(None) } else { Err(cursor.fail(Fault::Magic)) };
        }
        cursor.magic(MAGIC)?;
        let kind = cursor.u32_be()?;
        let len = cursor.u32_be()?;
        if len > MESSAGE_MAX {
            let what = "length of a message";
            let (value, most) = (len.into(), MESSAGE_MAX.into());
            return Err(cursor.fail(Fault::TooMuch { what, value, most }));
        }
        if cursor.left() < len as usize {
            return Ok(None);
        }
        let body = cursor.take(len as usize)?;
        Ok(Some((Self { kind, body }, HEAD + body.len())))
    }

    /// Appends the message to `out`.
    ///
    /// # Errors
    /// When it is longer than [`MESSAGE_MAX`].
    pub fn write(&self, out: &mut Vec<u8>) -> Result<(), Unwritable> {
        let value = self.body.len() as u64;
        if value > MESSAGE_MAX.into() {
            let (what, most) = ("length of a message", MESSAGE_MAX.into());
            return Err(Unwritable::TooMuch { format: FORMAT, what, value, most });
        }
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&self.kind.to_be_bytes());
        out.extend_from_slice(&(value as u32).to_be_bytes());
        out.extend_from_slice(self.body);
        Ok(())
    }
}

/// Asks for grams, in JSON. What is not there is 0, but for the bytes of a gram.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GramRequest {
    /// Bytes of the blob.
    pub blob_size: u64,
    /// Seed of the [`super::gram::Generator`].
    pub seed: u64,
    /// Spans of a gram.
    pub desc_per_gram: u32,
    /// Grams.
    pub gram_count: u64,
    /// Longest span.
    pub max_len: u32,
    /// What offsets are multiples of.
    pub align: u64,
    /// 1 for the bytes, 0 for spans alone.
    pub payload: u8,
    /// Bytes in all, instead of a number of grams.
    pub total_bytes: u64,
    /// Bytes of a gram.
    pub gram_bytes: u64,
}

impl Default for GramRequest {
    fn default() -> Self {
        Self {
            blob_size: 0,
            seed: 0,
            desc_per_gram: 0,
            gram_count: 0,
            max_len: 0,
            align: 0,
            payload: 0,
            total_bytes: 0,
            gram_bytes: 1 << 20,
        }
    }
}

/// Ends an answer, in JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GramComplete {
    /// `ok`, or what went wrong.
    pub status: String,
    /// Bytes that the spans name.
    pub bytes: u64,
    /// Their hash ([`super::fnv`]): `0x` and 16 digits.
    pub checksum: String,
}

impl GramComplete {
    /// The end of an answer whose spans name bytes with this hash.
    #[must_use]
    pub fn new(status: &str, bytes: u64, hash: u64) -> Self {
        Self { status: status.to_owned(), bytes, checksum: format!("{hash:#018x}") }
    }

    /// The hash, where it is written as it is to be.
    #[must_use]
    pub fn hash(&self) -> Option<u64> {
        let digits = self.checksum.strip_prefix("0x").filter(|digits| digits.len() == 16)?;
        u64::from_str_radix(digits, 16).ok()
    }
}
