//! Codes, and scans over them.

use std::ops::Range;

use super::{PqBits, PqQuery};
use crate::kernels::{CodeScan, Found, Kernels, SixScan};
use crate::topk::{Hit, TopK};

/// Words ahead of those that are scanned which memory is asked for.
const AHEAD: usize = 1024;
/// Codes that are scanned before the floor is raised the first time: most of them pass.
const FIRST: usize = 128;
/// Most codes that are scanned before it is raised again.
const STRIDE: usize = 4096;

/// Codes in memory.
#[derive(Clone, Debug)]
pub struct PqCodes {
    bits: PqBits,
    parts: usize,
    len: usize,
    lines: Vec<u32>,
}

impl PqCodes {
    pub(super) const fn new(bits: PqBits, parts: usize) -> Self {
        Self { bits, parts, len: 0, lines: Vec::new() }
    }

    /// How many there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes of memory that they hold.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        4 * self.lines.capacity()
    }

    /// The codes where they lie.
    #[must_use]
    pub fn view(&self) -> PqView<'_> {
        let Self { bits, parts, len, lines } = self;
        PqView { bits: *bits, parts: *parts, len: *len, lines }
    }

    /// Adds a code: an entry's number for each part.
    pub(super) fn push(&mut self, code: &[u8]) {
        let words = self.bits.block_words(self.parts);
        let (block, place) = (self.len / self.bits.block(), self.len % self.bits.block());
        if place == 0 {
            self.lines.resize((block + 1) * words, 0);
        }
        let lines = &mut self.lines[block * words..];
        match self.bits {
            PqBits::Eight => bytemuck::cast_slice_mut(lines).copy_from_slice(code),
            PqBits::Four => {
                for (line, parts) in lines.chunks_exact_mut(16).zip(code.chunks_exact(8)) {
                    let word =
                        parts.iter().rev().fold(0, |word, &part| word << 4 | u32::from(part));
                    line[place] = word;
                }
            }
            PqBits::Six => {
                let bytes: &mut [u8] = bytemuck::cast_slice_mut(lines);
                for (lines, parts) in bytes.chunks_exact_mut(192).zip(code.chunks_exact(4)) {
                    for k in 0..3 {
                        lines[64 * k + place] = parts[k] | (parts[3] >> (2 * k) & 3) << 6;
                    }
                }
            }
        }
        self.len += 1;
    }
}

/// Codes where they lie: in memory, or in a mapped file.
#[derive(Clone, Copy, Debug)]
pub struct PqView<'a> {
    /// Bits of a part.
    pub bits: PqBits,
    /// Parts of a code, those of padding too.
    pub parts: usize,
    /// How many there are; in their last block there may be fewer than it has room for.
    pub len: usize,
    /// Blocks of codes, as the [module](crate::quantize::pq) lays them out.
    pub lines: &'a [u32],
}

impl PqView<'_> {
    /// Blocks that there are.
    #[must_use]
    pub const fn blocks(&self) -> usize {
        self.len.div_ceil(self.bits.block())
    }

    /// Finds, among `blocks`, codes whose score exceeds `floor`; their places count from the first
    /// of these blocks.
    ///
    /// # Panics
    /// When the query is another quantizer's, blocks are not there, or `found` has too little room.
    pub fn scan(
        &self,
        kernels: &Kernels,
        query: &PqQuery,
        blocks: Range<usize>,
        floor: f32,
        found: &mut Found,
    ) {
        assert_eq!((query.bits, query.parts), (self.bits, self.parts), "the same quantizer");
        let words = self.bits.block_words(self.parts);
        let lines = &self.lines[blocks.start * words..blocks.end * words];
        let PqQuery { tables, unit, .. } = query;
        match self.bits {
            PqBits::Four => {
                let words = self.parts / 8;
                let next = &self.lines[blocks.start * self.bits.block_words(self.parts)..];
                let next = &next[next.len().min(AHEAD)..];
                let scan = CodeScan {
                    words,
                    lines,
                    scale: &[],
                    add: &[],
                    tables,
                    unit: *unit,
                    floor,
                    next,
                };
                kernels.scan_codes(&scan, found);
            }
            PqBits::Six => {
                let lines = bytemuck::cast_slice(lines);
                let groups = self.parts / 4;
                kernels.scan_six(&SixScan { groups, lines, tables, unit: *unit, floor }, found);
            }
            PqBits::Eight => {
                found.len = 0;
                let codes: &[u8] = bytemuck::cast_slice(lines);
                for (at, code) in codes.chunks_exact(self.parts).enumerate() {
                    found.offer(at as u32, query.score(code), floor);
                }
            }
        }
        // What a last block has room for is no code.
        let left = (self.len - blocks.start * self.bits.block()) as u32;
        while found.len > 0 && found.at[found.len - 1] >= left {
            found.len -= 1;
        }
    }

    /// The `k` codes with the best scores of at least `least`, best first.
    ///
    /// # Panics
    /// When the query is another quantizer's.
    #[must_use]
    pub fn search(&self, kernels: &Kernels, query: &PqQuery, k: usize, least: f32) -> Vec<Hit> {
        let mut found = Found::with_room(STRIDE / crate::kernels::BLOCK);
        let mut top = TopK::new(k, least);
        let (mut from, mut step) = (0, FIRST / self.bits.block());
        while from < self.blocks() {
            let to = self.blocks().min(from + step);
            self.scan(kernels, query, from..to, top.floor(), &mut found);
            let first = (from * self.bits.block()) as u32;
            found.iter().for_each(|(at, score)| top.offer(first + at, score));
            (from, step) = (to, (2 * step).min(STRIDE / self.bits.block()));
        }
        top.sorted()
    }

    /// The entries' numbers of code `at`, one a part.
    ///
    /// # Panics
    /// When there is no such code.
    #[must_use]
    pub fn code(&self, at: usize) -> Vec<u8> {
        assert!(at < self.len, "code {at} of {}", self.len);
        let words = self.bits.block_words(self.parts);
        let (block, place) = (at / self.bits.block(), at % self.bits.block());
        let lines = &self.lines[block * words..][..words];
        let bytes: &[u8] = bytemuck::cast_slice(lines);
        match self.bits {
            PqBits::Eight => bytes.to_vec(),
            PqBits::Four => {
                let parts = |line: &[u32]| {
                    let word = line[place];
                    (0..8).map(move |part| (word >> (4 * part) & 15) as u8)
                };
                lines.chunks_exact(16).flat_map(parts).collect()
            }
            PqBits::Six => {
                let parts = |lines: &[u8]| {
                    let three = [0, 1, 2].map(|k| lines[64 * k + place]);
                    let last = three[0] >> 6 | three[1] >> 6 << 2 | three[2] >> 6 << 4;
                    [three[0] & 63, three[1] & 63, three[2] & 63, last]
                };
                bytes.chunks_exact(192).flat_map(parts).collect()
            }
        }
    }
}
