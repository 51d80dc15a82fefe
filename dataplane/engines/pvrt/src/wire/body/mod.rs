//! A window's body: its pieces, its raw bytes, and a check of the bytes that they make.
//!
//! | part | coded as |
//! |---|---|
//! | head | varint: number of pieces × 4 + coding of the raw bytes (0 stored, 1 zstd, 2 zstd with a dictionary) |
//! | dictionary | 1 byte, its number; coding 2 only |
//! | pieces | each a varint of length × 4 + op; then what the op needs |
//! | raw bytes | all that is left but 8 bytes |
//! | check | 8 bytes, little-endian: CRC-64/NVME of the window's bytes |
//!
//! A piece's length 0 means all that the window has left. Ops: 0 reference, 1 the same, xored with the
//! byte that follows, 2 the same, plus that byte, 3 raw. A reference's offset is a zigzag varint: the
//! difference, modulo 2^64, to where the reference before it ended; of the first to the transfer's
//! anchor plus the window's begin in the file. Varints hold 7 bits a byte, the lowest first.

mod pack;
mod write;

use thiserror::Error;
use zstd::zstd_safe::{DCtx, DDict};

use super::varint;
use crate::program::{Piece, Ref, Transform};
use crate::rebuild::{self, RebuildError};
use crate::space::Space;

pub use pack::{Pack, Packed};
pub use write::{BodyWriter, WriteError};

/// Bytes of the check.
pub const CHECK: usize = 8;
/// Bytes that a body may have beyond its window's.
pub const BEYOND: usize = 32;

const REF: u64 = 0;
const XOR: u64 = 1;
const ADD: u64 = 2;
const RAW: u64 = 3;

const STORED: u64 = 0;
const ZSTD: u64 = 1;
const DICTIONARY: u64 = 2;

/// The check of a window's bytes: CRC-64/NVME. It tells a wrong blob or older file from the right
/// one, not an attacker from a friend: that is what a transfer's key and the file's hash are for.
///
/// A type of its own, as what stands beside it are offsets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Check(pub u64);

impl Check {
    /// As it travels.
    #[must_use]
    #[inline]
    pub const fn to_le_bytes(self) -> [u8; CHECK] {
        self.0.to_le_bytes()
    }

    /// From how it travels.
    #[must_use]
    #[inline]
    pub const fn from_le_bytes(bytes: [u8; CHECK]) -> Self {
        Self(u64::from_le_bytes(bytes))
    }
}

/// The check of `bytes`.
#[must_use]
#[inline]
pub fn check(bytes: &[u8]) -> Check {
    Check(crc_fast::crc64_nvme(bytes))
}

/// Bytes that make no window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BodyError {
    /// They end before the body does.
    #[error("a body ends inside its {0}")]
    Short(&'static str),
    /// A coding that this version has not.
    #[error("raw bytes in coding {0}; known are 0 to 2")]
    Coding(u64),
    /// More pieces than bytes for them.
    #[error("{0} pieces cannot be in so few bytes")]
    Pieces(u64),
    /// The pieces make more or fewer bytes than the window has.
    #[error("the pieces do not make the window's {0} bytes")]
    Length(u32),
    /// Raw bytes beyond or short of what the pieces take.
    #[error("the raw pieces take {taken} bytes, there are {have}")]
    Raw {
        /// By the pieces.
        taken: u32,
        /// There are.
        have: usize,
    },
    /// No such dictionary.
    #[error("raw bytes need dictionary {0}, which the transfer does not have")]
    Dictionary(u8),
    /// The raw bytes do not unpack to what the pieces take.
    #[error("the raw bytes do not unpack to the {0} bytes that the pieces take")]
    Packed(u32),
    /// A reference points to bytes that are not here.
    #[error(transparent)]
    Rebuild(#[from] RebuildError),
    /// All fits together and makes other bytes than the sender's.
    #[error(
        "the window comes out other than the sender's: the two ends' blobs or older files differ"
    )]
    Check,
}

impl BodyError {
    /// Whether other bodies of this kind would fail as well, so that the window must come raw.
    #[must_use]
    pub const fn wants_raw(&self) -> bool {
        matches!(self, Self::Check | Self::Rebuild(_) | Self::Dictionary(_))
    }
}

/// A body taken apart; its pieces are in the list that [`Self::parse`] was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Body<'a> {
    /// How the raw bytes are coded.
    coding: Coding,
    /// The raw bytes as they are coded.
    raw: &'a [u8],
    /// Bytes that the raw pieces take.
    taken: u32,
    /// What [`check`] gives of the window.
    pub check: Check,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coding {
    Stored,
    Zstd,
    Dictionary(u8),
}

impl<'a> Body<'a> {
    /// Takes apart the body of a window of `len` bytes whose first reference is relative to `from`.
    /// Whatever `pieces` held is replaced; it grows to no more than half as many as there are bytes.
    ///
    /// # Errors
    /// Any but those of rebuilding.
    pub fn parse(
        bytes: &'a [u8],
        len: u32,
        from: u64,
        pieces: &mut Vec<Piece>,
    ) -> Result<Self, BodyError> {
        pieces.clear();
        let (mut rest, check) = bytes.split_last_chunk().ok_or(BodyError::Short("check"))?;
        let head = varint::take(&mut rest).ok_or(BodyError::Short("head"))?;
        let coding = match head & 3 {
            STORED => Coding::Stored,
            ZSTD => Coding::Zstd,
            DICTIONARY => {
                let (number, after) = rest.split_first().ok_or(BodyError::Short("head"))?;
                rest = after;
                Coding::Dictionary(*number)
            }
            unknown => return Err(BodyError::Coding(unknown)),
        };
        let taken = read_pieces(head >> 2, &mut rest, (len, from), pieces)?;
        let exact = coding != Coding::Stored || rest.len() == taken as usize;
        let empty = taken == 0 && !rest.is_empty();
        if !exact || empty {
            return Err(BodyError::Raw { taken, have: rest.len() });
        }
        Ok(Self { coding, raw: rest, taken, check: Check::from_le_bytes(*check) })
    }

    /// Makes the window from `pieces`, as [`Self::parse`] left them, in `out`, which has its length.
    ///
    /// # Errors
    /// When references point outside `space`, raw bytes do not unpack, or the check is wrong; then
    /// what is in `out` means nothing.
    pub fn rebuild(
        &self,
        pieces: &[Piece],
        space: &Space<'_>,
        unpacker: &mut Unpacker,
        dictionaries: &[Dictionary],
        out: &mut [u8],
    ) -> Result<(), BodyError> {
        if self.coding == Coding::Stored {
            rebuild::window(space, pieces, self.raw, out)?;
        } else if let [Piece::Raw(_)] = pieces {
            unpacker.unpack(self, dictionaries, out)?;
        } else {
            let mut raw = std::mem::take(&mut unpacker.raw);
            raw.resize(self.taken as usize, 0);
            let made = unpacker
                .unpack(self, dictionaries, &mut raw)
                .and_then(|()| Ok(rebuild::window(space, pieces, &raw, out)?));
            unpacker.raw = raw;
            made?;
        }
        if check(out) == self.check { Ok(()) } else { Err(BodyError::Check) }
    }
}

/// Reads `count` pieces of a window of `len` bytes; gives the bytes that its raw pieces take.
#[inline]
fn read_pieces(
    count: u64,
    rest: &mut &[u8],
    (len, mut at): (u32, u64),
    pieces: &mut Vec<Piece>,
) -> Result<u32, BodyError> {
    // A piece has a byte at least.
    if count > rest.len() as u64 || count > u64::from(len) {
        return Err(BodyError::Pieces(count));
    }
    let (mut left, mut taken) = (len, 0);
    let short = BodyError::Short("pieces");
    for _ in 0..count {
        let head = varint::take(rest).ok_or(short)?;
        let len = match head >> 2 {
            0 if left > 0 => left,
            some if some > 0 && some <= u64::from(left) => some as u32,
            _ => return Err(BodyError::Length(len)),
        };
        left -= len;
        let op = head & 3;
        if op == RAW {
            taken += len;
            pieces.push(Piece::Raw(len));
            continue;
        }
        let mut transform = Transform::Identity;
        if op != REF {
            let (imm, after) = rest.split_first().ok_or(short)?;
            *rest = after;
            transform = if op == XOR { Transform::Xor(*imm) } else { Transform::Add(*imm) };
        }
        let delta = varint::unzigzag(varint::take(rest).ok_or(short)?);
        let offset = at.wrapping_add_signed(delta);
        at = offset.wrapping_add(u64::from(len));
        pieces.push(Piece::Ref(Ref { offset, len, transform }));
    }
    if left == 0 { Ok(taken) } else { Err(BodyError::Length(len)) }
}

/// A zstd dictionary that both ends have.
pub struct Dictionary(DDict<'static>);

impl std::fmt::Debug for Dictionary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dictionary").field("id", &self.0.get_dict_id()).finish()
    }
}

impl Dictionary {
    /// A dictionary of zstd's format, or any bytes that such files often hold; `None` when there is
    /// no memory for it or it is of that format and broken.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Option<Self> {
        DDict::try_create(bytes).map(Self)
    }
}

/// Unpacks raw bytes; one for each thread.
pub struct Unpacker {
    context: DCtx<'static>,
    /// Raw bytes of a window that has references, too.
    raw: Vec<u8>,
}

impl std::fmt::Debug for Unpacker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Unpacker").field("raw", &self.raw.len()).finish_non_exhaustive()
    }
}

impl Default for Unpacker {
    fn default() -> Self {
        Self { context: DCtx::create(), raw: Vec::new() }
    }
}

impl Unpacker {
    fn unpack(
        &mut self,
        body: &Body<'_>,
        dictionaries: &[Dictionary],
        out: &mut [u8],
    ) -> Result<(), BodyError> {
        let unpacked = match body.coding {
            Coding::Dictionary(number) => {
                let known = dictionaries.get(usize::from(number));
                let Dictionary(known) = known.ok_or(BodyError::Dictionary(number))?;
                self.context.decompress_using_ddict(out, body.raw, known)
            }
            _ => self.context.decompress(out, body.raw),
        };
        let whole = unpacked == Ok(body.taken as usize);
        if whole { Ok(()) } else { Err(BodyError::Packed(body.taken)) }
    }
}

#[cfg(test)]
mod tests;
