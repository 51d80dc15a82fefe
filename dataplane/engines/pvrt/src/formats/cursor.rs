//! Reading fields off a slice; integers of variable length.

use super::error::{Fault, FormatError};

/// A place in an input.
#[derive(Clone, Debug)]
pub(crate) struct Cursor<'a> {
    format: &'static str,
    bytes: &'a [u8],
    at: usize,
    /// Offset of `bytes` in the whole input, for errors.
    base: u64,
}

macro_rules! integers {
    ($($name:ident $integer:ident $from:ident),*) => {$(
        pub(crate) fn $name(&mut self) -> Result<$integer, FormatError> {
            Ok($integer::$from(self.array()?))
        }
    )*};
}

impl<'a> Cursor<'a> {
    pub(crate) const fn new(format: &'static str, bytes: &'a [u8]) -> Self {
        Self { format, bytes, at: 0, base: 0 }
    }

    /// For a part of an input that begins at `base`.
    pub(crate) const fn within(format: &'static str, bytes: &'a [u8], base: u64) -> Self {
        Self { format, bytes, at: 0, base }
    }

    /// Offset in the whole input.
    pub(crate) const fn at(&self) -> u64 {
        self.base + self.at as u64
    }

    pub(crate) const fn left(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// An error at the place.
    pub(crate) const fn fail(&self, fault: Fault) -> FormatError {
        FormatError::new(self.format, self.at(), fault)
    }

    pub(crate) fn take(&mut self, len: usize) -> Result<&'a [u8], FormatError> {
        let have = self.left() as u64;
        let short = self.fail(Fault::Truncated { need: len as u64, have });
        let end = self.at.checked_add(len).ok_or_else(|| short.clone())?;
        let taken = self.bytes.get(self.at..end).ok_or(short)?;
        self.at = end;
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], FormatError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    integers!(
        u8 u8 from_be_bytes,
        u16_be u16 from_be_bytes, u32_be u32 from_be_bytes, u64_be u64 from_be_bytes,
        u16_le u16 from_le_bytes, u32_le u32 from_le_bytes, u64_le u64 from_le_bytes
    );

    /// Checks the bytes that say what follows.
    pub(crate) fn magic(&mut self, magic: &[u8]) -> Result<(), FormatError> {
        if self.bytes[self.at..].starts_with(magic) {
            self.at += magic.len();
            return Ok(());
        }
        let left = &self.bytes[self.at..];
        if magic.starts_with(left) {
            let need = magic.len() as u64;
            return Err(self.fail(Fault::Truncated { need, have: left.len() as u64 }));
        }
        Err(self.fail(Fault::Magic))
    }

    /// LEB128 without needless bytes.
    pub(crate) fn uvarint(&mut self) -> Result<u64, FormatError> {
        let start = self.clone();
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            let bits = u64::from(byte & 0x7f);
            if bits << shift >> shift != bits {
                return Err(start.fail(Fault::Undecodable("an integer of more than 64 bits")));
            }
            value |= bits << shift;
            if byte < 0x80 {
                if byte == 0 && shift > 0 {
                    let longer = "an integer is written longer than it needs to be";
                    return Err(start.fail(Fault::Undecodable(longer)));
                }
                return Ok(value);
            }
        }
        Err(start.fail(Fault::Undecodable("an integer of more than 64 bits")))
    }

    /// A number of `what` that take at least `least` bytes each of what is left.
    pub(crate) fn count(
        &self,
        value: u64,
        least: usize,
        what: &'static str,
    ) -> Result<usize, FormatError> {
        let most = (self.left() / least) as u64;
        if value > most {
            return Err(self.fail(Fault::TooMuch { what, value, most }));
        }
        Ok(value as usize)
    }

    /// Nothing may follow.
    pub(crate) fn finish(self) -> Result<(), FormatError> {
        match self.left() {
            0 => Ok(()),
            left => Err(self.fail(Fault::Trailing(left as u64))),
        }
    }
}

/// Appends LEB128.
pub(crate) fn put_uvarint(mut value: u64, to: &mut Vec<u8>) {
    while value >= 0x80 {
        to.push(value as u8 | 0x80);
        value >>= 7;
    }
    to.push(value as u8);
}

/// Signed numbers so that small ones of either sign are small.
pub(crate) const fn zigzag(value: i64) -> u64 {
    (value.cast_unsigned() << 1) ^ (value >> 63).cast_unsigned()
}

/// Inverse of [`zigzag`].
pub(crate) const fn unzigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -((value & 1).cast_signed())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(bytes: &[u8]) -> Result<u64, FormatError> {
        Cursor::new("test", bytes).uvarint()
    }

    #[test]
    fn integers_that_are_too_long_are_refused() {
        let most = [[0xff; 9].as_slice(), &[1]].concat();
        assert_eq!(read(&most), Ok(u64::MAX));
        assert!(read(&[[0xff; 9].as_slice(), &[2]].concat()).is_err());
        assert!(read(&[0x80; 11]).is_err());
        assert!(read(&[0x80, 0]).is_err(), "needless byte");
        let cut = FormatError::new("test", 1, Fault::Truncated { need: 1, have: 0 });
        assert_eq!(read(&[0x80]), Err(cut));
    }

    proptest! {
        #[test]
        fn integers_come_back(value: u64, shift in 0..64_u32, signed: i64) {
            let value = value >> shift;
            let mut bytes = Vec::new();
            put_uvarint(value, &mut bytes);
            prop_assert_eq!(read(&bytes), Ok(value));
            prop_assert_eq!(unzigzag(zigzag(signed)), signed);
            prop_assert_eq!(zigzag(-1), 1);
        }
    }
}
