//! The hashes of the rounds: one that rolls, one that confirms; both keyed for the session.

/// A polynomial over random values of the bytes, modulo 2^64 (Karp and Rabin 1987).
#[derive(Clone, Debug)]
pub(super) struct Roller {
    values: [u64; 256],
    base: u64,
}

impl Roller {
    /// Draws the values from `key`.
    pub(super) fn new(key: &[u8; 32]) -> Self {
        let mut drawn = [0_u8; 257 * 8];
        blake3::Hasher::new_keyed(key).update(b"roller").finalize_xof().fill(&mut drawn);
        let (values, _) = drawn.as_chunks();
        let mut all = values.iter().map(|value| u64::from_le_bytes(*value));
        let base = all.next().unwrap_or(0);
        let mut values = [0; 256];
        values.iter_mut().zip(all).for_each(|(into, value)| *into = value);
        // Odd and 5 modulo 8: powers of it run through a quarter of all numbers before they repeat.
        Self { values, base: base & !7 | 5 }
    }

    /// The sum of a block, before [`mix`].
    pub(super) fn sum(&self, block: &[u8]) -> u64 {
        let square = self.base.wrapping_mul(self.base);
        let fourth = square.wrapping_mul(square);
        let value = |byte: u8| self.values[usize::from(byte)];
        let (fours, rest) = block.as_chunks::<4>();
        let mut sum = 0_u64;
        for four in fours {
            // Two by two: the chain from sum to sum is one product for four bytes.
            let high = value(four[0]).wrapping_mul(self.base).wrapping_add(value(four[1]));
            let low = value(four[2]).wrapping_mul(self.base).wrapping_add(value(four[3]));
            let four = high.wrapping_mul(square).wrapping_add(low);
            sum = sum.wrapping_mul(fourth).wrapping_add(four);
        }
        let next = |sum: u64, &byte: &u8| sum.wrapping_mul(self.base).wrapping_add(value(byte));
        rest.iter().fold(sum, next)
    }

    /// Calls `each` with the position and sum of every block of `len` bytes of `bytes`, in order.
    #[inline]
    pub(super) fn roll(&self, bytes: &[u8], len: usize, mut each: impl FnMut(usize, u64)) {
        if len == 0 || bytes.len() < len {
            return;
        }
        let top = (1..len).fold(1_u64, |power, _| power.wrapping_mul(self.base));
        let gone = self.values.map(|value| value.wrapping_mul(top).wrapping_mul(self.base));
        let mut sum = self.sum(&bytes[..len]);
        each(0, sum);
        for (at, (&out, &new)) in bytes.iter().zip(&bytes[len..]).enumerate() {
            let change = self.values[usize::from(new)].wrapping_sub(gone[usize::from(out)]);
            sum = sum.wrapping_mul(self.base).wrapping_add(change);
            each(at + 1, sum);
        }
    }
}

/// Spreads a sum so that any of its bits may be taken as a short hash (Stafford's mix 13).
#[inline]
pub(super) const fn mix(mut sum: u64) -> u64 {
    sum = (sum ^ sum >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    sum = (sum ^ sum >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    sum ^ sum >> 31
}

/// Bytes of a file that share one digest.
pub const EXTENT: usize = 1 << 20;

/// The session's digest of an extent.
pub(super) fn extent(key: &[u8; 32], bytes: &[u8]) -> [u8; 32] {
    *blake3::keyed_hash(key, bytes).as_bytes()
}

/// The session's digest of a file: of its only extent, or of its extents' digests.
pub(super) fn file(key: &[u8; 32], extents: &[[u8; 32]]) -> [u8; 32] {
    match extents {
        [] => extent(key, b""),
        [only] => *only,
        all => extent(key, all.as_flattened()),
    }
}

/// Digests of all extents of a file.
pub(super) fn extents(key: &[u8; 32], bytes: &[u8]) -> Vec<[u8; 32]> {
    bytes.chunks(EXTENT).map(|bytes| extent(key, bytes)).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_rolled_sum_is_the_blocks_own(
            bytes in prop::collection::vec(any::<u8>(), 0..300), len in 1_usize..70,
        ) {
            let roller = Roller::new(&[7; 32]);
            let mut seen = 0;
            roller.roll(&bytes, len, |at, sum| {
                assert_eq!(sum, roller.sum(&bytes[at..at + len]));
                assert_eq!(at, seen);
                seen += 1;
            });
            prop_assert_eq!(seen, (bytes.len() + 1).saturating_sub(len));
        }
    }

    #[test]
    fn keys_give_other_sums() {
        assert_ne!(Roller::new(&[1; 32]).sum(b"abcde"), Roller::new(&[2; 32]).sum(b"abcde"));
    }
}
