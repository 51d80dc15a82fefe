//! How far two stretches agree.

use crate::program::Transform;

fn word(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..at + 8)?.first_chunk().map(|word| u64::from_le_bytes(*word))
}

/// What transforms `from` into `into`, if they agree in their first byte by xor or add.
pub(super) fn transform(add: bool, from: u8, into: u8) -> Transform {
    match (add, into ^ from) {
        (_, 0) => Transform::Identity,
        (true, _) => Transform::Add(into.wrapping_sub(from)),
        (false, imm) => Transform::Xor(imm),
    }
}

/// Bytes at the begin of `into` that `transform` makes of those of `from`.
pub(super) fn forward(into: &[u8], from: &[u8], transform: Transform) -> usize {
    let len = into.len().min(from.len());
    let (into, from) = (&into[..len], &from[..len]);
    let imm = match transform {
        Transform::Identity => 0,
        Transform::Xor(imm) => imm,
        Transform::Add(imm) => return forward_add(into, from, imm),
    };
    let words = u64::from_ne_bytes([imm; 8]);
    let mut at = 0;
    let (a, _) = into.as_chunks::<64>();
    let (b, _) = from.as_chunks::<64>();
    for (a, b) in a.iter().zip(b) {
        // One branch for 64 bytes; the compiler makes vectors of it.
        if a.iter().zip(b).fold(0, |differ, (a, b)| differ | (a ^ b ^ imm)) != 0 {
            break;
        }
        at += 64;
    }
    while let (Some(a), Some(b)) = (word(into, at), word(from, at)) {
        let differ = a ^ b ^ words;
        if differ != 0 {
            return at + (differ.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    at + into[at..].iter().zip(&from[at..]).take_while(|(a, b)| **a == **b ^ imm).count()
}

fn forward_add(into: &[u8], from: &[u8], imm: u8) -> usize {
    let differ = |(a, b): (&u8, &u8)| a.wrapping_sub(*b) ^ imm;
    let (a, _) = into.as_chunks::<32>();
    let (b, _) = from.as_chunks::<32>();
    let same = |(a, b): &(&[u8; 32], &[u8; 32])| {
        a.iter().zip(*b).fold(0, |all, pair| all | differ(pair)) == 0
    };
    let at = 32 * a.iter().zip(b).take_while(same).count();
    at + into[at..].iter().zip(&from[at..]).take_while(|&pair| differ(pair) == 0).count()
}

/// Bytes at the end of `into` that `transform` makes of those of `from`.
pub(super) fn backward(into: &[u8], from: &[u8], transform: Transform) -> usize {
    let same = |(a, b): &(&u8, &u8)| match transform {
        Transform::Identity => a == b,
        Transform::Xor(imm) => **a == **b ^ imm,
        Transform::Add(imm) => **a == b.wrapping_add(imm),
    };
    into.iter().rev().zip(from.iter().rev()).take_while(same).count()
}

/// Bytes at the begin of `bytes` of which each is the one before plus a constant; and that.
pub(super) fn ramp(bytes: &[u8]) -> (usize, u8) {
    let [first, second, ..] = bytes else { return (bytes.len(), 0) };
    let step = second.wrapping_sub(*first);
    (1 + forward_add(&bytes[1..], bytes, step), step)
}

/// Whether the first 33 bytes are a ramp: the quick question before [`ramp`].
#[inline]
pub(super) fn ramps(bytes: &[u8]) -> bool {
    let (Some(a), Some(b)) = (bytes.first_chunk::<32>(), bytes.get(1..33)) else { return false };
    let step = b[0].wrapping_sub(a[0]);
    a.iter().zip(b).fold(0, |all, (a, b)| all | (b.wrapping_sub(*a) ^ step)) == 0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::rebuild;

    proptest! {
        #[test]
        fn agreement_ends_at_the_first_difference(
            from in prop::collection::vec(any::<u8>(), 1..300), imm in any::<u8>(), kind in 0..3,
            at in any::<prop::sample::Index>(), flip in 1_u8..=255,
        ) {
            let transform = match kind {
                0 => Transform::Identity,
                1 => Transform::Xor(imm),
                _ => Transform::Add(imm),
            };
            let mut into = vec![0; from.len()];
            rebuild::apply(transform, &from, &mut into);
            prop_assert_eq!(forward(&into, &from, transform), from.len());
            prop_assert_eq!(backward(&into, &from, transform), from.len());
            let at = at.index(from.len());
            into[at] ^= flip;
            prop_assert_eq!(forward(&into, &from, transform), at);
            prop_assert_eq!(backward(&into, &from, transform), from.len() - 1 - at);
        }

        #[test]
        fn ramps_are_measured(first in any::<u8>(), step in any::<u8>(), len in 2_usize..400) {
            let next = |n: usize| first.wrapping_add(step.wrapping_mul(n as u8));
            let mut bytes: Vec<u8> = (0..len).map(next).collect();
            bytes.push(next(len) ^ 1);
            prop_assert_eq!(ramp(&bytes), (len, step));
            prop_assert_eq!(ramps(&bytes), len > 32);
        }
    }
}
