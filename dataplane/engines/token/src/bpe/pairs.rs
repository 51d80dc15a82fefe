//! Pairs of numbers and what they merge into: a perfect hash, one cell per look-up.
//!
//! As in the word table, a byte of displacement per bucket brings each pair to a cell of its own.
//! A pair that merges into nothing, as most that are asked for, takes as long as one that does.

use foldhash::{HashMap, HashMapExt};

use super::NONE;
use crate::Table;

/// A free cell: no pair has such numbers.
const FREE: u64 = u64::MAX;
/// Bits of the result in a cell; above them the right and the left number have 21 each.
const RESULT_BITS: u32 = 22;
/// Clears the result.
const PAIR: u64 = !((1 << RESULT_BITS) - 1);
/// Pairs per bucket, on average.
const BUCKET: usize = 4;
/// What pairs are multiplied by first; the next odd numbers follow where it brings no success.
const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
/// Where the bucket's bits begin in a hash: they depend on all bits of a pair.
const BUCKET_SHIFT: u32 = 32;

/// The table.
#[derive(Clone, Debug)]
pub(super) struct Pairs {
    /// A power of two of them.
    cells: Table<u64>,
    /// Displacements; a power of two of them.
    pilots: Table<u8>,
    factor: u64,
    /// What a hash is shifted by to give a cell.
    shift: u32,
}

/// A pair table while it is made.
#[derive(Debug)]
pub(super) struct Builder {
    found: HashMap<u64, u32>,
}

/// The cell of a pair without its result.
#[inline(always)]
const fn pair(left: u32, right: u32) -> u64 {
    (left as u64) << 43 | (right as u64) << RESULT_BITS
}

#[inline(always)]
const fn bucket(hash: u64, buckets: usize) -> usize {
    (hash >> BUCKET_SHIFT) as usize & (buckets - 1)
}

#[inline(always)]
const fn slot(hash: u64, pilot: u8, shift: u32) -> usize {
    (hash.wrapping_mul(pilot as u64 * 2 + 1) >> shift) as usize
}

impl Builder {
    /// Room for `expected` pairs.
    pub(super) fn with_room(expected: usize) -> Self {
        Self { found: HashMap::with_capacity(expected) }
    }

    pub(super) fn get(&self, left: u32, right: u32) -> u32 {
        self.found.get(&pair(left, right)).copied().unwrap_or(NONE)
    }

    /// Adds a pair that is not there.
    pub(super) fn insert(&mut self, left: u32, right: u32, result: u32) {
        self.found.insert(pair(left, right), result);
    }

    pub(super) fn build(self) -> Pairs {
        let mut pairs: Vec<u64> =
            self.found.iter().map(|(pair, result)| pair | u64::from(*result)).collect();
        pairs.sort_unstable();
        let mut room = (pairs.len() * 5 / 4).next_power_of_two().max(4);
        let mut factor = FACTOR;
        loop {
            for _ in 0..4 {
                if let Some(table) = attempt(&pairs, factor, room) {
                    return table;
                }
                factor = factor.wrapping_add(2);
            }
            // Only on bad luck, and less likely each time.
            room *= 2;
        }
    }
}

/// The table with `room` cells; `None` where some bucket finds no place.
fn attempt(pairs: &[u64], factor: u64, room: usize) -> Option<Pairs> {
    let buckets = (pairs.len() / BUCKET).next_power_of_two().max(1);
    let shift = 64 - room.trailing_zeros();
    let hash = |cell: u64| (cell >> RESULT_BITS).wrapping_mul(factor);
    let mut order: Vec<(usize, u64)> =
        pairs.iter().map(|&cell| (bucket(hash(cell), buckets), cell)).collect();
    order.sort_unstable();
    let mut members: Vec<&[(usize, u64)]> = order.chunk_by(|a, b| a.0 == b.0).collect();
    members.sort_by_key(|members| std::cmp::Reverse(members.len()));
    let mut cells = vec![FREE; room];
    let mut pilots = vec![0u8; buckets];
    for members in members {
        let pilot = (0..=255).find(|&pilot| {
            let place = |cell: u64| slot(hash(cell), pilot, shift);
            for (done, &(_, cell)) in members.iter().enumerate() {
                if cells[place(cell)] != FREE {
                    members[..done].iter().for_each(|&(_, cell)| cells[place(cell)] = FREE);
                    return false;
                }
                cells[place(cell)] = cell;
            }
            true
        })?;
        pilots[members[0].0] = pilot;
    }
    Some(Pairs { cells: cells.into(), pilots: pilots.into(), factor, shift })
}

impl Pairs {
    /// The number of the one cell where `pair` can be.
    #[inline(always)]
    fn place(&self, pair: u64) -> usize {
        let hash = (pair >> RESULT_BITS).wrapping_mul(self.factor);
        let at = bucket(hash, self.pilots.len());
        debug_assert!(at < self.pilots.len());
        // SAFETY: the number of pilots is a power of two and not 0 (`build` and `from_parts` see to
        // it), so that the mask keeps the index below it.
        let pilot = unsafe { *self.pilots.get_unchecked(at) };
        slot(hash, pilot, self.shift)
    }

    /// What the pair merges into; [`NONE`] for nothing.
    #[inline(always)]
    pub(super) fn get(&self, left: u32, right: u32) -> u32 {
        let pair = pair(left, right);
        let at = self.place(pair);
        debug_assert!(at < self.cells.len());
        // SAFETY: 64 bits shifted right by `shift` leave a number below 2 to the power of what is
        // left of 64, which is the number of cells (`build` and `from_parts` see to it).
        let other = unsafe { *self.cells.get_unchecked(at) } ^ pair;
        // Whether there is such a pair cannot be foretold: no branch on it.
        if other < 1 << RESULT_BITS { other as u32 } else { NONE }
    }

    /// Cells, displacements, factor and shift, for storing.
    pub(super) fn parts(&self) -> (&Table<u64>, &Table<u8>, [u64; 2]) {
        (&self.cells, &self.pilots, [self.factor, u64::from(self.shift)])
    }

    /// The table of what [`Pairs::parts`] gave; `None` where the parts do not fit each other, or a
    /// pair does not lie where it is looked for.
    pub(super) fn from_parts(
        cells: Table<u64>,
        pilots: Table<u8>,
        facts: [u64; 2],
    ) -> Option<Self> {
        let [factor, shift] = facts;
        let bits = cells.len().trailing_zeros();
        let sound = cells.len() >= 2
            && cells.len().is_power_of_two()
            && pilots.len().is_power_of_two()
            && shift == u64::from(64 - bits);
        let table = sound.then_some(Self { cells, pilots, factor, shift: shift as u32 })?;
        let at_home = |(at, &cell): (usize, &u64)| cell == FREE || table.place(cell & PAIR) == at;
        table.cells.iter().enumerate().all(at_home).then_some(table)
    }

    /// Every entry as (left, right, result).
    pub(super) fn entries(&self) -> impl Iterator<Item = (u32, u32, u32)> {
        let cells = self.cells.iter().filter(|&&cell| cell != FREE);
        cells.map(|cell| {
            let right = (cell >> RESULT_BITS) as u32 & ((1 << 21) - 1);
            ((cell >> 43) as u32, right, (cell & !PAIR) as u32)
        })
    }

    pub(super) fn memory(&self) -> usize {
        size_of_val(&*self.cells) + size_of_val(&*self.pilots)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pair_has_its_cell_and_a_moved_one_is_refused() {
        let mut builder = Builder::with_room(3000);
        for n in 0..3000 {
            builder.insert(n * 7 % 1009, n, 256 + n);
        }
        let table = builder.build();
        for n in 0..3000 {
            assert_eq!(table.get(n * 7 % 1009, n), 256 + n);
            assert_eq!(table.get(n * 7 % 1009 + 1, n), NONE);
        }
        assert_eq!(table.entries().count(), 3000);
        let (cells, pilots, facts) = table.parts();
        assert!(Pairs::from_parts(cells.clone(), pilots.clone(), facts).is_some());
        let wrong_shift = [facts[0], facts[1] + 1];
        assert!(Pairs::from_parts(cells.clone(), pilots.clone(), wrong_shift).is_none());
        let mut moved = cells.to_vec();
        let full = moved.iter().position(|&cell| cell != FREE).unwrap();
        let free = moved.iter().position(|&cell| cell == FREE).unwrap();
        moved.swap(full, free);
        assert!(Pairs::from_parts(moved.into(), pilots.clone(), facts).is_none());
        let odd = Table::from(cells[1..].to_vec());
        assert!(Pairs::from_parts(odd, pilots.clone(), facts).is_none());
    }
}
