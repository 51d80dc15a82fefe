//! `pfs smoke`: the same captures through every backend, and the same digests out of each; and
//! texts, cut into payloads, whose token ids come out as those of the whole text; and key/value
//! operations, whose store is read back and equals a model, as does what was answered meanwhile;
//! this project's own sources, whose trees are those of a live parse; vectors, which are found as soon
//! as they are sent, and by recall afterwards; and a folder of files, sent over a link that loses frames.

mod capture;
#[cfg(feature = "dpdk")]
mod dpdk;
mod leg;
mod live;
mod place;
mod replies;
mod report;
mod sources;
mod store;
mod text;
mod transfer;
mod vectors;
mod work;

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::failure::Failure;
use crate::out;
use crate::plan::save_json;
use crate::run::figures::count;
use crate::run::stop_flag;

use capture::Capture;
use leg::{Backend, Bench, Leg};
use place::Place;
use report::Report;

/// Program that each capture runs through.
const PROGRAM: &str = "crc32c,counteq:0,fnv64";

/// Flags of `pfs smoke`.
#[derive(Debug, Args)]
pub(crate) struct SmokeArgs {
    /// Folder of captures (pcap, pcapng).
    #[arg(long, value_name = "DIR", default_value = "testdata")]
    pub(crate) captures: PathBuf,
    /// Folder for plan.json and report.json.
    #[arg(long, value_name = "DIR", default_value = "target/smoke")]
    pub(crate) out: PathBuf,
    /// Only legs whose name contains this, e.g. dns or af_xdp.
    #[arg(long, value_name = "TEXT")]
    pub(crate) only: Option<String>,
    /// Print the report as JSON instead of the table.
    #[arg(long)]
    pub(crate) json: bool,
    /// Run over two interfaces that are there, up and joined to each other: sends on TX, receives
    /// on RX. Nothing else may use them meanwhile.
    #[arg(long, value_name = "TX,RX")]
    pub(crate) link: Option<String>,
    /// Run over two devices of DPDK that are joined: addresses on the PCI bus, or virtual devices.
    #[arg(long, value_name = "TX,RX")]
    pub(crate) dev: Option<String>,
    /// Arguments for EAL, with --dev.
    #[arg(long, value_name = "ARGS", requires = "dev", allow_hyphen_values = true)]
    pub(crate) eal: Option<String>,
    /// Largest frame over --link and --dev without its Ethernet header; longer captures are left
    /// out. Interfaces keep their own, devices are set to it.
    #[arg(long, value_name = "BYTES", default_value_t = 1500)]
    pub(crate) mtu: u16,
}

/// Runs all legs, prints their table, writes `plan.json` and `report.json`.
///
/// # Errors
/// A leg that failed, ids that are not those of the whole text, a store that is not the model's, a tree that is not a live parse's,
/// vectors that are not found, a digest that differs from its capture's other legs, or a residual.
pub(crate) fn smoke(args: &SmokeArgs) -> Result<(), Failure> {
    let captures = find_captures(&args.captures)?;
    fs::create_dir_all(&args.out).map_err(|error| {
        Failure::failed(format!("making {}: {error}; choose another --out", args.out.display()))
    })?;
    let stop = stop_flag()?;
    let place = Place::of(args)?;
    let bench = Bench::probe(&place);
    let mut report = Report::default();
    report.left_out = bench.left_out();
    let mut table = report::Table::new(args.json);
    for line in place.describe() {
        table.line(&line)?;
    }
    let captures = captures.iter().map(|path| Capture::load(path));
    let made = if place.is_given() { Vec::new() } else { find_texts(&args.captures) };
    let texts = made.iter().map(|path| text::load(path, &args.out));
    let operations = std::iter::once_with(|| store::load(&args.out));
    let sources = std::iter::once_with(|| sources::load(&args.out));
    let vectors = std::iter::once_with(|| vectors::load(&args.out));
    let work = operations.chain(sources).chain(vectors);
    let work = work.take(if place.is_given() { 0 } else { usize::MAX });
    for capture in captures.chain(texts).chain(work) {
        let mut capture = capture?;
        if place.is_given() {
            capture = capture.padded(&args.out)?;
        }
        if let Some(why) = place.lacks(&capture) {
            report.left_out.push(why);
            continue;
        }
        for backend in bench.backends() {
            let leg = Leg { capture: &capture, backend };
            if capture.work.text().is_some() && !backend.keeps_flows() || !backend.takes(&capture) {
                continue;
            }
            if args.only.as_ref().is_some_and(|only| !leg.name().contains(only)) {
                continue;
            }
            if stop.load(std::sync::atomic::Ordering::Relaxed) {
                return Err(Failure::failed("stopped by a signal; no report was written"));
            }
            table.row(report.add(leg.run(&bench)))?;
        }
    }
    let sent = !place.is_given() && (sends(args, &bench)? | makes(args)?);
    if let Some(plan) = report.plan() {
        save_json(&args.out.join("plan.json"), plan)?;
    }
    save_json(&args.out.join("report.json"), &report)?;
    match (report.is_empty(), sent) {
        (true, true) => Ok(()),
        _ => report.verdict(args.json),
    }
}

/// The transfer's leg, over the best backend that there is; whether it ran.
///
/// # Errors
/// What went wrong, or too many bytes on the wire.
fn sends(args: &SmokeArgs, bench: &Bench) -> Result<bool, Failure> {
    let order = [Backend::AfXdpNative, Backend::AfPacket, Backend::Udp];
    let there: Vec<Backend> = bench.backends().collect();
    let Some(backend) = order.into_iter().find(|backend| there.contains(backend)) else {
        return Ok(false);
    };
    let name = format!("transfer/tree/{}", backend.name());
    if args.only.as_ref().is_some_and(|only| !name.contains(only)) {
        return Ok(false);
    }
    let outcome = transfer::run(backend, &args.out)
        .map_err(|error| Failure::failed(format!("{name}: {error}")))?;
    for (what, report) in outcome.reports.iter().filter(|_| !args.json) {
        let (wire, bytes) = (&report.wire, report.bytes);
        out::print(&format!(
            "{name}, 5 % lost, {what}: {} files, {} bytes, identical; {} on the wire: manifest {}, sync {}, raw {}, packed {}, repair {}, control {}\n",
            report.files,
            count(bytes),
            count(wire.total()),
            count(wire.manifest),
            count(wire.sync),
            count(wire.raw),
            count(wire.packed),
            count(wire.repair),
            count(wire.control),
        ))?;
    }
    Ok(true)
}

/// The leg over the device of DPDK that makes packets itself; whether it ran.
///
/// # Errors
/// What went wrong.
#[cfg(feature = "dpdk")]
fn makes(args: &SmokeArgs) -> Result<bool, Failure> {
    let name = "device/net_null/dpdk";
    if args.only.as_ref().is_some_and(|only| !name.contains(only)) {
        return Ok(false);
    }
    let packets = dpdk::null().map_err(|error| Failure::failed(format!("{name}: {error}")))?;
    if !args.json {
        let packets = count(packets);
        out::print(&format!("{name}: {packets} packets of 64 bytes, all accounted for\n"))?;
    }
    Ok(true)
}

#[cfg(not(feature = "dpdk"))]
const fn makes(_: &SmokeArgs) -> Result<bool, Failure> {
    Ok(false)
}

/// Texts in the folder `text` beside the captures, by name; none where there is no such folder.
fn find_texts(folder: &Path) -> Vec<PathBuf> {
    let listing = fs::read_dir(folder.join("text")).into_iter().flatten().flatten();
    let paths = listing.map(|entry| entry.path());
    let mut found: Vec<PathBuf> =
        paths.filter(|path| path.extension().is_some_and(|ext| ext == "txt")).collect();
    found.sort();
    found
}

/// Captures in `folder`, by name.
fn find_captures(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let listing = fs::read_dir(folder).map_err(|error| {
        Failure::failed(format!(
            "reading captures from {}: {error}; name their folder with --captures",
            folder.display()
        ))
    })?;
    let mut found: Vec<PathBuf> = listing
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|ext| ext == "pcap" || ext == "pcapng"))
        .collect();
    found.sort();
    if found.is_empty() {
        return Err(Failure::failed(format!(
            "{} holds no .pcap or .pcapng file; name another folder with --captures",
            folder.display()
        )));
    }
    Ok(found)
}
