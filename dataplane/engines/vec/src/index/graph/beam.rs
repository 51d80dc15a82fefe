//! Vertices still to be visited, and those that were.

use crate::pool::{order, score};

/// Bits of a vertex' number.
pub(super) const VERTEX: u32 = u32::MAX >> 1;
/// Bit above them in a beam that says that the vertex was taken.
const TAKEN: u64 = 1 << 31;

/// The best of the vertices that were seen, best first, and which of them were taken.
#[derive(Debug)]
pub(super) struct Beam {
    /// Order of a score, then a vertex.
    held: Vec<u64>,
    width: usize,
    /// Everything before it was taken.
    from: usize,
    floor: f32,
}

impl Beam {
    /// For the `width` best, at least one.
    pub(super) fn new(width: usize) -> Self {
        let width = width.max(1);
        Self { held: Vec::with_capacity(width + 1), width, from: 0, floor: f32::NEG_INFINITY }
    }

    /// What a score must exceed to be kept.
    #[inline]
    pub(super) const fn floor(&self) -> f32 {
        self.floor
    }

    /// Keeps a vertex if it is among the best.
    #[inline]
    pub(super) fn push(&mut self, vertex: u32, value: f32) {
        if value <= self.floor {
            return;
        }
        let held = order(value) << 32 | u64::from(vertex);
        if self.held.len() < self.width {
            self.held.push(held);
        }
        let last = self.held.len() - 1;
        let at = self.held[..last].partition_point(|other| *other > held);
        self.held.copy_within(at..last, at + 1);
        self.held[at] = held;
        self.from = self.from.min(at);
        if self.held.len() == self.width {
            self.floor = score((self.held[self.width - 1] >> 32) as u32);
        }
    }

    /// The best that was not taken yet; it is now.
    #[inline]
    pub(super) fn take(&mut self) -> Option<u32> {
        while let Some(held) = self.held.get_mut(self.from) {
            self.from += 1;
            if *held & TAKEN == 0 {
                *held |= TAKEN;
                return Some(*held as u32 & VERTEX);
            }
        }
        None
    }
}

/// A set of vertices.
#[derive(Debug)]
pub(super) struct Seen {
    /// A power of two of places; a vertex is at the first free one from its hash on.
    table: Vec<u32>,
    len: usize,
}

/// A place without a vertex.
const FREE: u32 = u32::MAX;

impl Seen {
    /// Empty, with room for `count` before it grows.
    pub(super) fn new(count: usize) -> Self {
        Self { table: vec![FREE; (2 * count).next_power_of_two().max(64)], len: 0 }
    }

    /// The place of `vertex`, or the free one where it would be.
    #[inline]
    fn place(&self, vertex: u32) -> usize {
        let mask = self.table.len() - 1;
        // Fibonacci hashing: the upper bits of the product are well mixed.
        let mut at = (vertex.wrapping_mul(0x9e37_79b9) >> 8) as usize & mask;
        while self.table[at] != FREE && self.table[at] != vertex {
            at = (at + 1) & mask;
        }
        at
    }

    /// Adds `vertex`; says whether it was not in it.
    #[inline]
    pub(super) fn insert(&mut self, vertex: u32) -> bool {
        let at = self.place(vertex);
        if self.table[at] == vertex {
            return false;
        }
        self.table[at] = vertex;
        self.len += 1;
        if 2 * self.len > self.table.len() {
            self.grow();
        }
        true
    }

    #[inline(never)]
    fn grow(&mut self) {
        let larger = vec![FREE; 2 * self.table.len()];
        let old = std::mem::replace(&mut self.table, larger);
        for vertex in old.into_iter().filter(|&vertex| vertex != FREE) {
            let at = self.place(vertex);
            self.table[at] = vertex;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_beam_gives_the_best_first(
            pushed in prop::collection::vec((0_u32..40, -9_i32..9), 0..200),
            width in 1_usize..30,
        ) {
            let mut beam = Beam::new(width);
            for &(vertex, value) in &pushed {
                beam.push(vertex, value as f32);
            }
            let mut want: Vec<i32> = pushed.iter().map(|&(_, value)| value).collect();
            want.sort_by(|a, b| b.cmp(a));
            want.truncate(width);
            let mut got = Vec::new();
            while let Some(vertex) = beam.take() {
                got.push(vertex);
            }
            prop_assert_eq!(got.len(), want.len());
            for (vertex, value) in got.into_iter().zip(want) {
                prop_assert!(pushed.contains(&(vertex, value)));
            }
        }

        #[test]
        fn a_set_is_one(inserted in prop::collection::vec(0_u32..500, 0..400)) {
            let (mut seen, mut want) = (Seen::new(1), BTreeSet::new());
            for &vertex in &inserted {
                prop_assert_eq!(seen.insert(vertex), want.insert(vertex));
            }
        }
    }
}
