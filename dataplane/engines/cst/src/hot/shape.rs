//! Balanced parentheses: the shape of a tree in two bits a node, with an index to move in it.
//!
//! A node is written as a one where it begins and a zero where it ends, its children between. E(k),
//! the excess, is ones less zeros among the first k bits: the depth there. A node that begins at
//! bit p ends where the excess falls back to E(p), and its parent begins where the excess was last
//! E(p) - 1. Per block of 512 bits the index has the ones and leaves before it and the lowest
//! excess in it, and above that the lowest of each 16, so that a search skips what cannot hold its
//! target (Navarro and Sadakane, "Fully functional static and dynamic succinct trees", 2014).

use std::ops::Range;

use super::bits::{counting, leaf_ones, leaves, ones, select, select_from};

/// Bits of a block.
const BLOCK: usize = 512;
const WORDS: usize = BLOCK / 64;
/// Lows of one level that share one of the level above.
const FAN: usize = 16;

/// `LOW[byte]`: the lowest excess behind one of the byte's bits, and that behind all, from 0 before.
static LOW: [(i8, i8); 256] = low_table();
/// `FIRST[byte][d - 1]`: bits until the excess has first fallen by `d`, 0 if it never does.
static FIRST: [[u8; 8]; 256] = first_table();

const fn low_table() -> [(i8, i8); 256] {
    let mut table = [(0, 0); 256];
    let mut byte = 0;
    while byte < 256 {
        let (mut bit, mut sum, mut low) = (0, 0i8, i8::MAX);
        while bit < 8 {
            sum += if byte >> bit & 1 == 1 { 1 } else { -1 };
            if sum < low {
                low = sum;
            }
            bit += 1;
        }
        table[byte] = (low, sum);
        byte += 1;
    }
    table
}

const fn first_table() -> [[u8; 8]; 256] {
    let mut table = [[0; 8]; 256];
    let mut byte = 0;
    while byte < 256 {
        let (mut bit, mut sum, mut fall) = (0, 0i8, 0i8);
        while bit < 8 {
            sum += if byte >> bit & 1 == 1 { 1 } else { -1 };
            if -sum > fall {
                fall = -sum;
                table[byte][fall as usize - 1] = bit + 1;
            }
            bit += 1;
        }
        byte += 1;
    }
    table
}

/// Bits of `word`, from bit 0 on, until ones less zeros is first -`depth`; `depth` > 0.
#[inline(always)]
fn fall(mut word: u64, depth: u32) -> Option<u32> {
    // At least as many zeros are needed.
    if word.count_zeros() < depth {
        return None;
    }
    let mut depth = depth as i32;
    for bits in [0, 8, 16, 24, 32, 40, 48, 56] {
        let byte = (word & 0xff) as usize;
        let (low, sum) = LOW[byte];
        if i32::from(low) + depth <= 0 {
            return Some(bits + u32::from(FIRST[byte][depth as usize - 1]));
        }
        depth += i32::from(sum);
        word >>= 8;
    }
    None
}

counting! {
/// The bit in `words` of `bits` at which the excess, `excess` before them, first falls to `target`.
fn close_in(bits: &[u64], words: Range<usize>, excess: i64, target: i64) -> Option<usize> {
    let mut excess = excess;
    for at in words {
        let word = bits[at];
        if let Some(bits) = fall(word, (excess - target) as u32) {
            return Some(at * 64 + bits as usize - 1);
        }
        excess += 2 * i64::from(word.count_ones()) - 64;
    }
    None
}
}

counting! {
/// The last bit in `words` of `bits` before which the excess, `excess` behind them, is `target`.
fn open_in(bits: &[u64], words: Range<usize>, excess: i64, target: i64) -> Option<usize> {
    let mut excess = excess;
    for at in words.rev() {
        let word = bits[at];
        if excess == target {
            return Some((at + 1) * 64);
        }
        if let Some(bits) = fall(!word.reverse_bits(), (excess - target) as u32) {
            return Some((at + 1) * 64 - bits as usize);
        }
        excess -= 2 * i64::from(word.count_ones()) - 64;
    }
    None
}
}

/// Where a shape lies in the words of its tree: bits, then a word per block, then the lows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ShapeAt {
    nodes: u32,
    leaves: u32,
}

impl ShapeAt {
    /// Writes bits and index to the front of `words`, which are empty.
    pub(super) fn write(parens: &[u64], nodes: usize, words: &mut Vec<u64>) -> Self {
        words.extend_from_slice(parens);
        let (mut opens, mut leaf_count) = (0u64, 0u64);
        let mut lows = Vec::with_capacity(parens.len().div_ceil(WORDS));
        for (block, chunk) in parens.chunks(WORDS).enumerate() {
            words.push(opens | leaf_count << 32);
            let mut excess = (2 * opens) as i64 - (block * BLOCK) as i64;
            let mut low = i64::MAX;
            for (at, word) in chunk.iter().enumerate() {
                let bits = (2 * nodes - (block * WORDS + at) * 64).min(64);
                (low, excess) = low_of(*word, bits, low, excess);
                let next = parens.get(block * WORDS + at + 1).copied().unwrap_or(0);
                opens += u64::from(word.count_ones());
                leaf_count += u64::from(leaves(*word, next).count_ones());
            }
            lows.push(low as u32);
        }
        Self::write_lows(lows, words);
        Self { nodes: nodes as u32, leaves: leaf_count as u32 }
    }

    fn write_lows(mut level: Vec<u32>, words: &mut Vec<u64>) {
        let mut all = Vec::new();
        while level.len() > 1 {
            all.extend_from_slice(&level);
            level = level.chunks(FAN).map(|lows| lows.iter().copied().min().unwrap_or(0)).collect();
        }
        all.extend(level);
        words.extend(
            all.chunks(2).map(|pair| {
                u64::from(pair[0]) | u64::from(pair.get(1).copied().unwrap_or(0)) << 32
            }),
        );
    }

    /// The shape, of the words that it was written to.
    #[inline]
    pub(super) fn shape(self, words: &[u64]) -> Shape<'_> {
        let bits = (2 * self.nodes as usize).div_ceil(64);
        let blocks = bits.div_ceil(WORDS);
        let (bits, rest) = words.split_at(bits);
        let (blocks, lows) = rest.split_at(blocks);
        Shape { bits, blocks, lows }
    }

    pub(super) const fn nodes(self) -> u32 {
        self.nodes
    }

    pub(super) const fn leaves(self) -> u32 {
        self.leaves
    }
}

/// Lowest excess at the ends of the first `bits` bits of `word`, and that at the last.
fn low_of(word: u64, bits: usize, mut low: i64, mut excess: i64) -> (i64, i64) {
    let whole = bits / 8;
    for byte in &word.to_le_bytes()[..whole] {
        let (least, sum) = LOW[usize::from(*byte)];
        low = low.min(excess + i64::from(least));
        excess += i64::from(sum);
    }
    for bit in whole * 8..bits {
        excess += if word >> bit & 1 == 1 { 1 } else { -1 };
        low = low.min(excess);
    }
    (low, excess)
}

/// Moves in a shape. Positions are bits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape<'a> {
    bits: &'a [u64],
    /// Ones before the block, and leaves before it shifted by 32.
    blocks: &'a [u64],
    /// Two a word: of all blocks, then of each level above.
    lows: &'a [u64],
}

impl Shape<'_> {
    /// Whether a node begins at bit `at`; false behind the last one.
    #[inline]
    pub(super) fn opens(self, at: usize) -> bool {
        self.bits.get(at / 64).is_some_and(|word| word >> (at % 64) & 1 == 1)
    }

    /// The first bit from `at` on at which a node begins; the end of all words if none does.
    #[inline]
    pub(super) fn next_open(self, at: usize) -> usize {
        let mut word = match self.bits.get(at / 64) {
            Some(word) => word >> (at % 64) << (at % 64),
            None => return self.bits.len() * 64,
        };
        let mut at = at / 64;
        while word == 0 {
            at += 1;
            match self.bits.get(at) {
                Some(next) => word = *next,
                None => return self.bits.len() * 64,
            }
        }
        at * 64 + word.trailing_zeros() as usize
    }

    /// Ones before bit `at`.
    #[inline]
    pub(super) fn rank(self, at: usize) -> usize {
        let block = at / BLOCK;
        let Some(entry) = self.blocks.get(block) else { return self.bits.len() * 32 };
        let last = if at.is_multiple_of(64) { 0 } else { self.bits[at / 64] };
        let words = &self.bits[block * WORDS..at / 64];
        *entry as u32 as usize + ones(words, last, at % 64)
    }

    #[inline]
    fn leaf_word(self, at: usize) -> u64 {
        leaves(self.bits[at], self.bits.get(at + 1).copied().unwrap_or(0))
    }

    /// Leaves that begin before bit `at`, where a node begins or ends.
    #[inline]
    pub(super) fn leaf_rank(self, at: usize) -> usize {
        let block = at / BLOCK;
        let words = &self.bits[block * WORDS..];
        (self.blocks[block] >> 32) as usize + leaf_ones(words, at % BLOCK)
    }

    /// Leaves that begin in the bits `from..upto`; at `upto` a node begins or ends.
    #[inline]
    pub(super) fn leaves_between(self, from: usize, upto: usize) -> usize {
        if upto - from > BLOCK {
            return self.leaf_rank(upto) - self.leaf_rank(from);
        }
        let first = from / 64;
        let words = &self.bits[first..];
        let before = leaf_ones(words, from % 64);
        leaf_ones(words, upto - first * 64) - before
    }

    /// The bit where node `index` begins, in pre-order.
    #[inline]
    pub(super) fn select(self, index: usize) -> usize {
        // A node lies at twice its index less its depth: the guess is right but for deep trees.
        let mut block = (2 * index / BLOCK).min(self.blocks.len() - 1);
        let mut tries = 4;
        while self.blocks[block] as u32 as usize > index {
            if tries == 0 {
                block = self.blocks.partition_point(|entry| *entry as u32 as usize <= index) - 1;
                break;
            }
            (block, tries) = (block - 1, tries - 1);
        }
        let left = index - self.blocks[block] as u32 as usize;
        select_from(self.bits, block * BLOCK, left as u32)
    }

    /// The bit where leaf `index` begins.
    pub(super) fn leaf_select(self, index: usize) -> usize {
        let block = self.blocks.partition_point(|entry| (entry >> 32) as usize <= index) - 1;
        let mut left = index - (self.blocks[block] >> 32) as usize;
        let mut at = block * WORDS;
        loop {
            let word = self.leaf_word(at);
            let ones = word.count_ones() as usize;
            if left < ones {
                return at * 64 + select(word, left as u32) as usize;
            }
            (left, at) = (left - ones, at + 1);
        }
    }

    /// Where the node that begins at bit `open` ends.
    #[inline]
    pub(super) fn close(self, open: usize) -> usize {
        let from = open + 1;
        let shift = from % 64;
        if shift != 0 {
            // Ones above never let the excess fall.
            let word = self.bits[from / 64] >> shift | u64::MAX << (64 - shift);
            if let Some(bits) = fall(word, 1) {
                return from + bits as usize - 1;
            }
        }
        self.close_far(open)
    }

    fn close_far(self, open: usize) -> usize {
        let target = (2 * self.rank(open)) as i64 - open as i64;
        let first = (open + 1).div_ceil(64);
        // Ones before: all up to the word's first bit.
        let excess = 2 * self.rank(first * 64) as i64 - (first * 64) as i64;
        let block_end = first.next_multiple_of(WORDS).min(self.bits.len());
        if let Some(close) = close_in(self.bits, first..block_end, excess, target) {
            return close;
        }
        let Some(block) = self.block_after(first.div_ceil(WORDS), target as u32) else {
            // Only the root ends at the last bit of all, which a search finds before.
            return open + 1;
        };
        let words = block * WORDS..((block + 1) * WORDS).min(self.bits.len());
        let excess = 2 * i64::from(self.blocks[block] as u32) - (block * BLOCK) as i64;
        close_in(self.bits, words, excess, target).unwrap_or(open + 1)
    }

    /// The last bit before `at` at which the excess is one less than at `at`: where the parent of
    /// the node at `at` begins, or the node that ends at `at`.
    #[inline]
    pub(super) fn open_before(self, at: usize) -> usize {
        let shift = at % 64;
        if shift != 0 {
            let word = !(self.bits[at / 64] << (64 - shift)).reverse_bits();
            // Bits that were shifted in read as ones from behind: they never let it fall.
            if let Some(bits) = fall(word | u64::MAX << shift, 1) {
                return at - bits as usize;
            }
        }
        self.open_far(at)
    }

    fn open_far(self, at: usize) -> usize {
        let target = (2 * self.rank(at)) as i64 - at as i64 - 1;
        let last = at / 64;
        let excess = 2 * self.rank(last * 64) as i64 - (last * 64) as i64;
        if let Some(open) = open_in(self.bits, last / WORDS * WORDS..last, excess, target) {
            return open;
        }
        let Some(block) = self.block_before(last / WORDS, target as u32) else { return 0 };
        let end = (block + 1) * WORDS;
        let excess = 2 * i64::from(self.blocks[block + 1] as u32) - (end * 64) as i64;
        open_in(self.bits, block * WORDS..end, excess, target).unwrap_or(0)
    }

    #[inline]
    fn low(self, at: usize) -> u32 {
        (self.lows[at / 2] >> (at % 2 * 32)) as u32
    }

    /// The first block from `from` on whose excess falls to `target`.
    fn block_after(self, from: usize, target: u32) -> Option<usize> {
        let (mut len, mut base, mut at) = (self.blocks.len(), 0, from);
        let mut bases = [0; 12];
        let mut level = 0;
        'up: loop {
            while at < len {
                if self.low(base + at) <= target {
                    break 'up;
                }
                at += 1;
                if at.is_multiple_of(FAN) && len > FAN {
                    break;
                }
            }
            if at >= len {
                return None;
            }
            bases[level] = base;
            (base, len, at, level) = (base + len, len.div_ceil(FAN), at / FAN, level + 1);
        }
        while level > 0 {
            level -= 1;
            at *= FAN;
            while self.low(bases[level] + at) > target {
                at += 1;
            }
        }
        Some(at)
    }

    /// The last block before `end` whose excess falls to `target`.
    fn block_before(self, end: usize, target: u32) -> Option<usize> {
        let (mut len, mut base, mut end) = (self.blocks.len(), 0, end);
        let mut levels = [(0, 0); 12];
        let mut level = 0;
        'up: loop {
            while end > 0 {
                if self.low(base + end - 1) <= target {
                    break 'up;
                }
                end -= 1;
                if end.is_multiple_of(FAN) && len > FAN {
                    break;
                }
            }
            if end == 0 {
                return None;
            }
            levels[level] = (base, len);
            (base, len, end, level) = (base + len, len.div_ceil(FAN), end / FAN, level + 1);
        }
        let mut at = end - 1;
        while level > 0 {
            level -= 1;
            let (base, len) = levels[level];
            // The last group of a level may be short.
            at = (at * FAN + FAN - 1).min(len - 1);
            while self.low(base + at) > target {
                at -= 1;
            }
        }
        Some(at)
    }
}

#[cfg(test)]
mod tests;
