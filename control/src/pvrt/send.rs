//! `pfs send`.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use pfs_pvrt::transfer::frames::{Faults, Faulty, FrameSink, UdpSink};
use pfs_pvrt::transfer::{Compress, Gauge, OpenSink, SendOptions, SendReport};
use serde_json::json;

use super::hosts::{TrustArgs, bytes_per_second, resolve};
use super::show::{Show, bytes};
use super::via::Via;
use crate::failure::Failure;
use crate::out;
use crate::run::figures::{count, rate};
use crate::run::stop_flag;

/// Flags of `pfs send`.
#[derive(Debug, Args)]
pub(crate) struct SendArgs {
    /// What to send, each under its last name; DIR/ sends what is in it, and alone.
    #[arg(value_name = "PATH", required = true)]
    sources: Vec<PathBuf>,
    /// Where pfs recv listens; port 7373 where none is given.
    #[arg(value_name = "HOST[:PORT]", required = true)]
    to: String,
    /// How both ends are sure of each other.
    #[command(flatten)]
    trust: TrustArgs,
    /// Trust a receiver that was never seen, and remember its key.
    #[arg(long)]
    accept_new: bool,
    /// Bytes a second, e.g. 50M; without it as fast as arrives, and less where queues grow.
    #[arg(long, value_name = "RATE", value_parser = bytes_per_second)]
    rate: Option<u64>,
    /// Pack bytes with zstd: auto (as hard as leaves the link busy), off, or a level from 1 to 19.
    #[arg(long, value_name = "HOW", default_value = "auto", value_parser = compress)]
    compress: Compress,
    /// Send files whole even where the receiver has older ones.
    #[arg(long)]
    whole: bool,
    /// An older version, here, of what is sent: a file or a folder. Where the receiver has it too, less is
    /// asked and sent.
    #[arg(long, value_name = "PATH")]
    older: Vec<PathBuf>,
    /// Put frames straight onto a link: af_xdp:IFACE or af_packet:IFACE, with ,to=MAC behind where the
    /// kernel does not know the next hop; otherwise they go over UDP.
    #[arg(long, value_name = "LINK", value_parser = Via::parse)]
    via: Option<Via>,
    /// Lose, repeat and reorder frames, for tests: loss=0.05,dup=0.01,reorder=0.02,seed=1.
    #[arg(long, value_name = "FAULTS", value_parser = Faults::parse, hide = true)]
    faults: Option<Faults>,
    /// Print the closing report as JSON on standard output; the live line goes away.
    #[arg(long)]
    json: bool,
    /// Print no live line.
    #[arg(short, long)]
    quiet: bool,
}

fn compress(text: &str) -> Result<Compress, String> {
    match text {
        "auto" => Ok(Compress::Auto),
        "off" => Ok(Compress::Level(0)),
        level => match level.parse() {
            Ok(level @ 1..=19) => Ok(Compress::Level(level)),
            _ => Err("auto, off, or a level from 1 to 19".to_owned()),
        },
    }
}

/// Sends; prints what went over the wire.
///
/// # Errors
/// As [`pfs_pvrt::transfer::send`].
pub(crate) fn send(args: &SendArgs) -> Result<(), Failure> {
    let to = resolve(&args.to)?[0];
    let security = args.trust.of_sender(&args.to, args.accept_new)?;
    if let Some(key) = TrustArgs::public(&security) {
        out::complain(&format!("pfs: this host's key is {key}"));
    }
    let options = SendOptions {
        rate: args.rate,
        compress: args.compress,
        whole: args.whole,
        older: args.older.clone(),
        sink: sink(args),
        ..SendOptions::new(security)
    };
    let (gauge, stop) = (Arc::new(Gauge::default()), stop_flag()?);
    let show = Show::start(&gauge, &stop, args.quiet || args.json);
    let sent = pfs_pvrt::transfer::send(&args.sources, to, options, &gauge);
    drop(show);
    let report = sent.map_err(Failure::failed)?;
    for path in &report.skipped {
        out::complain(&format!(
            "pfs: {} is no file, folder or link; it was left out",
            path.display()
        ));
    }
    if args.json { print_json(&report) } else { print(&report) }
}

fn sink(args: &SendArgs) -> Option<Box<OpenSink>> {
    if args.via.is_none() && args.faults.is_none() {
        return None;
    }
    let (via, faults) = (args.via.clone(), args.faults.unwrap_or_default());
    Some(Box::new(move |to| {
        let sink: Box<dyn FrameSink> = match via {
            Some(via) => Box::new(via.open(to)?),
            None => Box::new(UdpSink::open(to)?),
        };
        Ok(if faults == Faults::default() { sink } else { Box::new(Faulty::new(sink, faults)) })
    }))
}

fn saved(report: &SendReport) -> i64 {
    report.bytes as i64 - report.wire.total() as i64
}

fn print(report: &SendReport) -> Result<(), Failure> {
    let wire = &report.wire;
    let speed = rate(report.bytes as f64 / report.seconds.max(1e-9), "B/s");
    let saved = match saved(report) {
        saved @ 0.. => format!("{} saved", bytes(saved as u64)),
        more => format!("{} more than the files", bytes(more.unsigned_abs())),
    };
    out::print(&format!(
        "sent {} files, {} folders and links, {} in {:.2} s ({speed})\n\
         on the wire {} bytes: manifest {}, sync {}, raw {}, packed {}, repair {}, control {}; {saved}\n",
        count(report.files),
        count(report.others),
        bytes(report.bytes),
        report.seconds,
        count(wire.total()),
        count(wire.manifest),
        count(wire.sync),
        count(wire.raw),
        count(wire.packed),
        count(wire.repair),
        count(wire.control),
    ))
}

fn print_json(report: &SendReport) -> Result<(), Failure> {
    let wire = &report.wire;
    out::json(&json!({
        "files": report.files,
        "others": report.others,
        "bytes": report.bytes,
        "synced": report.synced,
        "seconds": report.seconds,
        "wire_bytes": {
            "manifest": wire.manifest,
            "sync": wire.sync,
            "raw": wire.raw,
            "packed": wire.packed,
            "repair": wire.repair,
            "control": wire.control,
            "total": wire.total(),
        },
        "saved_bytes": saved(report),
        "skipped": report.skipped.iter().map(|path| path.to_string_lossy()).collect::<Vec<_>>(),
    }))
}
