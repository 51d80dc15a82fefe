//! Pairs of numbers and what they merge into: eight to a cache line.

use bytemuck::{Pod, Zeroable};

use super::NONE;
use crate::Table;

/// A free cell: no pair has such numbers.
const FREE: u64 = u64::MAX;
/// Bits of the result in a cell; above them the right and the left number have 21 each.
pub(super) const RESULT_BITS: u32 = 22;
/// Clears the result.
pub(super) const PAIR: u64 = !((1 << RESULT_BITS) - 1);

/// A cache line of cells. Cells fill from the first on; a full line goes on in the next.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C, align(64))]
pub(super) struct Line(pub(super) [u64; 8]);

impl Line {
    /// Whether pairs that belong here may lie in the next line.
    #[inline(always)]
    pub(super) const fn is_full(&self) -> bool {
        self.0[7] != FREE
    }
}

/// The table: a line per bucket, a power of two of them and as many more lines as the last bucket
/// runs over into.
#[derive(Clone, Debug)]
pub(super) struct Pairs {
    lines: Table<Line>,
    /// What a hash is shifted by to give a bucket.
    shift: u32,
}

/// A pair table while it is made.
#[derive(Debug)]
pub(super) struct Builder {
    lines: Vec<Line>,
    shift: u32,
}

#[inline(always)]
const fn pair(left: u32, right: u32) -> u64 {
    (left as u64) << 43 | (right as u64) << RESULT_BITS
}

/// The bucket of a pair.
#[inline(always)]
const fn bucket(pair: u64, shift: u32) -> usize {
    ((pair >> RESULT_BITS).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> shift) as usize
}

/// The result at `pair` in the buckets of `lines`.
#[inline(always)]
fn get(lines: &[Line], shift: u32, pair: u64) -> u32 {
    let mut at = bucket(pair, shift);
    loop {
        let Some(line) = lines.get(at) else { return NONE };
        let found = find(line, pair);
        if found != NONE || !line.is_full() {
            return found;
        }
        at += 1;
    }
}

/// The result at `pair` in `line`.
#[inline(always)]
fn find(line: &Line, pair: u64) -> u32 {
    let mut found = NONE;
    for &cell in &line.0 {
        let result = (cell & !PAIR) as u32;
        found = if cell & PAIR == pair { result } else { found };
    }
    found
}

impl Builder {
    /// Room for `expected` pairs at three to a line.
    pub(super) fn with_room(expected: usize) -> Self {
        let buckets = (expected / 4).next_power_of_two().max(2);
        let shift = 64 - buckets.trailing_zeros();
        // A line more, so that the last bucket never needs to grow the table first.
        Self { lines: vec![Line([FREE; 8]); buckets + 1], shift }
    }

    pub(super) fn get(&self, left: u32, right: u32) -> u32 {
        get(&self.lines, self.shift, pair(left, right))
    }

    /// Adds a pair that is not there.
    pub(super) fn insert(&mut self, left: u32, right: u32, result: u32) {
        let pair = pair(left, right);
        let mut at = bucket(pair, self.shift);
        loop {
            if at == self.lines.len() {
                self.lines.push(Line([FREE; 8]));
            }
            if let Some(cell) = self.lines[at].0.iter_mut().find(|cell| **cell == FREE) {
                *cell = pair | u64::from(result);
                break;
            }
            at += 1;
        }
        // The last line is never full, so that a search that comes to it ends there.
        if self.lines.last().is_some_and(|line| line.0[7] != FREE) {
            self.lines.push(Line([FREE; 8]));
        }
    }

    pub(super) fn build(self) -> Pairs {
        Pairs { lines: self.lines.into(), shift: self.shift }
    }
}

impl Pairs {
    /// What the pair merges into; [`NONE`] for nothing.
    #[inline(always)]
    pub(super) fn get(&self, left: u32, right: u32) -> u32 {
        get(&self.lines, self.shift, pair(left, right))
    }

    /// The cells of a pair without its result, and the number of the line where they are or from
    /// which on they have run over.
    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    pub(super) fn place(&self, left: u32, right: u32) -> (u64, usize) {
        let pair = pair(left, right);
        (pair, bucket(pair, self.shift))
    }

    /// The line of that number, if there is one.
    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    pub(super) fn line(&self, at: usize) -> Option<&Line> {
        self.lines.get(at)
    }

    /// The lines and the shift, for storing.
    pub(super) fn parts(&self) -> (&Table<Line>, u32) {
        (&self.lines, self.shift)
    }

    /// The table of what [`Pairs::parts`] gave; `None` where the shift does not fit the lines.
    pub(super) fn from_parts(lines: Table<Line>, shift: u32) -> Option<Self> {
        let buckets = 1usize.checked_shl(64u32.checked_sub(shift)?)?;
        let ends = lines.last().is_some_and(|line| line.0[7] == FREE);
        (shift < 64 && buckets < lines.len() && ends).then_some(Self { lines, shift })
    }

    /// Every entry as (left, right, result).
    pub(super) fn entries(&self) -> impl Iterator<Item = (u32, u32, u32)> {
        let cells = self.lines.iter().flat_map(|line| line.0).filter(|&cell| cell != FREE);
        cells.map(|cell| {
            let right = (cell >> RESULT_BITS) as u32 & ((1 << 21) - 1);
            ((cell >> 43) as u32, right, (cell & !PAIR) as u32)
        })
    }

    pub(super) fn memory(&self) -> usize {
        size_of_val(&*self.lines)
    }
}
