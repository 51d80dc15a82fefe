//! Leaves: blocks of their own sizes in one reservation.
//!
//! A block is a head of 8 bytes, then `capacity` slices (32 bits, the bytes of the key behind what
//! the leaf shares, big-endian), then `capacity` locations.

use std::io;

use super::slice_of;
use crate::log::{Loc, Log};
use crate::memory::{HUGE, Reservation, prefetch};

/// Most entries of a leaf.
pub(super) const LEAF_MAX: usize = 128;
/// Capacities are multiples of this.
const STEP: usize = 8;
/// A freed block of so many steps more than asked for is taken before a new one: leaves grow into
/// them anyway, and without it a sixth of the arena lay free, in the wrong sizes.
const SPARE: usize = 3;
/// Leaf numbers count units of this many bytes.
const UNIT: usize = 8;

#[repr(C)]
#[derive(Clone, Copy, Debug)]
struct Head {
    count: u16,
    capacity: u16,
    skip: u32,
}

/// All leaves of a shard.
#[derive(Debug)]
pub(crate) struct LeafArena {
    memory: Reservation,
    backed: usize,
    /// First byte never given out.
    end: usize,
    /// Freed blocks by capacity.
    free: [Vec<u32>; LEAF_MAX / STEP],
}

impl LeafArena {
    /// An arena of at most `bound` bytes, and at most 32 GiB.
    pub(crate) fn new(bound: u64) -> io::Result<Self> {
        let bytes = bound.clamp(HUGE as u64, 32 << 30) as usize;
        let free = std::array::from_fn(|_| Vec::new());
        Ok(Self { memory: Reservation::new(bytes)?, backed: 0, end: UNIT, free })
    }

    /// Bytes given out so far, free blocks included.
    pub(crate) const fn bytes(&self) -> u64 {
        self.end as u64
    }

    /// A new leaf whose keys share `skip` bytes; it may be a little larger than asked for.
    pub(super) fn allocate(&mut self, capacity: usize, skip: usize) -> io::Result<u32> {
        self.allocate_within(capacity, SPARE, skip)
    }

    /// A new leaf of at most `spare` steps more than `capacity`.
    fn allocate_within(&mut self, capacity: usize, spare: usize, skip: usize) -> io::Result<u32> {
        let class = capacity.div_ceil(STEP).clamp(1, LEAF_MAX / STEP) - 1;
        let larger = (class + 1 + spare).min(self.free.len());
        let id = match self.free[class..larger].iter_mut().find_map(Vec::pop) {
            Some(id) => id,
            None => self.carve((class + 1) * STEP)?,
        };
        let capacity = self.capacity(id) as u16;
        *self.head_mut(id) = Head { count: 0, capacity, skip: skip as u32 };
        Ok(id)
    }

    fn carve(&mut self, capacity: usize) -> io::Result<u32> {
        let bytes = size_of::<Head>() + capacity * 8;
        while self.end + bytes > self.backed {
            self.memory.back(self.backed, HUGE)?;
            self.backed += HUGE;
        }
        let id = (self.end / UNIT) as u32;
        self.end += bytes;
        // A block must look like a leaf before its head is read.
        // SAFETY: the block was just backed and is nobody's yet; UNIT is Head's alignment or more.
        unsafe {
            let head = self.at(id).cast::<Head>();
            head.write(Head { count: 0, capacity: capacity as u16, skip: 0 });
        }
        Ok(id)
    }

    /// Gives a leaf's block back.
    pub(super) fn release(&mut self, id: u32) {
        let class = self.capacity(id) / STEP - 1;
        self.free[class].push(id);
    }

    #[inline(always)]
    fn at(&self, id: u32) -> std::ptr::NonNull<u8> {
        debug_assert!((id as usize * UNIT) < self.end);
        // SAFETY: ids are made by `carve` and lie within the reservation.
        unsafe { self.memory.base().add(id as usize * UNIT) }
    }

    #[inline(always)]
    fn head(&self, id: u32) -> &Head {
        // SAFETY: every id leads to a block that `carve` began with a head; blocks are 8-aligned.
        unsafe { self.at(id).cast().as_ref() }
    }

    #[inline(always)]
    fn head_mut(&mut self, id: u32) -> &mut Head {
        // SAFETY: as in `head`, and `&mut self` makes it exclusive.
        unsafe { self.at(id).cast().as_mut() }
    }

    /// Entries of a leaf.
    #[inline(always)]
    pub(super) fn count(&self, id: u32) -> usize {
        usize::from(self.head(id).count)
    }

    /// Slots of a leaf.
    #[inline(always)]
    pub(super) fn capacity(&self, id: u32) -> usize {
        usize::from(self.head(id).capacity)
    }

    /// Bytes that all keys of the leaf's range share.
    #[inline(always)]
    pub(super) fn skip(&self, id: u32) -> usize {
        self.head(id).skip as usize
    }

    /// Slices of the entries.
    #[inline(always)]
    pub(super) fn slices(&self, id: u32) -> &[u32] {
        // SAFETY: `capacity` slices follow the head, `count` of them written; the block is backed
        // memory, which is 0 at first, hence always initialized.
        unsafe {
            let slices = self.at(id).add(size_of::<Head>()).cast::<u32>();
            std::slice::from_raw_parts(slices.as_ptr(), self.count(id))
        }
    }

    /// Locations of the entries, in the order of their keys.
    #[inline(always)]
    pub(super) fn locs(&self, id: u32) -> &[Loc] {
        // SAFETY: `capacity` locations follow the slices; as above.
        unsafe {
            let locs = self.at(id).add(size_of::<Head>() + self.capacity(id) * 4).cast::<Loc>();
            std::slice::from_raw_parts(locs.as_ptr(), self.count(id))
        }
    }

    /// Slots for slices and for locations, used or not.
    #[inline(always)]
    fn slots_mut(&mut self, id: u32) -> (&mut [u32], &mut [Loc]) {
        let capacity = self.capacity(id);
        // SAFETY: both arrays lie in the block, one behind the other; `&mut self` makes them
        // exclusive.
        unsafe {
            let slices = self.at(id).add(size_of::<Head>()).cast::<u32>();
            let locs = slices.add(capacity);
            (
                std::slice::from_raw_parts_mut(slices.as_ptr(), capacity),
                std::slice::from_raw_parts_mut(locs.as_ptr(), capacity),
            )
        }
    }

    /// Fetches a leaf of middling size ahead.
    #[inline(always)]
    pub(super) fn prefetch(&self, id: u32) {
        let at = self.at(id).as_ptr();
        for line in 0..13 {
            prefetch(at.wrapping_add(line * 64));
        }
    }

    /// The first entry whose key is not less than `key`, and the key's slice.
    #[inline]
    pub(super) fn lower_bound(&self, id: u32, log: &Log, key: &[u8]) -> (usize, u32) {
        let slice = slice_of(key, self.skip(id));
        let (slices, locs) = (self.slices(id), self.locs(id));
        let first = slices.partition_point(|&other| other < slice);
        if slices.get(first) != Some(&slice) {
            return (first, slice);
        }
        let equal = slices[first..].partition_point(|&other| other == slice);
        let tied = &locs[first..first + equal];
        (first + tied.partition_point(|&loc| log.key(loc) < key), slice)
    }

    /// The entry of `key` at `loc`; the log is not looked at.
    pub(super) fn position(&self, id: u32, key: &[u8], loc: Loc) -> Option<usize> {
        let slice = slice_of(key, self.skip(id));
        let slices = self.slices(id);
        let first = slices.partition_point(|&other| other < slice);
        let tied = slices[first..].iter().zip(&self.locs(id)[first..]);
        let mut tied = tied.take_while(|(other, _)| **other == slice);
        Some(first + tied.position(|(_, &other)| other == loc)?)
    }

    pub(super) fn insert_at(&mut self, id: u32, position: usize, slice: u32, loc: Loc) {
        let count = self.count(id);
        let (slices, locs) = self.slots_mut(id);
        slices.copy_within(position..count, position + 1);
        locs.copy_within(position..count, position + 1);
        slices[position] = slice;
        locs[position] = loc;
        self.head_mut(id).count += 1;
    }

    pub(super) fn remove_at(&mut self, id: u32, position: usize) {
        let count = self.count(id);
        let (slices, locs) = self.slots_mut(id);
        slices.copy_within(position + 1..count, position);
        locs.copy_within(position + 1..count, position);
        self.head_mut(id).count -= 1;
    }

    pub(super) fn set(&mut self, id: u32, position: usize, loc: Loc) {
        self.slots_mut(id).1[position] = loc;
    }

    /// The same leaf with another capacity, under a new number.
    pub(super) fn resize(&mut self, id: u32, capacity: usize) -> io::Result<u32> {
        // A leaf that shrinks is to have less than before.
        let spare = if capacity > self.capacity(id) { SPARE } else { 0 };
        let new = self.allocate_within(capacity, spare, self.skip(id))?;
        self.append(new, id, 0..self.count(id));
        self.release(id);
        Ok(new)
    }

    /// Copies entries of `from` behind those of `to`; both must share as many bytes.
    pub(super) fn append(&mut self, to: u32, from: u32, range: std::ops::Range<usize>) {
        debug_assert!(self.skip(to) == self.skip(from));
        let (at, count) = (self.count(to), range.len());
        let fits = at + count <= self.capacity(to) && range.end <= self.count(from);
        assert!(to != from && fits, "entries go to another leaf that has room for them");
        let (slices, locs) =
            (self.slices(from)[range.clone()].as_ptr(), self.locs(from)[range].as_ptr());
        let (to_slices, to_locs) = self.slots_mut(to);
        // SAFETY: the sources are `count` entries each of one block, the targets `count` slots behind
        // the first `at` of another, as asserted; blocks do not overlap, and `&mut self` keeps others away.
        unsafe {
            to_slices.as_mut_ptr().add(at).copy_from_nonoverlapping(slices, count);
            to_locs.as_mut_ptr().add(at).copy_from_nonoverlapping(locs, count);
        }
        self.head_mut(to).count += count as u16;
    }

    /// Copies entries of `from` behind those of `to`, with their slices taken anew from the log.
    pub(super) fn append_anew(
        &mut self,
        log: &Log,
        to: u32,
        from: u32,
        range: std::ops::Range<usize>,
    ) {
        if self.skip(to) == self.skip(from) {
            return self.append(to, from, range);
        }
        self.locs(from)[range.clone()].iter().for_each(|&loc| log.prefetch(loc));
        for position in range {
            let loc = self.locs(from)[position];
            let (slice, at) = (slice_of(log.key(loc), self.skip(to)), self.count(to));
            self.insert_at(to, at, slice, loc);
        }
    }
}
