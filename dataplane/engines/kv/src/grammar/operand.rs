//! Byte operands: as they are, or in hexadecimal digits behind an `x`.

use std::borrow::Cow;

use super::GrammarError;

/// Bytes that a line names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operand<'a> {
    /// The bytes themselves.
    Raw(&'a [u8]),
    /// Pairs of hexadecimal digits, checked.
    Hex(Digits<'a>),
}

/// An even number of hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digits<'a>(&'a [u8]);

impl<'a> Operand<'a> {
    /// No bytes: the prefix of every key.
    pub const EMPTY: Self = Operand::Raw(b"");

    /// Reads `field`: a leading `x` announces hexadecimal digits, unless it is all there is.
    ///
    /// # Errors
    /// [`GrammarError::HexByte`] and [`GrammarError::HexLength`], for whichever comes first.
    pub fn parse(field: &'a [u8]) -> Result<Self, GrammarError> {
        match field {
            [b'x', digits @ ..] if !digits.is_empty() => {
                if let Some(&other) = digits.iter().find(|digit| !digit.is_ascii_hexdigit()) {
                    return Err(GrammarError::HexByte(other));
                }
                if !digits.len().is_multiple_of(2) {
                    return Err(GrammarError::HexLength);
                }
                Ok(Self::Hex(Digits(digits)))
            }
            _ => Ok(Self::Raw(field)),
        }
    }

    /// Reads `field` where `*` stands for no bytes.
    pub(super) fn parse_starred(field: &'a [u8]) -> Result<Self, GrammarError> {
        if field == b"*" { Ok(Self::EMPTY) } else { Self::parse(field) }
    }

    /// Number of bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Raw(bytes) => bytes.len(),
            Self::Hex(Digits(digits)) => digits.len() / 2,
        }
    }

    /// Whether there are no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes; digits are decoded.
    #[must_use]
    pub fn bytes(&self) -> Cow<'a, [u8]> {
        match *self {
            Self::Raw(bytes) => Cow::Borrowed(bytes),
            Self::Hex(_) => {
                let mut decoded = Vec::new();
                self.append_to(&mut decoded);
                Cow::Owned(decoded)
            }
        }
    }

    /// Appends the bytes to `out`.
    pub fn append_to(&self, out: &mut Vec<u8>) {
        match *self {
            Self::Raw(bytes) => out.extend_from_slice(bytes),
            Self::Hex(Digits(digits)) => {
                out.extend(
                    digits.chunks_exact(2).map(|pair| nibble(pair[0]) << 4 | nibble(pair[1])),
                );
            }
        }
    }
}

/// The value of a hexadecimal digit.
fn nibble(digit: u8) -> u8 {
    // '0'..'9' end in their value; 'a'..'f' and 'A'..'F' in 1 to 6, and have bit 6 set.
    (digit & 0x0f) + 9 * (digit >> 6)
}

/// Each byte's two digits.
const DIGITS: [[u8; 2]; 256] = {
    let digits = b"0123456789abcdef";
    let mut table = [[0; 2]; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = [digits[byte >> 4], digits[byte & 15]];
        byte += 1;
    }
    table
};

/// Appends `bytes` in lower-case hexadecimal digits.
pub(super) fn append_hex(out: &mut Vec<u8>, bytes: &[u8]) {
    let had = out.len();
    out.resize(had + bytes.len() * 2, 0);
    for (pair, &byte) in out[had..].as_chunks_mut::<2>().0.iter_mut().zip(bytes) {
        *pair = DIGITS[byte as usize];
    }
}
