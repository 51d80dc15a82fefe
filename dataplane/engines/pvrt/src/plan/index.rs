//! Where in a space content with a given hash is.

use std::ops::Range;

use super::extend;
use super::gear::{self, Key};
use crate::program::{Ref, Transform};
use crate::space::Space;

/// Candidates that one hash has at most.
const FANOUT: usize = 4;
/// Low bits of a slot: the place, counted through all segments. The rest are of the hash.
const PLACE_BITS: u32 = 42;
const EMPTY: u64 = u64::MAX;

/// An open-addressed table of anchors, before it a filter that most misses end at.
#[derive(Debug)]
struct Table {
    slots: Vec<u64>,
    filter: Vec<u64>,
    filter_bits: u32,
    /// Anchors that there is still room for.
    room: usize,
}

#[inline]
const fn spread(hash: u64) -> u64 {
    (hash ^ hash >> 29).wrapping_mul(0xff51_afd7_ed55_8ccd)
}

impl Table {
    /// Room for `count` anchors.
    fn new(count: usize) -> Self {
        // Three quarters full at most.
        let slots = count + count / 3 + 16;
        let filter_bits = (count * 8).next_power_of_two().max(64).ilog2();
        let filter = vec![0; 1 << (filter_bits - 6)];
        Self { slots: vec![EMPTY; slots], filter, filter_bits, room: count }
    }

    /// The slot that a hash is looked for from.
    #[inline]
    fn first(&self, spread: u64) -> usize {
        ((u128::from(spread.rotate_left(20)) * self.slots.len() as u128) >> 64) as usize
    }

    #[inline]
    const fn after(&self, slot: usize) -> usize {
        if slot + 1 == self.slots.len() { 0 } else { slot + 1 }
    }

    #[inline]
    fn filtered(&self, spread: u64) -> bool {
        let bit = spread >> (64 - self.filter_bits);
        self.filter[(bit / 64) as usize] >> (bit % 64) & 1 == 0
    }

    fn tag(spread: u64) -> u64 {
        spread << PLACE_BITS >> PLACE_BITS << PLACE_BITS
    }

    /// Notes a place; not when the table is full, which content that repeats can bring about.
    fn put(&mut self, hash: u64, place: u64) {
        if self.room == 0 || place >= 1 << PLACE_BITS {
            return;
        }
        let spread = spread(hash);
        let bit = spread >> (64 - self.filter_bits);
        self.filter[(bit / 64) as usize] |= 1 << (bit % 64);
        let tag = Self::tag(spread);
        let mut at = self.first(spread);
        let mut same = 0;
        while self.slots[at] != EMPTY {
            same += usize::from(self.slots[at] >> PLACE_BITS << PLACE_BITS == tag);
            if same == FANOUT {
                return;
            }
            at = self.after(at);
        }
        self.slots[at] = tag | place;
        self.room -= 1;
    }

    /// Places whose hash seems to be `hash`.
    #[inline]
    fn get(&self, hash: u64) -> impl Iterator<Item = u64> + '_ {
        let spread = spread(hash);
        let first = if self.filtered(spread) { None } else { Some(self.first(spread)) };
        let tag = Self::tag(spread);
        std::iter::successors(first, |at| Some(self.after(*at)))
            .map(|at| self.slots[at])
            .take_while(|slot| *slot != EMPTY)
            .filter(move |slot| slot >> PLACE_BITS << PLACE_BITS == tag)
            .map(|slot| slot & ((1 << PLACE_BITS) - 1))
            .take(FANOUT)
    }

    fn bytes(&self) -> usize {
        8 * (self.slots.len() + self.filter.len())
    }
}

/// All anchors of a space's segments.
#[derive(Debug)]
pub(super) struct Index<'a> {
    space: Space<'a>,
    /// Where each segment begins when they are counted through.
    begins: Vec<u64>,
    xor: Table,
    add: Option<Table>,
    /// The longest ramp of each step, as a reference to its bytes.
    ramps: Vec<Option<Ref>>,
    bits: u32,
}

/// A stretch of the input that the space has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Match {
    /// Its first byte in the window.
    pub(super) from: usize,
    pub(super) len: usize,
    /// Address of its first byte in the space.
    pub(super) at: u64,
    pub(super) transform: Transform,
}

impl Match {
    /// One past its last byte in the window.
    pub(super) const fn end(&self) -> usize {
        self.from + self.len
    }
}

impl<'a> Index<'a> {
    /// Of all of `space`; sums are looked for in `banks` only.
    pub(super) fn new(space: &Space<'a>, banks: Range<u64>) -> Self {
        let total: usize = space.segments().iter().map(|(_, bytes)| bytes.len()).sum();
        // The more there is, the sparser: some 0.4 bytes of index a byte, 0.2, 0.1.
        let bits = match total >> 20 {
            0..32 => 5,
            32..256 => 6,
            _ => 7,
        };
        let banked = |base: u64, len: usize| {
            let from = banks.start.max(base) - base;
            let to = banks.end.min(base + len as u64).saturating_sub(base);
            from.min(to) as usize..to as usize
        };
        let segments = space.segments();
        let summed: usize =
            segments.iter().map(|(base, bytes)| banked(*base, bytes.len()).len()).sum();
        let room = |bytes: usize| (bytes >> bits) + (bytes >> (bits + 3)) + 64;
        let mut index = Self {
            space: space.clone(),
            begins: Vec::new(),
            xor: Table::new(room(total)),
            add: (summed > 0).then(|| Table::new(room(summed))),
            ramps: vec![None; 256],
            bits,
        };
        let mut begin = 0_u64;
        for &(base, bytes) in segments {
            index.begins.push(begin);
            index.add_segment(begin, bytes, banked(base, bytes.len()));
            index.add_ramps(base, bytes);
            begin += bytes.len() as u64;
        }
        index
    }

    /// Notes a segment's anchors; those of sums in `banks` only.
    fn add_segment(&mut self, begin: u64, bytes: &[u8], banks: Range<usize>) {
        gear::anchors::<false>(bytes, 0, bytes.len(), self.bits, |anchor| {
            self.xor.put(anchor.hash, begin + anchor.end as u64);
        });
        let Some(table) = &mut self.add else { return };
        gear::anchors::<true>(&bytes[..banks.end], banks.start, banks.end, self.bits, |anchor| {
            if anchor.key == Key::Add {
                table.put(anchor.hash, begin + anchor.end as u64);
            }
        });
    }

    fn add_ramps(&mut self, base: u64, bytes: &[u8]) {
        let mut at = 0;
        while at + gear::SPAN < bytes.len() {
            if !extend::ramps(&bytes[at..]) {
                at += 32;
                continue;
            }
            let (len, step) = extend::ramp(&bytes[at..]);
            let held = &mut self.ramps[usize::from(step)];
            if held.is_none_or(|held| (held.len as usize) < len) {
                let len = u32::try_from(len).unwrap_or(u32::MAX);
                *held = Some(Ref { offset: base + at as u64, len, transform: Transform::Identity });
            }
            at += len;
        }
    }

    /// The space that it is of.
    pub(super) const fn space(&self) -> &Space<'a> {
        &self.space
    }

    /// How rare anchors are: one of so many powers of two.
    pub(super) const fn bits(&self) -> u32 {
        self.bits
    }

    /// Whether sums are looked for.
    pub(super) const fn sums(&self) -> bool {
        self.add.is_some()
    }

    /// Bytes of memory.
    pub(super) fn bytes(&self) -> usize {
        self.xor.bytes() + self.add.as_ref().map_or(0, Table::bytes)
    }

    /// The longest ramp of `step`.
    pub(super) fn ramp(&self, step: u8) -> Option<Ref> {
        self.ramps[usize::from(step)]
    }

    /// The longest stretch of the space around an anchor of `window`, that begins at `from` or
    /// after; `expected` is where the window's begin would lie if the last match went on, and wins among equals.
    pub(super) fn find(
        &self,
        window: &[u8],
        from: usize,
        anchor: gear::Anchor,
        expected: u64,
    ) -> Option<Match> {
        let table = match anchor.key {
            Key::Xor => Some(&self.xor),
            Key::Add => self.add.as_ref(),
        };
        let add = anchor.key == Key::Add;
        let all = table?.get(anchor.hash).filter_map(|place| {
            let segment = self.begins.partition_point(|begin| *begin < place).checked_sub(1)?;
            let (base, bytes) = self.space.segments()[segment];
            let end = (place - self.begins[segment]) as usize;
            let (&into, &held) = (window.get(anchor.end - 1)?, bytes.get(end - 1)?);
            let transform = extend::transform(add, held, into);
            let back = extend::backward(&window[from..anchor.end], &bytes[..end], transform);
            if back < gear::SPAN {
                return None;
            }
            let ahead = extend::forward(&window[anchor.end..], &bytes[end..], transform);
            let at = base + (end - back) as u64;
            Some(Match { from: anchor.end - back, len: back + ahead, at, transform })
        });
        all.max_by_key(|found| (found.len, found.at.wrapping_sub(found.from as u64) == expected))
    }
}
