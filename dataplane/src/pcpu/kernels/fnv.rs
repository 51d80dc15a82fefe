//! FNV-1a 64 over a batch: many messages' chains side by side.
//!
//! One chain costs an xor and a multiplication per byte, each waiting for the last. Messages do
//! not wait for each other, so that their chains fill the multiplier's pipeline.

use super::{Ahead, FnvState};
use crate::pcpu::batch::Seg;

/// The FNV prime for 64 bits.
pub(super) const PRIME: u64 = 0x0100_0000_01b3;

/// One serial chain over `n` bytes, from and to a state.
///
/// # Safety
/// `n` bytes at `ptr` must be readable.
#[inline(always)]
pub(super) unsafe fn chain(mut hash: u64, ptr: *const u8, n: usize) -> u64 {
    for i in 0..n {
        // SAFETY: `i < n`.
        hash = (hash ^ u64::from(unsafe { *ptr.add(i) })).wrapping_mul(PRIME);
    }
    hash
}

/// The digest of all spans' concatenation (`fnv64:chain`), from and to a state.
///
/// # Safety
/// The spans must be readable.
pub(in crate::pcpu) unsafe fn run_chain(segs: &[Seg], ahead: Ahead<'_>, mut hash: u64) -> u64 {
    for (i, seg) in segs.iter().enumerate() {
        ahead.prefetch(i);
        // SAFETY: readable by the caller.
        hash = unsafe { chain(hash, seg.ptr, seg.len as usize) };
    }
    hash
}

/// What `N` chains work on: the lane `l` is at `ptr[l]`, with `rem[l]` bytes of its span left
/// and the state `hash[l]`. Lanes with work come first, `active` of them; the others have
/// `rem[l] == 0` and a `ptr` at which nothing may be read.
#[repr(C, align(64))]
pub(super) struct Lanes<'a, const N: usize> {
    pub(super) ptr: [*const u8; N],
    pub(super) rem: [u64; N],
    pub(super) hash: [u64; N],
    /// The span that each lane is in.
    seg: [u32; N],
    segs: &'a [Seg],
    ahead: Ahead<'a>,
    state: &'a mut FnvState,
    /// State at the batch's begin, for the message that goes on in it.
    open: u64,
    /// First span that no lane has taken.
    next: usize,
    /// Lanes with work.
    pub(super) active: usize,
}

impl<'a, const N: usize> Lanes<'a, N> {
    /// Lanes that have each taken a message, as far as there are any.
    #[inline(always)]
    pub(super) fn new(segs: &'a [Seg], ahead: Ahead<'a>, state: &'a mut FnvState) -> Self {
        let open = std::mem::replace(&mut state.open, state.basis);
        let mut lanes = Self {
            ptr: [std::ptr::null(); N],
            rem: [0; N],
            hash: [0; N],
            seg: [0; N],
            segs,
            ahead,
            state,
            open,
            next: 0,
            active: 0,
        };
        while lanes.active < N && lanes.take(lanes.active) {
            lanes.active += 1;
        }
        lanes
    }

    /// Puts the lane on the next message that has bytes; false when there is none.
    #[inline(always)]
    fn take(&mut self, lane: usize) -> bool {
        while let Some(seg) = self.segs.get(self.next) {
            let first = self.next;
            self.ahead.prefetch(first);
            self.next += 1;
            if !seg.eom {
                self.skip_message();
            }
            let fresh = first != 0 || seg.som;
            self.hash[lane] = if fresh { self.state.basis } else { self.open };
            self.seg[lane] = first as u32;
            self.ptr[lane] = seg.ptr;
            self.rem[lane] = u64::from(seg.len);
            if seg.len != 0 || self.go_on(lane) {
                return true;
            }
        }
        false
    }

    /// Moves `next` beyond the message whose first span it has just passed.
    #[cold]
    fn skip_message(&mut self) {
        while let Some(seg) = self.segs.get(self.next).filter(|seg| !seg.som) {
            self.ahead.prefetch(self.next);
            self.next += 1;
            if seg.eom {
                break;
            }
        }
    }

    /// The lane's span is used up: moves on to the message's next span with bytes, or settles
    /// the message and gives back false.
    #[inline(always)]
    fn go_on(&mut self, lane: usize) -> bool {
        loop {
            let at = self.seg[lane] as usize;
            if self.segs[at].eom {
                self.state.sum = self.state.sum.wrapping_add(self.hash[lane]);
                return false;
            }
            match self.segs.get(at + 1) {
                None => {
                    self.state.open = self.hash[lane];
                    return false;
                }
                // Abandoned: a new message begins before this one has ended.
                Some(seg) if seg.som => return false,
                Some(seg) => {
                    self.seg[lane] += 1;
                    self.ptr[lane] = seg.ptr;
                    self.rem[lane] = u64::from(seg.len);
                    if seg.len != 0 {
                        return true;
                    }
                }
            }
        }
    }

    /// Moves every lane on by `steps` bytes, or to its span's end where that is nearer, and
    /// gives new work to those that are there.
    #[inline(always)]
    pub(super) fn advance(&mut self, steps: u64) {
        // Backwards, so that the lane that fills a gap has been seen already.
        for lane in (0..self.active).rev() {
            let rem = self.rem[lane];
            self.rem[lane] = rem.saturating_sub(steps);
            self.ptr[lane] = self.ptr[lane].wrapping_add(steps as usize);
            if rem <= steps && !self.go_on(lane) && !self.take(lane) {
                self.retire(lane);
            }
        }
    }

    /// Moves the last lane into the place of one that has no work left.
    fn retire(&mut self, lane: usize) {
        self.active -= 1;
        let last = self.active;
        self.ptr[lane] = self.ptr[last];
        self.rem[lane] = self.rem[last];
        self.hash[lane] = self.hash[last];
        self.seg[lane] = self.seg[last];
        self.rem[last] = 0;
    }

    /// Runs the only lane left to its span's end.
    ///
    /// # Safety
    /// The spans must be readable, and lane 0 active.
    #[inline(always)]
    pub(super) unsafe fn alone(&mut self) {
        // SAFETY: `rem` bytes are left of the lane's span.
        self.hash[0] = unsafe { chain(self.hash[0], self.ptr[0], self.rem[0] as usize) };
        self.advance(self.rem[0]);
    }
}

/// Chains side by side in general registers. Four would fill a multiplier of three cycles'
/// latency; eight also cover the loads.
const SCALAR: usize = 8;

/// FNV-1a per message, in general registers.
///
/// # Safety
/// The spans must be readable.
pub(super) unsafe fn run(segs: &[Seg], ahead: Ahead<'_>, state: &mut FnvState) {
    let mut lanes = Lanes::<SCALAR>::new(segs, ahead, state);
    while lanes.active > 0 {
        // SAFETY: the spans are readable, and lanes stay within theirs.
        unsafe {
            match lanes.active {
                1 => lanes.alone(),
                2..5 => scalar_round::<4, SCALAR>(&mut lanes),
                _ => scalar_round::<SCALAR, SCALAR>(&mut lanes),
            }
        }
    }
}

/// Takes every lane as far as the one that is nearest to its span's end. At least one and at
/// most `W` lanes are active; those that are not go along with lane 0.
///
/// # Safety
/// The lanes' spans must be readable.
#[inline(always)]
pub(super) unsafe fn scalar_round<const W: usize, const N: usize>(lanes: &mut Lanes<'_, N>) {
    let active = lanes.active;
    let steps = lanes.rem[..active].iter().copied().min().unwrap_or(0);
    let from: [*const u8; W] =
        std::array::from_fn(|lane| lanes.ptr[if lane < active { lane } else { 0 }]);
    let mut hash: [u64; W] = std::array::from_fn(|lane| lanes.hash[lane]);
    for i in 0..steps as usize {
        for lane in 0..W {
            // SAFETY: every active lane has at least `steps` bytes left.
            let byte = u64::from(unsafe { *from[lane].add(i) });
            hash[lane] = (hash[lane] ^ byte).wrapping_mul(PRIME);
        }
    }
    lanes.hash[..W].copy_from_slice(&hash);
    lanes.advance(steps);
}
