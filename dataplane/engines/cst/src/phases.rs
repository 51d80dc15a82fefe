//! What each way of keeping trees takes, measured over a corpus and checked: the table of `pfs cst bench`.
//!
//! | row | phase | what is counted |
//! |---|---|---|
//! | live | none | what malloc gave for tree-sitter's trees |
//! | hot | none | what malloc gave for [`HotTree`]s |
//! | columns | 1: varints, packing, interned symbols | blocks of columns before compression, with line starts |
//! | chunks | 1 + 2: and what is the same kept once | the same as chunks, each once, with their hashes and lists |
//! | bytecode | 1 + 3: rows of opcodes | whole streams: head, symbols, checkpoints, code, lines |
//! | archive | 1 + 2 + 4a: chunks on disk | the file of a [`delta::Archive`](crate::delta::Archive) |
//! | frozen | 1 + 4a: blocks on disk | segments of a [`Store`]; its memory with no tree hot |
//! | sources | 1 + 4a + 4b: and sources mapped by reference | the same with positions guessed from the files |
//! | segments | all of a store under its budget | memory after every tree was read: hot, mapped, names |
//!
//! Each row is what its form takes alone; none is computed from another. Dictionaries of the build are not
//! in the rows ([`Corpus::dictionaries`]). Every tree of every row is decoded and held against the live one.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::bytecode::Bytecode;
use crate::cold::{self, ColdError, Positions, raw_columns};
use crate::delta::{Archive, ChunkNodes};
use crate::flat::{Flat, FlattenError, Flattener};
use crate::hot::HotTree;
use crate::languages::{Grammar, Registry};
use crate::parse::{Limits, ParseError, Parser};
use crate::tiers::{Config, Keep, Store, StoreError};

/// What the process is asked while it is measured: both are the caller's, since a library knows neither
/// the allocator nor the thread that it runs in.
#[derive(Clone, Copy, Debug)]
pub struct Probe {
    /// Bytes that malloc has given out and not got back, tree-sitter's among them.
    pub allocated: fn() -> usize,
    /// Processor time of this thread.
    pub cpu: fn() -> Duration,
}

/// Which rows to measure besides live and hot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Phases {
    /// Columns.
    pub columns: bool,
    /// Shared chunks, in memory and as an archive.
    pub delta: bool,
    /// Bytecode.
    pub bytecode: bool,
    /// Frozen blocks.
    pub frozen: bool,
    /// Sources by reference.
    pub sources: bool,
    /// Segments under the budget; needs frozen blocks.
    pub segments: bool,
}

impl Phases {
    /// All.
    pub const ALL: Self = Self {
        columns: true,
        delta: true,
        bytecode: true,
        frozen: true,
        sources: true,
        segments: true,
    };
}

/// How to measure.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Which rows.
    pub phases: Phases,
    /// The store's budget, bytes.
    pub budget: usize,
    /// zstd's level.
    pub level: i32,
    /// Bounds of each parse.
    pub time: Option<Duration>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { phases: Phases::ALL, budget: 50_000_000, level: 9, time: None }
    }
}

/// What was measured on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Corpus {
    /// Files with a tree.
    pub files: usize,
    /// Files left out: of no language of this build, or too slow to parse.
    pub skipped: usize,
    /// Bytes of source.
    pub source_bytes: usize,
    /// Line feeds of source.
    pub lines: usize,
    /// Nodes.
    pub nodes: usize,
    /// Bytes of the dictionaries and symbols trained for the languages met.
    pub dictionaries: usize,
    /// Processor time of parsing.
    pub parse: Duration,
}

/// A row of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its name.
    pub name: &'static str,
    /// The phases in it.
    pub phases: &'static str,
    /// Bytes of memory.
    pub memory: usize,
    /// Bytes on disk.
    pub disk: usize,
    /// Processor time from columns to this form.
    pub encode: Duration,
}

impl Row {
    /// Bytes in memory and on disk, a node.
    pub fn bytes_per_node(&self, corpus: &Corpus) -> f64 {
        (self.memory + self.disk) as f64 / corpus.nodes.max(1) as f64
    }

    /// Lines that one MiB of it, memory and disk, is for.
    pub fn lines_per_mib(&self, corpus: &Corpus) -> f64 {
        corpus.lines as f64 * f64::from(1 << 20) / (self.memory + self.disk).max(1) as f64
    }
}

/// Why there is no table.
#[derive(Debug, thiserror::Error)]
pub enum PhasesError {
    /// A file could not be read.
    #[error("read {path}: {source}", path = path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A grammar does not parse.
    #[error(transparent)]
    Parse(#[from] ParseError),
    /// A tree could not be taken.
    #[error(transparent)]
    Flatten(#[from] FlattenError),
    /// A cold form failed.
    #[error(transparent)]
    Cold(#[from] ColdError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A form gave another tree back than it was given.
    #[error("{path} came back otherwise from {row}: this is a defect", path = path.display())]
    Differs {
        /// The file.
        path: PathBuf,
        /// The row.
        row: &'static str,
    },
}

/// A hash of all columns.
fn digest(flat: &Flat) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    let mut numbers = |numbers: &mut dyn Iterator<Item = u64>| {
        let bytes: Vec<u8> = numbers.flat_map(u64::to_le_bytes).collect();
        hasher.update(&(bytes.len() as u64).to_le_bytes()).update(&bytes);
    };
    numbers(&mut flat.symbols.iter().map(|id| u64::from(id.bits())));
    numbers(&mut flat.parens.iter().copied());
    numbers(&mut flat.starts.iter().map(|it| u64::from(*it)));
    numbers(&mut flat.lengths.iter().map(|it| u64::from(*it)));
    let margins = flat.margins.iter().flat_map(|it| [it.node, it.lead, it.tail]);
    numbers(&mut margins.map(u64::from));
    numbers(&mut flat.lines.iter().map(|it| u64::from(*it)));
    hasher.finalize()
}

/// All rows, while files come.
struct Table<'a> {
    settings: Settings,
    probe: Probe,
    folder: &'a Path,
    corpus: Corpus,
    rows: Vec<Row>,
    archive: Archive,
    /// With positions stored, and guessed.
    stores: [Option<Store>; 2],
    digests: HashMap<PathBuf, blake3::Hash>,
    trained: HashMap<Box<str>, usize>,
}

const LIVE: usize = 0;
const HOT: usize = 1;
const COLUMNS: usize = 2;
const CHUNKS: usize = 3;
const BYTECODE: usize = 4;
const ARCHIVE: usize = 5;
const FROZEN: usize = 6;
const SOURCES: usize = 7;
const SEGMENTS: usize = 8;

const ROWS: [(&str, &str); 9] = [
    ("live", "none"),
    ("hot", "none"),
    ("columns", "1"),
    ("chunks", "1 + 2"),
    ("bytecode", "1 + 3"),
    ("archive", "1 + 2 + 4a"),
    ("frozen", "1 + 4a"),
    ("sources", "1 + 4a + 4b"),
    ("segments", "1 + 4a + 4c"),
];

/// Measures the files `paths` in one thread. `scratch` is a folder that is there and empty; the archive and
/// the stores are made in it. `progress` is called behind each file.
///
/// # Errors
/// See [`PhasesError`].
pub fn measure(
    paths: &[PathBuf],
    scratch: &Path,
    settings: Settings,
    probe: Probe,
    mut progress: impl FnMut(&Path),
) -> Result<(Corpus, Vec<Row>), PhasesError> {
    let mut table = Table::new(scratch, settings, probe)?;
    for path in paths {
        table.file(path)?;
        progress(path);
    }
    table.finish()
}

impl<'a> Table<'a> {
    fn new(folder: &'a Path, settings: Settings, probe: Probe) -> Result<Self, PhasesError> {
        let Settings { phases, budget, level, .. } = settings;
        let open = |name: &str, positions| {
            let freeze = cold::Settings { level, positions, ..cold::Settings::default() };
            let config = Config { budget, freeze, ..Config::default() };
            Store::open(&folder.join(name), config)
        };
        let stored = (phases.frozen || phases.segments).then(|| open("stored", Positions::Stored));
        let guessed = phases.sources.then(|| open("guessed", Positions::Guessed));
        let row = |(name, phases)| Row { name, phases, memory: 0, disk: 0, encode: Duration::ZERO };
        Ok(Self {
            settings,
            probe,
            folder,
            corpus: Corpus::default(),
            rows: ROWS.map(row).into(),
            archive: Archive::new(ChunkNodes::default(), level),
            stores: [stored.transpose()?, guessed.transpose()?],
            digests: HashMap::new(),
            trained: HashMap::new(),
        })
    }

    /// Does `work` and adds its processor time to a row.
    fn timed<T>(&mut self, row: usize, work: impl FnOnce(&mut Self) -> T) -> T {
        let start = (self.probe.cpu)();
        let done = work(self);
        self.rows[row].encode += (self.probe.cpu)().saturating_sub(start);
        done
    }

    fn differs(path: &Path, row: usize) -> PhasesError {
        PhasesError::Differs { path: path.into(), row: ROWS[row].0 }
    }

    fn file(&mut self, path: &Path) -> Result<(), PhasesError> {
        let read = |source| PhasesError::Read { path: path.into(), source };
        let source = std::fs::read(path).map_err(read)?;
        let Some(grammar) = Registry::shared().detect(path, &source) else {
            self.corpus.skipped += 1;
            return Ok(());
        };
        let Some(flat) = self.parse(&grammar, &source)? else { return Ok(()) };
        self.digests.insert(path.into(), digest(&flat));
        let name = &grammar.identity().name;
        let trained = || grammar.trained().map_or(0, |trained| trained.write().len());
        self.trained.entry(name.clone()).or_insert_with(trained);
        self.hot(path, &grammar, &flat)?;
        self.in_memory(path, &grammar, &flat)?;
        for (at, keep) in [(0, Keep::Nothing), (1, Keep::File(path))] {
            let row = [FROZEN, SOURCES][at];
            let put = |table: &mut Self| match &table.stores[at] {
                Some(store) => {
                    store.put(&path.to_string_lossy(), &grammar, &flat, &source, keep).map(|_| ())
                }
                None => Ok(()),
            };
            self.timed(row, put)?;
        }
        Ok(())
    }

    /// The columns of a source's tree, and what the live one takes.
    fn parse(
        &mut self,
        grammar: &Arc<Grammar>,
        source: &[u8],
    ) -> Result<Option<Flat>, PhasesError> {
        let mut parser = Parser::new(grammar)?;
        let limits = Limits { time: self.settings.time, ..Limits::default() };
        let start = (self.probe.cpu)();
        let tree = match parser.parse(source, None, limits) {
            Ok(tree) => tree,
            Err(ParseError::TimeOut { .. }) => {
                self.corpus.skipped += 1;
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        };
        self.corpus.parse += (self.probe.cpu)().saturating_sub(start);
        let flatten = |_: &mut Self| Flattener::new(grammar).flatten(&tree, source);
        let flat = self.timed(LIVE, flatten)?;
        let before = (self.probe.allocated)();
        drop(tree);
        self.rows[LIVE].memory += before.saturating_sub((self.probe.allocated)());
        self.corpus.files += 1;
        self.corpus.source_bytes += source.len();
        self.corpus.lines += flat.lines.len();
        self.corpus.nodes += flat.len();
        Ok(Some(flat))
    }

    fn hot(&mut self, path: &Path, grammar: &Arc<Grammar>, flat: &Flat) -> Result<(), PhasesError> {
        let before = (self.probe.allocated)();
        let hot = self.timed(HOT, |_| HotTree::from_flat(grammar, flat));
        let taken = (self.probe.allocated)().saturating_sub(before);
        self.rows[HOT].memory += taken + size_of::<HotTree>();
        let nodes = hot.preorder().zip(&flat.symbols);
        let same = nodes.filter(|(visit, id)| visit.symbol == grammar.symbol(**id)).count();
        if same == flat.len() { Ok(()) } else { Err(Self::differs(path, HOT)) }
    }

    fn in_memory(
        &mut self,
        path: &Path,
        grammar: &Arc<Grammar>,
        flat: &Flat,
    ) -> Result<(), PhasesError> {
        let phases = self.settings.phases;
        if phases.columns {
            let bytes = self.timed(COLUMNS, |_| raw_columns(grammar, flat));
            self.rows[COLUMNS].memory += bytes;
        }
        if phases.delta {
            let name = path.to_string_lossy();
            self.timed(CHUNKS, |table| table.archive.put(&name, grammar, flat))?;
        }
        if phases.bytecode {
            let code = self.timed(BYTECODE, |_| Bytecode::encode(grammar, flat));
            self.rows[BYTECODE].memory += code.as_bytes().len();
            let again = Bytecode::open(code.as_bytes(), |_| Some(Arc::clone(grammar)));
            let again = again.and_then(|code| code.decode());
            if again.as_ref() != Ok(flat) {
                return Err(Self::differs(path, BYTECODE));
            }
        }
        Ok(())
    }

    fn finish(mut self) -> Result<(Corpus, Vec<Row>), PhasesError> {
        if self.settings.phases.delta {
            self.archive()?;
        }
        for at in 0..self.stores.len() {
            self.store(at)?;
        }
        let phases = self.settings.phases;
        let wanted = [
            true,
            true,
            phases.columns,
            phases.delta,
            phases.bytecode,
            phases.delta,
            phases.frozen,
            phases.sources,
            phases.segments,
        ];
        let mut wanted = wanted.into_iter();
        self.rows.retain(|_| wanted.next() == Some(true));
        self.corpus.dictionaries = self.trained.values().sum();
        Ok((self.corpus, self.rows))
    }

    fn archive(&mut self) -> Result<(), PhasesError> {
        self.rows[CHUNKS].memory = self.archive.bytes()?.0;
        let path = self.folder.join("archive");
        self.rows[ARCHIVE].encode = self.rows[CHUNKS].encode;
        let written = self.timed(ARCHIVE, |table| table.archive.save(&path))?;
        self.rows[ARCHIVE].disk = written as usize;
        let find = |name: &str| Registry::shared().get(name);
        let archive = Archive::open(&path, ChunkNodes::default(), self.settings.level, find)?;
        for (path, expected) in &self.digests {
            let flat = archive.get(&path.to_string_lossy())?;
            if flat.map(|flat| digest(&flat)) != Some(*expected) {
                return Err(Self::differs(path, ARCHIVE));
            }
        }
        Ok(())
    }

    /// Closes and opens a store: what was not written is not there then.
    fn store(&mut self, at: usize) -> Result<(), PhasesError> {
        let (row, name) = [(FROZEN, "stored"), (SOURCES, "guessed")][at];
        let Some(store) = self.stores[at].take() else { return Ok(()) };
        self.timed(row, |_| store.close())?;
        let config = Config { budget: self.settings.budget, ..Config::default() };
        let store = Store::open(&self.folder.join(name), config)?;
        self.rows[row].disk = store.stats().disk_bytes;
        self.rows[row].memory = store.stats().index_bytes;
        for (path, expected) in &self.digests {
            let name = path.to_string_lossy();
            let thawed = store.cold(&name, |cold| cold.thaw())?;
            if thawed.map(|flat| digest(&flat)) != Some(*expected) {
                return Err(Self::differs(path, row));
            }
            if at == 0 && self.settings.phases.segments {
                store.get(&name)?;
            }
        }
        if at == 0 {
            self.rows[SEGMENTS].memory = store.stats().memory();
            self.rows[SEGMENTS].disk = store.stats().disk_bytes;
            self.rows[SEGMENTS].encode = self.rows[FROZEN].encode;
        }
        Ok(())
    }
}
