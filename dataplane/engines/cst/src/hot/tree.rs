//! A whole tree in one allocation, ready to be moved in.

use std::fmt;
use std::sync::Arc;

use tree_sitter::{Point, Tree};

use super::node::Node;
use super::sequence::{Sequence, Track};
use super::shape::{Shape, ShapeAt};
use crate::flat::{Flat, FlattenError, Flattener};
use crate::languages::{Code, Flags, Grammar, Symbol, SymbolId};

/// Nodes that share a count of the measured leaves before them.
const GROUP: usize = 256;

/// A syntax tree in about two bytes a node: nothing is decompressed to read a node or to move.
///
/// # Layout
///
/// One allocation of 64-bit words, in this order:
///
/// | part | bits a node |
/// |---|---|
/// | shape: parentheses, block ranks, lows | 2.4 |
/// | codes: symbol numbers as bytes, by class; rare symbols in a list | 8.1 |
/// | measured leaves before each group of 256 nodes | 0.13 |
/// | starts of leaves, Elias-Fano | 3.2 |
/// | ends of measured leaves laid end to end, Elias-Fano | 1.4 |
/// | line starts, Elias-Fano | 0.9 |
/// | margins of inner nodes: which (Elias-Fano), bytes before and behind | 0.1 |
#[derive(Clone)]
pub struct HotTree {
    grammar: Arc<Grammar>,
    words: Box<[u64]>,
    shape: ShapeAt,
    codes_at: u32,
    measured_at: u32,
    starts: Sequence,
    lengths: Sequence,
    lines: Sequence,
    escapes: Sequence,
    escapes_at: u32,
    margins: Sequence,
    margins_at: u32,
    /// log2 of the bits of a margin's bytes on either side.
    margin_bits: u8,
    source_len: u32,
}

impl fmt::Debug for HotTree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HotTree")
            .field("grammar", self.grammar.identity())
            .field("nodes", &self.len())
            .field("bytes", &self.bytes())
            .finish_non_exhaustive()
    }
}

impl HotTree {
    /// Stores `tree`, which was parsed from `source` by `grammar`.
    ///
    /// # Errors
    /// See [`FlattenError`].
    pub fn new(grammar: &Arc<Grammar>, tree: &Tree, source: &[u8]) -> Result<Self, FlattenError> {
        let flat = Flattener::new(grammar).flatten(tree, source)?;
        Ok(Self::from_flat(grammar, &flat))
    }

    /// The same, with what queries for supertypes need.
    ///
    /// # Errors
    /// See [`FlattenError`].
    pub fn with_supertypes(
        grammar: &Arc<Grammar>,
        tree: &Tree,
        source: &[u8],
    ) -> Result<Self, FlattenError> {
        let flat = Flattener::with_supertypes(grammar)?.flatten(tree, source)?;
        Ok(Self::from_flat(grammar, &flat))
    }

    /// Whether it was stored with supertypes.
    pub fn knows_supertypes(&self) -> bool {
        self.root().symbol().flags().has(Flags::SUPERTYPES_KNOWN)
    }

    /// Stores the columns of a tree whose symbols `grammar` numbered.
    pub fn from_flat(grammar: &Arc<Grammar>, flat: &Flat) -> Self {
        let nodes = flat.symbols.len();
        // All but the sequences' low bits, to grow once at most.
        let mut words = Vec::with_capacity(flat.parens.len() * 5 / 4 + nodes / 5 + 64);
        let shape = ShapeAt::write(&flat.parens, nodes, &mut words);
        let codes_at = words.len() as u32;
        let escaped = write_codes(&flat.symbols, &mut words);
        let measured_at = words.len() as u32;
        write_counts(&flat.symbols, &mut words);
        let starts = sequence(flat.starts.iter().copied(), &mut words);
        let mut sum = 0;
        let sums = flat.lengths.iter().map(|length| {
            sum += length;
            sum
        });
        let all = flat.lengths.iter().sum();
        let lengths = Sequence::write(sums, all, &mut words);
        let lines = sequence(flat.lines.iter().copied(), &mut words);
        let escapes = sequence(escaped.iter().copied(), &mut words);
        let escapes_at = words.len() as u32;
        write_packed(
            escaped.iter().map(|node| u64::from(flat.symbols[*node as usize].bits())),
            4,
            &mut words,
        );
        let margins = sequence(flat.margins.iter().map(|margin| margin.node), &mut words);
        let margins_at = words.len() as u32;
        let most = flat.margins.iter().map(|margin| margin.lead | margin.tail).max().unwrap_or(0);
        let margin_bits = (32 - most.leading_zeros()).max(1).next_power_of_two().ilog2() as u8;
        let values = flat.margins.iter().flat_map(|margin| [margin.lead, margin.tail]);
        write_packed(values.map(u64::from), margin_bits, &mut words);
        Self {
            grammar: Arc::clone(grammar),
            words: words.into_boxed_slice(),
            shape,
            codes_at,
            measured_at,
            starts,
            lengths,
            lines,
            escapes,
            escapes_at,
            margins,
            margins_at,
            margin_bits,
            source_len: flat.source_len,
        }
    }

    /// The grammar.
    pub const fn grammar(&self) -> &Arc<Grammar> {
        &self.grammar
    }

    /// Nodes.
    pub const fn len(&self) -> usize {
        self.shape.nodes() as usize
    }

    /// Never: there is always a root.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Leaves.
    pub const fn leaves(&self) -> usize {
        self.shape.leaves() as usize
    }

    /// Length of the source in bytes.
    pub const fn source_len(&self) -> usize {
        self.source_len as usize
    }

    /// Lines of the source; a line feed at its end begins one more, as editors count.
    pub const fn line_count(&self) -> usize {
        self.lines.len() + 1
    }

    /// Bytes of memory, this structure's own among them and its share of the grammar's not.
    pub const fn bytes(&self) -> usize {
        size_of::<Self>() + self.words.len() * 8
    }

    /// The root.
    pub const fn root(&self) -> Node<'_> {
        Node::new(self, 0, 0)
    }

    /// The node of number `index` in pre-order.
    pub fn node(&self, index: usize) -> Option<Node<'_>> {
        (index < self.len()).then(|| self.node_at(index))
    }

    /// The node of a number that the tree has.
    #[inline]
    pub(crate) fn node_at(&self, index: usize) -> Node<'_> {
        Node::new(self, self.shape().select(index) as u32, index as u32)
    }

    #[inline]
    pub(super) fn shape(&self) -> Shape<'_> {
        self.shape.shape(&self.words)
    }

    #[inline]
    pub(crate) fn codes(&self) -> &[u8] {
        let codes = &self.words[self.codes_at as usize..self.measured_at as usize];
        &bytemuck::cast_slice(codes)[..self.len()]
    }

    #[inline]
    pub(crate) fn symbol_id(&self, index: usize) -> SymbolId {
        let code = Code(self.codes()[index]);
        if code.is_escape() { self.escaped(index) } else { code.id() }
    }

    #[cold]
    fn escaped(&self, index: usize) -> SymbolId {
        let at = self.escapes.rank(&self.words, index as u32) - 1;
        SymbolId::from_bits(self.packed(self.escapes_at, 4, at) as u16)
    }

    #[inline]
    pub(super) fn symbol(&self, index: usize) -> Symbol {
        self.grammar.symbol(self.symbol_id(index))
    }

    fn packed(&self, base: u32, log_bits: u8, at: usize) -> u32 {
        let bit = at << log_bits;
        let word = self.words[base as usize + bit / 64] >> (bit % 64);
        (word & ((1u64 << (1 << log_bits)) - 1)) as u32
    }

    /// Start of a leaf by its number among leaves.
    #[inline]
    pub(super) fn leaf_start(&self, leaf: usize) -> u32 {
        self.starts.get(&self.words, leaf)
    }

    /// Starts of leaves from one on.
    pub(super) fn leaf_starts(&self, leaf: usize) -> super::sequence::Iter<'_> {
        self.starts.iter(&self.words, leaf)
    }

    /// Leaves that start at most at `byte`.
    pub(super) fn leaves_up_to(&self, byte: u32) -> usize {
        self.starts.rank(&self.words, byte)
    }

    /// Bytes of a leaf by its number among nodes.
    #[inline]
    pub(super) fn leaf_len(&self, index: usize) -> u32 {
        if self.codes()[index] < Code::MEASURED {
            return u32::from(self.grammar.symbol_and_len(self.symbol_id(index)).1);
        }
        let (before, upto) = self.lengths.pair(&self.words, self.measured_before(index));
        upto - before
    }

    /// Start of a leaf, near one that was read.
    #[inline]
    pub(super) fn leaf_start_near(&self, track: &mut Track, leaf: usize) -> u32 {
        self.starts.get_near(&self.words, track, leaf)
    }

    /// Bytes of a leaf whose code is `code`, near one that was read. `near` is a node and the
    /// measured leaves before it.
    #[inline]
    pub(super) fn leaf_len_near(&self, near: &mut (usize, usize, Track), index: usize) -> u32 {
        if self.codes()[index] < Code::MEASURED {
            return u32::from(self.grammar.symbol_and_len(self.symbol_id(index)).1);
        }
        let (from, before, track) = near;
        let measured = if index >= *from && index - *from < 32 {
            let codes = &self.codes()[*from..index];
            *before + codes.iter().filter(|code| **code >= Code::MEASURED).count()
        } else {
            self.measured_before(index)
        };
        (*from, *before) = (index, measured);
        let start = match measured.checked_sub(1) {
            Some(last) => self.lengths.get_near(&self.words, track, last),
            None => 0,
        };
        self.lengths.get_near(&self.words, track, measured) - start
    }

    /// End of a leaf, by its number among leaves and among nodes, not far behind what was read.
    #[inline]
    pub(super) fn leaf_end_ahead(
        &self,
        starts: Track,
        near: &(usize, usize, Track),
        leaf: usize,
        index: usize,
    ) -> u32 {
        let start = self.starts.get_ahead(&self.words, starts, leaf);
        if self.codes()[index] < Code::MEASURED {
            return start + u32::from(self.grammar.symbol_and_len(self.symbol_id(index)).1);
        }
        let (from, before, track) = *near;
        let measured = if index >= from && index - from < GROUP / 2 {
            let codes = &self.codes()[from..index];
            before + codes.iter().filter(|code| **code >= Code::MEASURED).count()
        } else {
            self.measured_before(index)
        };
        let (from, upto) = self.lengths.pair_ahead(&self.words, track, measured);
        start + (upto - from)
    }

    /// Measured leaves before node `index`.
    #[inline]
    pub(super) fn measured_before(&self, index: usize) -> usize {
        let group = index / GROUP;
        let word = self.words[self.measured_at as usize + group / 2];
        let before = (word >> (group % 2 * 32)) as u32 as usize;
        let codes = &self.codes()[group * GROUP..index];
        let count =
            |codes: &[u8]| codes.iter().map(|code| u8::from(*code >= Code::MEASURED)).sum::<u8>();
        before + codes.chunks(GROUP / 2).map(|codes| usize::from(count(codes))).sum::<usize>()
    }

    /// Bytes of a measured inner node before its first leaf and behind its last one.
    #[cold]
    pub(super) fn margin(&self, index: usize) -> (u32, u32) {
        let at = self.margins.rank(&self.words, index as u32) - 1;
        let value = |at| self.packed(self.margins_at, self.margin_bits, at);
        (value(2 * at), value(2 * at + 1))
    }

    /// Row, and bytes from its start, of byte `byte`.
    pub fn point(&self, byte: usize) -> Point {
        let row = self.lines.rank(&self.words, byte as u32);
        Point { row, column: byte - self.line_start(row).unwrap_or(0) }
    }

    /// First byte of a row; none behind the last.
    pub fn line_start(&self, row: usize) -> Option<usize> {
        match row.checked_sub(1) {
            None => Some(0),
            Some(before) if before < self.lines.len() => {
                Some(self.lines.get(&self.words, before) as usize)
            }
            Some(_) => None,
        }
    }
}

fn sequence(
    values: impl DoubleEndedIterator<Item = u32> + ExactSizeIterator + Clone,
    words: &mut Vec<u64>,
) -> Sequence {
    let last = values.clone().next_back().unwrap_or(0);
    Sequence::write(values, last, words)
}

/// Writes a byte a node; gives the nodes whose symbol has no byte of its own.
fn write_codes(symbols: &[SymbolId], words: &mut Vec<u64>) -> Vec<u32> {
    let base = words.len();
    words.resize(base + symbols.len().div_ceil(8), 0);
    let codes: &mut [u8] = bytemuck::cast_slice_mut(&mut words[base..]);
    let mut escaped = Vec::new();
    for (node, (id, code)) in symbols.iter().zip(codes).enumerate() {
        let short = Code::of(*id);
        *code = short.0;
        if short.is_escape() {
            escaped.push(node as u32);
        }
    }
    escaped
}

fn write_counts(symbols: &[SymbolId], words: &mut Vec<u64>) {
    let mut before = 0;
    let mut counts = Vec::with_capacity(symbols.len() / GROUP + 1);
    for group in symbols.chunks(GROUP) {
        counts.push(before);
        before += group.iter().filter(|id| id.is_measured_leaf()).count() as u64;
    }
    write_packed(counts.into_iter(), 5, words);
}

/// Writes numbers of `1 << log_bits` bits each, 64 at most, from bit 0 of a word on.
fn write_packed(values: impl Iterator<Item = u64>, log_bits: u8, words: &mut Vec<u64>) {
    let base = words.len();
    for (at, value) in values.enumerate() {
        let bit = at << log_bits;
        if bit.is_multiple_of(64) {
            words.push(0);
        }
        words[base + bit / 64] |= value << (bit % 64);
    }
}
