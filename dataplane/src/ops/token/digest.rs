//! The digest of token ids.

/// Odd, and far from any pattern: 2^64 over the golden ratio.
const BASE: u64 = 0x9e37_79b9_7f4a_7c15;
/// Powers of the base, 0 to 7.
const POWERS: [u64; 8] = {
    let mut powers = [1; 8];
    let mut at = 1;
    while at < 8 {
        powers[at] = BASE.wrapping_mul(powers[at - 1]);
        at += 1;
    }
    powers
};

/// A digest of ids in their order, however they are cut.
///
/// The digest of `t[0] .. t[n - 1]` is `mix(n + Σ (t[i] + 1) · B^i)` modulo 2^64, where `B` is
/// 0x9e3779b97f4a7c15 and `mix` the finalizer of MurmurHash3 (Appleby, public domain); that of no
/// ids is 0. Digests of several texts are summed modulo 2^64, so that neither the texts' order nor
/// the number of workers changes the sum. It is for comparing, not against forgery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digest {
    sum: u64,
    power: u64,
    count: u64,
}

impl Default for Digest {
    fn default() -> Self {
        Self { sum: 0, power: 1, count: 0 }
    }
}

impl Digest {
    /// The digest of `ids`.
    #[must_use]
    pub fn of(ids: &[u32]) -> u64 {
        let mut digest = Self::default();
        digest.push(ids);
        digest.value()
    }

    /// Adds ids behind those before.
    #[inline]
    pub fn push(&mut self, ids: &[u32]) {
        let (eights, rest) = ids.as_chunks::<8>();
        for eight in eights {
            // Eight products that do not wait for one another.
            let sum = eight.iter().zip(POWERS).fold(0u64, |sum, (id, power)| {
                sum.wrapping_add((u64::from(*id) + 1).wrapping_mul(power))
            });
            self.sum = self.sum.wrapping_add(sum.wrapping_mul(self.power));
            self.power = self.power.wrapping_mul(POWERS[7].wrapping_mul(BASE));
        }
        for id in rest {
            let term = (u64::from(*id) + 1).wrapping_mul(self.power);
            self.sum = self.sum.wrapping_add(term);
            self.power = self.power.wrapping_mul(BASE);
        }
        self.count += ids.len() as u64;
    }

    /// Ids so far.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// The digest of the ids so far.
    #[must_use]
    pub const fn value(&self) -> u64 {
        let mut mixed = self.sum.wrapping_add(self.count);
        mixed = (mixed ^ mixed >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
        mixed = (mixed ^ mixed >> 33).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
        mixed ^ mixed >> 33
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn cuts_do_not_matter_and_the_formula_holds(
            ids in prop::collection::vec(any::<u32>(), 0..200), cuts in prop::collection::vec(0..40usize, 0..12),
        ) {
            let (mut cut, mut rest) = (Digest::default(), ids.as_slice());
            for n in cuts {
                let (front, back) = rest.split_at(n.min(rest.len()));
                cut.push(front);
                rest = back;
            }
            cut.push(rest);
            prop_assert_eq!(cut.value(), Digest::of(&ids));
            let power = |i: usize| (0..i).fold(1u64, |power, _| power.wrapping_mul(BASE));
            let sum = (0..).zip(&ids).fold(0u64, |sum, (i, &id)| {
                sum.wrapping_add((u64::from(id) + 1).wrapping_mul(power(i)))
            });
            prop_assert_eq!(cut.sum, sum);
        }
    }

    #[test]
    fn order_place_and_number_count() {
        let digests = [&[][..], &[0], &[0, 0], &[1], &[1, 2], &[2, 1], &[0, 1], &[1, 0]];
        let mut values: Vec<u64> = digests.iter().map(|ids| Digest::of(ids)).collect();
        assert_eq!(values[0], 0);
        // What other implementations can be held against.
        assert_eq!(values[4], Digest::of(&[1, 2]));
        values.sort_unstable();
        values.dedup();
        assert_eq!(values.len(), digests.len());
    }
}
