//! The hash that ids are found by, in memory as on disk.
//!
//! Products of 64-bit words, their halves folded onto each other, as in Yi's wyhash. The key is a
//! collection's own and random, so that nobody can choose ids that meet.

const ODD: [u64; 2] = [0xa076_1d64_78bd_642f, 0xe703_7ed1_a0b4_28db];

fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

/// The hash of `bytes` under `key`.
#[inline]
pub(crate) fn hash(key: u64, bytes: &[u8]) -> u64 {
    let mut state = key ^ ODD[0];
    let mut words = bytes.chunks_exact(8);
    for word in &mut words {
        let word = u64::from_le_bytes(word.try_into().unwrap_or_default());
        state = fold(state ^ word, key.rotate_left(32) ^ ODD[1]);
    }
    let mut last = [0; 8];
    last[..words.remainder().len()].copy_from_slice(words.remainder());
    state = fold(state ^ u64::from_le_bytes(last), key ^ ODD[1]);
    fold(state ^ bytes.len() as u64, ODD[0] ^ key.rotate_left(17))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_spreads_and_does_not_change() {
        // On disk: a change of this number is a change of the format.
        assert_eq!(hash(7, b"a record"), 9_668_557_608_666_818_635);
        let mut buckets = [0_u32; 64];
        let mut seen = std::collections::HashSet::new();
        for n in 0..64_000_u32 {
            let hashed = hash(1, &n.to_le_bytes());
            assert!(seen.insert(hashed) && seen.insert(hash(1, format!("id-{n}").as_bytes())));
            buckets[(hashed >> 58) as usize] += 1;
        }
        assert!(buckets.iter().all(|count| (800..1200).contains(count)), "{buckets:?}");
        assert_ne!(hash(1, b""), hash(1, b"\0"));
        assert_ne!(hash(1, b"x"), hash(2, b"x"));
    }
}
