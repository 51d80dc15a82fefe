//! One tree in a cold file: a directory of its blocks, and the blocks.
//!
//! | part | bytes |
//! |---|---|
//! | directory | LEB128: nodes, nodes a block, source length, check of the source `u32`; per block: base less that before, depth, raw bytes, packed bytes, CRC-32C `u32`; CRC-32C of all before `u32` |
//! | blocks | zstd frames without magic, one behind the other |

use super::codec::{Packer, Positions, Shared, Unpacker, dictionary};
use super::columns::{Block, cut};
use super::error::ColdError;
use super::reading::{Lines, Meanings, Place, Reading, Unclosed};
use super::unit::Unit;
use crate::varint::{Rest, push};
use zstd::dict::DecoderDictionary;

use crate::flat::{Flat, line_starts};
use crate::items::{Builder, Item, Numbers};
use crate::languages::{Grammar, Symbol};

/// Nodes of a block, least and most.
pub const BLOCK_NODES: std::ops::RangeInclusive<usize> = 256..=4096;

/// How trees are frozen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Nodes of a block, 256..=4,096: a node costs one block to read.
    pub block_nodes: usize,
    /// zstd's level, 1..=22.
    pub level: i32,
    /// Whether positions, those of lines among them, are stored or follow from the source.
    pub positions: Positions,
}

impl Default for Settings {
    fn default() -> Self {
        Self { block_nodes: 4096, level: 9, positions: Positions::Stored }
    }
}

pub(crate) fn crc(bytes: &[u8]) -> u32 {
    crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, bytes) as u32
}

/// A tree as its record, for a file to take. Its symbols are numbered as its grammar's table does in
/// this process.
#[derive(Clone, Debug)]
pub struct Frozen {
    pub(super) grammar: Shared,
    pub(super) positions: Positions,
    pub(super) record: Vec<u8>,
}

impl Frozen {
    /// Bytes of the record.
    pub const fn bytes(&self) -> usize {
        self.record.len()
    }

    /// The grammar.
    pub const fn grammar(&self) -> &Shared {
        &self.grammar
    }
}

/// Makes records of one grammar's trees.
#[derive(Debug)]
pub struct Freezer {
    grammar: Shared,
    settings: Settings,
    packer: Packer,
    raw: Vec<u8>,
}

impl Freezer {
    /// For trees of `grammar`. Nodes a block are taken into their range.
    ///
    /// # Errors
    /// zstd refuses the level or dictionary.
    pub fn new(grammar: &Shared, settings: Settings) -> Result<Self, ColdError> {
        let (least, most) = BLOCK_NODES.into_inner();
        let block_nodes = settings.block_nodes.clamp(least, most);
        let settings = Settings { block_nodes, ..settings };
        let packer = Packer::new(dictionary(grammar, settings.positions), settings.level)?;
        Ok(Self { grammar: Shared::clone(grammar), settings, packer, raw: Vec::new() })
    }

    /// What it was made with.
    pub const fn settings(&self) -> Settings {
        self.settings
    }

    /// The grammar.
    pub const fn grammar(&self) -> &Shared {
        &self.grammar
    }

    /// The record of a tree. `source` is what it was parsed from.
    ///
    /// # Errors
    /// zstd fails.
    pub fn freeze(&mut self, flat: &Flat, source: &[u8]) -> Result<Frozen, ColdError> {
        let guessed = self.settings.positions == Positions::Guessed;
        let blocks = cut(&self.grammar, flat, guessed.then_some(source), self.settings.block_nodes);
        let (mut directory, mut body) = (Vec::new(), Vec::<u8>::new());
        let mut base = 0;
        for block in &blocks {
            raw_of(&block.unit, &mut self.raw);
            let packed = self.packer.pack(&self.raw)?;
            for number in
                [block.base - base, block.depth, self.raw.len() as u32, packed.len() as u32]
            {
                push(&mut directory, u64::from(number));
            }
            directory.extend(crc(packed).to_le_bytes());
            body.extend(packed);
            base = block.base;
        }
        let mut record = Vec::with_capacity(directory.len() + body.len() + 64);
        for number in [flat.len(), self.settings.block_nodes, source.len()] {
            push(&mut record, number as u64);
        }
        record.extend(if guessed { crc(source) } else { 0 }.to_le_bytes());
        record.extend(directory);
        record.extend(crc(&record).to_le_bytes());
        record.extend(body);
        let (grammar, positions) = (Shared::clone(&self.grammar), self.settings.positions);
        Ok(Frozen { grammar, positions, record })
    }
}

/// Columns behind their lengths.
pub(crate) fn raw_of(unit: &Unit, raw: &mut Vec<u8>) {
    raw.clear();
    for column in &unit.columns {
        push(raw, column.len() as u64);
    }
    for column in &unit.columns {
        raw.extend(column);
    }
}

/// Bytes of a tree's columns before compression.
pub(crate) fn raw_columns(grammar: &Grammar, flat: &Flat) -> usize {
    raw_blocks(grammar, flat, None).iter().map(Vec::len).sum()
}

/// A block's raw bytes for every block of a tree: what dictionaries are trained on.
pub(super) fn raw_blocks(grammar: &Grammar, flat: &Flat, source: Option<&[u8]>) -> Vec<Vec<u8>> {
    let blocks = cut(grammar, flat, source, *BLOCK_NODES.end());
    let raw = |block: &Block| {
        let mut raw = Vec::new();
        raw_of(&block.unit, &mut raw);
        raw
    };
    blocks.iter().map(raw).collect()
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    place: Place,
    raw_len: u32,
    at: usize,
    len: usize,
    crc: u32,
}

/// A node of a cold tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ColdNode {
    /// Kind, field, flags.
    pub symbol: Symbol,
    /// First byte.
    pub start: u32,
    /// Byte behind the last.
    pub end: u32,
    /// Ancestors.
    pub depth: u32,
    /// Itself and all below it.
    pub nodes: u32,
    /// Children.
    pub children: u32,
}

/// A cold tree, opened: its directory is in memory, its blocks are where they were.
#[derive(Debug)]
pub struct ColdTree<'f> {
    name: &'f str,
    grammar: &'f Shared,
    meanings: &'f Meanings,
    record: &'f [u8],
    source: Option<&'f [u8]>,
    nodes: u32,
    block_nodes: u32,
    source_len: u32,
    blocks: Vec<Entry>,
    unpacker: Unpacker<'f>,
}

impl<'f> ColdTree<'f> {
    pub(super) fn open(
        name: &'f str,
        (grammar, meanings): (&'f Shared, &'f Meanings),
        record: &'f [u8],
        (positions, dictionary): (Positions, &'f DecoderDictionary<'static>),
        source: Option<&'f [u8]>,
    ) -> Result<Self, ColdError> {
        let malformed = || ColdError::malformed(format!("directory of {name}"));
        let mut rest = Rest(record);
        let head = head(&mut rest).ok_or_else(malformed)?;
        let source = match positions {
            Positions::Stored => None,
            Positions::Guessed => {
                let given = source.unwrap_or_default();
                if given.len() != head.source_len as usize || crc(given) != head.source_crc {
                    return Err(ColdError::Source { bytes: given.len() });
                }
                Some(given)
            }
        };
        let mut blocks = Vec::new();
        let (mut at, mut base) = (0usize, 0u32);
        for first in (0..head.nodes).step_by(head.block_nodes as usize) {
            let entry =
                entry(&mut rest, (first, head.source_len), base, at).ok_or_else(malformed)?;
            (at, base) = (at.checked_add(entry.len).ok_or_else(malformed)?, entry.place.base);
            blocks.push(entry);
        }
        let upto = record.len() - rest.0.len();
        let check = rest.word().ok_or_else(malformed)?;
        if crc(&record[..upto]) != check {
            return Err(ColdError::Checksum { part: format!("the directory of {name}") });
        }
        if rest.0.len() != at {
            return Err(malformed());
        }
        let unpacker = Unpacker::new(dictionary)?;
        let (nodes, block_nodes, source_len) = (head.nodes, head.block_nodes, head.source_len);
        let record = rest.0;
        Ok(Self {
            name,
            grammar,
            meanings,
            record,
            source,
            nodes,
            block_nodes,
            source_len,
            blocks,
            unpacker,
        })
    }

    /// Nodes.
    pub const fn len(&self) -> usize {
        self.nodes as usize
    }

    /// Never: there is always a root.
    pub const fn is_empty(&self) -> bool {
        self.nodes == 0
    }

    /// Length of the source in bytes.
    pub const fn source_len(&self) -> usize {
        self.source_len as usize
    }

    /// Blocks.
    pub const fn blocks(&self) -> usize {
        self.blocks.len()
    }

    /// Names of kinds and fields.
    pub const fn grammar(&self) -> &'f Shared {
        self.grammar
    }

    fn malformed(&self, block: usize) -> ColdError {
        ColdError::malformed(format!("block {block} of {}", self.name))
    }

    fn read(&mut self, block: usize, lines: Lines) -> Result<Reading<'_>, ColdError> {
        let entry = self.blocks[block];
        let packed = &self.record[entry.at..entry.at + entry.len];
        if crc(packed) != entry.crc {
            return Err(ColdError::Checksum { part: format!("block {block} of {}", self.name) });
        }
        let bytes = self.unpacker.unpack(packed, entry.raw_len as usize)?;
        let (grammar, place) = ((&**self.grammar, self.meanings), (entry.place, lines));
        let malformed = || ColdError::malformed(format!("block {block} of {}", self.name));
        Reading::new(grammar, self.source, bytes, place).ok_or_else(malformed)
    }

    /// The node of number `index` in pre-order; one block is decompressed.
    ///
    /// # Errors
    /// Its block is damaged.
    pub fn node(&mut self, index: usize) -> Result<Option<ColdNode>, ColdError> {
        if index >= self.len() {
            return Ok(None);
        }
        let block = index / self.block_nodes as usize;
        let nodes = (self.nodes - self.blocks[block].place.first).min(self.block_nodes);
        let skip = index as u32 % self.block_nodes;
        let mut reading = self.read(block, Lines::Skip)?;
        let found = reading.skip(skip);
        let found = found.and_then(|()| span(&mut reading, index as u32, nodes - skip));
        found.map(Some).ok_or_else(|| self.malformed(block))
    }

    /// The number of the parent of node `index`; none of the root and behind the last node.
    ///
    /// # Errors
    /// Its block is damaged.
    pub fn parent(&mut self, index: usize) -> Result<Option<usize>, ColdError> {
        if index == 0 || index >= self.len() {
            return Ok(None);
        }
        let block = index / self.block_nodes as usize;
        let first = block * self.block_nodes as usize;
        let found = parent_in(&mut self.read(block, Lines::Skip)?, first as u32, index as u32);
        found.map(|parent| Some(parent as usize)).ok_or_else(|| self.malformed(block))
    }

    /// The whole tree as columns, symbols numbered by its grammar's table.
    ///
    /// # Errors
    /// A block is damaged, or the symbols are more than the grammar's table takes.
    pub fn thaw(&mut self) -> Result<Flat, ColdError> {
        let mut builder = Builder::new(self.source_len, self.nodes as usize);
        let (nodes, block_nodes) = (self.nodes, self.block_nodes);
        let mut numbers = Numbers::new(self.grammar);
        let mut lines = Vec::new();
        for block in 0..self.blocks.len() {
            let malformed = self.malformed(block);
            let Place { base, depth, first } = self.blocks[block].place;
            if (base, depth) != builder.place() {
                return Err(malformed);
            }
            let mut reading = self.read(block, Lines::Keep(lines))?;
            for node in first..nodes.min(first + block_nodes) {
                let item = reading.next();
                let id = item.and_then(|item| numbers.get(item.symbol));
                let pushed = item.zip(id).and_then(|(item, id)| builder.push(id, &item));
                // Only with the last node the root ends.
                if pushed.is_none() || (builder.place().1 == 0) != (node + 1 == nodes) {
                    return Err(malformed);
                }
            }
            lines = reading.finish(first + block_nodes >= nodes).ok_or(malformed)?;
        }
        match self.source {
            Some(source) => lines.extend(line_starts(source)),
            None if lines.last().is_some_and(|last| *last > self.source_len) => {
                return Err(ColdError::malformed(format!("lines of {}", self.name)));
            }
            None => {}
        }
        let malformed = || ColdError::malformed(format!("blocks of {}", self.name));
        builder.finish(lines).ok_or_else(malformed)
    }
}

/// Reads the next node and follows it to its end, in its block or by the block's links.
fn span(reading: &mut Reading<'_>, index: u32, in_block: u32) -> Option<ColdNode> {
    let Item { symbol, depth, start, end, lead, tail, .. } = reading.next()?;
    let mut node = ColdNode { symbol, start, end, depth, nodes: 1, children: 0 };
    if symbol.is_leaf() {
        return Some(node);
    }
    let mut first_leaf = None;
    for nodes in 2..=in_block {
        let item = reading.next()?;
        node.children += u32::from(item.depth == depth + 1);
        if !item.symbol.is_leaf() {
            continue;
        }
        let start = *first_leaf.get_or_insert(item.start);
        if item.depth.checked_sub(item.ends)? <= depth {
            let (start, end) = (start.checked_sub(lead)?, item.end.checked_add(tail)?);
            return Some(ColdNode { start, end, nodes, ..node });
        }
    }
    let Unclosed { children, nodes, start, end } = reading.unclosed(index)?;
    Some(ColdNode { start, end, nodes, children, ..node })
}

/// Reads a block up to node `index`, whose parent is wanted.
fn parent_in(reading: &mut Reading<'_>, first: u32, index: u32) -> Option<u32> {
    let mut outer = reading.ancestors()?.into_iter();
    let (mut lowest, mut parent) = (reading.depth().checked_add(1)?, None);
    // Open nodes of the block, the first at the lowest depth so far.
    let mut open = Vec::new();
    for node in first..index {
        let item = reading.next()?;
        if item.depth < lowest {
            (lowest, parent) = (item.depth, outer.next());
        }
        open.truncate((item.depth - lowest) as usize);
        open.push(node);
    }
    let item = reading.next()?;
    if item.depth < lowest {
        return outer.next();
    }
    let above = (item.depth - lowest) as usize;
    if above == 0 { parent } else { open.get(above - 1).copied() }
}

struct Head {
    nodes: u32,
    block_nodes: u32,
    source_len: u32,
    source_crc: u32,
}

fn head(rest: &mut Rest<'_>) -> Option<Head> {
    let (nodes, block_nodes, source_len) = (rest.number()?, rest.number()?, rest.number()?);
    let source_crc = rest.word()?;
    let fits = nodes > 0 && BLOCK_NODES.contains(&(block_nodes as usize));
    fits.then_some(Head { nodes, block_nodes, source_len, source_crc })
}

/// Most that the columns of one node take besides line starts: codes, escape, gap, length or margins, links.
const NODE_RAW: u32 = 64;

fn entry(
    rest: &mut Rest<'_>,
    (first, source_len): (u32, u32),
    base: u32,
    at: usize,
) -> Option<Entry> {
    let base = base.checked_add(rest.number()?)?;
    let (depth, raw_len, len) = (rest.number()?, rest.number()?, rest.number()? as usize);
    let crc = rest.word()?;
    // A line start is a byte of the source at least; its difference takes no more bytes than it says.
    let most = (*BLOCK_NODES.end() as u32 * NODE_RAW).saturating_add(source_len);
    let fits = depth <= first && raw_len <= most;
    fits.then_some(Entry { place: Place { base, depth, first }, raw_len, at, len, crc })
}

/// Sets a record's checksums to what its bytes need; none where its directory cannot be read.
pub(super) fn mend_record(record: &mut [u8]) -> Option<()> {
    let (mut checks, mut at, mut base) = (Vec::new(), 0usize, 0);
    let mut rest = Rest(record);
    let head = head(&mut rest)?;
    for first in (0..head.nodes).step_by(head.block_nodes as usize) {
        let entry = entry(&mut rest, (first, head.source_len), base, at)?;
        checks.push((record.len() - rest.0.len() - 4, at..at.checked_add(entry.len)?));
        (at, base) = (checks.last()?.1.end, entry.place.base);
    }
    let upto = record.len() - rest.0.len();
    let body = upto + 4;
    for (place, block) in checks {
        let check = crc(record.get(body + block.start..body + block.end)?);
        record[place..place + 4].copy_from_slice(&check.to_le_bytes());
    }
    let check = crc(&record[..upto]);
    record.get_mut(upto..body)?.copy_from_slice(&check.to_le_bytes());
    Some(())
}
