//! Reads a program in any order.

use std::sync::atomic::{AtomicU64, Ordering};

use super::window::{self, Dictionary};
use super::{DICTIONARY_MAX, END, FORMAT, MAGIC, TRAILER, VERSION, crc};
use crate::formats::cursor::Cursor;
use crate::formats::error::{Fault, FormatError};
use crate::program::{Identity, Profile, Program, Window};
use crate::rebuild::{Head, Parts, Scratch, Source, WINDOW_MAX};

/// A program in the binary format, in memory or mapped. Head, index and trailer have been checked;
/// a window is when it is read.
#[derive(Clone, Debug)]
pub struct BinaryReader<'a> {
    bytes: &'a [u8],
    head: Head,
    dictionary: &'a [u8],
    /// Tells its dictionary from other readers'.
    owner: u64,
    /// Offset of each record.
    index: &'a [u8],
    index_at: u64,
    /// Where the first record is.
    records_at: u64,
}

struct Trailer {
    size: u64,
    windows: u64,
    index_at: u64,
    sha256: [u8; 32],
    index_crc: u32,
}

impl<'a> BinaryReader<'a> {
    /// Whether `bytes` begin as this format does.
    #[must_use]
    pub fn is(bytes: &[u8]) -> bool {
        bytes.starts_with(MAGIC)
    }

    /// Opens `bytes`, all of a program.
    ///
    /// # Errors
    /// When head, index or trailer are damaged, or do not agree.
    pub fn open(bytes: &'a [u8]) -> Result<Self, FormatError> {
        static OWNERS: AtomicU64 = AtomicU64::new(1);
        let mut cursor = Cursor::new(FORMAT, bytes);
        let (mut head, dictionary) = read_head(&mut cursor, bytes)?;
        let records_at = cursor.at();
        let Some(trailer_at) =
            bytes.len().checked_sub(TRAILER).filter(|&at| at as u64 >= records_at)
        else {
            let need = TRAILER as u64;
            return Err(cursor.fail(Fault::Truncated { need, have: cursor.left() as u64 }));
        };
        let trailer = read_trailer(&bytes[trailer_at..], trailer_at as u64)?;
        head.size = trailer.size;
        head.sha256 = Some(trailer.sha256);
        let at_trailer = Cursor::within(FORMAT, &[], trailer_at as u64);
        if trailer.windows != head.windows() {
            let what = "number of windows";
            let (value, want) = (trailer.windows, head.windows());
            return Err(at_trailer.fail(Fault::Differs { what, value, want }));
        }
        let index_bytes = trailer.windows.checked_mul(8).ok_or(trailer_at);
        let index_at = index_bytes.ok().and_then(|bytes| (trailer_at as u64).checked_sub(bytes));
        if index_at != Some(trailer.index_at) || trailer.index_at < records_at {
            let what = "offset of the index";
            let want = index_at.unwrap_or(records_at);
            return Err(at_trailer.fail(Fault::Differs { what, value: trailer.index_at, want }));
        }
        let index = &bytes[trailer.index_at as usize..trailer_at];
        if crc(index) != trailer.index_crc {
            return Err(FormatError::new(FORMAT, trailer.index_at, Fault::Checksum("the index")));
        }
        let owner = OWNERS.fetch_add(1, Ordering::Relaxed);
        Ok(Self { bytes, head, dictionary, owner, index, index_at: trailer.index_at, records_at })
    }

    /// Offset of record `at`, or of the index for the one after the last.
    fn offset(&self, at: u64) -> u64 {
        let entry = self.index.chunks_exact(8).nth(at as usize);
        entry.map_or(self.index_at, |entry| u64::from_le_bytes(entry.try_into().unwrap_or([0; 8])))
    }

    /// The payload of window `index`, its check sum compared, and its offset.
    fn payload(&self, index: u64) -> Result<(&'a [u8], u64), FormatError> {
        let (from, to) = (self.offset(index), self.offset(index + 1));
        let first = if index == 0 { self.records_at } else { from };
        let entry = self.index_at + 8 * index;
        if from != first || from >= to || from < self.records_at || to > self.index_at {
            let what = "offset of a record";
            let fault = Fault::Differs { what, value: from, want: first };
            return Err(FormatError::new(FORMAT, entry, fault));
        }
        let mut cursor = Cursor::within(FORMAT, &self.bytes[from as usize..to as usize], from);
        let len = cursor.u32_le()?;
        let sum = cursor.u32_le()?;
        let at = cursor.at();
        let payload = cursor.take(len as usize)?;
        cursor.finish()?;
        if crc(payload) != sum {
            return Err(FormatError::new(FORMAT, at, Fault::Checksum("a window")));
        }
        Ok((payload, at))
    }

    /// The program as a whole, in memory.
    ///
    /// # Errors
    /// When any window is damaged.
    pub fn program(&self) -> Result<Program, FormatError> {
        let mut scratch = Scratch::default();
        let read = |index| {
            let Parts { pieces, raw } = self.window(index, &mut scratch)?;
            Ok(Window { pieces: pieces.to_vec(), raw: raw.to_vec() })
        };
        let windows = (0..self.head.windows()).map(read).collect::<Result<_, FormatError>>()?;
        Ok(Program {
            file: self.head.file.clone(),
            size: self.head.size,
            sha256: self.head.sha256.unwrap_or_default(),
            window_bytes: self.head.window_bytes,
            blob: self.head.blob.clone().unwrap_or_default(),
            windows,
        })
    }
}

impl Source for BinaryReader<'_> {
    fn head(&self) -> &Head {
        &self.head
    }

    fn window<'s>(
        &'s self,
        index: u64,
        scratch: &'s mut Scratch,
    ) -> Result<Parts<'s>, FormatError> {
        let (payload, at) = self.payload(index)?;
        let dictionary = Dictionary { bytes: self.dictionary, owner: self.owner };
        window::read(payload, at, self.head.window_len(index), &dictionary, scratch)?;
        Ok(Parts { pieces: &scratch.window.pieces, raw: &scratch.window.raw })
    }
}

/// Head and dictionary; leaves `cursor` at the first record.
fn read_head<'a>(
    cursor: &mut Cursor<'a>,
    bytes: &'a [u8],
) -> Result<(Head, &'a [u8]), FormatError> {
    cursor.magic(MAGIC)?;
    let start = cursor.clone();
    let version = cursor.u16_le()?;
    if version != VERSION {
        return Err(start.fail(Fault::Version(version.into())));
    }
    let len = cursor.u16_le()?;
    let window_bytes = cursor.u32_le()?;
    if window_bytes == 0 || window_bytes > WINDOW_MAX {
        let (value, most) = (window_bytes.into(), WINDOW_MAX.into());
        return Err(start.fail(Fault::TooMuch { what: "bytes of a window", value, most }));
    }
    let mut blob = Identity {
        size: cursor.u64_le()?,
        seed: cursor.u32_le()?,
        layout: cursor.u16_le()?,
        ..Identity::default()
    };
    let here = cursor.clone();
    blob.profile = match cursor.u16_le()? {
        0 => Profile::Prand,
        1 => Profile::Palette,
        2 => Profile::Orchard,
        value => return Err(here.fail(Fault::Unknown { what: "profile", value: value.into() })),
    };
    let dictionary_len = cursor.u32_le()?;
    if dictionary_len > DICTIONARY_MAX {
        let (value, most) = (dictionary_len.into(), DICTIONARY_MAX.into());
        return Err(here.fail(Fault::TooMuch { what: "bytes of the dictionary", value, most }));
    }
    let file = name(cursor)?;
    blob.name = name(cursor)?;
    let dictionary_crc = cursor.u32_le()?;
    let before = cursor.at() as usize;
    let sum = cursor.u32_le()?;
    if crc(&bytes[..before]) != sum {
        return Err(start.fail(Fault::Checksum("the head")));
    }
    if cursor.at() != u64::from(len) {
        let (value, want) = (len.into(), cursor.at());
        return Err(start.fail(Fault::Differs { what: "bytes of the head", value, want }));
    }
    let here = cursor.clone();
    let dictionary = cursor.take(dictionary_len as usize)?;
    if crc(dictionary) != dictionary_crc {
        return Err(here.fail(Fault::Checksum("the dictionary")));
    }
    let head = Head { file, window_bytes, blob: Some(blob), ..Head::default() };
    Ok((head, dictionary))
}

fn name(cursor: &mut Cursor<'_>) -> Result<String, FormatError> {
    let start = cursor.clone();
    let len = cursor.u16_le()?;
    if len > 4096 {
        let what = "bytes of a name";
        return Err(start.fail(Fault::TooMuch { what, value: len.into(), most: 4096 }));
    }
    let text = std::str::from_utf8(cursor.take(len.into())?);
    let text = text.map_err(|_| start.fail(Fault::Undecodable("a name that is not UTF-8")))?;
    Ok(text.to_owned())
}

fn read_trailer(bytes: &[u8], at: u64) -> Result<Trailer, FormatError> {
    let mut cursor = Cursor::within(FORMAT, bytes, at);
    let trailer = Trailer {
        size: cursor.u64_le()?,
        windows: cursor.u64_le()?,
        index_at: cursor.u64_le()?,
        sha256: cursor.array()?,
        index_crc: cursor.u32_le()?,
    };
    let before = (cursor.at() - at) as usize;
    let sum = cursor.u32_le()?;
    if cursor.magic(END).is_err() {
        let cut = "the end is not that of a program: it was cut off, or not written to its end";
        return Err(cursor.fail(Fault::Undecodable(cut)));
    }
    if crc(&bytes[..before]) != sum {
        return Err(FormatError::new(FORMAT, at, Fault::Checksum("the trailer")));
    }
    Ok(trailer)
}
