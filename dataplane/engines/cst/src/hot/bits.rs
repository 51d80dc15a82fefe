//! Positions of set bits within a word.

/// Defines a function twice: for any processor, and for one that counts bits in an instruction,
/// which is taken where that is found.
macro_rules! counting {
    ($(#[$doc:meta])* fn $name:ident($($arg:ident: $ty:ty),*) -> $ret:ty $body:block) => {
        $(#[$doc])*
        #[inline]
        pub(super) fn $name($($arg: $ty),*) -> $ret {
            #[inline(always)]
            fn portable($($arg: $ty),*) -> $ret $body
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "popcnt,bmi1,bmi2")]
                fn counting($($arg: $ty),*) -> $ret {
                    portable($($arg),*)
                }
                if $crate::hot::bits::has_counting() {
                    // SAFETY: the processor has what the function is compiled for.
                    return unsafe { counting($($arg),*) };
                }
            }
            portable($($arg),*)
        }
    };
}
pub(super) use counting;

#[cfg(target_arch = "x86_64")]
#[inline]
pub(super) fn has_counting() -> bool {
    is_x86_feature_detected!("popcnt")
        && is_x86_feature_detected!("bmi1")
        && is_x86_feature_detected!("bmi2")
}

/// `SELECT[byte][k]`: position of the k-th set bit of a byte, 8 if there is none.
static SELECT: [[u8; 8]; 256] = select_table();

const fn select_table() -> [[u8; 8]; 256] {
    let mut table = [[8; 8]; 256];
    let mut byte = 0;
    while byte < 256 {
        let (mut bit, mut seen) = (0, 0);
        while bit < 8 {
            if byte >> bit & 1 == 1 {
                table[byte][seen] = bit as u8;
                seen += 1;
            }
            bit += 1;
        }
        byte += 1;
    }
    table
}

const ONES: u64 = 0x0101_0101_0101_0101;
const TOPS: u64 = 0x8080_8080_8080_8080;

/// Position of the `k`-th set bit, from 0; `k` < ones of `word`.
///
/// Bytes are counted side by side, their prefix sums compared with `k` at once (Vigna, "Broadword
/// implementation of rank/select queries", 2008).
#[inline(always)]
pub(super) fn select(word: u64, k: u32) -> u32 {
    debug_assert!(k < word.count_ones());
    let mut sums = word - ((word >> 1) & 0x5555_5555_5555_5555);
    sums = (sums & 0x3333_3333_3333_3333) + ((sums >> 2) & 0x3333_3333_3333_3333);
    sums = (sums + (sums >> 4)) & 0x0f0f_0f0f_0f0f_0f0f;
    sums = sums.wrapping_mul(ONES);
    // Bytes whose prefix sum is at most k lie before the wanted one.
    let below = (((u64::from(k) * ONES) | TOPS) - sums) & TOPS;
    let byte = below.count_ones() * 8;
    let before = ((sums << 8) >> byte) & 0xff;
    let within = u64::from(k) - before;
    byte + u32::from(SELECT[(word >> byte) as usize & 0xff][within as usize & 7])
}

counting! {
/// Position of the `k`-th one, from 0, at or behind bit `from`.
fn select_from(words: &[u64], from: usize, k: u32) -> usize {
    let (mut at, mut k) = (from / 64, k);
    let mut word = words[at] & (u64::MAX << (from % 64));
    loop {
        let ones = word.count_ones();
        if k < ones {
            return at * 64 + select(word, k) as usize;
        }
        k -= ones;
        at += 1;
        word = words[at];
    }
}
}

counting! {
/// Ones in `words`, of the last only in its lowest `bits` bits, 0..=63.
fn ones(words: &[u64], last: u64, bits: usize) -> usize {
    let within = (last & ((1 << bits) - 1)).count_ones() as usize;
    words.iter().map(|word| word.count_ones() as usize).sum::<usize>() + within
}
}

counting! {
/// Ones that a zero follows, which begin in the first `bits` bits of `words`; the next bit is there.
fn leaf_ones(words: &[u64], bits: usize) -> usize {
    let mut count = 0;
    for at in 0..bits / 64 {
        let next = words.get(at + 1).copied().unwrap_or(0);
        count += leaves(words[at], next).count_ones() as usize;
    }
    if bits.is_multiple_of(64) {
        return count;
    }
    let (word, next) = (words[bits / 64], words.get(bits / 64 + 1).copied().unwrap_or(0));
    count + (leaves(word, next) << (64 - bits % 64)).count_ones() as usize
}
}

/// Marks the ones of `word` that a zero follows, the first bit of the next word being `next`.
#[inline(always)]
pub(super) const fn leaves(word: u64, next: u64) -> u64 {
    word & !(word >> 1 | next << 63)
}

/// Position of the first one at or behind bit `from`.
#[inline]
pub(super) fn next_one(words: &[u64], from: usize) -> usize {
    let mut at = from / 64;
    let mut word = words[at] & (u64::MAX << (from % 64));
    while word == 0 {
        at += 1;
        word = words[at];
    }
    at * 64 + word.trailing_zeros() as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn select_is_the_kth_one(word in any::<u64>(), mask in any::<u64>()) {
            for word in [word, word & mask, word | mask, mask, 1, 1 << 63, u64::MAX] {
                let ones = (0..64).filter(|bit| word >> bit & 1 == 1);
                for (k, bit) in ones.enumerate() {
                    prop_assert_eq!(select(word, k as u32), bit);
                }
            }
        }

        #[test]
        fn scans_cross_words(words in prop::collection::vec(any::<u64>().prop_map(|w| w & (w >> 7) & (w >> 13)), 1..20), from in 0usize..1280) {
            let ones: Vec<usize> =
                (from..words.len() * 64).filter(|bit| words[bit / 64] >> (bit % 64) & 1 == 1).collect();
            for (k, bit) in ones.iter().enumerate() {
                prop_assert_eq!(select_from(&words, from, k as u32), *bit);
            }
            if let Some(first) = ones.first() {
                prop_assert_eq!(next_one(&words, from), *first);
            }
        }
    }
}
