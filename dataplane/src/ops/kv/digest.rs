//! What tells runs apart whose operations differ.

use pfs_kv::Op;

/// A digest of an operation: of its kind, key and value, not of when it came. Sums of digests do not
/// depend on the order. It is for comparing, not against forgery.
///
/// `h += fold(a ^ h, b ^ 0x9e3779b97f4a7c15)` over pairs of little-endian words: the kind's number and 0,
/// then of the key and of the value 16 bytes at a time, and at last what is left of them, filled up with
/// zeros, with the length added to `a`. `fold` is the two halves of a product, one XOR the other.
pub(super) fn digest(op: &Op<'_>) -> u64 {
    let (kind, key, value): (u64, &[u8], &[u8]) = match *op {
        Op::Put { space, key, value, hidden, .. } => {
            (1 | u64::from(hidden) << 8 | u64::from(space.0) << 16, key, value)
        }
        Op::Delete { space, key } => (2 | u64::from(space.0) << 16, key, b""),
        Op::Insert { space, value } => (3 | u64::from(space.0) << 16, b"", value),
        Op::Edit { space, absolute, value } => {
            (4 | u64::from(space.0) << 16 | absolute.rotate_left(32), b"", value)
        }
        Op::Remove { space, absolute } => {
            (5 | u64::from(space.0) << 16 | absolute.rotate_left(32), b"", b"")
        }
        Op::Get { space, key } => (6 | u64::from(space.0) << 16, key, b""),
        Op::Read { space, absolute } => {
            (7 | u64::from(space.0) << 16 | absolute.rotate_left(32), b"", b"")
        }
        _ => (0, b"", b""),
    };
    digest_bytes(digest_bytes(mix(0, kind, 0), key), value)
}

/// A digest that goes on from `hash` with `bytes` and their length.
pub(in crate::ops) fn digest_bytes(mut hash: u64, bytes: &[u8]) -> u64 {
    let (pairs, rest) = bytes.as_chunks::<16>();
    for pair in pairs {
        hash = mix_pair(hash, pair, 0);
    }
    let mut last = [0; 16];
    last[..rest.len()].copy_from_slice(rest);
    mix_pair(hash, &last, bytes.len() as u64)
}

#[inline(always)]
fn mix_pair(hash: u64, pair: &[u8; 16], add: u64) -> u64 {
    let word = u128::from_le_bytes(*pair);
    mix(hash, (word as u64).wrapping_add(add), (word >> 64) as u64)
}

#[inline(always)]
const fn mix(hash: u64, a: u64, b: u64) -> u64 {
    let product = (a ^ hash) as u128 * (b ^ 0x9e37_79b9_7f4a_7c15) as u128;
    // Added: a factor of 0 does not forget what came before.
    (product as u64 ^ (product >> 64) as u64).wrapping_add(hash)
}

#[cfg(test)]
mod tests {
    use pfs_kv::Space;
    use proptest::prelude::*;

    use super::*;

    fn put<'a>(key: &'a [u8], value: &'a [u8]) -> u64 {
        digest(&Op::put(Space(1), key, value))
    }

    proptest! {
        #[test]
        fn a_changed_bit_a_moved_byte_and_another_kind_are_seen(
            key in prop::collection::vec(any::<u8>(), 0..40),
            value in prop::collection::vec(any::<u8>(), 1..300),
            at: prop::sample::Index, bit in 0..8_u32,
        ) {
            let whole = put(&key, &value);
            let mut changed = value.clone();
            changed[at.index(value.len())] ^= 1 << bit;
            prop_assert_ne!(put(&key, &changed), whole);
            changed.clone_from(&value);
            changed.push(0);
            prop_assert_ne!(put(&key, &changed), whole);
            let (mut longer, mut shorter) = (key.clone(), value.clone());
            longer.push(shorter.remove(0));
            prop_assert_ne!(put(&longer, &shorter), whole);
            prop_assert_ne!(digest(&Op::delete(Space(1), &key)), whole);
            prop_assert_ne!(digest(&Op::put(Space(2), &key, &value)), whole);
        }
    }
}
