//! Flags of `pfs vec`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use pfs_vec::quantize::ExtraBits;
use pfs_vec::{Effort, Metric, Raw, Settings};

/// What `pfs vec` does. One process at a time writes a collection; any number read one that nobody writes.
#[derive(Debug, Subcommand)]
#[allow(clippy::large_enum_variant, reason = "one, for the life of the process")]
pub(crate) enum VecCommand {
    /// Make a collection in a folder.
    Create(CreateArgs),
    /// Write one record; one with the same id is replaced whole.
    Add(AddArgs),
    /// Write the records of a file.
    Import(ImportArgs),
    /// Find the nearest records; prints one JSON object a query.
    Search(SearchArgs),
    /// Print a record as JSON; exit code 1 where there is none.
    Get {
        /// The collection's folder.
        dir: PathBuf,
        /// The record's id.
        id: OsString,
        /// The version that was current then, in microseconds since 1970.
        #[arg(long, value_name = "TIME")]
        as_of: Option<u64>,
    },
    /// Delete records and their associations; prints how many there were.
    Del {
        /// The collection's folder.
        dir: PathBuf,
        /// The records' ids.
        #[arg(required = true)]
        ids: Vec<OsString>,
    },
    /// Print the associations of a record, one JSON object a line, the nearest first.
    Neighbours(NeighboursArgs),
    /// Print what a collection is made of, as JSON.
    Stats {
        /// The collection's folder.
        dir: PathBuf,
    },
    /// Merge everything into one segment; prints what that did as JSON.
    Compact {
        /// The collection's folder.
        dir: PathBuf,
        /// Make it a graph, where the collection has graphs, instead of lists.
        #[arg(long)]
        graph: bool,
        /// Share of the exact answer that the new segment must find, 0 to 1, to be taken.
        #[arg(long, value_name = "SHARE", default_value = "0", value_parser = share)]
        least_recall: f32,
    },
    /// Read every byte and hold it against its checksum; exit code 1 when something is wrong.
    Verify {
        /// The collection's folder.
        dir: PathBuf,
    },
    /// Write all records, and their associations behind them.
    Export(ExportArgs),
}

/// Flags of `pfs vec create`.
#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    /// Its folder, which is made where missing.
    pub(crate) dir: PathBuf,
    /// Components of a vector, 2 to 4096.
    #[arg(long, value_name = "N")]
    pub(crate) dim: usize,
    /// How vectors are compared.
    #[arg(long, value_enum, default_value_t = MetricName::Cosine)]
    pub(crate) metric: MetricName,
    /// What is kept of a vector beside its codes.
    #[arg(long, value_enum, default_value_t = RawName::Bf16)]
    pub(crate) raw: RawName,
    /// Bits of a component's code beyond the first, 4 or 8.
    #[arg(long, value_name = "BITS", default_value = "4", value_parser = extra)]
    pub(crate) extra_bits: ExtraBits,
    /// Seconds that versions are kept which were replaced or deleted.
    #[arg(long, value_name = "S", default_value_t = 0)]
    pub(crate) history: u64,
    /// Records that gather in memory before they become a segment.
    #[arg(long, value_name = "N", default_value_t = 65_536)]
    pub(crate) memory_rows: usize,
    /// Segments of a level that are merged into one of the next.
    #[arg(long, value_name = "N", default_value_t = 4)]
    pub(crate) fanout: usize,
    /// Have lists where graphs would be: slower to search, with an eighth of the memory.
    #[arg(long)]
    pub(crate) no_graph: bool,
}

impl CreateArgs {
    /// What the flags stand for.
    pub(crate) fn settings(&self) -> Settings {
        Settings {
            dim: self.dim,
            metric: match self.metric {
                MetricName::Cosine => Metric::Cosine,
                MetricName::Dot => Metric::Dot,
                MetricName::L2 => Metric::L2,
            },
            raw: match self.raw {
                RawName::Bf16 => Raw::Bf16,
                RawName::I8 => Raw::I8,
                RawName::F32 => Raw::F32,
                RawName::None => Raw::None,
            },
            extra: self.extra_bits,
            history: Duration::from_secs(self.history),
            memory_rows: self.memory_rows,
            fanout: self.fanout,
            graph: !self.no_graph,
        }
    }
}

/// Metrics by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum MetricName {
    /// The angle; lengths do not matter.
    Cosine,
    /// The dot product.
    Dot,
    /// Minus the squared Euclidean distance.
    L2,
}

/// What is kept, by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum RawName {
    /// 2 bytes a component.
    Bf16,
    /// 1 byte a component.
    I8,
    /// 4 bytes a component.
    F32,
    /// Nothing: scores are estimates, and exact search is refused.
    None,
}

/// Flags of `pfs vec add`.
#[derive(Debug, Args)]
pub(crate) struct AddArgs {
    /// The collection's folder.
    pub(crate) dir: PathBuf,
    /// The record's id.
    pub(crate) id: OsString,
    /// Its vector as a JSON array [default: standard input].
    #[arg(long, value_name = "JSON")]
    pub(crate) vector: Option<String>,
    /// Its text.
    #[arg(long, default_value = "")]
    pub(crate) text: String,
    /// Bytes that the collection gives no meaning.
    #[arg(long, value_name = "BYTES", default_value = "")]
    pub(crate) meta: OsString,
    /// The time that it stands for, in microseconds since 1970 [default: now].
    #[arg(long)]
    pub(crate) time: Option<u64>,
    /// Associate it with this record; may be given again.
    #[arg(long, value_name = "ID")]
    pub(crate) to: Vec<OsString>,
    /// Type of these associations: 0 semantic, 1 causal, 2 temporal, 3 hierarchical, 4
    /// compositional, or any other up to 255.
    #[arg(long, requires = "to", default_value_t = 0)]
    pub(crate) kind: u8,
    /// Weight of these associations.
    #[arg(long, requires = "to", default_value_t = 1.0)]
    pub(crate) weight: f32,
}

/// Flags of `pfs vec import`.
#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// The collection's folder.
    pub(crate) dir: PathBuf,
    /// The file; - for standard input, which needs --format.
    pub(crate) file: PathBuf,
    /// How it is written [default: as its name ends].
    #[arg(long, value_enum)]
    pub(crate) format: Option<FileFormat>,
    /// Ids of vectors that have none: this and their number in the file, from 0 on.
    #[arg(long, value_name = "PREFIX", default_value = "")]
    pub(crate) ids: OsString,
    /// What a column of an Arrow file is called: vector, id, text, meta or time, and the column's name.
    #[arg(long, value_name = "ROLE=COLUMN", value_parser = column)]
    pub(crate) column: Vec<(Role, String)>,
}

/// What a column is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Vectors.
    Vector,
    /// Ids.
    Id,
    /// Texts.
    Text,
    /// Metadata.
    Meta,
    /// Times.
    Time,
}

/// Formats of files by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum FileFormat {
    /// NumPy: an array of two dimensions of f32.
    Npy,
    /// A dimension as i32 and as many f32, again and again.
    Fvecs,
    /// A dimension as i32 and as many bytes, again and again.
    Bvecs,
    /// A record or an association as a JSON object on each line.
    Jsonl,
    /// Arrow IPC: the columns vector and, where there are any, id, text, meta and time.
    Arrow,
}

/// Flags of `pfs vec search`.
#[derive(Debug, Args)]
pub(crate) struct SearchArgs {
    /// The collection's folder.
    pub(crate) dir: PathBuf,
    /// The query's vector as a JSON array [default: standard input].
    #[arg(long, value_name = "JSON", conflicts_with_all = ["file", "like"])]
    pub(crate) vector: Option<String>,
    /// Queries in a file of the formats npy, fvecs or bvecs.
    #[arg(long, conflicts_with = "like")]
    pub(crate) file: Option<PathBuf>,
    /// The vector of this record, which is not among the hits itself.
    #[arg(long, value_name = "ID")]
    pub(crate) like: Option<OsString>,
    /// Most hits of a query.
    #[arg(short = 'k', long, value_name = "N", default_value_t = 10)]
    pub(crate) top_k: usize,
    /// Hits score at least this: a cosine, a dot product, or minus a squared distance.
    #[arg(long, value_name = "SCORE", default_value_t = f32::NEG_INFINITY, allow_negative_numbers = true, hide_default_value = true)]
    pub(crate) min_score: f32,
    /// Share of the exact answer that is to be found, 0 to 1, or exact: every vector is compared.
    #[arg(long, value_name = "SHARE", default_value = "0.95", value_parser = effort)]
    pub(crate) recall: Effort,
    /// Only records whose ids stand in this file, one a line.
    #[arg(long, value_name = "FILE")]
    pub(crate) ids_file: Option<PathBuf>,
    /// Only records whose time is this or later, in microseconds since 1970.
    #[arg(long, value_name = "TIME")]
    pub(crate) from: Option<u64>,
    /// Only records whose time is this or earlier.
    #[arg(long, value_name = "TIME")]
    pub(crate) until: Option<u64>,
    /// Only records whose text has all of these words.
    #[arg(long, value_name = "TEXT")]
    pub(crate) words: Option<String>,
    /// Only records whose text has one of these words.
    #[arg(long, value_name = "TEXT", conflicts_with = "words")]
    pub(crate) any_words: Option<String>,
    /// Versions that were current then, in microseconds since 1970.
    #[arg(long, value_name = "TIME")]
    pub(crate) as_of: Option<u64>,
}

/// Flags of `pfs vec neighbours`.
#[derive(Debug, Args)]
pub(crate) struct NeighboursArgs {
    /// The collection's folder.
    pub(crate) dir: PathBuf,
    /// The record's id.
    pub(crate) id: OsString,
    /// Associations that are followed from the record on, 1 to 64.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub(crate) depth: u32,
    /// Only associations of this type.
    #[arg(long)]
    pub(crate) kind: Option<u8>,
    /// Follow associations from their end to their begin.
    #[arg(long)]
    pub(crate) incoming: bool,
}

/// Flags of `pfs vec export`.
#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// The collection's folder.
    pub(crate) dir: PathBuf,
    /// What is written: jsonl has everything, npy the vectors alone.
    #[arg(long, value_enum, default_value_t = ExportFormat::Jsonl)]
    pub(crate) format: ExportFormat,
    /// Write here, whole or not at all, instead of to standard output.
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    pub(crate) output: PathBuf,
}

/// Formats of an export by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExportFormat {
    /// A record or an association as a JSON object on each line.
    Jsonl,
    /// NumPy: an array of two dimensions of f32.
    Npy,
}

fn column(given: &str) -> Result<(Role, String), String> {
    let (role, name) = given.split_once('=').ok_or("write ROLE=COLUMN, e.g. vector=embedding")?;
    let role = match role {
        "vector" => Role::Vector,
        "id" => Role::Id,
        "text" => Role::Text,
        "meta" => Role::Meta,
        "time" => Role::Time,
        _ => return Err("a role is vector, id, text, meta or time".to_owned()),
    };
    Ok((role, name.to_owned()))
}

fn share(given: &str) -> Result<f32, String> {
    let share = given.parse().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| "it is a number from 0 to 1".to_owned())
}

fn effort(given: &str) -> Result<Effort, String> {
    match given {
        "exact" => Ok(Effort::Exact),
        _ => share(given).map(Effort::Recall).map_err(|why| format!("{why}, or exact")),
    }
}

fn extra(given: &str) -> Result<ExtraBits, String> {
    match given {
        "4" => Ok(ExtraBits::Four),
        "8" => Ok(ExtraBits::Eight),
        _ => Err("it is 4 or 8".to_owned()),
    }
}
