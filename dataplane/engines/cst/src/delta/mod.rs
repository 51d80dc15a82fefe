//! Trees that share what is the same: between files, between versions of a file, within one.
//!
//! A tree is cut into chunks of nodes where a rolling hash of its symbols says so (`chunk.rs`), and kept as
//! the list of its chunks. A chunk is known by the BLAKE3 of its bytes and kept once. Chunks that came one
//! behind the other lie so, in packs of some 4,096 nodes that are compressed together as a cold block is:
//! what is new takes as little as in a cold file, and what was there before takes some bytes of a list.
//!
//! [`Document`] is a source that is edited: it is parsed again by tree-sitter with the old tree at hand, and
//! putting its new tree stores only the chunks that the edit changed. The walk that makes columns goes over
//! the whole tree: tree-sitter tells which ranges changed in structure ([`Document::edit`] gives them), but not
//! where a flag of a node above them did, and a stored tree must not be nearly right.
//!
//! # Format
//!
//! A file, little endian; numbers without a width are LEB128, texts their length and bytes.
//!
//! | part | bytes |
//! |---|---|
//! | magic | `PFSCSD` CR LF |
//! | packs | a zstd frame each, without its magic number, with the grammar's dictionary for stored positions: the lengths of six columns, then these |
//! | index | grammars: count, then of each a row as of a cold file; packs: count, then of each its chunks, raw bytes, packed bytes, CRC-32C (4 bytes); chunks: of each its nodes, and the first 16 bytes of its BLAKE3. Trees: count, then of each name, number of its grammar, length of its source, runs of chunks: count, then of each the first one less that behind the run before (zigzag) and how many; line starts behind its last leaf: count and differences, the first to that leaf's end |
//! | trailer | length of the index 8, its CRC-32C 4, version 4 (1), magic 8 |

mod chunk;
mod document;
mod file;
mod group;

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::cold::ColdError;
use crate::flat::Flat;
use crate::items::{Builder, Numbers};
use crate::languages::Grammar;

pub use chunk::ChunkNodes;
pub use document::{Document, Edited};
pub(crate) use file::mend;

use group::{Group, Unpacked};

/// Packs that are kept unpacked.
const KEPT: usize = 8;

/// A tree as a list of chunks.
#[derive(Clone, Debug, Default)]
struct Tree {
    group: usize,
    source_len: u32,
    /// First chunk of a run, and how many.
    runs: Vec<(u32, u32)>,
    /// Line starts behind the last leaf.
    tail: Vec<u32>,
}

/// What putting a tree has stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Put {
    /// Nodes of the tree.
    pub nodes: usize,
    /// Nodes in chunks that were not there.
    pub new_nodes: usize,
    /// Chunks of the tree.
    pub chunks: usize,
    /// Chunks that were not there.
    pub new_chunks: usize,
}

/// Trees by name that share their chunks.
pub struct Archive {
    groups: Vec<Group>,
    trees: BTreeMap<Box<str>, Tree>,
    sizes: ChunkNodes,
    level: i32,
    /// By grammar and pack, what was used last at the end.
    kept: Mutex<Vec<(usize, usize, Arc<Unpacked>)>>,
}

impl std::fmt::Debug for Archive {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Archive").field("trees", &self.trees.len()).finish_non_exhaustive()
    }
}

impl Archive {
    /// An empty one. `level` is zstd's for packs.
    pub fn new(sizes: ChunkNodes, level: i32) -> Self {
        let (groups, trees) = (Vec::new(), BTreeMap::new());
        Self { groups, trees, sizes, level, kept: Mutex::default() }
    }

    /// Puts a tree under `name`, in place of one that was there, whose chunks stay until
    /// [`Archive::compact`]. `grammar` numbered the symbols of `flat`.
    ///
    /// # Errors
    /// zstd fails, or the table of symbols is full.
    pub fn put(
        &mut self,
        name: &str,
        grammar: &Arc<Grammar>,
        flat: &Flat,
    ) -> Result<Put, ColdError> {
        let group = self.group(grammar)?;
        let (tree, put) = self.groups[group].put(grammar, flat, self.sizes)?;
        self.trees.insert(name.into(), Tree { group, ..tree });
        // What was the open pack may be another one now.
        self.kept.get_mut().retain(|(of, pack, _)| *of != group || *pack < put.1);
        Ok(put.0)
    }

    fn group(&mut self, grammar: &Arc<Grammar>) -> Result<usize, ColdError> {
        let same =
            |group: &Group| group.grammar().is_some_and(|it| it.identity() == grammar.identity());
        if let Some(at) = self.groups.iter().position(same) {
            return Ok(at);
        }
        self.groups.push(Group::new(grammar, self.level)?);
        Ok(self.groups.len() - 1)
    }

    /// The tree called `name` as columns, symbols numbered by its grammar's table; none if there is no
    /// such.
    ///
    /// # Errors
    /// A pack is damaged, or the grammar is not at hand.
    pub fn get(&self, name: &str) -> Result<Option<Flat>, ColdError> {
        let Some(tree) = self.trees.get(name) else { return Ok(None) };
        let group = &self.groups[tree.group];
        let mut builder = Builder::new(tree.source_len, group.nodes_of(&tree.runs));
        let mut numbers = Numbers::new(group.ready()?.grammar());
        let mut lines = Vec::new();
        for chunk in tree.runs.iter().flat_map(|(first, count)| *first..first + count) {
            let pack = group.pack_of(chunk);
            let unpacked = self.unpacked(tree.group, pack)?;
            group.read(chunk, &unpacked, (&mut numbers, &mut builder), &mut lines)?;
        }
        lines.extend(&tree.tail);
        let whole = builder.finish(lines);
        whole.map(Some).ok_or_else(|| ColdError::malformed(format!("the chunks of {name}")))
    }

    fn unpacked(&self, group: usize, pack: usize) -> Result<Arc<Unpacked>, ColdError> {
        let mut kept = self.kept.lock();
        if let Some(at) = kept.iter().rposition(|(of, at, _)| (*of, *at) == (group, pack)) {
            let found = kept.remove(at);
            let unpacked = Arc::clone(&found.2);
            kept.push(found);
            return Ok(unpacked);
        }
        drop(kept);
        let unpacked = Arc::new(self.groups[group].unpack(pack)?);
        let mut kept = self.kept.lock();
        kept.push((group, pack, Arc::clone(&unpacked)));
        if kept.len() > KEPT {
            kept.remove(0);
        }
        Ok(unpacked)
    }

    /// The grammar of a tree, where it is at hand.
    pub fn grammar(&self, name: &str) -> Option<&Arc<Grammar>> {
        self.groups[self.trees.get(name)?.group].grammar()
    }

    /// Removes a tree; whether there was one. Its chunks stay until [`Archive::compact`].
    pub fn remove(&mut self, name: &str) -> bool {
        self.trees.remove(name).is_some()
    }

    /// Names of the trees, sorted.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.trees.keys().map(|name| &**name)
    }

    /// Chunks, used or not.
    pub fn chunks(&self) -> usize {
        self.groups.iter().map(Group::chunks).sum()
    }

    /// Bytes of all that it holds, first with the chunks as they are before compression, then after it:
    /// chunks, what is known of each, lists and names. Packs that are not full yet are not compressed.
    ///
    /// # Errors
    /// A grammar is not at hand.
    pub fn bytes(&self) -> Result<(usize, usize), ColdError> {
        let index = self.index()?.len();
        let sums = self.groups.iter().map(Group::bytes);
        let (raw, packed) = sums.fold((0, 0), |sum, it| (sum.0 + it.0, sum.1 + it.1));
        Ok((raw + index, packed + index))
    }

    /// The same trees without chunks that none has.
    ///
    /// # Errors
    /// A pack is damaged, or a grammar is not at hand.
    pub fn compact(&self) -> Result<Self, ColdError> {
        let mut compact = Self::new(self.sizes, self.level);
        for (name, tree) in &self.trees {
            if let Some(flat) = self.get(name)? {
                let grammar = Arc::clone(self.groups[tree.group].ready()?.grammar());
                compact.put(name, &grammar, &flat)?;
            }
        }
        Ok(compact)
    }
}
