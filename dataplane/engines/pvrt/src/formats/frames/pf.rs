//! PF: data and controls of a transfer on a stream. Big-endian.
//!
//! `PF`, u64 number, u32 bytes, u8 flags (1: a control), and as many bytes. A control is a JSON
//! object, or a byte and its fields: 0xa1 u32 window; 0xa2 u32 window, 16 bytes of hash; 0xa3 32
//! bytes of SHA-256.

use serde::{Deserialize, Serialize};

use crate::formats::cursor::Cursor;
use crate::formats::error::{Fault, FormatError, Unwritable};
use crate::formats::json;
use crate::formats::pox1::Bref;

const FORMAT: &str = "PF";
const MAGIC: &[u8; 2] = b"PF";
const HEAD: usize = 15;
const CONTROL: u8 = 1;
const OFFSETS: &[u8; 4] = b"OFFS";

/// Longest frame that is read.
pub const FRAME_MAX: u32 = 64 << 20;

/// A frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Its number; the original begins anew with each call of its builder.
    pub seq: u64,
    /// Whether `payload` is a [`Control`].
    pub control: bool,
    /// At most [`FRAME_MAX`] bytes.
    pub payload: &'a [u8],
}

impl<'a> Frame<'a> {
    /// Reads a frame off the front of `bytes`, and gives it with its whole length; `None` as long as
    /// it is not all there.
    ///
    /// # Errors
    /// When the bytes are no frame, or it is longer than [`FRAME_MAX`].
    pub fn read(bytes: &'a [u8]) -> Result<Option<(Self, usize)>, FormatError> {
        let mut cursor = Cursor::new(FORMAT, bytes);
        if bytes.len() < HEAD {
            let seen = bytes.len().min(MAGIC.len());
            let is = bytes[..seen] == MAGIC[..seen];
            return if is { Ok(None) } else { Err(cursor.fail(Fault::Magic)) };
        }
        cursor.magic(MAGIC)?;
        let seq = cursor.u64_be()?;
        let len = cursor.u32_be()?;
        let flags = cursor.u8()?;
        if len > FRAME_MAX {
            let (value, most) = (len.into(), FRAME_MAX.into());
            return Err(cursor.fail(Fault::TooMuch { what: "length of a frame", value, most }));
        }
        if flags > CONTROL {
            return Err(cursor.fail(Fault::Unknown { what: "flags", value: flags.into() }));
        }
        if cursor.left() < len as usize {
            return Ok(None);
        }
        let payload = cursor.take(len as usize)?;
        Ok(Some((Self { seq, control: flags == CONTROL, payload }, HEAD + payload.len())))
    }

    /// Appends the frame to `out`.
    ///
    /// # Errors
    /// When it is longer than [`FRAME_MAX`].
    pub fn write(&self, out: &mut Vec<u8>) -> Result<(), Unwritable> {
        let value = self.payload.len() as u64;
        if value > FRAME_MAX.into() {
            let (what, most) = ("length of a frame", FRAME_MAX.into());
            return Err(Unwritable::TooMuch { format: FORMAT, what, value, most });
        }
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&self.seq.to_be_bytes());
        out.extend_from_slice(&(value as u32).to_be_bytes());
        out.push(u8::from(self.control));
        out.extend_from_slice(self.payload);
        Ok(())
    }

    /// `data` in frames of `chunk` bytes (the original's is 1,024), numbered from `seq` on.
    ///
    /// # Errors
    /// When a chunk is longer than [`FRAME_MAX`].
    pub fn split(data: &[u8], seq: u64, chunk: usize) -> Result<Vec<u8>, Unwritable> {
        let mut out = Vec::with_capacity(data.len() + HEAD * (data.len() / chunk.max(1) + 1));
        for (payload, place) in data.chunks(chunk.max(1)).zip(0..) {
            Frame { seq: seq.wrapping_add(place), control: false, payload }.write(&mut out)?;
        }
        Ok(out)
    }
}

/// What is said about windows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Control {
    /// Data of this window follows.
    Window(u32),
    /// All of it has been sent; with the first half of its SHA-256.
    End(u32, [u8; 16]),
    /// All windows have been sent; with the SHA-256 of the file.
    Done([u8; 32]),
    /// In JSON.
    Json(JsonControl),
}

/// The same in JSON, and what has no other form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", deny_unknown_fields)]
pub enum JsonControl {
    /// Data of a window follows.
    #[serde(rename = "WIN")]
    Window {
        /// The window.
        idx: u32,
    },
    /// All of it has been sent.
    #[serde(rename = "END")]
    End {
        /// The window.
        idx: u32,
        /// First half of its SHA-256, in hexadecimal.
        h: String,
    },
    /// All windows have been sent.
    #[serde(rename = "DONE")]
    Done {
        /// SHA-256 of the file, in hexadecimal.
        sha: String,
        /// Windows.
        tw: u32,
        /// Bytes of a window.
        ws: u32,
    },
    /// What the sender has.
    #[serde(rename = "MFST")]
    Manifest {
        /// `sha256-16`.
        algo: String,
        /// Bytes of a window.
        window_size: u32,
        /// Windows.
        total_windows: u32,
        /// First half of each window's SHA-256, in hexadecimal.
        hashes: Vec<String>,
    },
}

/// The answer to a manifest: windows that are asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Needed {
    /// Their numbers.
    pub needed: Vec<u32>,
}

impl Needed {
    /// Windows of `theirs` that `ours`, by number, lacks or has otherwise.
    #[must_use]
    pub fn of<H: PartialEq>(theirs: &[H], ours: &[H]) -> Self {
        let differs = |&(at, hash): &(u32, &H)| ours.get(at as usize) != Some(hash);
        let needed = (0..).zip(theirs).filter(differs).map(|(at, _)| at).collect();
        Self { needed }
    }
}

impl Control {
    /// Reads all of a control frame's payload.
    ///
    /// # Errors
    /// When it is no control.
    pub fn read(payload: &[u8]) -> Result<Self, FormatError> {
        if payload.first() == Some(&b'{') {
            return json::read(FORMAT, payload).map(Self::Json);
        }
        let mut cursor = Cursor::new(FORMAT, payload);
        let control = match cursor.u8()? {
            0xa1 => Self::Window(cursor.u32_be()?),
            0xa2 => Self::End(cursor.u32_be()?, cursor.array()?),
            0xa3 => Self::Done(cursor.array()?),
            other => {
                let fault = Fault::Unknown { what: "control", value: other.into() };
                return Err(FormatError::new(FORMAT, 0, fault));
            }
        };
        cursor.finish()?;
        Ok(control)
    }

    /// The payload of a control frame.
    #[must_use]
    pub fn write(&self) -> Vec<u8> {
        match self {
            Self::Window(window) => [&[0xa1], window.to_be_bytes().as_slice()].concat(),
            Self::End(window, hash) => {
                [&[0xa2], window.to_be_bytes().as_slice(), hash.as_slice()].concat()
            }
            Self::Done(sha256) => [&[0xa3], sha256.as_slice()].concat(),
            // Strings and numbers: there is nothing that could fail.
            Self::Json(control) => serde_json::to_vec(control).unwrap_or_default(),
        }
    }
}

/// A window's references in place of its container: `OFFS`, u16 number, and as many of 13 bytes.
///
/// # Errors
/// When they are more than 65,535.
pub fn write_offsets(brefs: &[Bref]) -> Result<Vec<u8>, Unwritable> {
    let count = u16::try_from(brefs.len()).map_err(|_| Unwritable::TooMuch {
        format: "OFFS",
        what: "number of references",
        value: brefs.len() as u64,
        most: u16::MAX.into(),
    })?;
    let mut out = [OFFSETS.as_slice(), &count.to_be_bytes()].concat();
    brefs.iter().for_each(|bref| bref.put(&mut out));
    Ok(out)
}

/// Reads all of what [`write_offsets`] makes.
///
/// # Errors
/// When it is not exactly that.
pub fn read_offsets(bytes: &[u8]) -> Result<Vec<Bref>, FormatError> {
    let mut cursor = Cursor::new("OFFS", bytes);
    cursor.magic(OFFSETS)?;
    let count = cursor.u16_be()?;
    let count = cursor.count(count.into(), Bref::BYTES, "number of references")?;
    let brefs = (0..count).map(|_| Bref::take(&mut cursor)).collect::<Result<_, _>>()?;
    cursor.finish()?;
    Ok(brefs)
}
