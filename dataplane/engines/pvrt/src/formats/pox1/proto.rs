//! References packed bit by bit, and the sync unit behind them.

use super::FORMAT;
use crate::formats::cursor::Cursor;
use crate::formats::error::{Fault, FormatError, Unwritable};

/// First byte of a sync unit.
pub const SYNC: u8 = 0xf0;
/// Bytes of a sync unit: [`SYNC`], u16 window, u16 check sum.
const SYNC_BYTES: usize = 5;

/// Which of three tables references mean.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tier {
    /// 00
    #[default]
    First,
    /// 01
    Second,
    /// 10
    Third,
}

/// Bits of a reference. The content does not tell it: both ends know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Width {
    /// 8 bits.
    #[default]
    Byte,
    /// 16 bits.
    Half,
    /// 32 bits.
    Word,
}

impl Width {
    pub(super) const fn bytes(self) -> usize {
        match self {
            Self::Byte => 1,
            Self::Half => 2,
            Self::Word => 4,
        }
    }
}

/// The content of a PROTO section: two bits of tier, then references, most significant bit first,
/// and zeros up to a whole byte. When the number of references is a multiple of 2^`window_pow2`, and
/// not 0, a sync unit follows: [`SYNC`], u16 window, u16 [`crc16`] of the references as bytes, most
/// significant first.
///
/// The original looks for the first byte of [`SYNC`]'s value anywhere, and so takes references for
/// sync units; here the number of references, which the length tells, says whether there is one, and where two
/// numbers fit the length, the check sum does.
/// It also reads wide references in the host's order; these are numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proto {
    /// Which table.
    pub tier: Tier,
    /// Bits of each.
    pub width: Width,
    /// References, each below 2 to the power of the width.
    pub refs: Vec<u32>,
    /// The window's number, in the sync unit where there is one.
    pub window: Option<u16>,
}

impl Proto {
    /// The original's number of references between sync units, as power of 2.
    pub const WINDOW_POW2: u32 = 16;

    /// The packed form, sync unit included where the number of references asks for one.
    ///
    /// # Errors
    /// When a reference is too wide, or `window` is there and no sync unit is due, or the other way
    /// round.
    pub fn write(&self, window_pow2: u32) -> Result<Vec<u8>, Unwritable> {
        let due = is_due(self.refs.len(), window_pow2);
        if due != self.window.is_some() {
            let what = "a window's number goes into the sync unit, which comes exactly after a \
                        multiple of 2^window_pow2 references";
            return Err(Unwritable::NoPlace { format: FORMAT, what });
        }
        let bits = 8 * self.width.bytes() as u32;
        let mut out = Vec::with_capacity(1 + self.refs.len() * self.width.bytes() + SYNC_BYTES);
        // The six low bits of the last byte are always open: widths are whole bytes.
        out.push((self.tier as u8) << 6);
        for &value in &self.refs {
            if u64::from(value) >> bits != 0 {
                let (value, most) = (value.into(), (1_u64 << bits) - 1);
                let what = "a packed reference";
                return Err(Unwritable::TooMuch { format: FORMAT, what, value, most });
            }
            for byte in &value.to_be_bytes()[4 - self.width.bytes()..] {
                let open = out.len() - 1;
                out[open] |= byte >> 2;
                out.push(byte << 6);
            }
        }
        if let Some(window) = self.window {
            let sum = crc16(&self.bytes());
            out.push(SYNC);
            out.extend_from_slice(&window.to_be_bytes());
            out.extend_from_slice(&sum.to_be_bytes());
        } else if Self::read(&out, self.width, window_pow2).as_ref() != Ok(self) {
            let what = "the last five of these references would be taken for a sync unit";
            return Err(Unwritable::NoPlace { format: FORMAT, what });
        }
        Ok(out)
    }

    /// The references as bytes, most significant first.
    fn bytes(&self) -> Vec<u8> {
        let skip = 4 - self.width.bytes();
        self.refs.iter().flat_map(|value| value.to_be_bytes().into_iter().skip(skip)).collect()
    }

    /// Reads all of `bytes`, references of `width`.
    ///
    /// # Errors
    /// When the length fits no number of references, the tier or the bits after the last one mean
    /// nothing, or the sync unit is damaged.
    pub fn read(bytes: &[u8], width: Width, window_pow2: u32) -> Result<Self, FormatError> {
        let refs = |bytes: usize| {
            let bytes = bytes.checked_sub(1)?;
            bytes.is_multiple_of(width.bytes()).then_some(bytes / width.bytes())
        };
        let synced = bytes.len().checked_sub(SYNC_BYTES).and_then(refs);
        let synced = synced.filter(|&refs| is_due(refs, window_pow2));
        let plain = refs(bytes.len()).filter(|&refs| !is_due(refs, window_pow2));
        let odd = Fault::Undecodable("the length of packed references fits no number of them");
        match (synced, plain) {
            (None, None) => Err(FormatError::new(FORMAT, 0, odd)),
            (None, Some(refs)) => Self::read_as(bytes, width, refs, false),
            (Some(refs), None) => Self::read_as(bytes, width, refs, true),
            // Bytes of five more references, or a sync unit: its check sum decides.
            (Some(fewer), Some(refs)) => Self::read_as(bytes, width, fewer, true)
                .or_else(|_| Self::read_as(bytes, width, refs, false)),
        }
    }

    fn read_as(bytes: &[u8], width: Width, refs: usize, synced: bool) -> Result<Self, FormatError> {
        let mut cursor = Cursor::new(FORMAT, bytes);
        let start = cursor.clone();
        let packed = cursor.take(1 + refs * width.bytes())?;
        let tier = match packed[0] >> 6 {
            0 => Tier::First,
            1 => Tier::Second,
            2 => Tier::Third,
            value => return Err(start.fail(Fault::Unknown { what: "tier", value: value.into() })),
        };
        if packed[packed.len() - 1] & 0x3f != 0 {
            let at = packed.len() as u64 - 1;
            return Err(FormatError::new(FORMAT, at, Fault::Undecodable(OPEN_BITS)));
        }
        let joined = packed.windows(2).map(|pair| pair[0] << 2 | pair[1] >> 6).collect::<Vec<_>>();
        let number = |bytes: &[u8]| bytes.iter().fold(0, |sum, &byte| sum << 8 | u32::from(byte));
        let refs = joined.chunks_exact(width.bytes()).map(number).collect();
        let window = if synced { Some(read_sync(&mut cursor, &joined)?) } else { None };
        cursor.finish()?;
        Ok(Self { tier, width, refs, window })
    }
}

const OPEN_BITS: &str = "bits after the last reference are not zero";

fn is_due(refs: usize, window_pow2: u32) -> bool {
    let every = 1_usize.checked_shl(window_pow2).unwrap_or(usize::MAX);
    refs != 0 && refs.is_multiple_of(every)
}

fn read_sync(cursor: &mut Cursor<'_>, refs: &[u8]) -> Result<u16, FormatError> {
    let start = cursor.clone();
    let head = cursor.u8()?;
    if head != SYNC {
        return Err(start.fail(Fault::Unknown { what: "a sync unit of", value: head.into() }));
    }
    let window = cursor.u16_be()?;
    if cursor.u16_be()? != crc16(refs) {
        return Err(start.fail(Fault::Checksum("the packed references")));
    }
    Ok(window)
}

/// CRC-16/CCITT-FALSE: polynomial 0x1021, begins with 0xffff, nothing reflected.
#[must_use]
pub fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0xffff, |sum, &byte| {
        (0..8).fold(sum ^ (u16::from(byte) << 8), |sum, _| {
            sum << 1 ^ if sum & 0x8000 != 0 { 0x1021 } else { 0 }
        })
    })
}
