//! Flags of `pfs cst`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use pfs_cst::cold::{Positions, Settings};

/// What `pfs cst` does. One process at a time writes to a collection; any number read it.
#[derive(Debug, Subcommand)]
pub(crate) enum CstCommand {
    /// Parse source files and keep their trees; a path that is there already is replaced.
    Add(AddArgs),
    /// List the trees.
    Ls {
        /// The collection's folder.
        dir: PathBuf,
        /// Only trees of this language.
        #[arg(long, value_name = "NAME")]
        lang: Option<String>,
        /// Print one JSON object a line.
        #[arg(long)]
        json: bool,
    },
    /// Print a tree, or what is at one place of it.
    Show(ShowArgs),
    /// Find nodes with a tree-sitter query; prints PATH:ROW:COLUMN, the capture, and its text.
    Query(QueryArgs),
    /// Print what a collection is made of, as JSON.
    Stats {
        /// The collection's folder.
        dir: PathBuf,
    },
    /// Read every block of every tree; exit code 1 when something is wrong.
    Verify(VerifyArgs),
    /// Write all trees anew, in one go and as the flags say.
    Freeze(FreezeArgs),
    /// Write all trees to a file.
    Export(ExportArgs),
    /// Measure what each form of trees takes, phase by phase, over files that are read and parsed for it;
    /// every tree of every form is checked.
    Bench(BenchArgs),
}

/// Flags of `pfs cst bench`.
#[derive(Debug, Args)]
pub(crate) struct BenchArgs {
    /// Files, and folders whose files are taken.
    #[arg(required = true)]
    pub(crate) paths: Vec<PathBuf>,
    /// Take so many of them, evenly [default: all].
    #[arg(long, value_name = "N")]
    pub(crate) files: Option<usize>,
    /// The store's budget of memory.
    #[arg(long, value_name = "BYTES", default_value_t = 50_000_000)]
    pub(crate) budget: usize,
    /// Level of compression, 1 to 22.
    #[arg(long, value_name = "N", default_value = "9", value_parser = clap::value_parser!(i32).range(1..=22))]
    pub(crate) level: i32,
    /// Only these besides the live and the hot trees [default: all].
    #[arg(long, value_enum, value_delimiter = ',')]
    pub(crate) phases: Vec<Phase>,
    /// Most seconds that one file is parsed.
    #[arg(long, value_name = "S", default_value = "60", value_parser = seconds)]
    pub(crate) parse_s: Duration,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// What is measured, by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Phase {
    /// 1: varints, packing, interned symbols.
    Columns,
    /// 2: what is the same kept once, in memory and on disk.
    Delta,
    /// 3: rows of opcodes.
    Bytecode,
    /// 4a: blocks on disk.
    Frozen,
    /// 4b: sources mapped by reference.
    Sources,
    /// 4c: segments under a budget of memory.
    Segments,
}

/// Flags of `pfs cst add`.
#[derive(Debug, Args)]
pub(crate) struct AddArgs {
    /// The collection's folder, which is made where missing.
    pub(crate) dir: PathBuf,
    /// Files, and folders whose files are taken (hidden ones and links are not).
    #[arg(required_unless_present = "reparse")]
    pub(crate) paths: Vec<PathBuf>,
    /// Their language [default: of each by its name and content].
    #[arg(long, value_name = "NAME")]
    pub(crate) lang: Option<String>,
    /// What is kept of a source besides: queries need its text.
    #[arg(long, value_enum, default_value_t = KeepName::Ref)]
    pub(crate) keep: KeepName,
    /// Keep of each node which supertypes of the grammar it stands for, so that queries may name these; parsing
    /// takes longer and trees more bytes.
    #[arg(long)]
    pub(crate) supertypes: bool,
    /// Longest file that is taken, in bytes.
    #[arg(long, value_name = "BYTES", default_value_t = 128 << 20)]
    pub(crate) max_bytes: u64,
    /// Most seconds that one file is parsed.
    #[arg(long, value_name = "S", default_value = "60", value_parser = seconds)]
    pub(crate) parse_s: Duration,
    /// Threads that parse [default: as many as cores].
    #[arg(short = 'j', long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) threads: Option<u16>,
    /// Parse the trees again whose grammar is another release than this build's.
    #[arg(long, conflicts_with_all = ["paths", "lang"])]
    pub(crate) reparse: bool,
}

/// How sources are kept, by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum KeepName {
    /// The file itself, as long as it is unchanged.
    Ref,
    /// A copy in the collection.
    Copy,
    /// Nothing.
    None,
}

/// Flags of `pfs cst show`.
#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// The collection's folder.
    pub(crate) dir: PathBuf,
    /// The tree: the path that was added.
    pub(crate) name: String,
    /// How it is printed.
    #[arg(long, value_enum, default_value_t = ShowFormat::Sexp)]
    pub(crate) format: ShowFormat,
    /// Only the nodes at this place, the smallest first: BYTE from 0, or ROW:COLUMN from 1.
    #[arg(long, value_name = "PLACE", conflicts_with = "format")]
    pub(crate) at: Option<String>,
}

/// Forms of a printed tree, by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ShowFormat {
    /// An S-expression of named nodes as `tree-sitter parse` prints it, rows and columns from 0.
    Sexp,
    /// The same without positions, on one line.
    Line,
    /// Every node as a JSON object on a line.
    Json,
}

/// Flags of `pfs cst query`.
#[derive(Debug, Args)]
pub(crate) struct QueryArgs {
    /// The collection's folder.
    pub(crate) dir: PathBuf,
    /// The query's file (.scm); - for standard input.
    #[arg(required_unless_present_any = ["query", "published"])]
    pub(crate) file: Option<PathBuf>,
    /// The query itself.
    #[arg(short = 'e', long, value_name = "QUERY", conflicts_with = "file")]
    pub(crate) query: Option<String>,
    /// The query of this kind that each tree's grammar is published with: tags, highlights, locals or
    /// injections.
    #[arg(long, value_name = "KIND", conflicts_with_all = ["file", "query"])]
    pub(crate) published: Option<String>,
    /// Only trees of this language [default: all whose grammar has what the query names].
    #[arg(long, value_name = "NAME")]
    pub(crate) lang: Option<String>,
    /// Only this tree, or those under this folder; may be given again.
    #[arg(long, value_name = "PATH")]
    pub(crate) only: Vec<String>,
    /// Print each match as a JSON object on a line.
    #[arg(long)]
    pub(crate) json: bool,
    /// Print the number of matches alone.
    #[arg(short, long, conflicts_with = "json")]
    pub(crate) count: bool,
    /// Threads that search [default: as many as cores].
    #[arg(short = 'j', long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) threads: Option<u16>,
}

/// Flags of `pfs cst verify`.
#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// The collection's folder.
    pub(crate) dir: PathBuf,
    /// Parse the sources again, those kept or the files in this folder, and compare every node.
    #[arg(long, value_name = "DIR")]
    pub(crate) source: Option<Option<PathBuf>>,
}

/// Flags of `pfs cst freeze`.
#[derive(Debug, Args)]
pub(crate) struct FreezeArgs {
    /// The collection's folder.
    pub(crate) dir: PathBuf,
    /// Nodes of a block, 256 to 4096: a node costs one block to read.
    #[arg(long, value_name = "N", default_value = "4096", value_parser = clap::value_parser!(u16).range(256..=4096))]
    pub(crate) block_nodes: u16,
    /// Level of compression, 1 to 22.
    #[arg(long, value_name = "N", default_value = "9", value_parser = clap::value_parser!(i32).range(1..=22))]
    pub(crate) level: i32,
    /// Keep no positions that follow from the source: smaller, and each tree needs its source.
    #[arg(long)]
    pub(crate) guessed: bool,
}

impl FreezeArgs {
    /// What the flags stand for.
    pub(crate) fn settings(&self) -> Settings {
        Settings {
            block_nodes: self.block_nodes.into(),
            level: self.level,
            positions: if self.guessed { Positions::Guessed } else { Positions::Stored },
        }
    }
}

/// Flags of `pfs cst export`.
#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// The collection's folder.
    pub(crate) dir: PathBuf,
    /// What is written.
    #[arg(long, value_enum, default_value_t = ExportFormat::Jsonl)]
    pub(crate) format: ExportFormat,
    /// Write here, whole or not at all, instead of to standard output.
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    pub(crate) output: PathBuf,
}

/// Formats of an export, by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExportFormat {
    /// Each tree as a JSON object on a line, its nodes in order as arrays.
    Jsonl,
    /// Each tree as a JSON object on a line, with an S-expression of its named nodes.
    Sexp,
}

fn seconds(given: &str) -> Result<Duration, String> {
    let seconds = given.parse().ok().filter(|seconds| (0.001..=86_400.0).contains(seconds));
    seconds.map(Duration::from_secs_f64).ok_or_else(|| "it is 0.001 to 86400 seconds".to_owned())
}
