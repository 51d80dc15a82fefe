//! A window's payload.

use zstd::bulk::{Compressor, Decompressor};

use super::FORMAT;
use super::writer::WriteError;
use crate::formats::cursor::{Cursor, put_uvarint, unzigzag, zigzag};
use crate::formats::error::{Fault, FormatError};
use crate::program::{Piece, Ref, Transform, Window};
use crate::rebuild::{Scratch, WINDOW_MAX};

const PLAIN: u8 = 0;
const ZSTD: u8 = 1;
const ZSTD_DICTIONARY: u8 = 2;
/// Raw bytes from which compression is tried: below, its frame alone costs what it saves.
const COMPRESSED: usize = 24;

/// A window as payload.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EncodedWindow {
    pub(super) payload: Vec<u8>,
    /// Bytes of the file that it makes.
    pub(super) made: u32,
}

impl EncodedWindow {
    /// The payload, without length and check sum.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }
}

/// Makes payloads: one per thread.
pub struct WindowEncoder {
    zstd: Compressor<'static>,
    method: u8,
    packed: Vec<u8>,
}

impl std::fmt::Debug for WindowEncoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WindowEncoder").field("method", &self.method).finish_non_exhaustive()
    }
}

impl WindowEncoder {
    /// Compresses raw bytes by zstd's `level` (1 to 22), with the dictionary of the file that the
    /// payloads are for, where it has one.
    ///
    /// # Errors
    /// When zstd has no memory.
    pub fn new(level: i32, dictionary: &[u8]) -> std::io::Result<Self> {
        let mut zstd = if dictionary.is_empty() {
            Compressor::new(level)?
        } else {
            Compressor::with_dictionary(level, dictionary)?
        };
        // The payload has a check sum and lengths of its own.
        zstd.include_checksum(false)?;
        zstd.include_contentsize(false)?;
        zstd.include_dictid(false)?;
        let method = if dictionary.is_empty() { ZSTD } else { ZSTD_DICTIONARY };
        Ok(Self { zstd, method, packed: Vec::new() })
    }

    /// The payload of `window`.
    ///
    /// # Errors
    /// When the window is longer than [`WINDOW_MAX`], has empty pieces, or other raw bytes than
    /// its pieces take.
    pub fn encode(&mut self, window: &Window) -> Result<EncodedWindow, WriteError> {
        let bytes = window.bytes();
        if bytes > u64::from(WINDOW_MAX) {
            return Err(WriteError::Window("is longer than 16 MiB"));
        }
        let mut payload = Vec::with_capacity(16 + 8 * window.pieces.len() + window.raw.len());
        put_uvarint(window.pieces.len() as u64, &mut payload);
        let (mut taken, mut end) = (0_usize, 0_u64);
        for piece in &window.pieces {
            if piece.is_empty() {
                return Err(WriteError::Window("has an empty piece"));
            }
            put_piece(piece, &mut end, &mut payload);
            if let Piece::Raw(len) = piece {
                taken += *len as usize;
            }
        }
        if taken != window.raw.len() {
            return Err(WriteError::Window("has other raw bytes than its pieces take"));
        }
        self.put_raw(&window.raw, &mut payload)?;
        Ok(EncodedWindow { payload, made: bytes as u32 })
    }

    fn put_raw(&mut self, raw: &[u8], payload: &mut Vec<u8>) -> Result<(), WriteError> {
        if raw.is_empty() {
            return Ok(());
        }
        if raw.len() >= COMPRESSED {
            self.packed.clear();
            self.packed.reserve(zstd::zstd_safe::compress_bound(raw.len()));
            self.zstd.compress_to_buffer(raw, &mut self.packed).map_err(WriteError::Compress)?;
            if self.packed.len() < raw.len() {
                payload.push(self.method);
                payload.extend_from_slice(&self.packed);
                return Ok(());
            }
        }
        payload.push(PLAIN);
        payload.extend_from_slice(raw);
        Ok(())
    }
}

fn put_piece(piece: &Piece, end: &mut u64, payload: &mut Vec<u8>) {
    let (kind, imm) = match piece {
        Piece::Raw(_) => (0, None),
        Piece::Ref(at) => match at.transform {
            Transform::Identity => (1, None),
            Transform::Xor(imm) => (2, Some(imm)),
            Transform::Add(imm) => (3, Some(imm)),
        },
    };
    put_uvarint(u64::from(piece.len()) << 2 | kind, payload);
    payload.extend(imm);
    if let Piece::Ref(at) = piece {
        put_uvarint(zigzag(at.offset.wrapping_sub(*end).cast_signed()), payload);
        *end = at.offset.wrapping_add(u64::from(at.len));
    }
}

/// What a reader's [`Scratch`] keeps tables for: the dictionary, and who it belongs to.
pub(super) struct Dictionary<'a> {
    pub(super) bytes: &'a [u8],
    /// Different for each reader in the process.
    pub(super) owner: u64,
}

/// Reads a payload that makes `want` bytes into `scratch`; `at` is its offset in the file.
pub(super) fn read(
    payload: &[u8],
    at: u64,
    want: usize,
    dictionary: &Dictionary<'_>,
    scratch: &mut Scratch,
) -> Result<(), FormatError> {
    let mut cursor = Cursor::within(FORMAT, payload, at);
    let count = cursor.uvarint()?;
    let count = cursor.count(count, 1, "number of pieces")?;
    let window = &mut scratch.window;
    window.pieces.clear();
    window.pieces.reserve(count);
    let (mut made, mut raw, mut end) = (0_u64, 0_u64, 0_u64);
    for _ in 0..count {
        let piece = read_piece(&mut cursor, &mut end, want as u64 - made)?;
        made += u64::from(piece.len());
        if let Piece::Raw(len) = piece {
            raw += u64::from(len);
        }
        window.pieces.push(piece);
    }
    if made != want as u64 {
        let what = "length of the window's pieces";
        return Err(cursor.fail(Fault::Differs { what, value: made, want: want as u64 }));
    }
    read_raw(cursor, raw as usize, dictionary, scratch)
}

fn read_piece(cursor: &mut Cursor<'_>, end: &mut u64, room: u64) -> Result<Piece, FormatError> {
    let start = cursor.clone();
    let head = cursor.uvarint()?;
    let long = head >> 2;
    if long == 0 {
        return Err(start.fail(Fault::Unknown { what: "a piece of length", value: 0 }));
    }
    if long > room {
        let what = "length of a piece";
        return Err(start.fail(Fault::TooMuch { what, value: long, most: room }));
    }
    let len = long as u32;
    let transform = match head & 3 {
        0 => return Ok(Piece::Raw(len)),
        1 => Transform::Identity,
        2 => Transform::Xor(cursor.u8()?),
        _ => Transform::Add(cursor.u8()?),
    };
    let offset = end.wrapping_add(unzigzag(cursor.uvarint()?).cast_unsigned());
    *end = offset.wrapping_add(u64::from(len));
    Ok(Piece::Ref(Ref { offset, len, transform }))
}

/// Reads `len` raw bytes, at most a window's.
fn read_raw(
    mut cursor: Cursor<'_>,
    len: usize,
    dictionary: &Dictionary<'_>,
    scratch: &mut Scratch,
) -> Result<(), FormatError> {
    scratch.window.raw.clear();
    if len == 0 {
        return cursor.finish();
    }
    let start = cursor.clone();
    let method = cursor.u8()?;
    let packed = cursor.take(cursor.left())?;
    let differs = |value: usize| {
        let what = "number of raw bytes";
        start.fail(Fault::Differs { what, value: value as u64, want: len as u64 })
    };
    if method == PLAIN {
        if packed.len() != len {
            return Err(differs(packed.len()));
        }
        scratch.window.raw.extend_from_slice(packed);
        return Ok(());
    }
    let owner = match method {
        ZSTD => 0,
        ZSTD_DICTIONARY if !dictionary.bytes.is_empty() => dictionary.owner,
        other => {
            let what = "the method of raw bytes";
            return Err(start.fail(Fault::Unknown { what, value: other.into() }));
        }
    };
    let broken = |_| start.fail(Fault::Undecodable("raw bytes that zstd cannot decompress"));
    let zstd = match &mut scratch.zstd {
        Some((of, zstd)) if *of == owner => zstd,
        other => {
            let bytes = if owner == 0 { &[] } else { dictionary.bytes };
            let fresh = Decompressor::with_dictionary(bytes).map_err(broken)?;
            &mut other.insert((owner, fresh)).1
        }
    };
    scratch.window.raw.reserve_exact(len);
    // The capacity is what bounds the decompressor: it may be more than `len`, hence the test.
    let got = zstd.decompress_to_buffer(packed, &mut scratch.window.raw).map_err(broken)?;
    if got == len { Ok(()) } else { Err(differs(got)) }
}
