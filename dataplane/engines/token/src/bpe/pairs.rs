//! Pairs of numbers and what they merge into: a perfect hash.
//!
//! As in the word table, a byte of displacement per bucket brings each pair to a cell of its own.
//! A pair that merges into nothing, as most that are asked for, takes as long as one that does.
//!
//! A cell has 32 bits, and the pairs of 2 million numbers have 42. What a cell leaves out says, with
//! some bits of the hash, in which part of the table the pair lies: cell and place together are the
//! pair. What it merges into lies in an array of its own, which is looked at only where something
//! merges: so what everything asks for fits into a core's own cache.

use foldhash::{HashMap, HashMapExt};

use super::NONE;
use crate::Table;

/// Pairs per bucket, on average.
const BUCKET: usize = 4;
/// Buckets at least: vector code reads displacements by fours.
const LEAST_BUCKETS: usize = 4;
/// What pairs are multiplied by first, twice; other odd numbers follow where they bring no success.
const FACTORS: [u32; 2] = [0x9e37_79b1, 0x85eb_ca77];
/// Most bits of a number.
const MOST_BITS: u32 = 21;
/// Least bits of a number: as many as the numbers of bytes have.
const LEAST_BITS: u32 = 8;

/// The table.
#[derive(Clone, Debug)]
pub(super) struct Pairs {
    /// A power of two of them. Those of free places are 0.
    cells: Table<u32>,
    /// What the pair of each cell merges into, [`NONE`] in free places; and [`NONE`] once more.
    results: Table<u32>,
    /// Displacements; a power of two of them.
    pilots: Table<u8>,
    shape: Shape,
}

/// How the place of a pair comes about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) factors: [u32; 2],
    /// Bits of a number.
    pub(super) bits: u32,
    /// What a hash is shifted right by to give a bucket.
    pub(super) bucket: u32,
    /// What it is shifted right by to give a part of the table; 32 if there is one.
    pub(super) part: u32,
    /// What it is shifted right by, once displaced, to give a place in a part.
    pub(super) inner: u32,
}

/// A pair table while it is made.
#[derive(Debug)]
pub(super) struct Builder {
    found: HashMap<[u32; 2], u32>,
}

/// Where a pair can be, but for the displacement, and its cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Hashed {
    bucket: usize,
    part: u32,
    hash: u32,
    cell: u32,
}

impl Shape {
    /// That of a table of `cells` cells and `buckets` displacements, both powers of two; `None`
    /// where there are too few, too many, or numbers of as many bits are too large.
    fn new(factors: [u32; 2], bits: u32, cells: usize, buckets: usize) -> Option<Self> {
        let (cell_bits, bucket_bits) = (cells.trailing_zeros(), buckets.trailing_zeros());
        let part_bits = bits.saturating_mul(2).saturating_sub(32);
        let sound = (LEAST_BITS..=MOST_BITS).contains(&bits)
            && cells.is_power_of_two()
            && buckets.is_power_of_two()
            && buckets >= LEAST_BUCKETS
            && bucket_bits <= 31
            && (part_bits.saturating_add(1)..=31).contains(&cell_bits);
        sound.then(|| Self {
            factors,
            bits,
            bucket: 32 - bucket_bits,
            part: 32 - part_bits,
            inner: 32 - (cell_bits - part_bits),
        })
    }

    #[inline(always)]
    fn hash(self, left: u32, right: u32) -> Hashed {
        // The bits of `left` that are shifted out are all above `32 - bits`.
        let (cell, over) = (left << self.bits | right, left >> (32 - self.bits));
        let hash = cell.wrapping_mul(self.factors[0]);
        let mixed = (hash ^ hash >> 15).wrapping_mul(self.factors[1]);
        let part = (u64::from(mixed) >> self.part) as u32 ^ over;
        Hashed { bucket: (mixed >> self.bucket) as usize, part, hash, cell }
    }

    #[inline(always)]
    const fn place(self, hashed: Hashed, pilot: u8) -> usize {
        let inner = hashed.hash.wrapping_mul(pilot as u32 * 2 + 1) >> self.inner;
        (hashed.part << (32 - self.inner) | inner) as usize
    }
}

impl Builder {
    /// Room for `expected` pairs.
    pub(super) fn with_room(expected: usize) -> Self {
        Self { found: HashMap::with_capacity(expected) }
    }

    pub(super) fn get(&self, left: u32, right: u32) -> u32 {
        self.found.get(&[left, right]).copied().unwrap_or(NONE)
    }

    /// Adds a pair that is not there. Numbers are below 2 to the power of 21.
    pub(super) fn insert(&mut self, left: u32, right: u32, result: u32) {
        self.found.insert([left, right], result);
    }

    pub(super) fn build(self) -> Pairs {
        let mut pairs: Vec<([u32; 2], u32)> = self.found.into_iter().collect();
        pairs.sort_unstable();
        let most = pairs.iter().map(|([left, right], result)| *left.max(right).max(result));
        let most = most.max().unwrap_or(255).max(255);
        let bits = u32::BITS - most.leading_zeros();
        let mut room = (pairs.len() * 5 / 4).max(1 << (bits - 8)).next_power_of_two().max(4);
        let mut factors = FACTORS;
        loop {
            for _ in 0..4 {
                if let Some(table) = attempt(&pairs, factors, bits, room) {
                    return table;
                }
                factors = factors.map(|factor| factor.wrapping_mul(FACTORS[0]));
            }
            // Only on bad luck, and less likely each time.
            room *= 2;
        }
    }
}

/// The table with `room` cells; `None` where some bucket finds no place.
fn attempt(pairs: &[([u32; 2], u32)], factors: [u32; 2], bits: u32, room: usize) -> Option<Pairs> {
    let buckets = (pairs.len() / BUCKET).next_power_of_two().max(LEAST_BUCKETS);
    let shape = Shape::new(factors, bits, room, buckets)?;
    let hashed = |&([left, right], result): &([u32; 2], u32)| (shape.hash(left, right), result);
    let mut order: Vec<(Hashed, u32)> = pairs.iter().map(hashed).collect();
    order.sort_unstable();
    let mut members: Vec<&[_]> = order.chunk_by(|a, b| a.0.bucket == b.0.bucket).collect();
    members.sort_by_key(|members| std::cmp::Reverse(members.len()));
    let (mut cells, mut results) = (vec![0; room], vec![NONE; room + 1]);
    let mut pilots = vec![0u8; buckets];
    for members in members {
        let pilot = (0..=255).find(|&pilot| {
            for (done, &(hashed, result)) in members.iter().enumerate() {
                let at = shape.place(hashed, pilot);
                if results[at] != NONE {
                    let set = members[..done].iter();
                    set.for_each(|&(hashed, _)| {
                        let at = shape.place(hashed, pilot);
                        (cells[at], results[at]) = (0, NONE);
                    });
                    return false;
                }
                (cells[at], results[at]) = (hashed.cell, result);
            }
            true
        })?;
        pilots[members[0].0.bucket] = pilot;
    }
    Some(Pairs { cells: cells.into(), results: results.into(), pilots: pilots.into(), shape })
}

impl Pairs {
    /// What the pair merges into; [`NONE`] for nothing.
    #[inline(always)]
    pub(super) fn get(&self, left: u32, right: u32) -> u32 {
        let hashed = self.shape.hash(left, right);
        debug_assert!(hashed.bucket < self.pilots.len());
        // SAFETY: `Shape::new` shifts 32 bits to as many as number the displacements.
        let pilot = unsafe { *self.pilots.get_unchecked(hashed.bucket) };
        let at = self.shape.place(hashed, pilot);
        debug_assert!(at < self.cells.len());
        // SAFETY: numbers have at most `bits` bits, so that a part has as many as `Shape::new` left
        // for it; those of part and place in it together number the cells.
        let cell = unsafe { *self.cells.get_unchecked(at) };
        // Whether there is such a pair cannot be foretold: no branch on it.
        let at = if cell == hashed.cell { at } else { self.cells.len() };
        // SAFETY: there is one result more than there are cells.
        unsafe { *self.results.get_unchecked(at) }
    }

    /// The arrays of cells, results and displacements, for vector code.
    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    pub(super) fn arrays(&self) -> (*const u32, *const u32, *const u8) {
        (self.cells.as_ptr(), self.results.as_ptr(), self.pilots.as_ptr())
    }

    /// How the place of a pair comes about.
    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    pub(super) fn shape(&self) -> Shape {
        self.shape
    }

    /// Cells, results, displacements, and factors and bits of a number, for storing.
    pub(super) fn parts(&self) -> (&Table<u32>, &Table<u32>, &Table<u8>, [u32; 3]) {
        let [first, second] = self.shape.factors;
        (&self.cells, &self.results, &self.pilots, [first, second, self.shape.bits])
    }

    /// The table of what [`Pairs::parts`] gave, for numbers below `numbers`; `None` where the parts
    /// do not fit each other. Which pairs are found is not checked.
    pub(super) fn from_parts(
        cells: Table<u32>,
        results: Table<u32>,
        pilots: Table<u8>,
        [first, second, bits]: [u32; 3],
        numbers: usize,
    ) -> Option<Self> {
        let shape = Shape::new([first, second], bits, cells.len(), pilots.len())?;
        let sound = numbers <= 1 << bits
            && results.len() == cells.len() + 1
            && results.last() == Some(&NONE);
        sound.then_some(Self { cells, results, pilots, shape })
    }

    /// Every entry's result.
    pub(super) fn entries(&self) -> impl Iterator<Item = u32> {
        self.results.iter().copied().filter(|&result| result != NONE)
    }

    pub(super) fn memory(&self) -> usize {
        size_of_val(&*self.cells) + size_of_val(&*self.results) + size_of_val(&*self.pilots)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pair_has_its_cell_and_no_other_is_found() {
        // The second needs all parts of a table.
        for high in [0, (1 << 21) - 5000] {
            let mut builder = Builder::with_room(3000);
            let pair = |n: u32| (high + n * 7 % 1009, high + n);
            for n in 0..3000 {
                builder.insert(pair(n).0, pair(n).1, 256 + n);
            }
            let table = builder.build();
            for n in 0..3000 {
                let (left, right) = pair(n);
                assert_eq!(table.get(left, right), 256 + n);
                assert_eq!(table.get(left + 1, right), NONE);
                // What a cell leaves out.
                for bit in (11..21).filter(|_| high > 0) {
                    assert_eq!(table.get(left ^ 1 << bit, right), NONE);
                }
            }
            assert_eq!(table.entries().count(), 3000);
        }
    }

    #[test]
    fn parts_that_do_not_fit_are_refused() {
        let mut builder = Builder::with_room(9);
        (0..9).for_each(|n| builder.insert(n, n + 1, 256 + n));
        let table = builder.build();
        let (cells, results, pilots, facts) = table.parts();
        let parts = |cells: &[u32], results: &[u32], facts| {
            let (cells, results) = (cells.to_vec().into(), results.to_vec().into());
            Pairs::from_parts(cells, results, pilots.clone(), facts, 300)
        };
        assert!(parts(cells, results, facts).is_some());
        assert!(parts(&cells[1..], &results[1..], facts).is_none());
        assert!(parts(cells, &results[1..], facts).is_none());
        let [first, second, bits] = facts;
        for bits in [0, 8, 22, bits + 100] {
            assert!(parts(cells, results, [first, second, bits]).is_none(), "{bits}");
        }
    }

    #[test]
    fn a_table_without_pairs_finds_none() {
        let table = Builder::with_room(0).build();
        for pair in 0..1 << 16 {
            assert_eq!(table.get(pair >> 8, pair & 255), NONE);
        }
    }
}
