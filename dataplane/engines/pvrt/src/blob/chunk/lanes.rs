//! Lanes of 32 bits: AVX-512, AVX2, or four plain registers.

use super::scan::{FACTOR, wide};

/// As many hashes as a register holds.
pub(super) trait Vector: Copy {
    /// How many.
    const LANES: usize;

    /// The first [`Self::LANES`] of `from`.
    ///
    /// # Safety
    /// The processor must have what the type needs; so for all of these.
    unsafe fn load(from: &[u32; 32]) -> Self;

    /// Writes them to the first [`Self::LANES`] of `to`.
    ///
    /// # Safety
    /// As [`Self::load`].
    unsafe fn store(self, to: &mut [u32; 32]);

    /// The least signed number in each lane.
    ///
    /// # Safety
    /// As [`Self::load`].
    unsafe fn least() -> Self;

    /// Of 16 bytes a lane, which lie `stride` apart, four little-endian words, word by word.
    ///
    /// # Safety
    /// As [`Self::load`]; all these bytes must be readable.
    unsafe fn rows(base: *const u8, stride: usize) -> [Self; 4];

    /// The hashes one byte further, which is that number `BYTE` of each word of `row`.
    ///
    /// # Safety
    /// As [`Self::load`].
    unsafe fn step<const BYTE: i32>(self, row: Self) -> Self;

    /// The greater of each two, signed.
    ///
    /// # Safety
    /// As [`Self::load`].
    unsafe fn max(self, other: Self) -> Self;

    /// A bit for each lane that exceeds `threshold`, signed.
    ///
    /// # Safety
    /// As [`Self::load`].
    unsafe fn above(self, threshold: i32) -> u32;
}

/// Plain registers, one lane each.
impl Vector for u32 {
    const LANES: usize = 1;

    #[inline(always)]
    unsafe fn load(from: &[u32; 32]) -> Self {
        from[0]
    }

    #[inline(always)]
    unsafe fn store(self, to: &mut [u32; 32]) {
        to[0] = self;
    }

    #[inline(always)]
    unsafe fn least() -> Self {
        i32::MIN.cast_unsigned()
    }

    #[inline(always)]
    unsafe fn rows(base: *const u8, _stride: usize) -> [Self; 4] {
        // SAFETY: 16 bytes are readable, by contract; an array of bytes needs no alignment.
        let bytes = unsafe { base.cast::<[u8; 16]>().read() };
        std::array::from_fn(|word| {
            let [a, b, c, d, ..] = bytes[4 * word..] else { return 0 };
            Self::from_le_bytes([a, b, c, d])
        })
    }

    #[inline(always)]
    unsafe fn step<const BYTE: i32>(self, row: Self) -> Self {
        self.wrapping_add(row >> (8 * BYTE) & 0xFF).wrapping_mul(FACTOR)
    }

    #[inline(always)]
    unsafe fn max(self, other: Self) -> Self {
        self.cast_signed().max(other.cast_signed()).cast_unsigned()
    }

    #[inline(always)]
    unsafe fn above(self, threshold: i32) -> u32 {
        u32::from(self.cast_signed() > threshold)
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::{FACTOR, Vector};

    /// Which bytes of a word are kept where; `0x80` gives 0.
    const fn pick(byte: u8) -> [u8; 16] {
        let mut pick = [0x80; 16];
        let mut word = 0;
        while word < 4 {
            pick[4 * word] = 4 * word as u8 + byte;
            word += 1;
        }
        pick
    }

    const PICK: [[u8; 16]; 4] = [pick(0), pick(1), pick(2), pick(3)];

    /// The shuffle that brings byte `BYTE` of each word to its low end.
    #[inline(always)]
    fn pick_of<const BYTE: i32>() -> __m128i {
        // SAFETY: 16 bytes are read of an array of 16; unaligned loads are in every x86-64.
        unsafe { _mm_loadu_si128(PICK[BYTE as usize].as_ptr().cast()) }
    }

    impl Vector for __m512i {
        const LANES: usize = 16;

        #[inline(always)]
        unsafe fn load(from: &[u32; 32]) -> Self {
            // SAFETY: 64 of its 128 bytes are read; AVX-512 is there by contract.
            unsafe { _mm512_loadu_si512(from.as_ptr().cast()) }
        }

        #[inline(always)]
        unsafe fn store(self, to: &mut [u32; 32]) {
            // SAFETY: 64 of its 128 bytes are written; AVX-512 is there by contract.
            unsafe { _mm512_storeu_si512(to.as_mut_ptr().cast(), self) }
        }

        #[inline(always)]
        unsafe fn least() -> Self {
            // SAFETY: AVX-512 is there by contract.
            unsafe { _mm512_set1_epi32(i32::MIN) }
        }

        #[inline(always)]
        unsafe fn rows(base: *const u8, stride: usize) -> [Self; 4] {
            // SAFETY: lane by lane 16 bytes are readable, by contract, as AVX-512 is there.
            unsafe {
                let row = |lane: usize| _mm_loadu_si128(base.add(lane * stride).cast());
                // Lane 4b + r goes to block b of register r.
                let four = |r: usize| {
                    let low = _mm512_castsi128_si512(row(r));
                    let low = _mm512_inserti32x4::<1>(low, row(4 + r));
                    let low = _mm512_inserti32x4::<2>(low, row(8 + r));
                    _mm512_inserti32x4::<3>(low, row(12 + r))
                };
                let [a, b, c, d] = [four(0), four(1), four(2), four(3)];
                let (ab, cd) = (_mm512_unpacklo_epi32(a, b), _mm512_unpacklo_epi32(c, d));
                let (ab2, cd2) = (_mm512_unpackhi_epi32(a, b), _mm512_unpackhi_epi32(c, d));
                [
                    _mm512_unpacklo_epi64(ab, cd),
                    _mm512_unpackhi_epi64(ab, cd),
                    _mm512_unpacklo_epi64(ab2, cd2),
                    _mm512_unpackhi_epi64(ab2, cd2),
                ]
            }
        }

        #[inline(always)]
        unsafe fn step<const BYTE: i32>(self, row: Self) -> Self {
            // SAFETY: AVX-512F and BW are there by contract.
            unsafe {
                let byte = _mm512_shuffle_epi8(row, _mm512_broadcast_i32x4(pick_of::<BYTE>()));
                let factor = _mm512_set1_epi32(FACTOR.cast_signed());
                _mm512_mullo_epi32(_mm512_add_epi32(self, byte), factor)
            }
        }

        #[inline(always)]
        unsafe fn max(self, other: Self) -> Self {
            // SAFETY: AVX-512 is there by contract.
            unsafe { _mm512_max_epi32(self, other) }
        }

        #[inline(always)]
        unsafe fn above(self, threshold: i32) -> u32 {
            // SAFETY: AVX-512 is there by contract.
            unsafe { u32::from(_mm512_cmpgt_epi32_mask(self, _mm512_set1_epi32(threshold))) }
        }
    }

    impl Vector for __m256i {
        const LANES: usize = 8;

        #[inline(always)]
        unsafe fn load(from: &[u32; 32]) -> Self {
            // SAFETY: 32 of its 128 bytes are read; AVX2 is there by contract.
            unsafe { _mm256_loadu_si256(from.as_ptr().cast()) }
        }

        #[inline(always)]
        unsafe fn store(self, to: &mut [u32; 32]) {
            // SAFETY: 32 of its 128 bytes are written; AVX2 is there by contract.
            unsafe { _mm256_storeu_si256(to.as_mut_ptr().cast(), self) }
        }

        #[inline(always)]
        unsafe fn least() -> Self {
            // SAFETY: AVX2 is there by contract.
            unsafe { _mm256_set1_epi32(i32::MIN) }
        }

        #[inline(always)]
        unsafe fn rows(base: *const u8, stride: usize) -> [Self; 4] {
            // SAFETY: lane by lane 16 bytes are readable, by contract, as AVX2 is there.
            unsafe {
                let row = |lane: usize| _mm_loadu_si128(base.add(lane * stride).cast());
                // Lane 4b + r goes to block b of register r.
                let two = |r: usize| {
                    _mm256_inserti128_si256::<1>(_mm256_castsi128_si256(row(r)), row(4 + r))
                };
                let [a, b, c, d] = [two(0), two(1), two(2), two(3)];
                let (ab, cd) = (_mm256_unpacklo_epi32(a, b), _mm256_unpacklo_epi32(c, d));
                let (ab2, cd2) = (_mm256_unpackhi_epi32(a, b), _mm256_unpackhi_epi32(c, d));
                [
                    _mm256_unpacklo_epi64(ab, cd),
                    _mm256_unpackhi_epi64(ab, cd),
                    _mm256_unpacklo_epi64(ab2, cd2),
                    _mm256_unpackhi_epi64(ab2, cd2),
                ]
            }
        }

        #[inline(always)]
        unsafe fn step<const BYTE: i32>(self, row: Self) -> Self {
            // SAFETY: AVX2 is there by contract.
            unsafe {
                let pick = _mm256_broadcastsi128_si256(pick_of::<BYTE>());
                let factor = _mm256_set1_epi32(FACTOR.cast_signed());
                let byte = _mm256_shuffle_epi8(row, pick);
                _mm256_mullo_epi32(_mm256_add_epi32(self, byte), factor)
            }
        }

        #[inline(always)]
        unsafe fn max(self, other: Self) -> Self {
            // SAFETY: AVX2 is there by contract.
            unsafe { _mm256_max_epi32(self, other) }
        }

        #[inline(always)]
        unsafe fn above(self, threshold: i32) -> u32 {
            // SAFETY: AVX2 is there by contract.
            unsafe {
                let above = _mm256_cmpgt_epi32(self, _mm256_set1_epi32(threshold));
                _mm256_movemask_ps(_mm256_castsi256_ps(above)).cast_unsigned()
            }
        }
    }
}

/// How many segments [`scan`] looks at.
pub(super) fn count() -> usize {
    Isa::widest().lanes()
}

/// [`wide`] with the widest registers that there are.
///
/// # Panics
/// When the segments do not lie within `bytes`.
pub(super) fn scan(
    bytes: &[u8],
    from: usize,
    segment: usize,
    threshold: i32,
    found: &mut Vec<(usize, i32)>,
) {
    Isa::widest().scan(bytes, from, segment, threshold, found);
}

/// What the processor has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Isa {
    /// 16 lanes, twice.
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// 8 lanes, twice.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// One lane, four times.
    Plain,
}

impl Isa {
    /// The widest that there is.
    pub(super) fn widest() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw") {
                return Self::Avx512;
            }
            if is_x86_feature_detected!("avx2") {
                return Self::Avx2;
            }
        }
        Self::Plain
    }

    /// How many segments [`Self::scan`] looks at.
    pub(super) const fn lanes(self) -> usize {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => 32,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => 16,
            Self::Plain => 4,
        }
    }

    /// [`wide`] with that.
    ///
    /// # Panics
    /// When the segments do not lie within `bytes`.
    pub(super) fn scan(
        self,
        bytes: &[u8],
        from: usize,
        segment: usize,
        threshold: i32,
        found: &mut Vec<(usize, i32)>,
    ) {
        match self {
            // SAFETY: a value of this kind is made where the processor has both features only.
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => unsafe { avx512(bytes, from, segment, threshold, found) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => unsafe { avx2(bytes, from, segment, threshold, found) },
            // SAFETY: plain registers need nothing.
            Self::Plain => unsafe { wide::<u32, 4>(bytes, from, segment, threshold, found) },
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw")]
fn avx512(b: &[u8], from: usize, segment: usize, threshold: i32, found: &mut Vec<(usize, i32)>) {
    // SAFETY: the features are enabled.
    unsafe { wide::<std::arch::x86_64::__m512i, 2>(b, from, segment, threshold, found) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn avx2(b: &[u8], from: usize, segment: usize, threshold: i32, found: &mut Vec<(usize, i32)>) {
    // SAFETY: the feature is enabled.
    unsafe { wide::<std::arch::x86_64::__m256i, 2>(b, from, segment, threshold, found) }
}
