//! Addresses that references mean bytes by.

use thiserror::Error;

/// Bytes at fixed addresses: a blob from 0 on, beside it older files.
#[derive(Clone, Debug, Default)]
pub struct Space<'a> {
    /// In order of address, without overlap.
    segments: Vec<(u64, &'a [u8])>,
}

/// A segment that has no place in a space.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{len} bytes at address {base} overlap what is there, or end beyond 64 bits")]
pub struct OutOfSpace {
    /// Where it was to be.
    pub base: u64,
    /// Its bytes.
    pub len: usize,
}

impl<'a> Space<'a> {
    /// Where segments beside the blob begin; each has [`Self::SEGMENT`] addresses of its own.
    pub const BESIDE: u64 = 1 << 48;
    /// Addresses from the begin of one segment beside the blob to the next.
    pub const SEGMENT: u64 = 1 << 40;

    /// A blob alone.
    #[must_use]
    pub fn blob(bytes: &'a [u8]) -> Self {
        Self { segments: vec![(0, bytes)] }
    }

    /// Puts `bytes` at `base`.
    ///
    /// # Errors
    /// When they overlap what is there, or have no room below 2^64.
    pub fn add(&mut self, base: u64, bytes: &'a [u8]) -> Result<(), OutOfSpace> {
        let refused = OutOfSpace { base, len: bytes.len() };
        let end = base.checked_add(bytes.len() as u64).ok_or(refused)?;
        let at = self.segments.partition_point(|&(other, _)| other < base);
        let before = at.checked_sub(1).map(|before| self.segments[before]);
        let free_before = before.is_none_or(|(other, held)| other + held.len() as u64 <= base);
        let free_after = self.segments.get(at).is_none_or(|&(other, _)| end <= other);
        if !(free_before && free_after) {
            return Err(refused);
        }
        self.segments.insert(at, (base, bytes));
        Ok(())
    }

    /// The bytes from `offset` on, if all `len` lie in one segment.
    #[must_use]
    #[inline]
    pub fn get(&self, offset: u64, len: u32) -> Option<&'a [u8]> {
        let (base, bytes) = match self.segments.as_slice() {
            [only] => *only,
            all => all[all.partition_point(|&(base, _)| base <= offset).checked_sub(1)?],
        };
        let from = usize::try_from(offset.checked_sub(base)?).ok()?;
        bytes.get(from..from.checked_add(len as usize)?)
    }

    /// The bytes from `offset` on to their segment's end, at most `most`; none when no segment
    /// has the first.
    #[must_use]
    #[inline]
    pub fn ahead(&self, offset: u64, most: usize) -> Option<&'a [u8]> {
        let after = self.segments.partition_point(|&(base, _)| base <= offset);
        let (base, bytes) = self.segments[after.checked_sub(1)?];
        let from = usize::try_from(offset - base).ok().filter(|from| *from < bytes.len())?;
        Some(&bytes[from..bytes.len().min(from.saturating_add(most))])
    }

    /// All segments with their addresses, in order.
    #[must_use]
    pub fn segments(&self) -> &[(u64, &'a [u8])] {
        &self.segments
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_answer_for_their_own_addresses() {
        let (blob, old) = ([1_u8; 10], [2_u8; 20]);
        let mut space = Space::blob(&blob);
        assert_eq!(space.get(4, 6), Some(&blob[4..]));
        assert_eq!(space.get(4, 7), None);
        assert_eq!(space.get(u64::MAX, 1), None);
        space.add(Space::BESIDE, &old).expect("free");
        assert_eq!(space.get(Space::BESIDE + 19, 1), Some(&old[..1]));
        assert_eq!(space.get(Space::BESIDE + 19, 2), None);
        assert_eq!(space.get(10, 1), None);
        assert_eq!(space.get(9, 1), Some(&blob[..1]));
        assert_eq!(space.ahead(4, 100), Some(&blob[4..]));
        assert_eq!(space.ahead(4, 3), Some(&blob[4..7]));
        assert_eq!(space.ahead(10, 1), None);
        assert_eq!(space.ahead(Space::BESIDE, usize::MAX), Some(&old[..]));
    }

    #[test]
    fn what_overlaps_is_refused() {
        let bytes = [0_u8; 10];
        let mut space = Space::blob(&bytes);
        for base in [0, 9, u64::MAX - 8] {
            assert_eq!(space.add(base, &bytes), Err(OutOfSpace { base, len: 10 }), "{base}");
        }
        space.add(20, &bytes).expect("free");
        assert!(space.add(11, &bytes).is_err());
        space.add(10, &bytes).expect("fits between");
        assert_eq!(space.segments().len(), 3);
    }
}
