//! A record's bytes in the log: a header of 4 bytes in the common case, the key, the value.
//!
//! | bytes | what | when |
//! |---|---|---|
//! | 4 | flags (8 bits), key length (8), value length (16), little-endian | always; lengths 0 with `LONG` |
//! | 8 | key length, value length, 32 bits each | `LONG` |
//! | 2 | space | `SPACE`: it is not 0 |
//! | 8 | expiry, milliseconds since 1970 | `EXPIRES` |
//! | … | key, value | always |

use std::ptr::NonNull;

/// The record is overwritten or deleted; the cleaner skips it.
pub(crate) const DEAD: u8 = 1;
/// An expiry follows.
pub(crate) const EXPIRES: u8 = 2;
/// Scans leave it out unless asked.
pub(crate) const HIDDEN: u8 = 4;
/// Lengths of 32 bits follow.
const LONG: u8 = 8;
/// A space other than 0 follows.
const SPACE: u8 = 16;
/// The key is an absolute key (8 bytes, big-endian); the record is in no index.
pub(crate) const OBJECT: u8 = 32;

/// What is to be written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Draft<'a> {
    pub(crate) space: u16,
    /// [`HIDDEN`] and [`OBJECT`] only; the others follow from the fields.
    pub(crate) flags: u8,
    /// Milliseconds since 1970; 0 for never.
    pub(crate) expiry: u64,
    pub(crate) key: &'a [u8],
    pub(crate) value: &'a [u8],
}

impl Draft<'_> {
    fn flags(&self) -> u8 {
        let long = self.key.len() > 0xff || self.value.len() > 0xffff;
        let when = |yes: bool, flag: u8| if yes { flag } else { 0 };
        self.flags & (HIDDEN | OBJECT)
            | when(long, LONG)
            | when(self.space != 0, SPACE)
            | when(self.expiry != 0, EXPIRES)
    }

    /// Bytes that it takes, without padding.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        header_len(self.flags()) + self.key.len() + self.value.len()
    }

    /// Writes it to `at`.
    ///
    /// # Safety
    /// `at` must be good for writing [`Draft::len`] bytes, which must not overlap key and value.
    #[inline]
    pub(crate) unsafe fn write(&self, at: NonNull<u8>) {
        let flags = self.flags();
        let (key_len, value_len) = (self.key.len() as u32, self.value.len() as u32);
        let lengths = if flags & LONG == 0 { key_len << 8 | value_len << 16 } else { 0 };
        // SAFETY: the pieces together are `len()` bytes, which the caller gives.
        unsafe {
            let mut at = put(at, (u32::from(flags) | lengths).to_le_bytes());
            if flags & LONG != 0 {
                at = put(put(at, key_len.to_le_bytes()), value_len.to_le_bytes());
            }
            if flags & SPACE != 0 {
                at = put(at, self.space.to_le_bytes());
            }
            if flags & EXPIRES != 0 {
                at = put(at, self.expiry.to_le_bytes());
            }
            at.copy_from_nonoverlapping(NonNull::from(self.key).cast(), self.key.len());
            let at = at.add(self.key.len());
            at.copy_from_nonoverlapping(NonNull::from(self.value).cast(), self.value.len());
        }
    }
}

/// # Safety
/// `at` must be good for writing N bytes.
#[inline(always)]
unsafe fn put<const N: usize>(at: NonNull<u8>, bytes: [u8; N]) -> NonNull<u8> {
    // SAFETY: the caller's promise; a byte array has no alignment.
    unsafe {
        at.cast::<[u8; N]>().write(bytes);
        at.add(N)
    }
}

#[inline(always)]
const fn header_len(flags: u8) -> usize {
    4 + if flags & LONG != 0 { 8 } else { 0 }
        + if flags & SPACE != 0 { 2 } else { 0 }
        + if flags & EXPIRES != 0 { 8 } else { 0 }
}

/// A record where it lies.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record<'a> {
    pub(crate) flags: u8,
    pub(crate) space: u16,
    /// Milliseconds since 1970; 0 for never.
    pub(crate) expiry: u64,
    pub(crate) key: &'a [u8],
    pub(crate) value: &'a [u8],
}

impl<'a> Record<'a> {
    /// Reads the record at `at`.
    ///
    /// # Safety
    /// At `at` must lie a whole record that [`Draft::write`] wrote and that nobody writes during `'a`.
    #[inline(always)]
    pub(crate) unsafe fn read(at: NonNull<u8>) -> Self {
        // SAFETY: a record has at least 4 bytes, and those that its flags say; the caller's promise
        // covers all of them for 'a.
        unsafe {
            let word = u32::from_le_bytes(at.cast::<[u8; 4]>().read());
            let flags = word as u8;
            let (mut key_len, mut value_len) = ((word >> 8 & 0xff) as usize, (word >> 16) as usize);
            let (mut space, mut expiry) = (0, 0);
            let mut at = at.add(4);
            if flags & (LONG | SPACE | EXPIRES) != 0 {
                if flags & LONG != 0 {
                    key_len = u32::from_le_bytes(at.cast::<[u8; 4]>().read()) as usize;
                    value_len = u32::from_le_bytes(at.add(4).cast::<[u8; 4]>().read()) as usize;
                    at = at.add(8);
                }
                if flags & SPACE != 0 {
                    space = u16::from_le_bytes(at.cast::<[u8; 2]>().read());
                    at = at.add(2);
                }
                if flags & EXPIRES != 0 {
                    expiry = u64::from_le_bytes(at.cast::<[u8; 8]>().read());
                    at = at.add(8);
                }
            }
            let key = std::slice::from_raw_parts(at.as_ptr(), key_len);
            let value = std::slice::from_raw_parts(at.as_ptr().add(key_len), value_len);
            Self { flags, space, expiry, key, value }
        }
    }

    /// Bytes that it takes, without padding.
    pub(crate) const fn len(&self) -> usize {
        header_len(self.flags) + self.key.len() + self.value.len()
    }

    /// Whether its time had come at `now`.
    #[inline(always)]
    pub(crate) const fn expired(&self, now: u64) -> bool {
        self.expiry != 0 && self.expiry <= now
    }

    /// The same, to be written elsewhere.
    pub(crate) const fn draft(&self) -> Draft<'a> {
        let Self { flags, space, expiry, key, value } = *self;
        Draft { space, flags, expiry, key, value }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shape_is_read_as_written() {
        let long = vec![7u8; 70_000];
        for key in [&b""[..], b"k", &long[..255], &long[..256], &long[..65_536]] {
            for value in [&b""[..], b"v", &long[..65_535], &long[..65_536]] {
                for (space, expiry, flags) in [(0, 0, 0), (3, 0, HIDDEN), (0, 9, 0), (7, 1, OBJECT)]
                {
                    let draft = Draft { space, flags, expiry, key, value };
                    let mut bytes = vec![0u8; draft.len() + 1];
                    let at = NonNull::from(&mut bytes[0]);
                    // SAFETY: the vector has the bytes; what is read lies in it.
                    let record = unsafe {
                        draft.write(at);
                        Record::read(at)
                    };
                    assert_eq!((record.key, record.value), (key, value));
                    assert_eq!((record.space, record.expiry), (space, expiry));
                    assert_eq!(record.len(), draft.len());
                    assert_eq!(record.draft().len(), draft.len());
                    assert_eq!(bytes.last(), Some(&0));
                }
            }
        }
    }
}
