//! Packed blueprints: PBB2, and as far as it can be read, PBB1.
//!
//! | part | content |
//! |---|---|
//! | magic | `PBB2` |
//! | u8 flags | 1: SHA-256 of the file is there; 2: raw bytes are there |
//! | int | number of segments |
//! | segments | u8 op (0 id, 1 xor, 2 add, 3 raw), int offset (not for raw), int length, u8 immediate (xor and add) |
//! | 32 bytes | SHA-256, by flag |
//! | the rest | bytes of the raw segments, in order, by flag |
//!
//! An int is a byte n, and for n = 0 LEB128, for n = 1 to 13 as many digits of five bits, lowest
//! first, packed from the lowest bit of the first byte on: the number as little-endian in as many
//! bytes as its digits need. Of the two the shorter is written, LEB128 where they are alike, and
//! nothing else is read.
//!
//! PBB1 has no flags, and its digits come without their number, marked by 1: what was written so
//! cannot be read by anybody. Other numbers are written as here, and a PBB1 of such alone is read.

use super::pieces::raw_bytes;
use crate::formats::cursor::{Cursor, put_uvarint};
use crate::formats::error::{Fault, FormatError};
use crate::program::{Piece, Ref, Transform};

const FORMAT: &str = "packed blueprint";
const PBB1: &[u8; 4] = b"PBB1";
const PBB2: &[u8; 4] = b"PBB2";
const WITH_SHA256: u8 = 1;
const WITH_RAW: u8 = 2;
/// Digits of 64 bits.
const DIGITS: u8 = 13;

/// A packed blueprint's content.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Packed {
    /// Segments, in order.
    pub pieces: Vec<Piece>,
    /// SHA-256 of the file.
    pub sha256: Option<[u8; 32]>,
    /// Bytes of the raw segments; without them only who has the file knows what they are.
    pub raw: Option<Vec<u8>>,
}

impl Packed {
    /// Whether `bytes` begin as one of the two.
    #[must_use]
    pub fn is(bytes: &[u8]) -> bool {
        bytes.starts_with(PBB1) || bytes.starts_with(PBB2)
    }

    /// Reads all of `bytes`, PBB2 or PBB1.
    ///
    /// # Errors
    /// When they are not exactly one, or a PBB1 that cannot be decoded.
    pub fn read(bytes: &[u8]) -> Result<Self, FormatError> {
        let mut cursor = Cursor::new(FORMAT, bytes);
        let first = bytes.starts_with(PBB1);
        cursor.magic(if first { PBB1 } else { PBB2 })?;
        let flags = if first { 0 } else { cursor.u8()? };
        if flags > WITH_SHA256 | WITH_RAW {
            return Err(cursor.fail(Fault::Unknown { what: "flags", value: flags.into() }));
        }
        let int = if first { take_first } else { take_int };
        let count = int(&mut cursor)?;
        // The shortest is op and two bytes of length.
        let count = cursor.count(count, 3, "number of segments")?;
        let mut pieces = Vec::with_capacity(count);
        for _ in 0..count {
            pieces.push(take_piece(&mut cursor, int)?);
        }
        let sha256 = if flags & WITH_SHA256 == 0 { None } else { Some(cursor.array()?) };
        let raw = if flags & WITH_RAW == 0 {
            None
        } else {
            let need = usize::try_from(raw_bytes(&pieces)).unwrap_or(usize::MAX);
            Some(cursor.take(need)?.to_vec())
        };
        cursor.finish()?;
        Ok(Self { pieces, sha256, raw })
    }

    /// The packed form, as PBB2. Raw bytes of another length than the raw segments' are left out.
    #[must_use]
    pub fn write(&self) -> Vec<u8> {
        let raw = self.raw.as_ref().filter(|raw| raw.len() as u64 == raw_bytes(&self.pieces));
        let mut out = PBB2.to_vec();
        let flag = |is: bool, flag: u8| if is { flag } else { 0 };
        out.push(flag(self.sha256.is_some(), WITH_SHA256) | flag(raw.is_some(), WITH_RAW));
        put_int(self.pieces.len() as u64, &mut out);
        for piece in &self.pieces {
            put_piece(piece, &mut out);
        }
        out.extend(self.sha256.iter().flatten());
        out.extend(raw.into_iter().flatten());
        out
    }
}

fn put_piece(piece: &Piece, out: &mut Vec<u8>) {
    let Piece::Ref(at) = piece else {
        out.push(3);
        return put_int(piece.len().into(), out);
    };
    let (op, imm) = match at.transform {
        Transform::Identity => (0, None),
        Transform::Xor(imm) => (1, Some(imm)),
        Transform::Add(imm) => (2, Some(imm)),
    };
    out.push(op);
    put_int(at.offset, out);
    put_int(at.len.into(), out);
    out.extend(imm);
}

type TakeInt = fn(&mut Cursor<'_>) -> Result<u64, FormatError>;

fn take_piece(cursor: &mut Cursor<'_>, int: TakeInt) -> Result<Piece, FormatError> {
    let start = cursor.clone();
    let op = cursor.u8()?;
    let offset = if op < 3 { int(cursor)? } else { 0 };
    let at_len = cursor.clone();
    let long = int(cursor)?;
    let most = u64::from(u32::MAX);
    if long == 0 || long > most {
        let what = "length of a segment";
        return Err(at_len.fail(Fault::TooMuch { what, value: long, most }));
    }
    let len = long as u32;
    let transform = match op {
        0 => Transform::Identity,
        1 => Transform::Xor(cursor.u8()?),
        2 => Transform::Add(cursor.u8()?),
        3 => return Ok(Piece::Raw(len)),
        value => return Err(start.fail(Fault::Unknown { what: "op", value: value.into() })),
    };
    Ok(Piece::Ref(Ref { offset, len, transform }))
}

/// The shorter form of an int.
fn put_int(value: u64, out: &mut Vec<u8>) {
    let bits = u64::BITS - value.leading_zeros();
    let digits = bits.div_ceil(5);
    let bytes = (5 * digits).div_ceil(8) as usize;
    let longer = bits.max(1).div_ceil(7) as usize;
    if digits > 0 && bytes < longer {
        out.push(digits as u8);
        out.extend_from_slice(&u128::from(value).to_le_bytes()[..bytes]);
    } else {
        out.push(0);
        put_uvarint(value, out);
    }
}

fn take_int(cursor: &mut Cursor<'_>) -> Result<u64, FormatError> {
    let start = cursor.clone();
    let digits = cursor.u8()?;
    let value = match digits {
        0 => cursor.uvarint()?,
        1..=DIGITS => {
            let mut value = [0; 16];
            let bytes = (5 * usize::from(digits)).div_ceil(8);
            value[..bytes].copy_from_slice(cursor.take(bytes)?);
            let wide = Fault::Undecodable("an integer of more than 64 bits");
            u64::try_from(u128::from_le_bytes(value)).map_err(|_| start.fail(wide))?
        }
        value => return Err(start.fail(Fault::Unknown { what: "form", value: value.into() })),
    };
    // Each number has one form.
    let mut form = Vec::with_capacity(12);
    put_int(value, &mut form);
    if form[0] != digits || form.len() as u64 != cursor.at() - start.at() {
        let longer = "an integer is not written in its shortest form";
        return Err(start.fail(Fault::Undecodable(longer)));
    }
    Ok(value)
}

/// An int of PBB1.
fn take_first(cursor: &mut Cursor<'_>) -> Result<u64, FormatError> {
    let start = cursor.clone();
    match cursor.u8()? {
        0 => cursor.uvarint(),
        1 => Err(start.fail(Fault::Undecodable(
            "PBB1 packs this number by five bits without saying how many digits it has, which \
             nobody can decode; plan the file again",
        ))),
        value => Err(start.fail(Fault::Unknown { what: "form", value: value.into() })),
    }
}
