//! Log cleaning, a little with each burst: the live records of the emptiest slice move to a slice of
//! survivors, then the slice is free.

use super::{NoJournal, Shard};
use crate::log::{Head, SLICE};
use crate::op::Space;
use crate::record::OBJECT;

/// Bytes looked at per byte written, while more than a quarter of the log is dead.
const PACE: u64 = 6;
/// Most bytes looked at by one burst.
const BURST_BYTES: u64 = 512 << 10;
/// Dead bytes that are not worth a thought.
const SLIGHT: u64 = 4 * SLICE as u64;
/// Most bytes looked at for the sake of one write that does not fit the bound.
const URGENT_BYTES: u64 = 16 << 20;

impl Shard {
    /// What is done before a burst that writes: bounded by what the last ones wrote.
    pub(super) fn maintain_burst(&mut self) {
        if self.debt > 4096 {
            let budget = (self.debt * PACE).min(BURST_BYTES);
            self.debt = 0;
            if self.cleaning.is_some() || self.log.dead() > SLIGHT.max(self.log.live() / 3) {
                self.clean(budget, 192);
            }
        }
        if self.expiring > 0 {
            self.sweep_expired(2);
        }
    }

    /// Work for an idle moment: removes expired keys and cleans, looking at about `bytes` bytes.
    /// Whether there is more to do.
    pub fn maintain(&mut self, bytes: u64) -> bool {
        self.origin.1 += 1;
        if self.expiring > 0 {
            self.sweep_expired((bytes / 1024) as usize + 1);
        }
        let worth = self.log.dead() > SLIGHT;
        if worth || self.cleaning.is_some() {
            self.clean(bytes, 224);
        }
        worth && self.log.victim(224).is_some()
    }

    /// Cleans until `len` bytes more may fit the bound; false when that does not help.
    pub(super) fn clean_for(&mut self, len: usize) -> bool {
        let before = self.log.bytes() - self.log.spare();
        let wanted = (len + SLICE) as u64;
        let mut budget = URGENT_BYTES.max(wanted * 4);
        while budget > 0 && self.log.dead() > SLICE as u64 / 8 {
            let step = budget.min(SLICE as u64);
            if !self.clean(step, 250) {
                break;
            }
            budget -= step;
            let after = self.log.bytes() - self.log.spare();
            if after + wanted <= self.log_bound() || (before > after && len < SLICE / 4) {
                return true;
            }
        }
        false
    }

    /// Looks at about `budget` bytes of slices of which at most `share` of 256 is live. False when
    /// there is none, or no memory to move records to.
    fn clean(&mut self, budget: u64, share: u32) -> bool {
        let mut left = budget as i64;
        while left > 0 {
            let Some((slice, at)) = self.cleaning else {
                let Some(slice) = self.log.victim(share) else { return false };
                self.cleaning = Some((slice, self.log.first(slice)));
                continue;
            };
            let Some((record, next)) = self.log.walk(slice, at) else {
                self.log.free(slice);
                self.cleaning = None;
                continue;
            };
            left -= record.len() as i64;
            let dead = record.flags & crate::record::DEAD != 0;
            if !dead && !self.rescue(at) {
                return false;
            }
            self.cleaning = Some((slice, next));
        }
        true
    }

    /// Moves a live record, or lets it go when its time has come.
    fn rescue(&mut self, at: u32) -> bool {
        let record = self.log.record(at);
        let (space, expired) = (Space(record.space), record.expired(self.now));
        let object = record.flags & OBJECT != 0;
        if expired && !object {
            let tag = self.tag(space, record.key);
            self.delete(tag, at);
            return true;
        }
        // The cleaner may pass the writers' bound by the two slices that they leave.
        let Self { log, settings, table, arena, spaces, .. } = self;
        let bound = || Self::log_bound_of(settings, table, arena, spaces) + 2 * SLICE as u64;
        let Some(new) = log.copy(Head::Move, at, bound) else { return false };
        let Self { log, table, spaces, arena, .. } = self;
        let record = log.record(new);
        if object {
            let key: [u8; 8] = record.key.first_chunk().copied().unwrap_or_default();
            self.move_object(space.0, &key, at, new);
        } else {
            let order = spaces.get(usize::from(space.0)).map(|space| &space.order);
            let moved = order.is_some_and(|order| order.replace(arena, record.key, at, new));
            debug_assert!(moved, "every live record is in the order of its space");
            let tag = Self::tag_with(&self.hash, space, record.key);
            table.replace(tag, at, new);
        }
        self.log.kill(at);
        true
    }

    /// Removes every key and object of `space`, the absolute keys already given out excepted.
    pub fn reset(&mut self, space: Space) {
        self.purge(space, b"", usize::MAX);
        let mut from = 1;
        while let Some(next) = {
            let mut gone = Vec::new();
            let next = self.each_object(space, from, |absolute, _| gone.push(absolute));
            for absolute in gone {
                self.remove_object(space, absolute, &mut NoJournal);
            }
            next
        } {
            from = next;
        }
    }
}
