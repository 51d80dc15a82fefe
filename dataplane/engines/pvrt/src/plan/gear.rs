//! Anchors: places that content itself marks, whatever its alignment, and whatever constant was
//! added to or combined with its bytes.
//!
//! A gear hash (Xia et al. 2014) over the differences of neighbouring bytes, each step moving the
//! sum by two bits, so that 32 differences count. Differences by exclusive or do not change when
//! a constant is xored to all bytes, differences by subtraction when one is added: the transform
//! is out of the key before anything is looked up.

/// Bytes that an anchor's hash is of.
pub(super) const SPAN: usize = 33;

/// Random values for the differences: outputs of splitmix64, counter 0 to 255.
const VALUES: [u64; 256] = {
    let mut values = [0; 256];
    let mut n = 0;
    while n < 256 {
        let mut z = (n as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        values[n] = z ^ z >> 31;
        n += 1;
    }
    values
};

/// Which differences a hash is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    /// Exclusive or: finds identical and xored bytes.
    Xor,
    /// Subtraction: finds bytes with a constant added.
    Add,
}

/// A place and the hash of the [`SPAN`] bytes that end there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Anchor {
    /// One past the last byte.
    pub(super) end: usize,
    pub(super) hash: u64,
    pub(super) key: Key,
}

/// Calls `each` with the anchors of `bytes` that end after `from` (where hashing begins) and not
/// after `to`; of `2^bits` places one is an anchor. Stops early when `each` says so.
#[inline(always)]
pub(super) fn anchors<const ADD: bool>(
    bytes: &[u8],
    from: usize,
    to: usize,
    bits: u32,
    mut each: impl FnMut(Anchor),
) {
    let Some(&first) = bytes.get(from) else { return };
    let to = to.min(bytes.len());
    let (mut xor, mut add, mut last) = (0_u64, 0_u64, first);
    let mut step = |byte: u8| {
        xor = (xor << 2).wrapping_add(VALUES[usize::from(byte ^ last)]);
        if ADD {
            add = (add << 2).wrapping_add(VALUES[usize::from(byte.wrapping_sub(last))]);
        }
        last = byte;
        (xor, add)
    };
    let warm = (from + SPAN).min(to);
    for &byte in bytes.get(from + 1..warm.saturating_sub(1)).unwrap_or(&[]) {
        step(byte);
    }
    // Below this the highest bits are all zero.
    let rare = 1_u64 << (64 - bits);
    for (n, &byte) in bytes.get(warm - 1..to).unwrap_or(&[]).iter().enumerate() {
        let (xor, add) = step(byte);
        // One branch for both keys, hardly ever taken.
        let least = if ADD { xor.min(add) } else { xor };
        if least < rare && warm + n >= from + SPAN {
            if xor < rare {
                each(Anchor { end: warm + n, hash: xor, key: Key::Xor });
            }
            if ADD && add < rare {
                each(Anchor { end: warm + n, hash: add, key: Key::Add });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(bytes: &[u8], from: usize, key: Key) -> Vec<(usize, u64)> {
        let mut found = Vec::new();
        anchors::<true>(bytes, from, bytes.len(), 3, |anchor| {
            if anchor.key == key {
                found.push((anchor.end, anchor.hash));
            }
        });
        found
    }

    proptest! {
        #[test]
        fn constants_leave_anchors_where_they_are(
            bytes in prop::collection::vec(any::<u8>(), 0..500), constant in any::<u8>(),
        ) {
            let xored: Vec<_> = bytes.iter().map(|byte| byte ^ constant).collect();
            let added: Vec<_> = bytes.iter().map(|byte| byte.wrapping_add(constant)).collect();
            prop_assert_eq!(all(&bytes, 0, Key::Xor), all(&xored, 0, Key::Xor));
            prop_assert_eq!(all(&bytes, 0, Key::Add), all(&added, 0, Key::Add));
        }

        #[test]
        fn anchors_depend_on_their_span_alone(
            before in prop::collection::vec(any::<u8>(), 0..100),
            bytes in prop::collection::vec(any::<u8>(), 0..500),
        ) {
            let joined = [before.as_slice(), &bytes].concat();
            for key in [Key::Xor, Key::Add] {
                let shift = |(end, hash)| (end + before.len(), hash);
                let alone: Vec<_> = all(&bytes, 0, key).into_iter().map(shift).collect();
                prop_assert_eq!(all(&joined, before.len(), key), alone);
            }
        }
    }

    #[test]
    fn spans_that_are_too_short_have_none() {
        let bytes: Vec<u8> = (0..200).map(|n: u8| n.wrapping_mul(n)).collect();
        assert!(all(&bytes[..SPAN - 1], 0, Key::Xor).is_empty());
        assert!(all(&bytes, 0, Key::Xor).iter().all(|&(end, _)| end >= SPAN));
        anchors::<true>(&[], 0, 5, 5, |_| panic!("none"));
    }
}
