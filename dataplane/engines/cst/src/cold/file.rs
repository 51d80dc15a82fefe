//! A file of cold trees: written once, then mapped.
//!
//! Little endian; numbers without a width are LEB128, texts and notes are their length and bytes.
//!
//! | part | bytes |
//! |---|---|
//! | magic | `PFSCST\r\n` |
//! | records | of the trees, one behind the other, see `record.rs` |
//! | index | note of the file; grammars: count, then of each name, ABI version, hash of the tables (16 bytes), dictionary hashes (`u64` for stored, then guessed positions, 0 for none), symbols of either class: count and `u64` each; trees: count, then of each name, note, number of its grammar, positions (0 stored, 1 guessed), bytes of its record |
//! | trailer | index bytes `u64`, CRC-32C of the index `u32`, version `u32`, magic |

use std::collections::HashMap;
use std::fs::File;
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use memmap2::Mmap;

use super::codec::{Positions, decoder};
use super::error::ColdError;
use super::known::{Known, Ready, known};
use super::record::{ColdTree, Frozen, crc};
use crate::languages::Grammar;
use crate::varint::Rest;

pub(super) const MAGIC: &[u8; 8] = b"PFSCST\r\n";
/// Version of the format that this build writes and reads.
pub const VERSION: u32 = 3;
const TRAILER: usize = 24;

#[derive(Debug)]
struct Tree {
    /// In the index.
    name: Range<u32>,
    note: Range<u32>,
    grammar: u32,
    positions: Positions,
    at: usize,
    len: usize,
}

/// The bytes of a file: mapped, or given.
#[derive(Debug)]
pub(crate) enum Bytes {
    Mapped(Mmap),
    Given(Vec<u8>),
}

impl Bytes {
    pub(crate) fn get(&self) -> &[u8] {
        match self {
            Self::Mapped(map) => map,
            Self::Given(bytes) => bytes,
        }
    }
}

/// A file of cold trees. They are known by name, or by number in the order in which they were added.
#[derive(Debug)]
pub struct ColdFile {
    bytes: Bytes,
    index_at: usize,
    note: Range<u32>,
    grammars: Vec<Known>,
    trees: Vec<Tree>,
    /// Made when first asked for.
    by_name: OnceLock<HashMap<Box<str>, u32, foldhash::fast::RandomState>>,
}

impl ColdFile {
    /// Maps the file at `path`. `grammars` gives the grammar of a name. Where that has not the
    /// grammar that trees were stored with, these alone cannot be opened.
    ///
    /// # Errors
    /// It cannot be read, or is not whole.
    pub fn open(
        path: &Path,
        grammars: impl FnMut(&str) -> Option<Arc<Grammar>>,
    ) -> Result<Self, ColdError> {
        let fail = |source| ColdError::Io { doing: "open", path: path.into(), source };
        let file = File::open(path).map_err(fail)?;
        // SAFETY: the writer never changes a file that is in its place, it moves a new one there.
        // Every block is checked before it is used; a file cut by others while mapped ends the
        // process with SIGBUS, as for every mapped file.
        let map = unsafe { Mmap::map(&file) }.map_err(fail)?;
        Self::read(Bytes::Mapped(map), grammars)
    }

    /// Takes a file's bytes.
    ///
    /// # Errors
    /// They are not whole.
    pub fn from_bytes(
        bytes: Vec<u8>,
        grammars: impl FnMut(&str) -> Option<Arc<Grammar>>,
    ) -> Result<Self, ColdError> {
        Self::read(Bytes::Given(bytes), grammars)
    }

    fn read(
        bytes: Bytes,
        mut at_hand: impl FnMut(&str) -> Option<Arc<Grammar>>,
    ) -> Result<Self, ColdError> {
        let (index, upto) = index_of(bytes.get(), VERSION, MAGIC)?;
        let malformed = || ColdError::malformed("index");
        let mut rest = Rest(index);
        let note = span(&mut rest, index.len()).ok_or_else(malformed)?;
        let mut grammars = Vec::new();
        for _ in 0..rest.number().ok_or_else(malformed)? {
            grammars.push(known(&mut rest, &mut at_hand)?);
        }
        let (mut trees, mut at) = (Vec::new(), MAGIC.len());
        for _ in 0..rest.number().ok_or_else(malformed)? {
            let tree = tree(&mut rest, index, at, grammars.len()).ok_or_else(malformed)?;
            at = at.checked_add(tree.len).filter(|end| *end <= upto).ok_or_else(malformed)?;
            trees.push(tree);
        }
        if !rest.0.is_empty() || at != upto {
            return Err(malformed());
        }
        Ok(Self { bytes, index_at: upto, note, grammars, trees, by_name: OnceLock::new() })
    }

    /// Numbers this file's symbols as it does in the grammars' tables, where these have not numbered
    /// them yet: then its trees can be taken over into new files as they lie. Tables only grow, so
    /// this is for files of one's own.
    pub fn adopt_symbols(&mut self) {
        for known in &mut self.grammars {
            if let Known::Ready(ready) = known {
                ready.adopt();
            }
        }
    }

    fn indexed(&self, span: &Range<u32>) -> &[u8] {
        &self.bytes.get()[self.index_at..][span.start as usize..span.end as usize]
    }

    /// Names of the trees, in the order of their numbers.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.trees.iter().map(|tree| self.name_of(tree))
    }

    fn name_of(&self, tree: &Tree) -> &str {
        // Looked at when the file was opened.
        std::str::from_utf8(self.indexed(&tree.name)).unwrap_or_default()
    }

    /// Trees.
    pub const fn len(&self) -> usize {
        self.trees.len()
    }

    /// Whether it has no tree.
    pub const fn is_empty(&self) -> bool {
        self.trees.is_empty()
    }

    /// Bytes of the file.
    pub fn bytes(&self) -> usize {
        self.bytes.get().len()
    }

    /// What the writer noted of the file.
    pub fn note(&self) -> &[u8] {
        self.indexed(&self.note)
    }

    /// What the writer noted of a tree; nothing of one that is not there.
    pub fn tree_note(&self, number: usize) -> &[u8] {
        self.trees.get(number).map_or(&[], |tree| self.indexed(&tree.note))
    }

    /// Bytes of a tree's record; 0 of one that is not there.
    pub fn tree_bytes(&self, number: usize) -> usize {
        self.trees.get(number).map_or(0, |tree| tree.len)
    }

    /// The number of a tree; the last one's, should there be several of the name.
    pub fn find(&self, name: &str) -> Option<usize> {
        let by_name = self.by_name.get_or_init(|| {
            self.names().enumerate().map(|(number, name)| (name.into(), number as u32)).collect()
        });
        by_name.get(name).map(|number| *number as usize)
    }

    /// Where the records lie.
    pub(super) fn records(&self) -> impl Iterator<Item = Range<usize>> {
        self.trees.iter().map(|tree| tree.at..tree.at + tree.len)
    }

    fn ready(&self, tree: &Tree) -> Result<&Ready, ColdError> {
        self.grammars[tree.grammar as usize].ready()
    }

    /// The grammar of a tree, where it is at hand.
    pub fn grammar(&self, name: &str) -> Option<&Arc<Grammar>> {
        Some(self.ready(&self.trees[self.find(name)?]).ok()?.grammar())
    }

    /// Name of the grammar that a tree was stored with.
    pub fn grammar_name(&self, number: usize) -> Option<&str> {
        Some(match &self.grammars[self.trees.get(number)?.grammar as usize] {
            Known::Ready(ready) => &ready.grammar().identity().name,
            Known::Other { stored, .. } => &stored.name,
            Known::Dictionary { grammar, .. } => grammar,
        })
    }

    /// How a tree's positions are kept.
    pub fn positions(&self, number: usize) -> Option<Positions> {
        Some(self.trees.get(number)?.positions)
    }

    /// Opens a tree. One whose positions were left to its source needs that, unchanged.
    ///
    /// # Errors
    /// Its grammar or dictionary is not at hand, its directory is damaged, or the source is not the
    /// one it was frozen with.
    pub fn tree<'f>(
        &'f self,
        name: &str,
        source: Option<&'f [u8]>,
    ) -> Result<Option<ColdTree<'f>>, ColdError> {
        self.find(name).map_or(Ok(None), |number| self.tree_at(number, source))
    }

    /// The same, by its number.
    ///
    /// # Errors
    /// See [`ColdFile::tree`].
    pub fn tree_at<'f>(
        &'f self,
        number: usize,
        source: Option<&'f [u8]>,
    ) -> Result<Option<ColdTree<'f>>, ColdError> {
        let Some(tree) = self.trees.get(number) else { return Ok(None) };
        let ready = self.ready(tree)?;
        let record = &self.bytes.get()[tree.at..tree.at + tree.len];
        let grammar = (ready.grammar(), ready.meanings());
        let dictionary = &decoder(ready.grammar(), tree.positions)?.dictionary;
        let positions = (tree.positions, dictionary);
        ColdTree::open(self.name_of(tree), grammar, record, positions, source).map(Some)
    }

    /// A tree as it lies in the file, for another one; none where that would number its symbols
    /// otherwise, so that it has to be thawed and frozen.
    pub fn frozen(&self, number: usize) -> Option<Frozen> {
        let tree = self.trees.get(number)?;
        let ready = self.ready(tree).ok().filter(|ready| ready.same_numbers())?;
        let record = self.bytes.get()[tree.at..tree.at + tree.len].to_vec();
        let grammar = Arc::clone(ready.grammar());
        Some(Frozen { grammar, positions: tree.positions, record })
    }
}

/// Sets the index's checksum to what its bytes need; none where there is no index.
pub(crate) fn mend_index(bytes: &mut [u8]) -> Option<()> {
    let body = bytes.len().checked_sub(TRAILER).filter(|body| *body >= MAGIC.len())?;
    let len = Rest(&bytes[body..]).long()?;
    let at = body.checked_sub(usize::try_from(len).ok()?)?;
    let check = crc(&bytes[at..body]);
    bytes[body + 8..body + 12].copy_from_slice(&check.to_le_bytes());
    Some(())
}

/// The index of a file of this version and magic, and where it begins.
pub(crate) fn index_of<'a>(
    bytes: &'a [u8],
    wanted: u32,
    magic: &[u8; 8],
) -> Result<(&'a [u8], usize), ColdError> {
    let not = |why| ColdError::NotTrees { why };
    if !bytes.starts_with(magic) {
        return Err(not("it does not begin as such"));
    }
    let body = bytes.len().checked_sub(TRAILER).filter(|body| *body >= magic.len());
    let (body, trailer) = bytes.split_at(body.ok_or(not("it is too short"))?);
    let mut rest = Rest(trailer);
    let (len, check, version) = (rest.long(), rest.word(), rest.word());
    if rest.0 != magic {
        return Err(not("its end is not there"));
    }
    if version != Some(wanted) {
        return Err(ColdError::Version { found: version.unwrap_or(0), wanted });
    }
    let at = len.and_then(|len| body.len().checked_sub(usize::try_from(len).ok()?));
    let at = at.filter(|at| *at >= magic.len()).ok_or(not("its index is longer than it"))?;
    if Some(crc(&body[at..])) != check {
        return Err(ColdError::Checksum { part: "the index".into() });
    }
    Ok((&body[at..], at))
}

/// The next text or note of an index of `all` bytes.
fn span(rest: &mut Rest<'_>, all: usize) -> Option<Range<u32>> {
    let len = rest.bytes()?.len();
    let end = u32::try_from(all - rest.0.len()).ok()?;
    Some(end - len as u32..end)
}

fn tree(rest: &mut Rest<'_>, index: &[u8], at: usize, grammars: usize) -> Option<Tree> {
    let name = span(rest, index.len())?;
    std::str::from_utf8(&index[name.start as usize..name.end as usize]).ok()?;
    let note = span(rest, index.len())?;
    let grammar = rest.number()?;
    let positions = *Positions::ALL.get(rest.number()? as usize)?;
    let len = rest.number()? as usize;
    let known = (grammar as usize) < grammars;
    known.then_some(Tree { name, note, grammar, positions, at, len })
}
