//! Buckets: cache lines of slots.

use crate::log::Loc;

/// Slots of a bucket.
pub(super) const SLOTS: usize = 8;

/// One cache line.
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Bucket {
    pub(super) tags: [u32; SLOTS],
    pub(super) locs: [Loc; SLOTS],
}

impl Bucket {
    #[inline(always)]
    pub(super) const fn full(&self) -> bool {
        self.locs[SLOTS - 1] != 0
    }

    /// Used slots: the first ones.
    #[inline(always)]
    pub(super) fn count(&self) -> usize {
        #[cfg(target_arch = "x86_64")]
        {
            use std::arch::x86_64::{
                __m128i, _mm_castsi128_ps, _mm_cmpeq_epi32, _mm_load_si128, _mm_movemask_ps,
                _mm_setzero_si128,
            };
            let locs = self.locs.as_ptr().cast::<__m128i>();
            // SAFETY: SSE2 is part of x86-64; the locations are 32 bytes at the middle of a bucket,
            // which is aligned to 64.
            unsafe {
                let none = _mm_setzero_si128();
                let low = _mm_cmpeq_epi32(_mm_load_si128(locs), none);
                let high = _mm_cmpeq_epi32(_mm_load_si128(locs.add(1)), none);
                let mask = |lanes| _mm_movemask_ps(_mm_castsi128_ps(lanes)) as u32;
                (mask(low) | mask(high) << 4 | 1 << SLOTS).trailing_zeros() as usize
            }
        }
        #[cfg(not(target_arch = "x86_64"))]
        self.locs.iter().take_while(|&&loc| loc != 0).count()
    }

    /// Slots whose tag is `tag`, one bit each; unused ones may be among them.
    #[inline(always)]
    pub(super) fn matches(&self, tag: u32) -> u32 {
        #[cfg(target_arch = "x86_64")]
        {
            use std::arch::x86_64::{
                __m128i, _mm_castsi128_ps, _mm_cmpeq_epi32, _mm_load_si128, _mm_movemask_ps,
                _mm_set1_epi32,
            };
            let tags = self.tags.as_ptr().cast::<__m128i>();
            // SAFETY: SSE2 is part of x86-64; the tags are 32 bytes at the start of a bucket, which
            // is aligned to 64.
            unsafe {
                let wanted = _mm_set1_epi32(tag as i32);
                let low = _mm_cmpeq_epi32(_mm_load_si128(tags), wanted);
                let high = _mm_cmpeq_epi32(_mm_load_si128(tags.add(1)), wanted);
                let mask = |lanes| _mm_movemask_ps(_mm_castsi128_ps(lanes)) as u32;
                mask(low) | mask(high) << 4
            }
        }
        #[cfg(not(target_arch = "x86_64"))]
        {
            let bit = |(slot, &other): (usize, &u32)| u32::from(other == tag) << slot;
            self.tags.iter().enumerate().map(bit).sum()
        }
    }
}

/// Buckets that a bucket's entries go to when the table grows: it holds those of its home, and some of the
/// home before.
pub(super) const TARGETS: usize = 4;

/// How entries of one bucket go to a larger table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Leaving {
    /// The least tag that leaves.
    pub(super) from: u32,
    /// How much greater the greatest is.
    pub(super) span: u32,
    /// Homes of the larger table; fewer than 2^32.
    pub(super) homes: u64,
    /// The first of the buckets that they may go to.
    pub(super) first: u64,
}

impl Bucket {
    /// Moves entries to their homes among `targets`, where they follow what is there, and empties the bucket.
    /// Gives the slots, a bit each, of those that found no room or go elsewhere: the caller, who has a copy of
    /// the bucket, moves them. `None`, and nothing is moved, when not all of them leave.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f,avx512vl,popcnt")]
    pub(super) fn spread(
        &mut self,
        targets: &mut [Self; TARGETS],
        leaving: &Leaving,
    ) -> Option<u8> {
        use std::arch::x86_64::{
            __m256i, _mm256_cmple_epu32_mask, _mm256_load_si256, _mm256_mask_expand_epi32,
            _mm256_maskz_compress_epi32, _mm256_set1_epi32, _mm256_store_si256, _mm256_sub_epi32,
            _mm256_test_epi32_mask, _mm512_cvtepu32_epi64, _mm512_mask_cmpeq_epi64_mask,
            _mm512_mul_epu32, _mm512_set1_epi64, _mm512_srli_epi64, _mm512_sub_epi64,
        };
        // SAFETY: tags and locations are 32 bytes each, and buckets are aligned to 64.
        let load = |half: &[u32; SLOTS]| unsafe { _mm256_load_si256(half.as_ptr().cast()) };
        let (tags, locs) = (load(&self.tags), load(&self.locs));
        let used = _mm256_test_epi32_mask(locs, locs);
        let since = _mm256_sub_epi32(tags, _mm256_set1_epi32(leaving.from as i32));
        let leave = _mm256_cmple_epu32_mask(since, _mm256_set1_epi32(leaving.span as i32));
        if used & !leave != 0 {
            return None;
        }
        let product =
            _mm512_mul_epu32(_mm512_cvtepu32_epi64(tags), _mm512_set1_epi64(leaving.homes as i64));
        let first = _mm512_set1_epi64(leaving.first as i64);
        let target = _mm512_sub_epi64(_mm512_srli_epi64::<32>(product), first);
        let mut left = used;
        for (at, to) in (0..).zip(targets) {
            let going = _mm512_mask_cmpeq_epi64_mask(used, target, _mm512_set1_epi64(at));
            let (count, more) = (to.count(), going.count_ones());
            if going == 0 || count + more as usize > SLOTS {
                continue;
            }
            let slots = (((1_u32 << more) - 1) << count) as u8;
            let put = |half: &mut [u32; SLOTS], from: __m256i| {
                let packed = _mm256_maskz_compress_epi32(going, from);
                let with = _mm256_mask_expand_epi32(load(half), slots, packed);
                // SAFETY: as in `load`.
                unsafe { _mm256_store_si256(half.as_mut_ptr().cast(), with) };
            };
            put(&mut to.tags, tags);
            put(&mut to.locs, locs);
            left &= !going;
        }
        *self = Self::default();
        Some(left)
    }
}
