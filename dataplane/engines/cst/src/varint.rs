//! LEB128 numbers, and reading that refuses instead of running over an end.

/// Appends `value` in seven bits a byte, the lowest first.
pub(crate) fn push(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// What is left of some bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rest<'a>(pub(crate) &'a [u8]);

impl<'a> Rest<'a> {
    #[inline]
    pub(crate) fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    /// A number below 2^32, in five bytes at most.
    #[inline]
    pub(crate) fn number(&mut self) -> Option<u32> {
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

    /// A number below 2^49, in seven bytes at most.
    #[inline]
    pub(crate) fn wide(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..49).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    /// The same as [`Rest::number`], refused where fewer bytes would do.
    #[inline]
    pub(crate) fn minimal(&mut self) -> Option<u32> {
        let before = self.0;
        let value = self.number()?;
        let last = before[before.len() - self.0.len() - 1];
        (last != 0 || value == 0 && before.len() - self.0.len() == 1).then_some(value)
    }

    pub(crate) fn long(&mut self) -> Option<u64> {
        let bytes = self.take(8)?;
        Some(u64::from_le_bytes(*bytes.first_chunk()?))
    }

    pub(crate) fn word(&mut self) -> Option<u32> {
        let bytes = self.take(4)?;
        Some(u32::from_le_bytes(*bytes.first_chunk()?))
    }

    pub(crate) fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    /// Bytes behind their length.
    pub(crate) fn bytes(&mut self) -> Option<&'a [u8]> {
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
            prop_assert_eq!(Rest(&out).wide(), Some(u64::from(value)));
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

    #[test]
    fn more_bytes_than_needed_are_refused_where_asked() {
        for value in [0, 1, 127, 128, 1 << 14, u32::MAX] {
            let mut out = Vec::new();
            push(&mut out, u64::from(value));
            assert_eq!(Rest(&out).minimal(), Some(value));
            if let Some(last) = out.last_mut().filter(|_| value < 1 << 20) {
                *last |= 0x80;
                out.push(0);
                assert_eq!(Rest(&out).number(), Some(value));
                assert_eq!(Rest(&out).minimal(), None);
            }
        }
    }
}
