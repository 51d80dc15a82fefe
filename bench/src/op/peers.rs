//! What we compare with: the memory's own speed, other crates, and plain loops.

use std::hint::black_box;

use pfs_dataplane::pcpu::{FNV_BASIS, oracle};

/// A way to go over one span: takes the sum so far, gives back the new one.
pub(super) struct Peer {
    pub(super) name: &'static str,
    pub(super) span: fn(u64, &mut [u8]) -> u64,
    /// The answer for one pass over spans that hold these bytes.
    pub(super) answer: Answer,
}

/// What a peer's answer is checked against.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// Sum of CRC-32C by span.
    Crc,
    /// Sum of FNV-1a by span.
    Fnv,
    /// Count of zero bytes.
    Zeros,
    /// Xor of all 64-bit words; whole 64-byte blocks only.
    Words,
    /// Every byte exclusive-ored with 255.
    Flipped,
    /// Every byte plus 7.
    Plus7,
    /// Nothing but unchanged bytes.
    Unchanged,
}

/// Every peer that this host can run.
pub(super) fn all() -> Vec<Peer> {
    let mut peers = vec![
        Peer { name: "crate crc32c", span: crate_crc32c, answer: Answer::Crc },
        Peer { name: "crate crc-fast", span: crate_crc_fast, answer: Answer::Crc },
        Peer { name: "plain fnv64", span: plain_fnv, answer: Answer::Fnv },
        Peer { name: "plain counteq", span: plain_count, answer: Answer::Zeros },
        Peer { name: "plain xor", span: plain_xor, answer: Answer::Flipped },
        Peer { name: "plain add", span: plain_add, answer: Answer::Plus7 },
        Peer { name: "memcpy", span: memcpy, answer: Answer::Unchanged },
    ];
    #[cfg(target_arch = "x86_64")]
    if pfs_dataplane::pcpu::Isa::Avx512.is_available() {
        peers.push(Peer { name: "roofline read", span: roofline::read, answer: Answer::Words });
        peers.push(Peer {
            name: "roofline read ahead",
            span: roofline::read_ahead,
            answer: Answer::Words,
        });
        peers.push(Peer {
            name: "roofline read+write",
            span: roofline::write,
            answer: Answer::Unchanged,
        });
        peers.push(Peer {
            name: "roofline read+write ahead",
            span: roofline::write_ahead,
            answer: Answer::Unchanged,
        });
    }
    peers
}

fn crate_crc32c(sum: u64, span: &mut [u8]) -> u64 {
    sum.wrapping_add(u64::from(crc32c::crc32c(span)))
}

fn crate_crc_fast(sum: u64, span: &mut [u8]) -> u64 {
    sum.wrapping_add(u64::from(crc_fast::crc32_iscsi(span)))
}

fn plain_fnv(sum: u64, span: &mut [u8]) -> u64 {
    sum.wrapping_add(oracle::fnv64(FNV_BASIS, span))
}

fn plain_count(sum: u64, span: &mut [u8]) -> u64 {
    sum + span.iter().filter(|&&byte| byte == 0).count() as u64
}

fn plain_xor(sum: u64, span: &mut [u8]) -> u64 {
    span.iter_mut().for_each(|byte| *byte ^= 255);
    sum
}

fn plain_add(sum: u64, span: &mut [u8]) -> u64 {
    span.iter_mut().for_each(|byte| *byte = byte.wrapping_add(7));
    sum
}

/// To the same small place each time: the read side is what it measures of large buffers.
fn memcpy(sum: u64, span: &mut [u8]) -> u64 {
    let mut to = [0u8; 4096];
    for part in span.chunks(to.len()) {
        black_box(&mut to[..part.len()]).copy_from_slice(part);
    }
    black_box(&to);
    sum
}

/// The fastest loops of ours that touch every whole 64-byte block of a span and do nothing else.
#[cfg(target_arch = "x86_64")]
mod roofline {
    use std::arch::x86_64::*;
    use std::hint::black_box;

    /// Bytes that the `_ahead` variants fetch in advance, past the hardware's own prefetch.
    const AHEAD: usize = 4096;

    pub(super) fn read(sum: u64, span: &mut [u8]) -> u64 {
        // SAFETY: only listed where AVX-512 is available.
        sum ^ unsafe { read_avx512::<false>(span) }
    }

    pub(super) fn read_ahead(sum: u64, span: &mut [u8]) -> u64 {
        // SAFETY: as above.
        sum ^ unsafe { read_avx512::<true>(span) }
    }

    pub(super) fn write(sum: u64, span: &mut [u8]) -> u64 {
        // SAFETY: as above.
        unsafe { write_avx512::<false>(span) };
        sum
    }

    pub(super) fn write_ahead(sum: u64, span: &mut [u8]) -> u64 {
        // SAFETY: as above.
        unsafe { write_avx512::<true>(span) };
        sum
    }

    #[target_feature(enable = "avx512f")]
    fn read_avx512<const FETCH: bool>(span: &[u8]) -> u64 {
        let mut acc = [_mm512_setzero_si512(); 4];
        let (fours, rest) = span.as_chunks::<256>();
        for four in fours {
            for (i, acc) in acc.iter_mut().enumerate() {
                let at = four.as_ptr().wrapping_add(i * 64);
                // SAFETY: inside the chunk; the prefetch of any address is harmless.
                unsafe {
                    if FETCH {
                        _mm_prefetch::<_MM_HINT_T0>(at.wrapping_add(AHEAD).cast());
                    }
                    *acc = _mm512_xor_si512(*acc, _mm512_loadu_si512(at.cast()));
                }
            }
        }
        for one in rest.as_chunks::<64>().0 {
            // SAFETY: inside the chunk.
            acc[0] = _mm512_xor_si512(acc[0], unsafe { _mm512_loadu_si512(one.as_ptr().cast()) });
        }
        let pair = [_mm512_xor_si512(acc[0], acc[1]), _mm512_xor_si512(acc[2], acc[3])];
        let mut words = [0u64; 8];
        // SAFETY: 64 bytes.
        unsafe {
            _mm512_storeu_si512(words.as_mut_ptr().cast(), _mm512_xor_si512(pair[0], pair[1]));
        }
        words.iter().fold(0, |sum, word| sum ^ word)
    }

    #[target_feature(enable = "avx512f")]
    fn write_avx512<const FETCH: bool>(span: &mut [u8]) {
        // Zero, in a way that the compiler cannot know: else it would see that nothing changes.
        let zero = _mm512_set1_epi64(black_box(0));
        for one in span.as_chunks_mut::<64>().0 {
            let at: *mut __m512i = one.as_mut_ptr().cast();
            // SAFETY: inside the chunk; the prefetch of any address is harmless.
            unsafe {
                if FETCH {
                    _mm_prefetch::<_MM_HINT_T0>(at.cast::<i8>().wrapping_add(AHEAD));
                }
                _mm512_storeu_si512(at, _mm512_xor_si512(_mm512_loadu_si512(at), zero));
            }
        }
    }
}
