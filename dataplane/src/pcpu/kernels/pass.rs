//! The fused pass: one walk over the bytes that counts, transforms and takes the CRC.

use super::crc;
use super::simd::Simd;
use super::{Ahead, Beyond};
use crate::pcpu::batch::Seg;

/// Which bytes a pass takes the CRC of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::pcpu) enum CrcOf {
    /// None is taken.
    Nothing,
    /// The bytes as the pass found them.
    Before,
    /// The bytes as the pass leaves them.
    After,
}

/// What a pass does; each shape is a loop of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::pcpu) struct Shape {
    /// Maps each byte to `(byte ^ xor) + add`.
    pub(in crate::pcpu) transform: bool,
    /// Writes the transformed bytes back; only with `transform`.
    pub(in crate::pcpu) store: bool,
    /// Counts bytes equal to `eq`, before the transform.
    pub(in crate::pcpu) count: bool,
    /// Takes a CRC.
    pub(in crate::pcpu) crc: CrcOf,
}

/// Immediates and state of a pass; goes in and comes out.
#[derive(Clone, Copy, Debug)]
pub(in crate::pcpu) struct PassState {
    /// Immediate of the transform's first half.
    pub(in crate::pcpu) xor: u8,
    /// Immediate of its second half.
    pub(in crate::pcpu) add: u8,
    /// The byte to count.
    pub(in crate::pcpu) eq: u8,
    /// Whether the CRC runs on over message borders.
    pub(in crate::pcpu) chain: bool,
    /// CRC register of the open message (or of the chain).
    pub(in crate::pcpu) crc: u32,
    /// Wrapping sum of the CRCs of finished messages.
    pub(in crate::pcpu) crc_sum: u64,
    /// Bytes counted.
    pub(in crate::pcpu) count: u64,
}

impl PassState {
    /// A state before any byte, all immediates 0.
    pub(in crate::pcpu) const fn new() -> Self {
        Self { xor: 0, add: 0, eq: 0, chain: false, crc: crc::INIT, crc_sum: 0, count: 0 }
    }

    /// The register that the span begins with.
    ///
    /// This and [`Self::end`] are for spans that are not a message of their own, and are calls
    /// on purpose: a selection in place of the branch would make each message wait for the
    /// register of the one before it.
    #[cold]
    #[inline(never)]
    fn begin(&self, seg: &Seg) -> u32 {
        if seg.som && !self.chain { crc::INIT } else { self.crc }
    }

    /// Takes in the register at the end of the span.
    #[cold]
    #[inline(never)]
    fn end(&mut self, seg: &Seg, crc: u32) {
        if seg.eom && !self.chain {
            self.crc_sum = self.crc_sum.wrapping_add(u64::from(!crc));
            self.crc = crc::INIT;
        } else {
            self.crc = crc;
        }
    }
}

/// A pass compiled for one shape and level.
///
/// # Safety
/// The level must be available and the spans readable and writable by the caller alone.
pub(in crate::pcpu) type PassFn = unsafe fn(&[Seg], Ahead<'_>, &mut PassState);

/// The values of [`CrcOf`] as a const parameter.
pub(super) const NOTHING: u8 = 0;
pub(super) const BEFORE: u8 = 1;
pub(super) const AFTER: u8 = 2;

/// Makes `fn select(Shape) -> PassFn` over the monomorphic loops of two vectors: `$bytes` for
/// passes without a CRC, `$fold` for those with one.
macro_rules! select {
    ($bytes:ident, $fold:ident) => {
        fn select(shape: $crate::pcpu::kernels::Shape) -> $crate::pcpu::kernels::pass::PassFn {
            use $crate::pcpu::kernels::pass::{AFTER, BEFORE, CrcOf, NOTHING};
            match (shape.transform, shape.store, shape.count, shape.crc) {
                (false, _, false, CrcOf::Nothing) => $bytes::<false, false, false, NOTHING>,
                (false, _, true, CrcOf::Nothing) => $bytes::<false, false, true, NOTHING>,
                (true, _, false, CrcOf::Nothing) => $bytes::<true, true, false, NOTHING>,
                (true, _, true, CrcOf::Nothing) => $bytes::<true, true, true, NOTHING>,
                (false, _, false, _) => $fold::<false, false, false, BEFORE>,
                (false, _, true, _) => $fold::<false, false, true, BEFORE>,
                (true, _, false, CrcOf::Before) => $fold::<true, true, false, BEFORE>,
                (true, _, true, CrcOf::Before) => $fold::<true, true, true, BEFORE>,
                (true, false, false, CrcOf::After) => $fold::<true, false, false, AFTER>,
                (true, false, true, CrcOf::After) => $fold::<true, false, true, AFTER>,
                (true, true, false, CrcOf::After) => $fold::<true, true, false, AFTER>,
                (true, true, true, CrcOf::After) => $fold::<true, true, true, AFTER>,
            }
        }
    };
}
pub(super) use select;

/// Vectors held while folding: enough that the multiplier never waits for itself.
const WIDE: usize = 8;

/// Steps after which a byte counter is widened; at most 255.
const COUNT_STEPS: usize = 192;

/// A pass over one batch, in registers.
///
/// `XF`, `ST` and `CT` are the fields of [`Shape`], `CRC` one of the three values above.
struct Pass<'a, S: Simd, const XF: bool, const ST: bool, const CT: bool, const CRC: u8> {
    xor: S::V,
    add: S::V,
    eq: S::V,
    /// Counts of the current stretch of at most 255 steps, by byte.
    acc: [S::V; 2],
    /// Counts before it, by 64-bit lane.
    total: S::V,
    /// Zero bytes that partial loads added to the count.
    padding: u64,
    /// The span after the present one.
    next: Beyond,
    state: &'a mut PassState,
}

/// Runs a pass. `inline(always)`, to be compiled with the features of the function around it.
///
/// # Safety
/// As [`PassFn`].
#[inline(always)]
pub(super) unsafe fn run<S, const XF: bool, const ST: bool, const CT: bool, const CRC: u8>(
    segs: &[Seg],
    ahead: Ahead<'_>,
    state: &mut PassState,
) where
    S: Simd,
{
    // SAFETY: the level is the caller's promise; spans are read and written within their length.
    unsafe {
        let zero = S::splat(0);
        let mut pass = Pass::<S, XF, ST, CT, CRC> {
            xor: S::splat(state.xor),
            add: S::splat(state.add),
            eq: S::splat(state.eq),
            acc: [zero; 2],
            total: zero,
            padding: 0,
            next: ahead.beyond(0),
            state,
        };
        for (i, seg) in segs.iter().enumerate() {
            ahead.prefetch(i);
            if seg.len as usize >= WIDE * S::BYTES {
                pass.next = ahead.beyond(i);
            }
            if CRC == NOTHING {
                pass.bytes(seg.ptr, seg.len as usize);
            } else {
                pass.digest(seg);
            }
        }
        if CT {
            pass.widen();
            let counted = S::total(pass.total);
            let padding = if pass.state.eq == 0 { pass.padding } else { 0 };
            pass.state.count = pass.state.count.wrapping_add(counted).wrapping_sub(padding);
        }
    }
}

impl<S: Simd, const XF: bool, const ST: bool, const CT: bool, const CRC: u8>
    Pass<'_, S, XF, ST, CT, CRC>
{
    /// Counts and transforms one vector; gives back what the CRC is to be taken of.
    #[inline(always)]
    unsafe fn work<const ACC: usize>(&mut self, raw: S::V) -> (S::V, S::V) {
        // SAFETY: register work only.
        unsafe {
            if CT {
                self.acc[ACC] = S::count_eq(self.acc[ACC], raw, self.eq);
            }
            let out = if XF { S::add(S::xor(raw, self.xor), self.add) } else { raw };
            (out, if CRC == AFTER { out } else { raw })
        }
    }

    /// One whole vector at `ptr`.
    #[inline(always)]
    unsafe fn block<const ACC: usize>(&mut self, ptr: *mut u8) -> S::V {
        // SAFETY: `BYTES` bytes at `ptr` are inside the span, by the callers below.
        unsafe {
            let (out, digested) = self.work::<ACC>(S::load(ptr));
            if ST {
                S::store(ptr, out);
            }
            digested
        }
    }

    /// `n < BYTES` bytes at `ptr`, the rest of the vector being 0 before the transform.
    #[inline(always)]
    unsafe fn part(&mut self, ptr: *mut u8, n: usize) -> S::V {
        // SAFETY: `n` bytes at `ptr` are inside the span, by the callers below.
        unsafe {
            let (out, digested) = self.work::<0>(S::load_part(ptr, n));
            if ST {
                S::store_part(ptr, n, out);
            }
            if CT {
                self.padding += (S::BYTES - n) as u64;
            }
            digested
        }
    }

    /// Empties the byte counters.
    #[inline(always)]
    unsafe fn widen(&mut self) {
        // SAFETY: register work only.
        unsafe {
            for acc in &mut self.acc {
                self.total = S::widen(self.total, *acc);
                *acc = S::splat(0);
            }
        }
    }

    /// A span without CRC: aligned to the vector where it is long enough to matter.
    #[inline(always)]
    unsafe fn bytes(&mut self, mut ptr: *mut u8, mut n: usize) {
        // SAFETY: `ptr..ptr + n` stays the rest of the span.
        unsafe {
            let head = ptr.addr().wrapping_neg() & (S::BYTES - 1);
            if head != 0 && n >= 4 * S::BYTES {
                self.part(ptr, head);
                ptr = ptr.add(head);
                n -= head;
            }
            let mut done = 0;
            while n >= S::BYTES {
                let steps = (n / S::BYTES).min(COUNT_STEPS);
                self.stretch(ptr, steps, done);
                done += steps * S::BYTES;
                ptr = ptr.add(steps * S::BYTES);
                n -= steps * S::BYTES;
                if CT {
                    self.widen();
                }
            }
            if n > 0 {
                self.part(ptr, n);
                if CT {
                    self.widen();
                }
            }
        }
    }

    /// `steps` whole vectors; `done` bytes of the span are done.
    #[inline(always)]
    unsafe fn stretch(&mut self, ptr: *mut u8, steps: usize, done: usize) {
        // SAFETY: `steps * BYTES` bytes are the caller's; each index is below `steps`.
        unsafe {
            let at = |step: usize| ptr.add(step * S::BYTES);
            let mut step = 0;
            while step + 4 <= steps {
                self.block::<0>(at(step));
                self.block::<1>(at(step + 1));
                self.block::<0>(at(step + 2));
                self.block::<1>(at(step + 3));
                if steps >= WIDE {
                    self.next.prefetch(done + step * S::BYTES, 4 * S::BYTES);
                }
                step += 4;
            }
            while step < steps {
                self.block::<0>(at(step));
                step += 1;
            }
        }
    }

    /// A span with CRC.
    #[inline(always)]
    unsafe fn digest(&mut self, seg: &Seg) {
        let whole = seg.som && seg.eom && !self.state.chain;
        let begin = if whole { crc::INIT } else { self.state.begin(seg) };
        // SAFETY: the span is the caller's.
        let crc = unsafe { self.crc_span(begin, seg.ptr, seg.len as usize) };
        if whole {
            self.state.crc_sum = self.state.crc_sum.wrapping_add(u64::from(!crc));
            // Ends what an abandoned message has left.
            self.state.crc = crc::INIT;
        } else {
            self.state.end(seg, crc);
        }
    }

    #[inline(always)]
    unsafe fn crc_span(&mut self, mut crc: u32, mut ptr: *mut u8, mut n: usize) -> u32 {
        // SAFETY: `ptr..ptr + n` stays the rest of the span.
        unsafe {
            if !XF && !CT {
                let taken;
                (crc, taken) = S::crc_first(crc, ptr, n, self.next);
                ptr = ptr.add(taken);
                n -= taken;
            }
            if S::FOLD && n >= WIDE * S::BYTES {
                let blocks = n / (WIDE * S::BYTES);
                let acc = self.fold_wide(crc, ptr, blocks);
                ptr = ptr.add(blocks * WIDE * S::BYTES);
                n %= WIDE * S::BYTES;
                (crc, ptr, n) = self.fold_rest(acc, ptr, n);
            } else if S::FOLD && n >= 2 * S::BYTES {
                let first = S::xor(self.block::<0>(ptr), S::seed(crc));
                (crc, ptr, n) = self.fold_rest(first, ptr.add(S::BYTES), n - S::BYTES);
            }
            while n >= S::BYTES {
                let v = self.block::<0>(ptr);
                crc = Self::crc_vector(crc, v, S::BYTES);
                ptr = ptr.add(S::BYTES);
                n -= S::BYTES;
                if CT && (n / S::BYTES).is_multiple_of(128) {
                    self.widen();
                }
            }
            if n > 0 {
                crc = self.crc_part(crc, ptr, n);
            }
            if CT {
                self.widen();
            }
            crc
        }
    }

    /// `blocks` times `WIDE` vectors, folded into one that stands for all of them.
    #[inline(always)]
    unsafe fn fold_wide(&mut self, crc: u32, ptr: *mut u8, blocks: usize) -> S::V {
        // SAFETY: `blocks * WIDE * BYTES` bytes are the caller's.
        unsafe {
            let mut acc = [S::splat(0); WIDE];
            self.each(ptr, |i, v| acc[i] = v);
            acc[0] = S::xor(acc[0], S::seed(crc));
            let k = S::multiplier(WIDE * S::BYTES);
            for block in 1..blocks {
                let at = ptr.add(block * WIDE * S::BYTES);
                self.each(at, |i, v| acc[i] = S::fold(acc[i], k, v));
                self.next.prefetch((block - 1) * WIDE * S::BYTES, WIDE * S::BYTES);
                if CT && block % 32 == 0 {
                    self.widen();
                }
            }
            // Each vector moves to the place of the last, whatever lies between.
            for i in (1..WIDE).rev() {
                let k = S::multiplier(i * S::BYTES);
                acc[WIDE - 1] = S::fold(acc[WIDE - 1 - i], k, acc[WIDE - 1]);
            }
            if CT {
                self.widen();
            }
            acc[WIDE - 1]
        }
    }

    /// Works on `WIDE` vectors at `ptr` and gives each to `take`.
    #[inline(always)]
    unsafe fn each(&mut self, ptr: *mut u8, mut take: impl FnMut(usize, S::V)) {
        // SAFETY: `WIDE * BYTES` bytes are the caller's.
        unsafe {
            for i in 0..WIDE / 2 {
                take(2 * i, self.block::<0>(ptr.add(2 * i * S::BYTES)));
                take(2 * i + 1, self.block::<1>(ptr.add((2 * i + 1) * S::BYTES)));
            }
        }
    }

    /// Folds whole vectors into `acc` one by one and reduces it; fewer than `WIDE` are left.
    #[inline(always)]
    unsafe fn fold_rest(
        &mut self,
        mut acc: S::V,
        mut ptr: *mut u8,
        mut n: usize,
    ) -> (u32, *mut u8, usize) {
        // SAFETY: `n` bytes at `ptr` are the caller's.
        unsafe {
            let k = S::multiplier(S::BYTES);
            while n >= S::BYTES {
                acc = S::fold(acc, k, self.block::<0>(ptr));
                ptr = ptr.add(S::BYTES);
                n -= S::BYTES;
            }
            (S::reduce(acc), ptr, n)
        }
    }

    /// The last `n < BYTES` bytes.
    #[inline(always)]
    unsafe fn crc_part(&mut self, crc: u32, ptr: *mut u8, n: usize) -> u32 {
        // SAFETY: `n` bytes at `ptr` are the caller's.
        unsafe {
            if XF || S::BYTES == 8 {
                let v = self.part(ptr, n);
                return Self::crc_vector(crc, v, n);
            }
            if CT {
                self.part(ptr, n);
            }
            Self::crc_bytes(crc, ptr, n)
        }
    }

    /// The first `n` bytes of a vector.
    #[inline(always)]
    unsafe fn crc_vector(crc: u32, v: S::V, n: usize) -> u32 {
        let mut bytes = [0u8; 64];
        // SAFETY: a vector has at most 64 bytes, and n at most a vector's.
        unsafe {
            S::store(bytes.as_mut_ptr(), v);
            Self::crc_bytes(crc, bytes.as_ptr(), n)
        }
    }

    #[inline(always)]
    unsafe fn crc_bytes(mut crc: u32, ptr: *const u8, n: usize) -> u32 {
        // SAFETY: `n` bytes at `ptr` are the caller's; `at` stays below.
        unsafe {
            let mut at = 0;
            while at + 8 <= n {
                crc = S::crc_word(crc, ptr.add(at).cast::<u64>().read_unaligned());
                at += 8;
            }
            while at < n {
                crc = S::crc_byte(crc, *ptr.add(at));
                at += 1;
            }
            crc
        }
    }
}
