//! Windows of which some fragments have arrived, in a bounded number.

use super::transfer::Claim;
use crate::wire::body::CHECK;
use crate::wire::frame::{Header, Kind};

/// Places for one window each in a set.
const WAYS: usize = 8;
/// No window: of transfer 0 there is none, as indexes are counted from 1.
const FREE: u64 = 0;

/// A window half arrived.
#[derive(Debug)]
pub(super) struct Partial {
    pub(super) claim: Claim,
    pub(super) kind: Kind,
    pub(super) step: u16,
    pub(super) total: u32,
    /// Number of fragments.
    pub(super) count: u32,
    /// Of which there are.
    pub(super) have: u32,
    /// The highest sequence of these.
    pub(super) sequence: u64,
    /// When the last one came, in the caller's nanoseconds.
    pub(super) touched: u64,
    /// The check behind a direct window's bytes.
    pub(super) check: [u8; CHECK],
    /// Where a body is put together; empty for a direct window.
    pub(super) buffer: Vec<u8>,
    first: u64,
    pub(super) more: Vec<u64>,
}

impl Partial {
    /// A window to which `header` belongs, of which nothing is there yet; `more` is room for notes.
    pub(super) fn new(claim: Claim, header: &Header, buffer: Vec<u8>, mut more: Vec<u64>) -> Self {
        let count = header.fragments();
        more.clear();
        more.resize((count as usize).div_ceil(64) - 1, 0);
        Self {
            claim,
            kind: header.kind,
            step: header.step,
            total: header.total,
            count,
            have: 0,
            sequence: header.sequence,
            touched: 0,
            check: [0; CHECK],
            buffer,
            first: 0,
            more,
        }
    }

    /// Whether `header` is of a fragment of these.
    #[inline]
    pub(super) fn fits(&self, header: &Header) -> bool {
        (self.kind, self.step, self.total) == (header.kind, header.step, header.total)
    }

    /// Notes that fragment `at` is there; `false` when it was already.
    #[inline]
    pub(super) fn note(&mut self, at: u16) -> bool {
        let (index, bit) = (usize::from(at) / 64, 1 << (at % 64));
        let word = match index.checked_sub(1) {
            None => Some(&mut self.first),
            Some(index) => self.more.get_mut(index),
        };
        let Some(word) = word.filter(|word| **word & bit == 0) else { return false };
        *word |= bit;
        self.have += 1;
        true
    }

    /// Whether fragment `at` is there.
    fn has(&self, at: u32) -> bool {
        let index = at as usize / 64;
        let word = index.checked_sub(1).map_or(Some(&self.first), |index| self.more.get(index));
        word.is_some_and(|word| word >> (at % 64) & 1 == 1)
    }

    /// Stretches of fragments that are missing: the first one and how many, in order.
    pub(super) fn missing(&self) -> impl Iterator<Item = (u16, u16)> {
        let mut at = 0;
        std::iter::from_fn(move || {
            let first = (at..self.count).find(|at| !self.has(*at))?;
            at = (first..self.count).find(|at| self.has(*at)).unwrap_or(self.count);
            Some((first as u16, (at - first) as u16))
        })
    }
}

/// A bounded number of them, found by transfer and window: sets of a few places each, so that a
/// search is one cache line and nothing needs to move.
#[derive(Debug)]
pub(super) struct Partials {
    keys: Box<[[u64; WAYS]]>,
    slots: Box<[Option<Partial>]>,
    len: usize,
}

/// Where one is, or could be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct At(usize);

impl Partials {
    /// Room for `most`, rounded up to 8 times a power of two.
    pub(super) fn new(most: usize) -> Self {
        let sets = most.div_ceil(WAYS).next_power_of_two();
        Self {
            keys: vec![[FREE; WAYS]; sets].into(),
            slots: std::iter::repeat_with(|| None).take(sets * WAYS).collect(),
            len: 0,
        }
    }

    /// Number of windows in it.
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    const fn key(local: usize, window: u32) -> u64 {
        (local as u64 + 1) << 32 | window as u64
    }

    const fn set(&self, local: usize, window: u32) -> usize {
        // Windows that follow each other are in different sets.
        let spread = (local as u32).wrapping_mul(0x9e37_79b9);
        window.wrapping_add(spread) as usize & (self.keys.len() - 1)
    }

    /// Where window `window` of the transfer at `local` is.
    #[inline]
    pub(super) fn find(&self, local: usize, window: u32) -> Option<At> {
        let (set, key) = (self.set(local, window), Self::key(local, window));
        let way = self.keys[set].iter().position(|known| *known == key)?;
        Some(At(set * WAYS + way))
    }

    /// The one at `at`.
    #[inline]
    pub(super) fn get(&mut self, at: At) -> Option<&mut Partial> {
        self.slots.get_mut(at.0)?.as_mut()
    }

    /// Puts `partial` in; gives where, and whom it pushed out: the set's one that was silent for
    /// longest.
    pub(super) fn insert(&mut self, local: usize, partial: Partial) -> (At, Option<Partial>) {
        let window = partial.claim.window();
        let set = self.set(local, window);
        let free = self.keys[set].iter().position(|key| *key == FREE);
        let touched = |way: &usize| self.slots[set * WAYS + way].as_ref().map(|old| old.touched);
        let way = free.or_else(|| (0..WAYS).min_by_key(touched)).unwrap_or(0);
        let at = At(set * WAYS + way);
        let out = self.remove(at);
        self.keys[set][way] = Self::key(local, window);
        self.slots[at.0] = Some(partial);
        self.len += 1;
        (at, out)
    }

    /// Takes out the one at `at`.
    pub(super) fn remove(&mut self, at: At) -> Option<Partial> {
        let out = self.slots.get_mut(at.0)?.take()?;
        self.keys[at.0 / WAYS][at.0 % WAYS] = FREE;
        self.len -= 1;
        Some(out)
    }

    /// All of them with the index of their transfer.
    pub(super) fn iter(&self) -> impl Iterator<Item = (At, usize, &Partial)> {
        let key = |at: usize| self.keys[at / WAYS][at % WAYS];
        self.slots.iter().enumerate().filter_map(move |(at, slot)| {
            let partial = slot.as_ref()?;
            Some((At(at), (key(at) >> 32) as usize - 1, partial))
        })
    }
}
