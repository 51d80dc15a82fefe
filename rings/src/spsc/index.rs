//! Index arithmetic of a ring: free of memory, atomics and system calls.
//!
//! Indices run freely and wrap at their type's range; a slot's place is the index modulo the
//! capacity, a power of two that divides the range. So `tail - head` (wrapping) is the number
//! of items in the ring for every pair that an honest pair of sides can produce, full and empty
//! are told apart without a spare slot, and any difference above the capacity is a proof that a
//! side is broken.
//!
//! The functions are generic so that a test can run them for *all* pairs of 8-bit indices; the
//! rings use `u64`, which does not wrap in the life of a machine.

/// An unsigned integer that indices are made of.
pub(super) trait Index: Copy + Ord {
    /// `self - other`, wrapping at the type's range.
    fn distance_from(self, other: Self) -> Self;
    /// `self + step`, wrapping.
    fn advance(self, step: Self) -> Self;
    /// `self & mask`.
    fn masked(self, mask: Self) -> Self;
}

macro_rules! index {
    ($($type:ty),*) => {$(
        impl Index for $type {
            #[inline(always)]
            fn distance_from(self, other: Self) -> Self { self.wrapping_sub(other) }
            #[inline(always)]
            fn advance(self, step: Self) -> Self { self.wrapping_add(step) }
            #[inline(always)]
            fn masked(self, mask: Self) -> Self { self & mask }
        }
    )*};
}

index!(u8, u64);

/// Items between `head` and `tail`; `None` when that is impossible (more than `capacity`).
#[inline(always)]
pub(super) fn used<I: Index>(tail: I, head: I, capacity: I) -> Option<I> {
    let used = tail.distance_from(head);
    (used <= capacity).then_some(used)
}

/// The index at which the producer must stop, given the consumer's; `None` when impossible.
#[inline(always)]
pub(super) fn limit<I: Index>(tail: I, head: I, capacity: I) -> Option<I> {
    used(tail, head, capacity).map(|_| head.advance(capacity))
}

/// Of `wanted` slots from index `at` on: the first one's place, and how many lie there in one
/// piece before the end of the array. The rest begin at place 0. `mask` is the capacity - 1.
#[inline(always)]
pub(super) fn split<I: Index>(at: I, wanted: I, mask: I, one: I) -> (I, I) {
    let place = at.masked(mask);
    let to_end = mask.distance_from(place).advance(one);
    (place, wanted.min(to_end))
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// All 65,536 pairs of 8-bit indices, for every capacity that an 8-bit ring can have,
    /// against the same sums in wide integers.
    #[test]
    fn every_pair_of_8_bit_indices_agrees_with_wide_arithmetic() {
        for capacity in (0..8).map(|bit| 1u8 << bit) {
            for (head, tail) in (0..=255u8).flat_map(|h| (0..=255u8).map(move |t| (h, t))) {
                let wide = (i32::from(tail) - i32::from(head)).rem_euclid(256);
                let possible = wide <= i32::from(capacity);
                assert_eq!(used(tail, head, capacity).map(i32::from), possible.then_some(wide));
                let stop = limit(tail, head, capacity).map(i32::from);
                let expected = (i32::from(head) + i32::from(capacity)) % 256;
                assert_eq!(stop, possible.then_some(expected));
                check_split(tail, head, capacity);
            }
        }
    }

    /// The slots that `split` names are those of counting one by one.
    fn check_split(tail: u8, head: u8, capacity: u8) {
        let Some(wanted) = used(tail, head, capacity) else { return };
        let (place, first) = split(head, wanted, capacity - 1, 1);
        for step in 0..wanted {
            let slot = head.wrapping_add(step) % capacity;
            let said = if step < first { place + step } else { step - first };
            assert_eq!(said, slot, "step {step} of {wanted} from {head}, capacity {capacity}");
        }
    }

    #[test]
    fn a_64_bit_index_wraps_like_an_8_bit_one() {
        let head = u64::MAX - 1;
        assert_eq!(used(3, head, 8), Some(5));
        assert_eq!(used(7, head, 8), None);
        assert_eq!(split(head, 5, 7, 1), (6, 2));
    }
}
