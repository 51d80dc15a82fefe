//! `pfs tokenize`, `pfs detokenize` and `pfs vocab`: the token engine without packets.

mod blocks;
mod decode;
mod encode;
mod ids;
mod vocab;

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, Subcommand, ValueEnum};
use pfs_dataplane::ops::token::pfs_token::{SpecialPolicy, Vocabulary};

use crate::failure::Failure;

pub(crate) use decode::detokenize;
pub(crate) use encode::tokenize;
pub(crate) use vocab::vocab;

/// Flags of `pfs tokenize`.
#[derive(Debug, Args)]
pub(crate) struct TokenizeArgs {
    /// Text of any bytes; - for standard input.
    #[arg(value_name = "FILE", default_value = "-")]
    pub(crate) input: PathBuf,
    /// Shipped vocabulary (`pfs vocab list`) or vocabulary file.
    #[arg(long, value_name = "NAME|FILE", default_value = "o200k_base")]
    pub(crate) vocab: String,
    /// How ids are written.
    #[arg(long, value_enum, default_value_t = IdFormat::Ids)]
    pub(crate) format: IdFormat,
    /// Print the number of ids and not the ids.
    #[arg(long)]
    pub(crate) count: bool,
    /// What the text of a special token in the input becomes.
    #[arg(long, value_enum, default_value_t = Specials::Text)]
    pub(crate) special: Specials,
    /// Threads that encode [default: as many as there are cores].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) threads: Option<u16>,
    /// Write here, whole or not at all, instead of to standard output.
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    pub(crate) output: PathBuf,
}

/// Flags of `pfs detokenize`.
#[derive(Debug, Args)]
pub(crate) struct DetokenizeArgs {
    /// Ids; - for standard input.
    #[arg(value_name = "FILE", default_value = "-")]
    pub(crate) input: PathBuf,
    /// Vocabulary that the ids are of.
    #[arg(long, value_name = "NAME|FILE", default_value = "o200k_base")]
    pub(crate) vocab: String,
    /// How ids are written in the input.
    #[arg(long, value_enum, default_value_t = IdFormat::Ids)]
    pub(crate) format: IdFormat,
    /// Write here, whole or not at all, instead of to standard output.
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    pub(crate) output: PathBuf,
}

/// How ids are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum IdFormat {
    /// Decimal, one a line.
    Ids,
    /// One JSON list.
    Json,
    /// 32 bits each, little-endian.
    U32,
}

/// What the text of a special token becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Specials {
    /// The special token.
    Allow,
    /// An error.
    Deny,
    /// Ordinary tokens.
    Text,
}

impl From<Specials> for SpecialPolicy {
    fn from(specials: Specials) -> Self {
        match specials {
            Specials::Allow => Self::Allow,
            Specials::Deny => Self::Deny,
            Specials::Text => Self::AsText,
        }
    }
}

/// What `pfs vocab` does.
#[derive(Debug, Subcommand)]
pub(crate) enum VocabCommand {
    /// List the vocabularies that come with pfs.
    List,
    /// Say what a vocabulary holds.
    Info {
        /// Shipped vocabulary or vocabulary file.
        #[arg(value_name = "NAME|FILE")]
        vocab: String,
        /// Print it as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Write a vocabulary as a file that opens without being compiled.
    Compile {
        /// Shipped vocabulary or vocabulary file.
        #[arg(value_name = "NAME|FILE")]
        vocab: String,
        /// The file.
        #[arg(short, long, value_name = "FILE")]
        output: PathBuf,
    },
    /// Write a vocabulary in another format.
    Convert {
        /// Shipped vocabulary or vocabulary file.
        #[arg(value_name = "NAME|FILE")]
        vocab: String,
        /// The format.
        #[arg(long, value_enum)]
        to: VocabFormat,
        /// The file.
        #[arg(short, long, value_name = "FILE")]
        output: PathBuf,
    },
    /// Build a vocabulary for longest match that minimizes the entropy of these texts.
    Build(BuildArgs),
}

/// Flags of `pfs vocab build`.
#[derive(Debug, Args)]
pub(crate) struct BuildArgs {
    /// Texts; no token reaches from one into the next.
    #[arg(value_name = "FILE", required = true)]
    pub(crate) texts: Vec<PathBuf>,
    /// Tokens, the 256 bytes among them.
    #[arg(long, value_name = "N", default_value_t = 50_000)]
    pub(crate) size: usize,
    /// Longest token in bytes.
    #[arg(long, value_name = "BYTES", default_value_t = 32)]
    pub(crate) longest: usize,
    /// Threads; the result does not depend on them [default: as many as there are cores].
    #[arg(long, value_name = "N")]
    pub(crate) threads: Option<usize>,
    /// Name of the vocabulary [default: the output's stem].
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// The file.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: PathBuf,
}

/// Formats that vocabularies are written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum VocabFormat {
    /// OpenAI's rank list (byte-pair encoding).
    Tiktoken,
    /// Crayon's double array, version 2 (longest match).
    Dat,
    /// Our own, checked when it is opened.
    V3,
}

/// Opens a vocabulary.
fn open(name: &str) -> Result<Arc<Vocabulary>, Failure> {
    Vocabulary::open(name).map(Arc::new).map_err(Failure::failed)
}

/// The file, or standard input for `-`, and its length where it has one.
fn input(path: &Path) -> Result<(Box<dyn Read>, Option<u64>), Failure> {
    if path.as_os_str() == "-" {
        return Ok((Box::new(io::stdin().lock()), None));
    }
    let fail = |error| Failure::failed(format!("reading {}: {error}", path.display()));
    let file = File::open(path).map_err(fail)?;
    let meta = file.metadata().map_err(fail)?;
    if meta.is_dir() {
        return Err(fail(io::Error::from(io::ErrorKind::IsADirectory)));
    }
    Ok((Box::new(file), meta.is_file().then_some(meta.len())))
}
