//! The table grows in place, a few homes at a time.

use std::ops::Range;

use super::bucket::{Bucket, Leaving, TARGETS};
use super::{TAIL, TagTable};
use crate::log::Loc;
use crate::memory::prefetch;

/// Buckets that are moved together while the table grows.
const STRIDE: u64 = 8;

impl TagTable {
    /// Moves the entries of the last old homes to where the larger table wants them.
    pub(super) fn grow_step(&mut self) {
        let last = ((self.threshold - 1) * self.old) >> 32;
        let first = last.saturating_sub(STRIDE - 1);
        let from = (first << 32).div_ceil(self.old);
        let leaving = from..self.threshold;
        self.threshold = from;
        let mut moving = std::mem::take(&mut self.moving);
        let (first, last) = (first as usize, last as usize);
        // Where the homes of both tables are far apart, what has moved is not met again.
        let apart = (from * self.new) >> 32 > (last + TAIL) as u64;
        let mut at = first;
        loop {
            let spread = if apart && at <= last { self.spread(at, &leaving) } else { None };
            let more = spread.unwrap_or_else(|| {
                let more = self.thin(first, at, &leaving, &mut moving);
                if apart {
                    moving.drain(..).for_each(|(tag, loc)| self.put(tag, loc));
                }
                more
            });
            if !more && at >= last {
                break;
            }
            at = self.after(at);
        }
        moving.drain(..).for_each(|(tag, loc)| self.put(tag, loc));
        self.moving = moving;
        if from == 0 {
            self.old = self.new;
        } else {
            self.fetch_step(first);
        }
    }

    /// Fetches ahead what the step below home `below` looks at.
    fn fetch_step(&self, below: usize) {
        let base = self.memory.base().cast::<Bucket>().as_ptr();
        let first = below.saturating_sub(STRIDE as usize);
        let target = (((first as u64) << 32) / self.old * self.new) >> 32;
        for at in 0..=STRIDE as usize {
            prefetch(base.wrapping_add(first + at).cast());
            prefetch(base.wrapping_add(target as usize + at).cast());
        }
    }

    /// Moves all entries of home `at`, most of them together, where the processor can; whether it was full.
    /// `None`, and nothing is moved, when some stay. Both tables' homes must be apart.
    #[inline]
    fn spread(&mut self, at: usize, leaving: &Range<u64>) -> Option<bool> {
        if !self.wide {
            return None;
        }
        #[cfg(target_arch = "x86_64")]
        {
            let old = *self.bucket(at);
            let from = ((at as u64).saturating_sub(1) << 32).div_ceil(self.old);
            let first = (from * self.new) >> 32;
            let span = (leaving.end - 1 - leaving.start) as u32;
            let leaving = Leaving { from: leaving.start as u32, span, homes: self.new, first };
            debug_assert!(at < first as usize && first as usize + TARGETS < self.backed);
            let base = self.memory.base().cast::<Bucket>();
            // SAFETY: `first` is a home of the larger table, behind which there are TAIL backed buckets more,
            // and homes that are apart begin behind `at`: the buckets are different ones; `&mut self`
            // makes them exclusive. `wide` says that the processor has what `spread` needs.
            let mut left = unsafe {
                let targets = base.add(first as usize).cast::<[Bucket; TARGETS]>().as_mut();
                base.add(at).as_mut().spread(targets, &leaving)?
            };
            while left != 0 {
                let slot = left.trailing_zeros() as usize;
                left &= left - 1;
                self.put(old.tags[slot], old.locs[slot]);
            }
            Some(old.full())
        }
        #[cfg(not(target_arch = "x86_64"))]
        None
    }

    /// Takes the entries with tags in `leaving` out of bucket `at`, and lets others go up into the
    /// room that this left in buckets from `first` on. Whether later ones may be concerned as well.
    #[inline]
    fn thin(
        &mut self,
        first: usize,
        at: usize,
        leaving: &Range<u64>,
        moving: &mut Vec<(u32, Loc)>,
    ) -> bool {
        let old = *self.bucket(at);
        let entries = || old.tags.iter().copied().zip(old.locs).take(old.count());
        if entries().all(|(tag, _)| leaving.contains(&u64::from(tag))) {
            *self.bucket_mut(at) = Bucket::default();
            moving.extend(entries());
            return old.full();
        }
        let mut kept = Bucket::default();
        let mut count = 0;
        for (tag, loc) in entries() {
            if leaving.contains(&u64::from(tag)) {
                moving.push((tag, loc));
                continue;
            }
            // Almost always the range is empty: most entries lie in their home.
            let wanted = self.home(tag).max(first);
            if let Some(room) = (wanted..at).find(|&before| !self.bucket(before).full()) {
                let bucket = self.bucket_mut(room);
                let slot = bucket.count();
                (bucket.tags[slot], bucket.locs[slot]) = (tag, loc);
            } else {
                (kept.tags[count], kept.locs[count]) = (tag, loc);
                count += 1;
            }
        }
        *self.bucket_mut(at) = kept;
        old.full()
    }
}
