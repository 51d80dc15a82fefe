//! The memory's own speed: the fastest loops of ours that touch every whole 64-byte block of a
//! span and do nothing else.
//!
//! One body for each, compiled for every instruction-set level; the best level of the processor
//! runs.

use std::hint::black_box;

/// Words of a block of four times 64 bytes.
const WORDS: usize = 32;
/// Bytes that the `ahead` variants fetch in advance, past the hardware's own prefetch.
const AHEAD: usize = 4096;

/// A body at each level, and the choice among them.
macro_rules! levels {
    ($(#[$doc:meta])* $name:ident, $body:ident, ($($arg:ident: $kind:ty),*) $(-> $out:ty)?) => {
        $(#[$doc])*
        pub fn $name($($arg: $kind),*) $(-> $out)? {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
                fn avx512($($arg: $kind),*) $(-> $out)? {
                    $body($($arg),*)
                }
                #[target_feature(enable = "avx2")]
                fn avx2($($arg: $kind),*) $(-> $out)? {
                    $body($($arg),*)
                }
                if std::arch::is_x86_feature_detected!("avx512bw")
                    && std::arch::is_x86_feature_detected!("avx512vl")
                {
                    // SAFETY: the processor has what the function was compiled for.
                    return unsafe { avx512($($arg),*) };
                }
                if std::arch::is_x86_feature_detected!("avx2") {
                    // SAFETY: as above.
                    return unsafe { avx2($($arg),*) };
                }
            }
            $body($($arg),*)
        }
    };
}

/// Exclusive or of the words of every whole 64-byte block; `ahead` prefetches.
///
/// By hand: the compiler keeps a body's sums in memory, at a fifth of the speed.
#[must_use]
pub fn read(span: &[u8], ahead: bool) -> u64 {
    #[cfg(target_arch = "x86_64")]
    {
        if std::arch::is_x86_feature_detected!("avx512f") {
            // SAFETY: the processor has AVX-512.
            return unsafe { x86::read512(span, ahead) };
        }
        if std::arch::is_x86_feature_detected!("avx2") {
            // SAFETY: the processor has AVX2.
            return unsafe { x86::read256(span, ahead) };
        }
    }
    read_body(span, ahead)
}

levels!(
    /// Loads every whole 64-byte block and stores it back as it was; `ahead` prefetches.
    rewrite, rewrite_body, (span: &mut [u8], ahead: bool)
);
levels!(
    /// Stores `word` all over every whole 64-byte block.
    write, write_body, (span: &mut [u8], word: u64)
);

/// Asks for the line that lies [`AHEAD`] of `at`.
#[inline(always)]
fn fetch(at: *const u8) {
    fetch_line(at.wrapping_add(AHEAD));
}

/// Asks for the line at `at`.
#[inline(always)]
pub(crate) fn fetch_line(at: *const u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch of any address is harmless.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(at.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = at;
}

#[inline(always)]
fn word(bytes: &[u8; 8]) -> u64 {
    u64::from_ne_bytes(*bytes)
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::{fetch, read_body};

    /// A reader with registers of one kind: four sums of 64 bytes each.
    macro_rules! reader {
        ($name:ident, $feature:literal, $vector:ty, $zero:ident, $load:ident, $xor:ident) => {
            #[target_feature(enable = $feature)]
            pub(super) fn $name(span: &[u8], ahead: bool) -> u64 {
                const PARTS: usize = 64 / size_of::<$vector>();
                let mut sums = [$zero(); 4 * PARTS];
                let (blocks, rest) = span.as_chunks::<256>();
                for block in blocks {
                    if ahead {
                        (0..4).for_each(|line| fetch(block[line * 64..].as_ptr()));
                    }
                    for (part, sum) in sums.iter_mut().enumerate() {
                        let at = block[part * size_of::<$vector>()..].as_ptr();
                        // SAFETY: `part` times the vector's size is below 256, the block's length,
                        // of which the vector's size is a divisor.
                        *sum = $xor(*sum, unsafe { $load(at.cast()) });
                    }
                }
                let sum = sums.into_iter().fold($zero(), |a, b| $xor(a, b));
                // SAFETY: both are the same number of bytes, and any bits make words.
                let words: [u64; size_of::<$vector>() / 8] = unsafe { std::mem::transmute(sum) };
                words.into_iter().fold(read_body(rest, false), |a, b| a ^ b)
            }
        };
    }

    reader!(
        read512,
        "avx512f",
        __m512i,
        _mm512_setzero_si512,
        _mm512_loadu_si512,
        _mm512_xor_si512
    );
    reader!(read256, "avx2", __m256i, _mm256_setzero_si256, _mm256_loadu_si256, _mm256_xor_si256);
}

#[inline(always)]
fn read_body(span: &[u8], ahead: bool) -> u64 {
    let mut sums = [0u64; WORDS];
    let (blocks, rest) = span.as_chunks::<{ WORDS * 8 }>();
    for block in blocks {
        if ahead {
            for line in 0..4 {
                fetch(block[line * 64..].as_ptr());
            }
        }
        let words = block.as_chunks::<8>().0;
        for (sum, bytes) in sums.iter_mut().zip(words) {
            *sum ^= word(bytes);
        }
    }
    for block in rest.as_chunks::<64>().0 {
        for (sum, bytes) in sums.iter_mut().zip(block.as_chunks::<8>().0) {
            *sum ^= word(bytes);
        }
    }
    sums.iter().fold(0, |sum, word| sum ^ word)
}

#[inline(always)]
fn rewrite_body(span: &mut [u8], ahead: bool) {
    // Zero, in a way that the compiler cannot know: else it would see that nothing changes.
    let zero = black_box(0u64);
    for block in span.as_chunks_mut::<64>().0 {
        if ahead {
            fetch(block.as_ptr());
        }
        for bytes in block.as_chunks_mut::<8>().0 {
            *bytes = (word(bytes) ^ zero).to_ne_bytes();
        }
    }
}

#[inline(always)]
fn write_body(span: &mut [u8], word: u64) {
    for block in span.as_chunks_mut::<64>().0 {
        for bytes in block.as_chunks_mut::<8>().0 {
            *bytes = word.to_ne_bytes();
        }
    }
    black_box(span.as_ptr());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_whole_block_is_touched_and_no_other_byte() {
        let bytes: Vec<u8> = (0..1000u32).map(|at| ((at * 7) >> 2) as u8).collect();
        let whole = &bytes[..960];
        let sum = whole.as_chunks::<8>().0.iter().fold(0, |sum, bytes| sum ^ word(bytes));
        assert_eq!((read(&bytes, false), read(&bytes, true)), (sum, sum));
        let mut same = bytes.clone();
        rewrite(&mut same, true);
        assert_eq!(same, bytes);
        write(&mut same, 0x0101_0101_0101_0101);
        assert!(same[..960].iter().all(|&byte| byte == 1));
        assert_eq!(same[960..], bytes[960..]);
    }
}
