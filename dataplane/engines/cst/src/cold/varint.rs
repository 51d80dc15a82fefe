//! LEB128 numbers, and reading that refuses instead of running over an end.

/// Appends `value` in seven bits a byte, the lowest first.
pub(super) fn push(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// What is left of some bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rest<'a>(pub(super) &'a [u8]);

impl<'a> Rest<'a> {
    #[inline]
    pub(super) fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    /// A number below 2^32, in five bytes at most.
    #[inline]
    pub(super) fn number(&mut self) -> Option<u32> {
        let first = self.byte()?;
        if first < 0x80 {
            return Some(u32::from(first));
        }
        let mut value = u64::from(first & 0x7f);
        for shift in [7, 14, 21, 28] {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return u32::try_from(value).ok();
            }
        }
        None
    }

    pub(super) fn long(&mut self) -> Option<u64> {
        let bytes = self.take(8)?;
        Some(u64::from_le_bytes(*bytes.first_chunk()?))
    }

    pub(super) fn word(&mut self) -> Option<u32> {
        let bytes = self.take(4)?;
        Some(u32::from_le_bytes(*bytes.first_chunk()?))
    }

    pub(super) fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    /// Bytes behind their length.
    pub(super) fn bytes(&mut self) -> Option<&'a [u8]> {
        let len = self.number()? as usize;
        self.take(len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn numbers_come_back(value in prop_oneof![any::<u32>(), 0u32..300]) {
            let mut out = Vec::new();
            push(&mut out, u64::from(value));
            let mut rest = Rest(&out);
            prop_assert_eq!(rest.number(), Some(value));
            prop_assert!(rest.0.is_empty());
            out.pop();
            prop_assert_eq!(Rest(&out).number(), None);
        }
    }

    #[test]
    fn too_large_is_refused() {
        assert_eq!(Rest(&[0xff, 0xff, 0xff, 0xff, 0x1f]).number(), None);
        assert_eq!(Rest(&[0xff, 0xff, 0xff, 0xff, 0x0f]).number(), Some(u32::MAX));
        assert_eq!(Rest(&[0x80, 0x80, 0x80, 0x80, 0x80, 0]).number(), None);
    }
}
