//! A tree's nodes cut into chunks where its symbols say so.
//!
//! A rolling hash goes over the codes of the nodes (gear hash: Xia et al., "Ddelta", 2014): shifted by
//! one for each, it knows the last 64 and nothing of what was before, so that behind an edit the cuts
//! fall where they fell. A chunk has the columns of a block but for links (`cold/unit.rs`); the column of
//! lines is of the leaves alone.

use crate::cold::{Unit, Usual};
use crate::flat::Flat;
use crate::items::Items;
use crate::languages::{Code, Grammar, SymbolId};

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
    pub(super) unit: Unit,
}

impl Chunk {
    pub(super) fn hash(&self) -> Hash {
        let mut hasher = blake3::Hasher::new();
        for column in &self.unit.columns {
            hasher.update(&(column.len() as u32).to_le_bytes());
        }
        for column in &self.unit.columns {
            hasher.update(column);
        }
        let mut hash = [0; 16];
        hash.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
        hash
    }

    fn clear(&mut self) {
        self.nodes = 0;
        self.unit.columns.iter_mut().for_each(Vec::clear);
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
    let (mut rolling, mut end, mut lines) = (0u64, 0, &flat.lines[..]);
    let usual = Usual::Kinds(grammar.habits());
    let last = flat.len().saturating_sub(1);
    for (node, (id, item)) in Items::new(grammar, flat).enumerate() {
        let id = number(id)?;
        chunk.nodes += 1;
        chunk.unit.push(usual, (id, &item), end, &mut lines);
        if item.symbol.is_leaf() {
            end = item.end;
        }
        rolling = (rolling << 1).wrapping_add(GEAR[usize::from(Code::of(id).0)]);
        let cut = chunk.nodes >= sizes.least && rolling & mask == 0 || chunk.nodes >= sizes.most;
        if cut || node == last {
            chunk.unit.finish(usual, None);
            take(&chunk)?;
            chunk.clear();
        }
    }
    Ok(lines)
}
