//! References of 13 bytes.

use crate::formats::cursor::Cursor;
use crate::formats::error::{Fault, FormatError, Unwritable};
use crate::program::{Ref, Transform};

/// Flag: the offset is signed, and counts from the middle of the blob.
pub const OFFSET_FROM_ANCHOR: u8 = 1;

/// A reference as POX1 and IPROG hold it.
///
/// Flags: bit 0 is [`OFFSET_FROM_ANCHOR`]; bits 1 and 2 say what is done to the bytes (0 nothing, 1
/// xor, 2 add, 3 reserved); bits 3 to 7 are the immediate, 0 to 31.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bref {
    /// Address, or signed distance from the anchor.
    pub offset: u64,
    /// Bytes.
    pub len: u32,
    /// Any, also those that mean nothing; [`Self::resolve`] refuses them.
    pub flags: u8,
}

impl Bref {
    /// Its size in a container.
    pub const BYTES: usize = 13;
    /// Largest immediate.
    pub const IMMEDIATE_MAX: u8 = 31;

    pub(in crate::formats) fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.offset.to_be_bytes());
        out.extend_from_slice(&self.len.to_be_bytes());
        out.push(self.flags);
    }

    pub(in crate::formats) fn take(cursor: &mut Cursor<'_>) -> Result<Self, FormatError> {
        Ok(Self { offset: cursor.u64_be()?, len: cursor.u32_be()?, flags: cursor.u8()? })
    }

    /// What is done to its bytes.
    ///
    /// # Errors
    /// With the reserved operation, or an immediate where nothing is done.
    pub fn transform(&self) -> Result<Transform, Fault> {
        let imm = self.flags >> 3;
        match self.flags >> 1 & 3 {
            0 if imm == 0 => Ok(Transform::Identity),
            1 => Ok(Transform::Xor(imm)),
            2 => Ok(Transform::Add(imm)),
            _ => Err(Fault::Unknown { what: "flags of a reference", value: self.flags.into() }),
        }
    }

    /// What it means with a blob of `blob` bytes: one reference, or more where it runs over the
    /// blob's end, since the original reads on at its begin. Each is appended to `to`.
    ///
    /// # Errors
    /// When flags mean nothing, it is empty, begins outside the blob, or is longer than the blob.
    pub fn resolve(&self, blob: u64, to: &mut Vec<Ref>) -> Result<(), Fault> {
        let transform = self.transform()?;
        if self.len == 0 {
            return Err(Fault::Unknown { what: "a reference of length", value: 0 });
        }
        if u64::from(self.len) > blob {
            let what = "length of a reference";
            return Err(Fault::TooMuch { what, value: self.len.into(), most: blob });
        }
        let offset = if self.flags & OFFSET_FROM_ANCHOR == 0 {
            self.offset
        } else {
            let anchor = i128::from(blob / 2) + i128::from(self.offset.cast_signed());
            // Below the blob's size, which is 64 bits.
            anchor.rem_euclid(i128::from(blob)) as u64
        };
        let Some(room) = blob.checked_sub(offset).filter(|&room| room > 0) else {
            let what = "offset of a reference";
            return Err(Fault::TooMuch { what, value: offset, most: blob - 1 });
        };
        let first = u64::from(self.len).min(room) as u32;
        to.push(Ref { offset, len: first, transform });
        if first < self.len {
            to.push(Ref { offset: 0, len: self.len - first, transform });
        }
        Ok(())
    }
}

impl TryFrom<Ref> for Bref {
    type Error = Unwritable;

    /// # Errors
    /// When the immediate is above [`Bref::IMMEDIATE_MAX`].
    fn try_from(at: Ref) -> Result<Self, Unwritable> {
        let (op, imm) = match at.transform {
            Transform::Identity => (0, 0),
            Transform::Xor(imm) => (1, imm),
            Transform::Add(imm) => (2, imm),
        };
        if imm > Self::IMMEDIATE_MAX {
            return Err(Unwritable::TooMuch {
                format: super::FORMAT,
                what: "immediate of a reference",
                value: imm.into(),
                most: Self::IMMEDIATE_MAX.into(),
            });
        }
        Ok(Self { offset: at.offset, len: at.len, flags: op << 1 | imm << 3 })
    }
}
