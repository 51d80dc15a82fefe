//! Flags of `pfs kv`.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use pfs_dataplane::ops::kv::bytes_of;
use pfs_kv::Fsync;

use super::bytes::Form;
use super::values::{Listen, SecretFrom, fsync};

/// What `pfs kv` does.
#[derive(Debug, Subcommand)]
#[allow(clippy::large_enum_variant, reason = "one, for the life of the process")]
pub(crate) enum KvCommand {
    /// Serve a store over TCP, to clients of Redis and of cheetah-db.
    Serve(ServeArgs),
    /// Print the value of a key; exit code 1 where there is none.
    Get {
        /// The key.
        key: OsString,
        /// How the key is given and the value printed.
        #[arg(long, value_enum, default_value_t = Form::Raw)]
        form: Form,
        /// The store.
        #[command(flatten)]
        target: Target,
    },
    /// Give a key a value.
    Set(SetArgs),
    /// Delete keys; prints how many there were.
    Del {
        /// The keys.
        #[arg(required = true)]
        keys: Vec<OsString>,
        /// How the keys are given.
        #[arg(long, value_enum, default_value_t = Form::Raw)]
        form: Form,
        /// The store.
        #[command(flatten)]
        target: Target,
    },
    /// Print keys in order, one a line.
    Scan(ScanArgs),
    /// Sum up the pairs under a prefix: number, sizes, bounds, branches.
    Summary(SummaryArgs),
    /// Bring the values together that the pairs under a prefix lead to.
    Reduce(ReduceArgs),
    /// Print what the server counts, and the sizes of its store.
    Stats {
        /// Print it as JSON.
        #[arg(long)]
        json: bool,
        /// The store.
        #[command(flatten)]
        target: Target,
    },
    /// Set the keys that a file has, one a line.
    Import(ImportArgs),
    /// Write all keys, values and expiries, one a line.
    Export(ExportArgs),
    /// Give commands of Redis line by line, with editing and a history; see HELP there.
    Shell {
        /// Keep the history in this file [default: ~/.pfs_kv_history].
        #[arg(long, value_name = "FILE")]
        history: Option<PathBuf>,
        /// The store.
        #[command(flatten)]
        target: Target,
    },
}

/// Which store a command works on.
#[derive(Debug, Args)]
pub(crate) struct Target {
    /// Server that speaks RESP.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:6379")]
    pub(crate) server: String,
    /// Server that speaks the line grammar, for summary and reduce.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:4455")]
    pub(crate) cheetah: String,
    /// Open the store in this folder instead, which no other process may have open.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["server", "cheetah", "auth"])]
    pub(crate) dir: Option<PathBuf>,
    /// Database: default or 1 to 15; any name for summary and reduce.
    #[arg(long, value_name = "NAME", default_value = "default")]
    pub(crate) db: String,
    /// Where the password is: file:PATH (without its line's end) or env:NAME.
    #[arg(long, value_name = "WHERE")]
    pub(crate) auth: Option<SecretFrom>,
    /// Seconds that a reply is waited for.
    #[arg(long, value_name = "S", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(crate) timeout: u64,
}

/// Flags of `pfs kv serve`.
#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// Keep the store in this folder, which is made where it is missing.
    #[arg(long, value_name = "DIR", required_unless_present = "memory")]
    pub(crate) dir: Option<PathBuf>,
    /// Keep the store in memory alone: it ends with the server.
    #[arg(long, conflicts_with = "dir")]
    pub(crate) memory: bool,
    /// Where RESP is spoken; port 0 takes a free one; none.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:6379")]
    pub(crate) resp: Listen,
    /// Where the line grammar is spoken; port 0 takes a free one; none.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:4455")]
    pub(crate) cheetah: Listen,
    /// When a write is on disk before it is acknowledged: always, group:US:BYTES or never.
    #[arg(long, value_name = "WHEN", default_value = "group:1000:1MiB", value_parser = fsync)]
    pub(crate) fsync: Fsync,
    /// Where the password is that clients must know: file:PATH (without its line's end) or env:NAME.
    #[arg(long, value_name = "WHERE")]
    pub(crate) auth: Option<SecretFrom>,
    /// Memory for records and indexes, e.g. 4GiB; beyond it writes are refused.
    #[arg(long, value_name = "BYTES", default_value = "1GiB", value_parser = bytes_of)]
    pub(crate) max_memory: u64,
    /// Threads that serve, each the owner of a part of the shards.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub(crate) threads: u32,
    /// Shards of a store that is made, at least one for each thread [default: one for each]; an old one has
    /// those that it has.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub(crate) shards: Option<u32>,
    /// Keep what can be read of a damaged log, and say what is lost.
    #[arg(long, requires = "dir")]
    pub(crate) salvage: bool,
    /// Core for the first thread; the others get those that follow.
    #[arg(long, value_name = "N")]
    pub(crate) core: Option<u32>,
    /// Connections at a time.
    #[arg(long, value_name = "N", default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) connections: u32,
    /// Longest key or value of RESP.
    #[arg(long, value_name = "BYTES", default_value = "64MiB", value_parser = bytes_of)]
    pub(crate) max_value: u64,
    /// Memory for the buffers of all clients.
    #[arg(long, value_name = "BYTES", default_value = "1GiB", value_parser = bytes_of)]
    pub(crate) max_buffers: u64,
    /// Drop a client that leaves replies unread for so many seconds.
    #[arg(long, value_name = "S", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) stall: u64,
    /// Drop a client that sends nothing for so many seconds; 0 for never.
    #[arg(long, value_name = "S", default_value_t = 0)]
    pub(crate) idle: u64,
}

/// Flags of `pfs kv set`.
#[derive(Debug, Args)]
pub(crate) struct SetArgs {
    /// The key.
    pub(crate) key: OsString,
    /// The value.
    #[arg(required_unless_present = "value_file")]
    pub(crate) value: Option<OsString>,
    /// Take the value from this file as it is; - for standard input.
    #[arg(long, value_name = "FILE", conflicts_with = "value")]
    pub(crate) value_file: Option<PathBuf>,
    /// Milliseconds after which the key goes.
    #[arg(long, value_name = "MS", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) ttl_ms: Option<u64>,
    /// Only where the key is not there.
    #[arg(long, conflicts_with = "present")]
    pub(crate) absent: bool,
    /// Only where the key is there.
    #[arg(long)]
    pub(crate) present: bool,
    /// How key and value are given.
    #[arg(long, value_enum, default_value_t = Form::Raw)]
    pub(crate) form: Form,
    /// The store.
    #[command(flatten)]
    pub(crate) target: Target,
}

/// Flags of `pfs kv scan`.
#[derive(Debug, Args)]
pub(crate) struct ScanArgs {
    /// What keys begin with.
    #[arg(default_value = "")]
    pub(crate) prefix: OsString,
    /// Stop after so many; 0 for all.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) limit: u64,
    /// Print values too, behind a tab.
    #[arg(long)]
    pub(crate) values: bool,
    /// How the prefix is given, keys and values printed.
    #[arg(long, value_enum, default_value_t = Form::Escape)]
    pub(crate) form: Form,
    /// The store.
    #[command(flatten)]
    pub(crate) target: Target,
}

/// Flags of `pfs kv summary`.
#[derive(Debug, Args)]
pub(crate) struct SummaryArgs {
    /// What pairs begin with.
    #[arg(default_value = "")]
    pub(crate) prefix: OsString,
    /// Bytes behind the prefix that tell branches apart; 0 for all.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) depth: u32,
    /// Branches shown; 0 for all.
    #[arg(long, value_name = "N", default_value_t = 32)]
    pub(crate) branches: u32,
    /// How the prefix is given.
    #[arg(long, value_enum, default_value_t = Form::Raw)]
    pub(crate) form: Form,
    /// Print it as JSON.
    #[arg(long)]
    pub(crate) json: bool,
    /// The store.
    #[command(flatten)]
    pub(crate) target: Target,
}

/// What a reduction makes of values.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Reduction {
    /// Counts, added up by token.
    Counts,
    /// Quantized probabilities and back-offs by token.
    Probabilities,
    /// Contexts that a token continues.
    Continuation,
    /// The rows as they are.
    Raw,
}

/// Flags of `pfs kv reduce`.
#[derive(Debug, Args)]
pub(crate) struct ReduceArgs {
    /// What is made of the values.
    #[arg(value_enum)]
    pub(crate) mode: Reduction,
    /// What pairs begin with.
    #[arg(default_value = "")]
    pub(crate) prefix: OsString,
    /// Tokens shown, those with the greatest sums; at most 4,096.
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u32).range(0..=4096))]
    pub(crate) top: u32,
    /// Stop after so many pairs, at most 4,096; 0 for all.
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=4096))]
    pub(crate) limit: u32,
    /// How the prefix is given.
    #[arg(long, value_enum, default_value_t = Form::Raw)]
    pub(crate) form: Form,
    /// Print it as JSON.
    #[arg(long)]
    pub(crate) json: bool,
    /// The store.
    #[command(flatten)]
    pub(crate) target: Target,
}

/// Flags of `pfs kv import`.
#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// What `pfs kv export` writes; - for standard input.
    #[arg(value_name = "FILE", default_value = "-")]
    pub(crate) input: PathBuf,
    /// How lines are written.
    #[arg(long, value_enum, default_value_t = LineFormat::Json)]
    pub(crate) format: LineFormat,
    /// The store.
    #[command(flatten)]
    pub(crate) target: Target,
}

/// Flags of `pfs kv export`.
#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// What keys begin with, with escapes.
    #[arg(default_value = "")]
    pub(crate) prefix: OsString,
    /// How lines are written.
    #[arg(long, value_enum, default_value_t = LineFormat::Json)]
    pub(crate) format: LineFormat,
    /// Leave out keys or pairs; pairs are asked for at --cheetah, which must be the same store's.
    #[arg(long, value_enum)]
    pub(crate) only: Option<Only>,
    /// Write here, whole or not at all, instead of to standard output.
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    pub(crate) output: PathBuf,
    /// The store.
    #[command(flatten)]
    pub(crate) target: Target,
}

/// A part of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Only {
    /// Keys with their values.
    Keys,
    /// Pairs with the values that they lead to.
    Pairs,
}

/// How a key with its value is written in a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LineFormat {
    /// An object: `key` and `value` as text, or `key_hex` and `value_hex` where they are none;
    /// `expires_ms`, milliseconds since 1970, where it expires. Of a pair: `pair`, `to` (its
    /// number) and `payload` where it leads to a value, `hidden`.
    Json,
    /// Key, value and, where it expires, milliseconds since 1970, with tabs between them and
    /// escapes \\ \t \n \r \xHH within. Of a pair: \P, or \H when it is hidden, the pair, and where it
    /// leads to a value, its number and the value.
    Plain,
}

impl ServeArgs {
    /// Where to listen: RESP, line grammar.
    pub(super) const fn addresses(&self) -> (Option<SocketAddr>, Option<SocketAddr>) {
        (self.resp.0, self.cheetah.0)
    }
}
