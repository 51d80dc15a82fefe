//! Writing a file of cold trees, see `file.rs` for its parts.

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::codec::{Positions, decoder};
use super::error::ColdError;
use super::file::{MAGIC, VERSION};
use super::record::{Freezer, Frozen, crc};
use crate::flat::Flat;
use crate::languages::{Grammar, SymbolTable};
use crate::varint::push;

struct Row {
    name: String,
    grammar: usize,
    positions: Positions,
    len: usize,
    note: Vec<u8>,
}

/// A file that is written beside its place; it gets there whole or not at all.
pub(crate) struct Beside {
    path: PathBuf,
    beside: PathBuf,
    out: BufWriter<File>,
}

impl Beside {
    /// Begins a file that will be at `path`; what is there stays until [`Beside::finish`].
    pub(crate) fn create(path: &Path) -> Result<Self, ColdError> {
        let mut name = path.file_name().unwrap_or_default().to_os_string();
        name.push(format!(".{}.part", std::process::id()));
        let beside = path.with_file_name(name);
        let fail = |source| ColdError::Io { doing: "create", path: beside.clone(), source };
        let out = BufWriter::new(File::create_new(&beside).map_err(fail)?);
        Ok(Self { path: path.into(), beside, out })
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), ColdError> {
        self.out.write_all(bytes).map_err(self.fail("write"))
    }

    fn fail(&self, doing: &'static str) -> impl Fn(std::io::Error) -> ColdError + use<> {
        let path = self.beside.clone();
        move |source| ColdError::Io { doing, path: path.clone(), source }
    }

    /// Syncs the file and moves it to its place; gives its bytes.
    pub(crate) fn finish(mut self) -> Result<u64, ColdError> {
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
}

impl Drop for Beside {
    fn drop(&mut self) {
        // Gone already when it was moved into place.
        let _ = std::fs::remove_file(&self.beside);
    }
}

/// Writes a file of trees; it gets to its place whole or not at all.
pub struct Writer {
    file: Beside,
    grammars: Vec<Arc<Grammar>>,
    rows: Vec<Row>,
    names: HashSet<String, foldhash::fast::RandomState>,
    note: Vec<u8>,
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer")
            .field("path", &self.file.path)
            .field("trees", &self.rows.len())
            .finish()
    }
}

impl Writer {
    /// Begins a file that will be at `path`; what is there stays until [`Writer::finish`].
    ///
    /// # Errors
    /// The file beside cannot be made.
    pub fn create(path: &Path) -> Result<Self, ColdError> {
        let mut file = Beside::create(path)?;
        file.write(MAGIC)?;
        let (grammars, rows, names) = (Vec::new(), Vec::new(), HashSet::default());
        Ok(Self { file, grammars, rows, names, note: Vec::new() })
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
        let frozen = freezer.freeze(flat, source)?;
        self.add_frozen(name, &frozen, &[])?;
        Ok(frozen.bytes())
    }

    /// Adds a tree that is frozen already, with bytes of the caller's own that a reader gets back.
    ///
    /// # Errors
    /// The name is taken, or the disk is full.
    pub fn add_frozen(&mut self, name: &str, tree: &Frozen, note: &[u8]) -> Result<(), ColdError> {
        if !self.names.insert(name.into()) {
            return Err(ColdError::Twice { name: name.into() });
        }
        self.file.write(&tree.record)?;
        let known = self.grammars.iter().position(|known| Arc::ptr_eq(known, &tree.grammar));
        let grammar = known.unwrap_or_else(|| {
            self.grammars.push(Arc::clone(&tree.grammar));
            self.grammars.len() - 1
        });
        let (name, len, note) = (name.into(), tree.record.len(), note.to_vec());
        self.rows.push(Row { name, grammar, positions: tree.positions, len, note });
        Ok(())
    }

    /// Gives the file itself bytes of the caller's own.
    pub fn set_note(&mut self, note: Vec<u8>) {
        self.note = note;
    }

    /// Trees so far.
    pub const fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are none yet.
    pub const fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Syncs the file and moves it to its place; gives its bytes.
    ///
    /// # Errors
    /// The disk is full or fails; then what was at the place is still there.
    pub fn finish(mut self) -> Result<u64, ColdError> {
        let mut tail = self.index()?;
        end(&mut tail, VERSION, MAGIC);
        self.file.write(&tail)?;
        self.file.finish()
    }

    fn index(&self) -> Result<Vec<u8>, ColdError> {
        let mut index = Vec::new();
        bytes(&mut index, &self.note);
        push(&mut index, self.grammars.len() as u64);
        for grammar in &self.grammars {
            grammar_row(&mut index, grammar, grammar.symbols())?;
        }
        push(&mut index, self.rows.len() as u64);
        for row in &self.rows {
            bytes(&mut index, row.name.as_bytes());
            bytes(&mut index, &row.note);
            push(&mut index, row.grammar as u64);
            push(&mut index, row.positions.index() as u64);
            push(&mut index, row.len as u64);
        }
        Ok(index)
    }
}

/// What an index says of a grammar, and of the symbols as `table` numbers them.
pub(crate) fn grammar_row(
    index: &mut Vec<u8>,
    grammar: &Grammar,
    table: &SymbolTable,
) -> Result<(), ColdError> {
    let identity = grammar.identity();
    bytes(index, identity.name.as_bytes());
    push(index, u64::from(identity.abi));
    index.extend(identity.tables);
    for positions in Positions::ALL {
        index.extend(decoder(grammar, positions)?.id.to_le_bytes());
    }
    for class in [false, true] {
        let symbols = table.symbols(class);
        push(index, symbols.len() as u64);
        symbols.iter().for_each(|symbol| index.extend(symbol.bits().to_le_bytes()));
    }
    Ok(())
}

/// Puts behind an index what tells where it begins, whether it is whole, and of what it is.
pub(crate) fn end(index: &mut Vec<u8>, version: u32, magic: &[u8; 8]) {
    let (len, check) = (index.len() as u64, crc(index));
    index.extend(len.to_le_bytes());
    index.extend(check.to_le_bytes());
    index.extend(version.to_le_bytes());
    index.extend(magic);
}

pub(crate) fn bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    push(out, bytes.len() as u64);
    out.extend(bytes);
}
