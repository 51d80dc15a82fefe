//! The tag table: from a key's hash to the locations of its candidates.
//!
//! Buckets are cache lines of 8 slots: 8 tags of 32 bits, 8 locations of 32 bits. A tag is the
//! key's hash; its home bucket is `tag * buckets >> 32`, so that tags ascend with buckets. An entry
//! lies in its home or, when that is full, in the next one that is not. Used slots come first in a
//! bucket, hence "full" is "the last slot is used", and a search ends at a bucket that is not.
//!
//! The table grows by a twelfth at a time and in place: tags above a falling threshold already
//! live where the larger table wants them, those below where the smaller one did. Each insertion
//! lowers the threshold by a few buckets. All of that needs the tags alone, never the keys.

mod bucket;
mod grow;

use std::io;

use bucket::{Bucket, SLOTS};

use crate::log::Loc;
use crate::memory::{HUGE, Reservation, prefetch};

/// Buckets behind the last home, for what the last homes cannot hold.
const TAIL: usize = 64;
/// Full at this many entries per 256 slots.
const FULL: usize = 232;
/// Entries added between two such moves: few enough that one growth ends before the next begins.
const EVERY: usize = 3;

#[cfg(target_arch = "x86_64")]
fn wide() -> bool {
    use std::arch::is_x86_feature_detected as has;
    has!("avx512f") && has!("avx512vl") && has!("popcnt")
}

#[cfg(not(target_arch = "x86_64"))]
const fn wide() -> bool {
    false
}

/// The table.
#[derive(Debug)]
pub(crate) struct TagTable {
    memory: Reservation,
    /// Buckets backed by memory.
    backed: usize,
    /// Homes of tags below the threshold.
    old: u64,
    /// Homes of tags from the threshold on.
    new: u64,
    threshold: u64,
    len: usize,
    /// The processor moves a bucket's entries together.
    wide: bool,
    /// Scratch of a growth step.
    moving: Vec<(u32, Loc)>,
}

impl TagTable {
    /// An empty table for at most `most` entries.
    pub(crate) fn new(most: u64) -> io::Result<Self> {
        let buckets = (most * 3 / 2) as usize / SLOTS + 4096;
        let homes = (HUGE / 64 - TAIL) as u64 / 16;
        let mut table = Self {
            memory: Reservation::new(buckets * 64)?,
            backed: 0,
            old: homes,
            new: homes,
            threshold: 0,
            len: 0,
            wide: wide(),
            moving: Vec::with_capacity(64),
        };
        table.back(homes as usize + TAIL)?;
        Ok(table)
    }

    /// Bytes that hold buckets. Backing comes in huge pages; the last may be larger than this says.
    pub(crate) fn bytes(&self) -> u64 {
        (self.new as usize + TAIL) as u64 * 64
    }

    /// Entries.
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    fn back(&mut self, buckets: usize) -> io::Result<()> {
        let (from, to) = (self.backed * 64, (buckets * 64).next_multiple_of(HUGE));
        if to > from {
            self.memory.back(from, to - from)?;
            self.backed = to / 64;
        }
        Ok(())
    }

    #[inline(always)]
    fn bucket(&self, at: usize) -> &Bucket {
        debug_assert!(at < self.backed);
        // SAFETY: callers stay below `backed`: homes are less than `new` or `old`, and searches end
        // at a bucket that is not full, which `insert` keeps before the last backed one. Backed
        // bytes are 0 or what was written through `bucket_mut`.
        unsafe { self.memory.base().cast::<Bucket>().add(at).as_ref() }
    }

    #[inline(always)]
    fn bucket_mut(&mut self, at: usize) -> &mut Bucket {
        debug_assert!(at < self.backed);
        // SAFETY: as in `bucket`, and `&mut self` makes it exclusive.
        unsafe { self.memory.base().cast::<Bucket>().add(at).as_mut() }
    }

    #[inline(always)]
    fn home(&self, tag: u32) -> usize {
        let homes = if u64::from(tag) >= self.threshold { self.new } else { self.old };
        ((u64::from(tag) * homes) >> 32) as usize
    }

    /// Fetches the home of `tag` ahead.
    #[inline(always)]
    pub(crate) fn prefetch(&self, tag: u32) {
        let at = self.memory.base().cast::<Bucket>().as_ptr().wrapping_add(self.home(tag));
        prefetch(at.cast());
    }

    /// Fetches the two buckets behind the home of `tag` ahead, when that is full: who looks for an entry that is
    /// not there looks at them as well. The home must be on its way.
    #[inline(always)]
    pub(crate) fn prefetch_behind(&self, tag: u32) {
        let home = self.home(tag);
        if self.bucket(home).full() {
            let at = self.memory.base().cast::<Bucket>().as_ptr().wrapping_add(home + 1);
            prefetch(at.cast());
            prefetch(at.wrapping_add(1).cast());
        }
    }

    /// The first location with `tag` in its home bucket; 0 when there is none.
    #[inline(always)]
    pub(crate) fn likely(&self, tag: u32) -> Loc {
        let bucket = self.bucket(self.home(tag));
        let mask = bucket.matches(tag);
        if mask == 0 { 0 } else { bucket.locs[(mask.trailing_zeros() & 7) as usize] }
    }

    /// The location with `tag` that `is` takes.
    #[inline(always)]
    pub(crate) fn find(&self, tag: u32, mut is: impl FnMut(Loc) -> bool) -> Option<Loc> {
        let (at, slot) = self.place(tag, &mut is)?;
        Some(self.bucket(at).locs[slot])
    }

    #[inline(always)]
    fn place(&self, tag: u32, is: &mut impl FnMut(Loc) -> bool) -> Option<(usize, usize)> {
        let mut at = self.home(tag);
        loop {
            let bucket = self.bucket(at);
            let mut mask = bucket.matches(tag);
            while mask != 0 {
                let slot = (mask.trailing_zeros() & 7) as usize;
                mask &= mask - 1;
                if bucket.locs[slot] != 0 && is(bucket.locs[slot]) {
                    return Some((at, slot));
                }
            }
            if !bucket.full() {
                return None;
            }
            at = self.after(at);
        }
    }

    /// The bucket behind `at`.
    ///
    /// # Panics
    /// When there is none: `reserve` keeps the last one empty unless hashes do not spread at all.
    #[inline]
    fn after(&self, at: usize) -> usize {
        assert!(at + 1 < self.backed, "the tag table's tail is full: its hash does not spread");
        at + 1
    }

    /// Puts `to` in the place of `from`; false when `from` is not there.
    pub(crate) fn replace(&mut self, tag: u32, from: Loc, to: Loc) -> bool {
        let Some((at, slot)) = self.place(tag, &mut |loc| loc == from) else { return false };
        self.bucket_mut(at).locs[slot] = to;
        true
    }

    /// Removes `loc`; false when it is not there.
    pub(crate) fn remove(&mut self, tag: u32, loc: Loc) -> bool {
        let Some((at, slot)) = self.place(tag, &mut |other| other == loc) else { return false };
        self.remove_at(at, slot);
        self.len -= 1;
        true
    }

    /// Makes room for one entry more.
    ///
    /// # Errors
    /// When the system gives no memory; the table is as it was.
    pub(crate) fn reserve(&mut self) -> io::Result<()> {
        if self.threshold > 0 {
            if self.len.is_multiple_of(EVERY) {
                self.grow_step();
            }
        } else if self.len >= self.new as usize * SLOTS / 256 * FULL {
            let wanted = self.new + self.new / 12 + 1;
            self.back(wanted as usize + TAIL)?;
            (self.old, self.new, self.threshold) = (self.new, wanted, 1 << 32);
        }
        // Never reached with hashes that spread; without it a search could run off the end.
        let last = self.backed - 1;
        if self.bucket(last).locs[0] != 0 {
            self.back(self.backed + 1)?;
        }
        Ok(())
    }

    /// Adds an entry; [`TagTable::reserve`] must have succeeded since the last one.
    pub(crate) fn insert(&mut self, tag: u32, loc: Loc) {
        debug_assert!(loc != 0);
        self.put(tag, loc);
        self.len += 1;
    }

    #[inline]
    fn put(&mut self, tag: u32, loc: Loc) {
        let mut at = self.home(tag);
        loop {
            let bucket = self.bucket_mut(at);
            let slot = bucket.count();
            if slot < SLOTS {
                bucket.tags[slot] = tag;
                bucket.locs[slot] = loc;
                return;
            }
            at = self.after(at);
        }
    }

    /// Empties a slot and moves later entries up, so that none lies behind a bucket with room.
    fn remove_at(&mut self, mut at: usize, mut slot: usize) {
        loop {
            let bucket = self.bucket_mut(at);
            let (was_full, last) = (bucket.full(), bucket.count() - 1);
            bucket.tags[slot] = bucket.tags[last];
            bucket.locs[slot] = bucket.locs[last];
            bucket.tags[last] = 0;
            bucket.locs[last] = 0;
            if !was_full {
                return;
            }
            let Some((from, taken)) = self.displaced(at) else { return };
            let moved = self.bucket(from);
            let (tag, loc) = (moved.tags[taken], moved.locs[taken]);
            let bucket = self.bucket_mut(at);
            bucket.tags[last] = tag;
            bucket.locs[last] = loc;
            (at, slot) = (from, taken);
        }
    }

    /// The next entry behind bucket `at` that would rather be in it or before it.
    fn displaced(&self, at: usize) -> Option<(usize, usize)> {
        let mut from = self.after(at);
        loop {
            let bucket = self.bucket(from);
            let count = bucket.count();
            let wants = |slot: &usize| self.home(bucket.tags[*slot]) <= at;
            if let Some(slot) = (0..count).find(wants) {
                return Some((from, slot));
            }
            if count < SLOTS {
                return None;
            }
            from = self.after(from);
        }
    }

    /// Calls `each` with the locations of `count` buckets from `at` on; where to go on, 0 at the end.
    pub(crate) fn sweep(&self, at: usize, count: usize, mut each: impl FnMut(Loc)) -> usize {
        let end = self.new.max(self.old) as usize + TAIL;
        let to = (at + count).min(end).min(self.backed);
        for at in at..to {
            self.bucket(at).locs.iter().filter(|&&loc| loc != 0).for_each(|&loc| each(loc));
        }
        if to >= end.min(self.backed) { 0 } else { to }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn next(seed: &mut u64) -> u32 {
        *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (*seed >> 32) as u32
    }

    #[test]
    fn every_entry_is_found_while_the_table_grows_and_shrinks() {
        grows_and_shrinks(wide());
    }

    #[test]
    fn the_same_where_entries_are_moved_one_by_one() {
        grows_and_shrinks(false);
    }

    fn grows_and_shrinks(wide: bool) {
        let mut table = TagTable { wide, ..TagTable::new(1 << 20).unwrap() };
        let (mut model, mut seed) = (HashMap::new(), 1);
        for loc in 1..200_000u32 {
            let tag = next(&mut seed);
            table.reserve().unwrap();
            table.insert(tag, loc);
            model.insert(loc, tag);
            if loc % 3 == 0 {
                let gone = next(&mut seed) % loc + 1;
                let there = model.remove(&gone);
                assert_eq!(there.is_some(), table.remove(there.unwrap_or(7), gone));
            }
            if loc % 5_000 == 0 {
                for (&loc, &tag) in &model {
                    assert_eq!(table.find(tag, |other| other == loc), Some(loc));
                }
            }
        }
        assert_eq!(table.len(), model.len());
        let mut swept = 0;
        let mut at = 0;
        loop {
            at = table.sweep(at, 1000, |loc| swept += usize::from(model.contains_key(&loc)));
            if at == 0 {
                break;
            }
        }
        assert_eq!(swept, model.len());
        let load = table.len() as f64 * 8.0 / table.bytes() as f64;
        assert!((0.7..0.95).contains(&load), "{load}");
    }

    #[test]
    fn equal_tags_and_removal_in_any_order() {
        let mut table = TagTable::new(1 << 16).unwrap();
        for loc in 1..=100 {
            table.reserve().unwrap();
            table.insert(u32::MAX, loc);
        }
        assert!((1..=100).all(|loc| table.find(u32::MAX, |other| other == loc) == Some(loc)));
        assert!((1..=100).rev().step_by(2).all(|loc| table.remove(u32::MAX, loc)));
        assert!((1..=100).all(|loc| table.remove(u32::MAX, loc) == (loc % 2 == 1)));
        assert_eq!(table.len(), 0);
    }
}
