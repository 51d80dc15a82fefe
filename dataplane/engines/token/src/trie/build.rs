//! From tokens to cells: sort, number the prefixes, place the nodes.

use super::{MOST_CELLS, NO_ID, Trie, TrieError, cell};

/// Cells of a block: those that one base and all bytes can reach.
const BLOCK: usize = 256;
/// Blocks that a node is tried in before a new one is opened for it.
const TRIES: usize = 24;
/// Nodes with as many children as one under placement that a block may fail before it is passed over.
const FAILURES: u8 = 12;

/// See [`Trie::build`].
pub(super) fn build<'a>(
    tokens: impl IntoIterator<Item = (u32, &'a [u8])>,
) -> Result<Trie, TrieError> {
    let tokens = sorted(tokens)?;
    let longest = tokens.iter().map(|token| token.bytes.len()).max().unwrap_or(0);
    let nodes = Nodes::of(&tokens)?;
    let bases = place(&nodes)?;
    let cells = fill(&nodes, &bases.of_node, bases.blocks.len());
    Ok(Trie::over(cells.into(), longest, tokens.len()))
}

/// A token under sorting.
pub(super) struct Token<'a> {
    /// The first eight bytes, so that most comparisons touch nothing else.
    key: u64,
    pub(super) bytes: &'a [u8],
    pub(super) id: u32,
}

/// The tokens in the order of their bytes, the last of equal ones alone.
pub(super) fn sorted<'a>(
    tokens: impl IntoIterator<Item = (u32, &'a [u8])>,
) -> Result<Vec<Token<'a>>, TrieError> {
    let mut sorted = Vec::new();
    for (id, bytes) in tokens {
        if bytes.is_empty() {
            return Err(TrieError::EmptyToken { id });
        }
        if id == NO_ID {
            return Err(TrieError::ReservedId);
        }
        let mut key = [0; 8];
        let n = bytes.len().min(8);
        key[..n].copy_from_slice(&bytes[..n]);
        sorted.push(Token { key: u64::from_be_bytes(key), bytes, id });
    }
    sorted.sort_by(|a, b| a.key.cmp(&b.key).then_with(|| a.bytes.cmp(b.bytes)));
    // `dedup_by` keeps the first of a run, so the later one's id goes into it.
    sorted.dedup_by(|later, first| {
        let equal = later.bytes == first.bytes;
        if equal {
            first.id = later.id;
        }
        equal
    });
    Ok(sorted)
}

/// The prefixes of all tokens, numbered in the order of their bytes; node 0 is the empty one.
pub(super) struct Nodes {
    /// The last byte of each.
    pub(super) label: Vec<u8>,
    pub(super) id: Vec<u32>,
    /// Where each one's children begin in `child`; one more than there are nodes.
    first: Vec<u32>,
    child: Vec<u32>,
}

impl Nodes {
    pub(super) fn of(tokens: &[Token<'_>]) -> Result<Self, TrieError> {
        let mut nodes = Self { label: vec![0], id: vec![NO_ID], first: vec![], child: vec![] };
        let mut parent = vec![0u32];
        let mut path = vec![0u32];
        let mut before: &[u8] = &[];
        for token in tokens {
            let shared = before.iter().zip(token.bytes).take_while(|(a, b)| a == b).count();
            path.truncate(shared + 1);
            for &byte in &token.bytes[shared..] {
                parent.push(path[path.len() - 1]);
                path.push(nodes.label.len() as u32);
                nodes.label.push(byte);
                nodes.id.push(NO_ID);
            }
            nodes.id[path[path.len() - 1] as usize] = token.id;
            before = token.bytes;
            if nodes.label.len() > MOST_CELLS {
                let (nodes, most) = (nodes.label.len(), MOST_CELLS);
                return Err(TrieError::TooLarge { nodes, most });
            }
        }
        nodes.link(&parent);
        Ok(nodes)
    }

    /// Lists the children by parent. A parent comes before its children, and these in the order
    /// of their bytes, so a counting sort keeps them in it.
    fn link(&mut self, parent: &[u32]) {
        self.first = vec![0; parent.len() + 1];
        for &p in &parent[1..] {
            self.first[p as usize + 1] += 1;
        }
        for node in 0..parent.len() {
            self.first[node + 1] += self.first[node];
        }
        let mut next = self.first.clone();
        self.child = vec![0; parent.len() - 1];
        for (node, &p) in (1..).zip(&parent[1..]) {
            let slot = &mut next[p as usize];
            self.child[*slot as usize] = node;
            *slot += 1;
        }
    }

    pub(super) fn len(&self) -> usize {
        self.label.len()
    }

    pub(super) fn children(&self, node: usize) -> &[u32] {
        &self.child[self.first[node] as usize..self.first[node + 1] as usize]
    }
}

/// Where the children of each node went.
struct Placed {
    /// By node; 0 for a leaf.
    of_node: Vec<u32>,
    blocks: Vec<Block>,
}

/// Places the nodes with the most children first, while there is most room; the many with one
/// child then fill the holes. Equal ones go in the order of their bytes, which keeps the
/// prefixes of a token near each other.
fn place(nodes: &Nodes) -> Result<Placed, TrieError> {
    let mut by_children: Vec<Vec<u32>> = vec![Vec::new(); BLOCK + 1];
    for node in 0..nodes.len() {
        by_children[nodes.children(node).len()].push(node as u32);
    }
    let mut placed = Placed { of_node: vec![0; nodes.len()], blocks: vec![Block::reserved()] };
    let mut labels = Vec::with_capacity(BLOCK);
    for count in (1..=BLOCK).rev() {
        let room = |block: &u32| usize::from(placed.blocks[*block as usize].free) >= count;
        let mut open: Vec<u32> = (1..placed.blocks.len() as u32).filter(room).collect();
        for &node in &by_children[count] {
            labels.clear();
            let children = nodes.children(node as usize).iter();
            labels.extend(children.map(|&child| nodes.label[child as usize]));
            placed.of_node[node as usize] = placed.put(&labels, &mut open);
        }
        if placed.blocks.len() * BLOCK > MOST_CELLS {
            let (nodes, most) = (nodes.len(), MOST_CELLS);
            return Err(TrieError::TooLarge { nodes, most });
        }
    }
    Ok(placed)
}

impl Placed {
    /// Takes the cells for children along `labels`, in an `open` block or in a new one, and gives
    /// their base. Blocks that have become too full, or failed often, leave `open`.
    fn put(&mut self, labels: &[u8], open: &mut Vec<u32>) -> u32 {
        let mut at = 0;
        for _ in 0..TRIES.min(open.len()) {
            let number = open[at];
            let block = &mut self.blocks[number as usize];
            if let Some(low) = block.base_for(labels) {
                block.take(low, labels);
                if usize::from(block.free) < labels.len() {
                    open.remove(at);
                }
                return number << 8 | u32::from(low);
            }
            block.failures += 1;
            if block.failures >= FAILURES {
                block.failures = 0;
                open.remove(at);
            } else {
                at += 1;
            }
        }
        let number = self.blocks.len() as u32;
        let mut block = Block::empty();
        // In an empty block every base will do; 1 is the first that is allowed.
        block.take(1, labels);
        self.blocks.push(block);
        open.push(number);
        number << 8 | 1
    }
}

/// The state of 256 cells under placement.
struct Block {
    /// One bit per cell: free.
    cells: [u64; 4],
    /// One bit per base: unused. Bit 0 is never set.
    bases: [u64; 4],
    /// Number of free cells.
    free: u16,
    /// Placements that failed here since the block was last passed over.
    failures: u8,
}

impl Block {
    const fn empty() -> Self {
        Self { cells: [!0; 4], bases: [!1, !0, !0, !0], free: BLOCK as u16, failures: 0 }
    }

    /// The first block, which takes no node.
    const fn reserved() -> Self {
        Self { cells: [0; 4], bases: [0; 4], free: 0, failures: 0 }
    }

    /// The lowest unused base with which the cells of all `labels` are free.
    fn base_for(&self, labels: &[u8]) -> Option<u8> {
        let mut fit = self.bases;
        for &byte in labels {
            let free = permuted(&self.cells, byte);
            let mut any = 0;
            for (fit, free) in fit.iter_mut().zip(free) {
                *fit &= free;
                any |= *fit;
            }
            if any == 0 {
                return None;
            }
        }
        let word = fit.iter().position(|&word| word != 0)?;
        Some(word as u8 * 64 + fit[word].trailing_zeros() as u8)
    }

    fn take(&mut self, base: u8, labels: &[u8]) {
        self.bases[usize::from(base >> 6)] &= !(1 << (base & 63));
        for &byte in labels {
            let index = base ^ byte;
            self.cells[usize::from(index >> 6)] &= !(1 << (index & 63));
        }
        self.free -= labels.len() as u16;
    }
}

/// The set of the exclusive ors of `byte` and each member of `set`.
fn permuted(set: &[u64; 4], byte: u8) -> [u64; 4] {
    const LOW: [u64; 6] = [
        0x5555_5555_5555_5555,
        0x3333_3333_3333_3333,
        0x0f0f_0f0f_0f0f_0f0f,
        0x00ff_00ff_00ff_00ff,
        0x0000_ffff_0000_ffff,
        0x0000_0000_ffff_ffff,
    ];
    let mut out = [0; 4];
    for (i, word) in out.iter_mut().enumerate() {
        let mut bits = set[i ^ usize::from(byte >> 6)];
        for (bit, low) in LOW.iter().enumerate() {
            if byte >> bit & 1 == 1 {
                let shift = 1 << bit;
                bits = (bits & low) << shift | (bits >> shift) & low;
            }
        }
        *word = bits;
    }
    out
}

/// The cells of `nodes`, whose children have the given bases.
fn fill(nodes: &Nodes, bases: &[u32], blocks: usize) -> Vec<u64> {
    let mut cells: Vec<u64> = (0..blocks * BLOCK)
        // In the first block, the byte that base 0 does not lead to; elsewhere, the one that only
        // a base that is never used does.
        .map(|index| cell(index as u8 ^ u8::from(index < BLOCK), 0, NO_ID))
        .collect();
    cells[0] = cell(1, bases[0], NO_ID);
    for node in 0..nodes.len() {
        for &child in nodes.children(node) {
            let child = child as usize;
            let label = nodes.label[child];
            cells[(bases[node] ^ u32::from(label)) as usize] =
                cell(label, bases[child], nodes.id[child]);
        }
    }
    cells
}
