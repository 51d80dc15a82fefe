//! Bytes of control messages: little-endian words, LEB128 lengths, and nothing left over.

use thiserror::Error;

/// A message that is cut off, too long, or says what cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a control message is malformed: {0}")]
pub struct Malformed(pub &'static str);

/// Reads a message from its front.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Bytes not read yet.
    pub(crate) const fn left(&self) -> usize {
        self.rest.len()
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next `count` bytes.
    pub(crate) fn take(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(Malformed("it is cut off"))?;
        self.rest = rest;
        Ok(taken)
    }

    /// All that is left.
    pub(crate) const fn take_rest(&mut self) -> &'a [u8] {
        let rest = self.rest;
        self.rest = &[];
        rest
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, Malformed> {
        Ok(self.array::<1>()?[0])
    }

    pub(crate) fn u16(&mut self) -> Result<u16, Malformed> {
        self.array().map(u16::from_le_bytes)
    }

    pub(crate) fn i64(&mut self) -> Result<i64, Malformed> {
        self.array().map(i64::from_le_bytes)
    }

    /// An unsigned LEB128 number in its shortest form.
    pub(crate) fn varint(&mut self) -> Result<u64, Malformed> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                break;
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                let longer = byte == 0 && shift > 0;
                return if longer {
                    Err(Malformed("a number has a needless byte"))
                } else {
                    Ok(value)
                };
            }
        }
        Err(Malformed("a number has more than 64 bits"))
    }

    /// A number of at most `most`.
    pub(crate) fn varint_to(&mut self, most: u64) -> Result<u64, Malformed> {
        let value = self.varint()?;
        if value > most { Err(Malformed("a number is out of range")) } else { Ok(value) }
    }

    /// Bytes behind their length, which is at most `most`.
    pub(crate) fn bytes(&mut self, most: usize) -> Result<&'a [u8], Malformed> {
        let length = self.varint_to(most as u64)?;
        self.take(length as usize)
    }

    /// How many items of at least `least` bytes follow: never more than there are bytes for.
    pub(crate) fn count(&mut self, least: usize) -> Result<usize, Malformed> {
        let count = self.varint()?;
        if count > (self.rest.len() / least.max(1)) as u64 {
            return Err(Malformed("it has more items than bytes for them"));
        }
        Ok(count as usize)
    }

    /// That nothing is left.
    pub(crate) const fn end(self) -> Result<(), Malformed> {
        if self.rest.is_empty() { Ok(()) } else { Err(Malformed("bytes follow its end")) }
    }
}

/// Appends `value` as unsigned LEB128.
pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends the length of `bytes` and them.
pub(crate) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn numbers_come_back(value: u64, shift in 0_u32..64) {
            let (value, mut bytes) = (value >> shift, Vec::new());
            put_varint(&mut bytes, value);
            let mut reader = Reader::new(&bytes);
            prop_assert_eq!(reader.varint(), Ok(value));
            prop_assert_eq!(reader.end(), Ok(()));
            for cut in 0..bytes.len() {
                prop_assert!(Reader::new(&bytes[..cut]).varint().is_err());
            }
        }
    }

    #[test]
    fn odd_numbers_are_refused() {
        for bytes in [&[0x80, 0][..], &[0xff; 10], &[0xff; 11]] {
            assert!(Reader::new(bytes).varint().is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn counts_are_bound_by_what_follows() {
        let mut bytes = Vec::new();
        put_varint(&mut bytes, 3);
        bytes.extend_from_slice(&[0; 11]);
        assert!(Reader::new(&bytes).count(4).is_err());
        assert_eq!(Reader::new(&bytes).count(3), Ok(3));
    }
}
