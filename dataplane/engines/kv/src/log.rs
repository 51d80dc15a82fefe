//! The record log: append-only slices of 2 MiB in one reservation, cleaned slice by slice.

use std::io;
use std::ptr::NonNull;

use crate::memory::{HUGE, Reservation, prefetch};
use crate::record::{DEAD, Draft, Record};

/// Bytes of a slice.
pub(crate) const SLICE: usize = HUGE;
/// A record larger than this has slices of its own.
const SHARED_MAX: usize = SLICE / 4;
/// Freed slices that keep their memory, to be filled again without a page fault.
const KEPT: usize = 2;
/// Slices in use from which on the next one is backed, and touched by another thread, before it is
/// needed: less memory than an eighth of the log.
const AHEAD_FROM: usize = 8;

/// Where a record begins, in units of the log's alignment; 0 is nowhere.
pub(crate) type Loc = u32;

/// What a slice is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Use {
    /// Not backed by memory.
    Free,
    /// Backed, empty.
    Kept,
    /// Being filled.
    Open,
    /// Filled.
    Sealed,
    /// First of a run of slices with one large record.
    Large(u32),
    /// Later one of such a run.
    Rest,
}

#[derive(Clone, Copy, Debug)]
struct Slice {
    what: Use,
    /// Bytes written.
    used: u32,
    /// Bytes of records that are not dead.
    live: u32,
}

/// Who appends: what is moved by the cleaner outlived its neighbours, and is kept apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Head {
    /// A client's write.
    Write,
    /// The cleaner's.
    Move,
}

/// Why a record could not be appended.
#[derive(Debug)]
pub(crate) enum AppendError {
    /// A slice more would pass the bound.
    Bound,
    /// The system gave no memory.
    System(io::Error),
}

/// Place of a slice being filled: its number and the bytes used; none when the number is `NONE`.
#[derive(Clone, Copy, Debug)]
struct Tip {
    slice: u32,
    used: u32,
}

const NONE: u32 = u32::MAX;

/// The log of one shard.
#[derive(Debug)]
pub(crate) struct Log {
    memory: Reservation,
    /// Records begin at multiples of `1 << shift` bytes.
    shift: u32,
    slices: Vec<Slice>,
    kept: Vec<u32>,
    tips: [Tip; 2],
    /// Slices backed by memory.
    backed: usize,
    live: u64,
    used: u64,
}

impl Log {
    /// A log for at most `bound` bytes. The reservation is twice that, so that runs for large
    /// records are found between slices in use; the alignment follows from it.
    pub(crate) fn new(bound: u64) -> io::Result<Self> {
        let reserved = (bound * 2).next_multiple_of(SLICE as u64).max(8 * SLICE as u64);
        let shift = (1..8).find(|shift| reserved >> shift <= 1 << 32).unwrap_or(8);
        let tip = Tip { slice: NONE, used: 0 };
        Ok(Self {
            memory: Reservation::new(reserved as usize)?,
            shift,
            slices: Vec::new(),
            kept: Vec::new(),
            tips: [tip; 2],
            backed: 0,
            live: 0,
            used: 0,
        })
    }

    /// Bytes of memory behind the log.
    pub(crate) const fn bytes(&self) -> u64 {
        (self.backed * SLICE) as u64
    }

    /// Bytes of records that are not dead, padding included.
    pub(crate) const fn live(&self) -> u64 {
        self.live
    }

    /// Bytes of dead records in slices that are in use.
    pub(crate) const fn dead(&self) -> u64 {
        self.used - self.live
    }

    /// Bytes of slices that are backed and empty.
    pub(crate) fn spare(&self) -> u64 {
        (self.kept.len() * SLICE) as u64
    }

    #[inline(always)]
    fn at(&self, loc: Loc) -> NonNull<u8> {
        // SAFETY: a location is an offset within the reservation: it was made by `append`.
        unsafe { self.memory.base().add((loc as usize) << self.shift) }
    }

    /// The record at `loc`, which must come from [`Log::append`] and not be cleaned since: every
    /// index entry is such a location, because cleaning moves the entries before it frees a slice.
    #[inline(always)]
    pub(crate) fn record(&self, loc: Loc) -> Record<'_> {
        debug_assert!(loc != 0);
        // SAFETY: at `loc` lies a record, written whole by `append`; only its DEAD flag is ever
        // changed, through `&mut self`, and its slice is freed through `&mut self` only.
        unsafe { Record::read(self.at(loc)) }
    }

    /// The key at `loc`; see [`Log::record`].
    #[inline(always)]
    pub(crate) fn key(&self, loc: Loc) -> &[u8] {
        self.record(loc).key
    }

    /// Fetches the first two lines of the record at `loc` ahead.
    #[inline(always)]
    pub(crate) fn prefetch(&self, loc: Loc) {
        let at = self.at(loc).as_ptr();
        prefetch(at);
        prefetch(at.wrapping_add(64));
    }

    /// Fetches the first line of the record at `loc` ahead.
    #[inline(always)]
    pub(crate) fn prefetch_line(&self, loc: Loc) {
        prefetch(self.at(loc).as_ptr());
    }

    /// Fetches the first and the last line of its value, for which its header is read.
    #[inline(always)]
    pub(crate) fn prefetch_value(&self, loc: Loc) {
        let value = self.record(loc).value.as_ptr_range();
        prefetch(value.start);
        prefetch(value.end.wrapping_sub(1));
    }

    /// Fetches the last line of its value, for which its header is read.
    #[inline(always)]
    pub(crate) fn prefetch_end(&self, loc: Loc) {
        prefetch(self.record(loc).value.as_ptr_range().end.wrapping_sub(1));
    }

    /// Fetches the first three lines of the record at `loc` ahead.
    #[inline(always)]
    pub(crate) fn prefetch_row(&self, loc: Loc) {
        self.prefetch(loc);
        prefetch(self.at(loc).as_ptr().wrapping_add(128));
    }

    const fn padded(&self, len: usize) -> usize {
        len.next_multiple_of(1 << self.shift)
    }

    /// Appends a record; `bound` is what [`Log::bytes`] may become.
    pub(crate) fn append(
        &mut self,
        head: Head,
        draft: &Draft<'_>,
        bound: impl FnOnce() -> u64,
    ) -> Result<Loc, AppendError> {
        let len = self.padded(draft.len());
        let tip = self.tips[head as usize];
        let tip = if tip.slice != NONE && tip.used as usize + len <= SLICE {
            tip
        } else if len > SHARED_MAX {
            return self.append_large(draft, len, bound());
        } else {
            self.open(head, bound())?
        };
        let offset = tip.slice as usize * SLICE + tip.used as usize;
        self.write(offset, draft, len);
        self.tips[head as usize].used += len as u32;
        let slice = &mut self.slices[tip.slice as usize];
        slice.used += len as u32;
        slice.live += len as u32;
        Ok((offset >> self.shift) as Loc)
    }

    /// Appends a copy of the record at `from`; `None` when there is no room within `bound`.
    pub(crate) fn copy(
        &mut self,
        head: Head,
        from: Loc,
        bound: impl FnOnce() -> u64,
    ) -> Option<Loc> {
        let record = self.record(from);
        // SAFETY: only the borrow's length is changed: `append` writes unused bytes, frees no slice
        // in use, and moves nothing; the record stays where it is, unchanged.
        let draft = unsafe { std::mem::transmute::<Draft<'_>, Draft<'static>>(record.draft()) };
        self.append(head, &draft, bound).ok()
    }

    fn write(&mut self, offset: usize, draft: &Draft<'_>, len: usize) {
        self.live += len as u64;
        self.used += len as u64;
        // SAFETY: the caller found `len` unused, backed bytes at `offset`; no reference to unused
        // bytes exists, so that key and value lie elsewhere.
        unsafe { draft.write(self.memory.base().add(offset)) };
    }

    /// Seals the slice of `head` and begins another.
    fn open(&mut self, head: Head, bound: u64) -> Result<Tip, AppendError> {
        let slice = match self.kept.pop() {
            Some(slice) => slice,
            None => self.back_run(1, bound)?,
        };
        let last = self.tips[head as usize].slice;
        if last != NONE {
            self.slices[last as usize].what = Use::Sealed;
        }
        // Location 0 is nowhere, hence nothing begins at the reservation's first byte.
        let used = if slice == 0 { 64 } else { 0 };
        self.slices[slice as usize] = Slice { what: Use::Open, used, live: 0 };
        let tip = Tip { slice, used };
        self.tips[head as usize] = tip;
        if head == Head::Write && self.kept.is_empty() && self.backed >= AHEAD_FROM {
            self.prepare(bound);
        }
        Ok(tip)
    }

    /// Keeps another slice ready, when the bound leaves room for some more.
    fn prepare(&mut self, bound: u64) {
        if self.bytes() + 4 * SLICE as u64 > bound {
            return;
        }
        let Ok(slice) = self.back_run(1, bound) else { return };
        self.slices[slice as usize] = Slice { what: Use::Kept, used: 0, live: 0 };
        self.kept.push(slice);
        let touched = self.memory.touch_ahead(slice as usize * SLICE, SLICE);
        debug_assert!(touched.is_ok(), "{touched:?}");
    }

    fn append_large(
        &mut self,
        draft: &Draft<'_>,
        len: usize,
        bound: u64,
    ) -> Result<Loc, AppendError> {
        let lead = 64;
        let run = (len + lead).div_ceil(SLICE);
        let first = self.back_run(run, bound)?;
        for slice in &mut self.slices[first as usize..first as usize + run] {
            *slice = Slice { what: Use::Rest, used: 0, live: 0 };
        }
        let len32 = len as u32;
        self.slices[first as usize] =
            Slice { what: Use::Large(run as u32), used: len32, live: len32 };
        let offset = first as usize * SLICE + lead;
        self.write(offset, draft, len);
        Ok((offset >> self.shift) as Loc)
    }

    /// Backs the first `run` free slices in a row.
    fn back_run(&mut self, run: usize, bound: u64) -> Result<u32, AppendError> {
        while self.bytes() + (run * SLICE) as u64 > bound {
            let Some(slice) = self.kept.pop() else { return Err(AppendError::Bound) };
            self.unback(slice, 1);
        }
        let mut free = 0;
        let found = self.slices.iter().position(|slice| {
            free = if slice.what == Use::Free { free + 1 } else { 0 };
            free == run
        });
        let first = match found {
            Some(last) => last + 1 - run,
            None => self.slices.len() - free,
        };
        if (first + run) * SLICE > self.memory.len() {
            return Err(AppendError::Bound);
        }
        self.memory.back(first * SLICE, run * SLICE).map_err(AppendError::System)?;
        let empty = Slice { what: Use::Free, used: 0, live: 0 };
        self.slices.resize(self.slices.len().max(first + run), empty);
        self.backed += run;
        Ok(first as u32)
    }

    /// Writes another value of the same length over that of the record at `loc`.
    pub(crate) fn overwrite(&mut self, loc: Loc, value: &[u8]) {
        let old = self.record(loc).value;
        assert_eq!(old.len(), value.len(), "a value in place keeps its length");
        let offset = old.as_ptr() as usize - self.memory.base().as_ptr() as usize;
        // SAFETY: the value lies in the reservation at `offset`, and is as long; `&mut self`
        // excludes references to it, so that `value` lies elsewhere.
        unsafe {
            let at = self.memory.base().add(offset);
            at.copy_from_nonoverlapping(NonNull::from(value).cast(), value.len());
        }
    }

    /// Marks the record at `loc` dead; a large one's slices are the cleaner's next victim.
    pub(crate) fn kill(&mut self, loc: Loc) {
        let len = self.padded(self.record(loc).len());
        let at = self.at(loc);
        // SAFETY: the first byte of the record holds its flags; `&mut self` excludes readers.
        unsafe { at.write(at.read() | DEAD) };
        let slice = ((loc as usize) << self.shift) / SLICE;
        self.live -= len as u64;
        if let Some(slice) = self.slices.get_mut(slice) {
            slice.live -= len as u32;
        }
    }

    /// The sealed slice with the fewest live bytes, if at most `share` of 256 of it is live.
    pub(crate) fn victim(&self, share: u32) -> Option<u32> {
        let sealed = |slice: &Slice| matches!(slice.what, Use::Sealed | Use::Large(_));
        let least = self
            .slices
            .iter()
            .enumerate()
            .filter(|(_, slice)| {
                sealed(slice) && !(matches!(slice.what, Use::Large(_)) && slice.live > 0)
            })
            .min_by_key(|(_, slice)| slice.live)?;
        let limit = (SLICE as u64 * u64::from(share) / 256) as u32;
        (least.1.live <= limit).then_some(least.0 as u32)
    }

    /// Location of a slice's first record.
    pub(crate) const fn first(&self, slice: u32) -> Loc {
        let skip = if slice == 0 { 64 } else { 0 };
        ((slice as usize * SLICE + skip) >> self.shift) as Loc
    }

    /// The record at `loc` of a sealed slice and where the next one begins; `None` at its end.
    pub(crate) fn walk(&self, slice: u32, loc: Loc) -> Option<(Record<'_>, Loc)> {
        let Slice { used, what, .. } = self.slices[slice as usize];
        let offset = ((loc as usize) << self.shift) - slice as usize * SLICE;
        if what != Use::Sealed || offset >= used as usize {
            return None;
        }
        let record = self.record(loc);
        Some((record, loc + (self.padded(record.len()) >> self.shift) as Loc))
    }

    /// Frees a slice in which nothing is live.
    pub(crate) fn free(&mut self, slice: u32) {
        let Slice { what, used, live } = self.slices[slice as usize];
        assert_eq!(live, 0, "a slice with live records is not free");
        let lead = if slice == 0 && what == Use::Sealed { 64 } else { 0 };
        self.used -= u64::from(used) - lead;
        match what {
            Use::Large(run) => self.unback(slice, run),
            _ if self.kept.len() < KEPT => {
                self.slices[slice as usize] = Slice { what: Use::Kept, used: 0, live: 0 };
                self.kept.push(slice);
            }
            _ => self.unback(slice, 1),
        }
    }

    fn unback(&mut self, first: u32, run: u32) {
        for slice in &mut self.slices[first as usize..(first + run) as usize] {
            *slice = Slice { what: Use::Free, used: 0, live: 0 };
        }
        self.backed -= run as usize;
        // SAFETY: nothing live lies there, no index entry leads there, and `&mut self` excludes
        // references to records.
        let released = unsafe { self.memory.release(first as usize * SLICE, run as usize * SLICE) };
        debug_assert!(released.is_ok(), "{released:?}");
    }
}

impl Log {
    /// How far into the log `value`, which lies in it, begins.
    #[inline(always)]
    pub(crate) fn offset_of(&self, value: &[u8]) -> usize {
        value.as_ptr() as usize - self.memory.base().as_ptr() as usize
    }

    /// The bytes of a value that [`Log::offset_of`] placed, since when nothing was written.
    #[inline(always)]
    pub(crate) fn bytes_at(&self, start: usize, len: usize) -> &[u8] {
        debug_assert!(start + len <= self.memory.len());
        // SAFETY: a value lay there, and the caller knows that nothing was written or freed since;
        // only `&mut self` does either.
        unsafe { std::slice::from_raw_parts(self.memory.base().add(start).as_ptr(), len) }
    }
}
