//! A file of cold trees: written once, then mapped.
//!
//! Little endian; numbers without a width are LEB128, texts are their length and bytes.
//!
//! | part | bytes |
//! |---|---|
//! | magic | `PFSCST\r\n` |
//! | records | of the trees, one behind the other, see `record.rs` |
//! | index | grammars: count, then of each name, ABI version, hash of the tables (16 bytes), dictionary hashes (`u64` for stored, then guessed positions, 0 for none), symbols of either class: count and `u64` each; trees: count, then of each name, number of its grammar, positions (0 stored, 1 guessed), bytes of its record |
//! | trailer | index bytes `u64`, CRC-32C of the index `u32`, version `u32`, magic |

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use memmap2::Mmap;
use zstd::dict::DecoderDictionary;

use super::codec::{Positions, dictionary, dictionary_id};
use super::error::ColdError;
use super::reading::Meanings;
use super::record::{ColdTree, Freezer, crc};
use super::varint::{Rest, push};
use crate::flat::Flat;
use crate::languages::{Grammar, Identity, Symbol};

const MAGIC: &[u8; 8] = b"PFSCST\r\n";
/// Version of the format that this build writes and reads.
pub const VERSION: u32 = 1;
const TRAILER: usize = 24;

struct Row {
    name: String,
    grammar: usize,
    positions: Positions,
    len: usize,
}

/// Writes a file beside its place; it gets there whole or not at all.
pub struct Writer {
    path: PathBuf,
    beside: PathBuf,
    out: BufWriter<File>,
    grammars: Vec<Arc<Grammar>>,
    rows: Vec<Row>,
    names: HashMap<String, (), foldhash::fast::RandomState>,
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer").field("path", &self.path).field("trees", &self.rows.len()).finish()
    }
}

impl Writer {
    /// Begins a file that will be at `path`; what is there stays until [`Writer::finish`].
    ///
    /// # Errors
    /// The file beside cannot be made.
    pub fn create(path: &Path) -> Result<Self, ColdError> {
        let mut name = path.file_name().unwrap_or_default().to_os_string();
        name.push(format!(".{}.part", std::process::id()));
        let beside = path.with_file_name(name);
        let fail = |source| ColdError::Io { doing: "create", path: beside.clone(), source };
        let mut out = BufWriter::new(File::create_new(&beside).map_err(fail)?);
        out.write_all(MAGIC).map_err(fail)?;
        let (grammars, rows, names) = (Vec::new(), Vec::new(), HashMap::default());
        Ok(Self { path: path.into(), beside, out, grammars, rows, names })
    }

    fn fail(&self, doing: &'static str) -> impl Fn(std::io::Error) -> ColdError + use<> {
        let path = self.beside.clone();
        move |source| ColdError::Io { doing, path: path.clone(), source }
    }

    /// Adds a tree under a name of its own; gives the bytes that it takes.
    ///
    /// # Errors
    /// The name is taken, zstd fails, or the disk is full.
    pub fn add(
        &mut self,
        name: &str,
        freezer: &mut Freezer,
        flat: &Flat,
        source: &[u8],
    ) -> Result<usize, ColdError> {
        if self.names.insert(name.into(), ()).is_some() {
            return Err(ColdError::Twice { name: name.into() });
        }
        let record = freezer.freeze(flat, source)?;
        self.out.write_all(&record).map_err(self.fail("write"))?;
        let known = self.grammars.iter().position(|known| Arc::ptr_eq(known, freezer.grammar()));
        let grammar = known.unwrap_or_else(|| {
            self.grammars.push(Arc::clone(freezer.grammar()));
            self.grammars.len() - 1
        });
        let positions = freezer.settings().positions;
        self.rows.push(Row { name: name.into(), grammar, positions, len: record.len() });
        Ok(record.len())
    }

    /// Syncs the file and moves it to its place; gives its bytes.
    ///
    /// # Errors
    /// The disk is full or fails; then what was at the place is still there.
    pub fn finish(mut self) -> Result<u64, ColdError> {
        let index = self.index();
        let mut tail = index.clone();
        tail.extend((index.len() as u64).to_le_bytes());
        tail.extend(crc(&index).to_le_bytes());
        tail.extend(VERSION.to_le_bytes());
        tail.extend(MAGIC);
        self.out.write_all(&tail).map_err(self.fail("write"))?;
        self.out.flush().map_err(self.fail("write"))?;
        let file = self.out.get_ref();
        file.sync_all().map_err(self.fail("sync"))?;
        let len = file.metadata().map_err(self.fail("look at"))?.len();
        std::fs::rename(&self.beside, &self.path).map_err(self.fail("move into place"))?;
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = File::open(folder.unwrap_or(Path::new(".")))
            .map_err(self.fail("sync the folder of"))?;
        folder.sync_all().map_err(self.fail("sync the folder of"))?;
        Ok(len)
    }

    fn index(&self) -> Vec<u8> {
        let mut index = Vec::new();
        push(&mut index, self.grammars.len() as u64);
        for grammar in &self.grammars {
            let identity = grammar.identity();
            text(&mut index, &identity.name);
            push(&mut index, u64::from(identity.abi));
            index.extend(identity.tables);
            for positions in Positions::ALL {
                index.extend(dictionary_id(dictionary(grammar, positions)).to_le_bytes());
            }
            for class in [false, true] {
                let symbols = grammar.symbols().symbols(class);
                push(&mut index, symbols.len() as u64);
                symbols.iter().for_each(|symbol| index.extend(symbol.bits().to_le_bytes()));
            }
        }
        push(&mut index, self.rows.len() as u64);
        for row in &self.rows {
            text(&mut index, &row.name);
            push(&mut index, row.grammar as u64);
            push(&mut index, row.positions.index() as u64);
            push(&mut index, row.len as u64);
        }
        index
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // Gone already when it was moved into place.
        let _ = std::fs::remove_file(&self.beside);
    }
}

fn text(out: &mut Vec<u8>, text: &str) {
    push(out, text.len() as u64);
    out.extend(text.as_bytes());
}

struct Known {
    grammar: Arc<Grammar>,
    meanings: Meanings,
    /// For stored and for guessed positions.
    dictionaries: Vec<DecoderDictionary<'static>>,
}

impl std::fmt::Debug for Known {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Known").field("grammar", self.grammar.identity()).finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct Tree {
    name: Box<str>,
    grammar: usize,
    positions: Positions,
    at: usize,
    len: usize,
}

/// The bytes of a file: mapped, or given.
#[derive(Debug)]
enum Bytes {
    Mapped(Mmap),
    Given(Vec<u8>),
}

impl Bytes {
    fn get(&self) -> &[u8] {
        match self {
            Self::Mapped(map) => map,
            Self::Given(bytes) => bytes,
        }
    }
}

/// A file of cold trees.
#[derive(Debug)]
pub struct ColdFile {
    bytes: Bytes,
    grammars: Vec<Known>,
    trees: Vec<Tree>,
    by_name: HashMap<Box<str>, usize, foldhash::fast::RandomState>,
}

impl ColdFile {
    /// Maps the file at `path`. `grammars` gives the grammar of a name.
    ///
    /// # Errors
    /// It cannot be read, is not whole, or its grammars are not the ones at hand.
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
    /// They are not whole, or their grammars are not the ones at hand.
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
        let (index, upto) = index_of(bytes.get())?;
        let malformed = || ColdError::malformed("index");
        let mut rest = Rest(index);
        let mut grammars = Vec::new();
        for _ in 0..rest.number().ok_or_else(malformed)? {
            grammars.push(known(&mut rest, &mut at_hand)?);
        }
        let (mut trees, mut by_name, mut at) = (Vec::new(), HashMap::default(), MAGIC.len());
        for _ in 0..rest.number().ok_or_else(malformed)? {
            let tree = tree(&mut rest, at, grammars.len()).ok_or_else(malformed)?;
            at = at.checked_add(tree.len).filter(|end| *end <= upto).ok_or_else(malformed)?;
            by_name.insert(tree.name.clone(), trees.len());
            trees.push(tree);
        }
        if !rest.0.is_empty() || at != upto || by_name.len() != trees.len() {
            return Err(malformed());
        }
        Ok(Self { bytes, grammars, trees, by_name })
    }

    /// Names of the trees, in the order in which they were added.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.trees.iter().map(|tree| &*tree.name)
    }

    /// Bytes of the file.
    pub fn bytes(&self) -> usize {
        self.bytes.get().len()
    }

    /// Where the records lie.
    pub(super) fn records(&self) -> impl Iterator<Item = std::ops::Range<usize>> {
        self.trees.iter().map(|tree| tree.at..tree.at + tree.len)
    }

    /// The grammar of a tree.
    pub fn grammar(&self, name: &str) -> Option<&Arc<Grammar>> {
        let tree = &self.trees[*self.by_name.get(name)?];
        Some(&self.grammars[tree.grammar].grammar)
    }

    /// Opens a tree. One whose positions were left to its source needs that, unchanged.
    ///
    /// # Errors
    /// Its directory is damaged, or the source is not the one it was frozen with.
    pub fn tree<'f>(
        &'f self,
        name: &str,
        source: Option<&'f [u8]>,
    ) -> Result<Option<ColdTree<'f>>, ColdError> {
        let Some(number) = self.by_name.get(name) else { return Ok(None) };
        let tree = &self.trees[*number];
        let known = &self.grammars[tree.grammar];
        let record = &self.bytes.get()[tree.at..tree.at + tree.len];
        let grammar = (&*known.grammar, &known.meanings);
        let dictionary = &known.dictionaries[tree.positions.index()];
        let positions = (tree.positions, dictionary);
        ColdTree::open(&tree.name, grammar, record, positions, source).map(Some)
    }
}

/// Sets the index's checksum to what its bytes need; none where there is no index.
pub(super) fn mend_index(bytes: &mut [u8]) -> Option<()> {
    let body = bytes.len().checked_sub(TRAILER).filter(|body| *body >= MAGIC.len())?;
    let len = Rest(&bytes[body..]).long()?;
    let at = body.checked_sub(usize::try_from(len).ok()?)?;
    let check = crc(&bytes[at..body]);
    bytes[body + 8..body + 12].copy_from_slice(&check.to_le_bytes());
    Some(())
}

/// The index, and where the records end.
fn index_of(bytes: &[u8]) -> Result<(&[u8], usize), ColdError> {
    let not = |why| ColdError::NotTrees { why };
    if !bytes.starts_with(MAGIC) {
        return Err(not("it does not begin with PFSCST"));
    }
    let body = bytes.len().checked_sub(TRAILER).filter(|body| *body >= MAGIC.len());
    let (body, trailer) = bytes.split_at(body.ok_or(not("it is too short"))?);
    let mut rest = Rest(trailer);
    let (len, check, version) = (rest.long(), rest.word(), rest.word());
    if rest.0 != MAGIC {
        return Err(not("its end is not there"));
    }
    if version != Some(VERSION) {
        return Err(ColdError::Version { found: version.unwrap_or(0) });
    }
    let at = len.and_then(|len| body.len().checked_sub(usize::try_from(len).ok()?));
    let at = at.filter(|at| *at >= MAGIC.len()).ok_or(not("its index is longer than it"))?;
    if Some(crc(&body[at..])) != check {
        return Err(ColdError::Checksum { part: "the index".into() });
    }
    Ok((&body[at..], at))
}

fn known(
    rest: &mut Rest<'_>,
    at_hand: &mut impl FnMut(&str) -> Option<Arc<Grammar>>,
) -> Result<Known, ColdError> {
    let malformed = || ColdError::malformed("index of grammars");
    let stored = identity(rest).ok_or_else(malformed)?;
    let none = || Identity { name: "none".into(), abi: 0, tables: [0; 16] };
    let grammar = at_hand(&stored.name);
    if grammar.as_ref().map(|grammar| grammar.identity()) != Some(&stored) {
        let at_hand = grammar.map_or_else(none, |grammar| grammar.identity().clone());
        return Err(ColdError::Grammar { stored: stored.into(), at_hand: at_hand.into() });
    }
    let Some(grammar) = grammar else { return Err(malformed()) };
    let mut dictionaries = Vec::new();
    for positions in Positions::ALL {
        let (id, bytes) = (rest.long().ok_or_else(malformed)?, dictionary(&grammar, positions));
        if id != dictionary_id(bytes) {
            return Err(ColdError::Dictionary { grammar: stored.name, id });
        }
        let fail = |source| ColdError::Zstd { doing: "prepare a dictionary", source };
        dictionaries.push(DecoderDictionary::try_copy(bytes).map_err(fail)?);
    }
    let others = symbols(rest).ok_or_else(malformed)?;
    let measured = symbols(rest).ok_or_else(malformed)?;
    let in_class = others.iter().all(|symbol| !symbol.is_measured_leaf());
    if !in_class || !measured.iter().all(|symbol| symbol.is_measured_leaf()) {
        return Err(malformed());
    }
    let meanings = Meanings::new(&grammar, [others, measured]);
    Ok(Known { grammar, meanings, dictionaries })
}

fn identity(rest: &mut Rest<'_>) -> Option<Identity> {
    let name = std::str::from_utf8(rest.bytes()?).ok()?.into();
    let abi = rest.number()?;
    Some(Identity { name, abi, tables: *rest.take(16)?.first_chunk()? })
}

fn symbols(rest: &mut Rest<'_>) -> Option<Vec<Symbol>> {
    (0..rest.number()?).map(|_| Symbol::from_bits(rest.long()?)).collect()
}

fn tree(rest: &mut Rest<'_>, at: usize, grammars: usize) -> Option<Tree> {
    let name = std::str::from_utf8(rest.bytes()?).ok()?.into();
    let grammar = rest.number()? as usize;
    let positions = *Positions::ALL.get(rest.number()? as usize)?;
    let len = rest.number()? as usize;
    (grammar < grammars).then_some(Tree { name, grammar, positions, at, len })
}
