//! Numbers of 7 bits a byte, the lowest first.

/// Longest number, in bytes.
pub(super) const LONGEST: usize = 10;

/// Appends `value`.
#[inline]
pub(super) fn put(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Takes a number from the begin of `bytes`; `None` when they end inside it, or it has more than
/// 64 bits.
#[inline]
pub(super) fn take(bytes: &mut &[u8]) -> Option<u64> {
    let (&first, rest) = bytes.split_first()?;
    if first < 0x80 {
        *bytes = rest;
        return Some(u64::from(first));
    }
    take_long(bytes)
}

fn take_long(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for (at, &byte) in bytes.iter().enumerate().take(LONGEST) {
        let part = u64::from(byte & 0x7f);
        if at == LONGEST - 1 && part > 1 {
            return None;
        }
        value |= part << (7 * at);
        if byte < 0x80 {
            *bytes = &bytes[at + 1..];
            return Some(value);
        }
    }
    None
}

/// Small for small differences of either sign.
#[inline]
pub(super) const fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

/// The number that [`zigzag`] made this from.
#[inline]
pub(super) const fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn numbers_are_read_back(values in prop::collection::vec(any::<u64>(), 0..20), shift in 0..64_u32) {
            let values: Vec<u64> = values.into_iter().map(|value| value >> shift).collect();
            let mut bytes = Vec::new();
            values.iter().for_each(|&value| put(value, &mut bytes));
            let mut rest = bytes.as_slice();
            for value in values {
                prop_assert_eq!(take(&mut rest), Some(value));
                prop_assert_eq!(unzigzag(zigzag(value as i64)), value as i64);
            }
            prop_assert_eq!(take(&mut rest), None);
        }
    }

    #[test]
    fn ends_and_overflows_are_refused() {
        for bad in
            [&[0x80][..], &[0xff; 9], &[0xff; 11], b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"]
        {
            assert_eq!(take(&mut &*bad), None, "{bad:?}");
        }
        assert_eq!(take(&mut &b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"[..]), Some(u64::MAX));
    }
}
