//! A tree's nodes cut into chunks where its symbols say so.
//!
//! A rolling hash goes over the codes of the nodes (gear hash: Xia et al., "Ddelta", 2014): shifted by
//! one for each, it knows the last 64 and nothing of what was before, so that behind an edit the cuts
//! fall where they fell. A chunk has the columns of a block (`cold/columns.rs`) with lines in place of
//! links: the number of line starts behind the last leaf before it up to the end of its own last one,
//! then each as difference to the one before, the first to the end of that leaf. Nothing in it depends
//! on where it lies.

use crate::cold::{CODES, COLUMNS, ENDS, GAPS, LINKS, REST};
use crate::flat::Flat;
use crate::items::{Item, Items};
use crate::languages::{Code, Grammar, SymbolId};
use crate::varint::push;

/// Nodes of a chunk: least, most, and how many on average.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkNodes {
    /// No cut before as many.
    pub least: u32,
    /// One in as many nodes ends a chunk; a power of two, 2 to 2^16.
    pub mean: u32,
    /// A cut then at the latest.
    pub most: u32,
}

impl Default for ChunkNodes {
    fn default() -> Self {
        Self { least: 32, mean: 128, most: 1024 }
    }
}

static GEAR: [u64; 256] = gear();

/// Numbers without pattern (SplitMix64).
const fn gear() -> [u64; 256] {
    let mut table = [0; 256];
    let (mut at, mut state) = (0, 0u64);
    while at < 256 {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        table[at] = mixed ^ (mixed >> 31);
        at += 1;
    }
    table
}

/// First 16 bytes of BLAKE3 over a chunk's columns and their lengths.
pub(super) type Hash = [u8; 16];

/// The nodes between two cuts.
#[derive(Debug, Default)]
pub(super) struct Chunk {
    pub(super) nodes: u32,
    pub(super) columns: [Vec<u8>; COLUMNS],
}

impl Chunk {
    pub(super) fn hash(&self) -> Hash {
        let mut hasher = blake3::Hasher::new();
        for column in &self.columns {
            hasher.update(&(column.len() as u32).to_le_bytes());
        }
        for column in &self.columns {
            hasher.update(column);
        }
        let mut hash = [0; 16];
        hash.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
        hash
    }

    fn clear(&mut self) {
        self.nodes = 0;
        self.columns.iter_mut().for_each(Vec::clear);
    }

    fn push(&mut self, id: SymbolId, item: &Item, end: u32) {
        let code = Code::of(id);
        self.nodes += 1;
        self.columns[CODES].push(code.0);
        if code.is_escape() {
            self.columns[REST].extend(id.bits().to_le_bytes());
        }
        if !item.symbol.is_leaf() {
            if item.symbol.is_measured() {
                push(&mut self.columns[REST], u64::from(item.lead));
                push(&mut self.columns[REST], u64::from(item.tail));
            }
            return;
        }
        push(&mut self.columns[GAPS], u64::from(item.start - end));
        if item.symbol.is_measured() {
            push(&mut self.columns[GAPS + 1], u64::from(item.end - item.start));
        }
        push(&mut self.columns[ENDS], u64::from(item.ends));
    }

    fn lines(&mut self, lines: &[u32], base: u32) {
        let column = &mut self.columns[LINKS];
        push(column, lines.len() as u64);
        let mut before = base;
        for line in lines {
            push(column, u64::from(line - before));
            before = *line;
        }
    }
}

/// Cuts `flat` and gives `take` one chunk after another. `number` gives a symbol of the grammar the
/// number that it is to be kept by. Gives the line starts behind the last leaf.
pub(super) fn cut<'f, E>(
    grammar: &Grammar,
    flat: &'f Flat,
    sizes: ChunkNodes,
    mut number: impl FnMut(SymbolId) -> Result<SymbolId, E>,
    mut take: impl FnMut(&Chunk) -> Result<(), E>,
) -> Result<&'f [u32], E> {
    // The highest bits have all 64 nodes in them.
    let mask = u64::MAX << (64 - sizes.mean.clamp(2, 1 << 16).ilog2());
    let mut chunk = Chunk::default();
    let (mut rolling, mut end, mut base) = (0u64, 0, 0);
    let mut lines = &flat.lines[..];
    let last = flat.len().saturating_sub(1);
    for (node, (id, item)) in Items::new(grammar, flat).enumerate() {
        let id = number(id)?;
        chunk.push(id, &item, end);
        if item.symbol.is_leaf() {
            end = item.end;
        }
        rolling = (rolling << 1).wrapping_add(GEAR[usize::from(Code::of(id).0)]);
        let cut = chunk.nodes >= sizes.least && rolling & mask == 0 || chunk.nodes >= sizes.most;
        if cut || node == last {
            let (within, behind) = lines.split_at(lines.partition_point(|line| *line <= end));
            chunk.lines(within, base);
            take(&chunk)?;
            chunk.clear();
            (lines, base) = (behind, end);
        }
    }
    Ok(lines)
}
