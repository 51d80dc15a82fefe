//! `pfs recv`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use clap::Args;
use pfs_pvrt::transfer::control::keys::PublicKey;
use pfs_pvrt::transfer::{Gauge, RecvOptions, RecvReport, Server, TransferError};
use serde_json::json;

use super::hosts::{TrustArgs, public_key};
use super::show::{Show, bytes};
use super::via::LinkFrom;
use crate::failure::Failure;
use crate::out;
use crate::run::figures::{count, rate};
use crate::run::stop_flag;

/// Flags of `pfs recv`.
#[derive(Debug, Args)]
pub(crate) struct RecvArgs {
    /// Folder that what comes is put into; made if it is not there.
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Where to listen.
    #[arg(long, value_name = "ADDR:PORT", default_value = "0.0.0.0:7373")]
    listen: SocketAddr,
    /// UDP port of the frames; 0 for any that is free.
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    udp_port: u16,
    /// Take frames straight off a link: af_xdp:IFACE or af_packet:IFACE, settings behind as in
    /// plans; otherwise they come over the kernel's UDP.
    #[arg(long, value_name = "LINK", value_parser = LinkFrom::parse)]
    from: Option<LinkFrom>,
    /// How both ends are sure of each other.
    #[command(flatten)]
    trust: TrustArgs,
    /// Let in the sender with this key, beside those of authorized_keys.
    #[arg(long, value_name = "KEY", value_parser = public_key)]
    allow: Vec<PublicKey>,
    /// A blob (pfs blob) whose files need not come again, whatever their names; it is only read.
    #[arg(long, value_name = "BLOB")]
    blob: Option<PathBuf>,
    /// End after the first transfer, with exit code 1 if it failed.
    #[arg(long)]
    once: bool,
    /// Do not wait for the disk before files get their names.
    #[arg(long)]
    no_fsync: bool,
    /// Print a report of each transfer as JSON on standard output; the live line goes away.
    #[arg(long)]
    json: bool,
    /// Print no live line.
    #[arg(short, long)]
    quiet: bool,
}

/// Receives until it is stopped, or once.
///
/// # Errors
/// When it cannot listen, or with `--once` as [`Server::receive`].
pub(crate) fn recv(args: &RecvArgs) -> Result<(), Failure> {
    let security = args.trust.of_receiver(&args.allow)?;
    let key = TrustArgs::public(&security);
    let options = RecvOptions {
        udp_port: args.udp_port,
        fsync: !args.no_fsync,
        blob: args.blob.clone(),
        source: args.from.clone().map(|from| from.opener(args.udp_port, security.encrypts())),
        ..RecvOptions::new(security)
    };
    let server = Server::bind(args.listen, &args.folder, options).map_err(Failure::failed)?;
    let key = key.map_or_else(String::new, |key| format!("; this host's key is {key}"));
    out::complain(&format!("pfs: listening at {}{key}", server.local().map_err(Failure::failed)?));
    let stop = stop_flag()?;
    while !stop.load(Ordering::Relaxed) {
        let gauge = Arc::new(Gauge::default());
        let show = Show::start(&gauge, &stop, args.quiet || args.json);
        let received = server.receive(&gauge);
        drop(show);
        match received {
            Ok(report) => print(args, &report)?,
            Err(TransferError::Stopped) if !args.once => break,
            Err(error) if args.once => return Err(Failure::failed(error)),
            Err(error) => out::complain(&format!("pfs: {error}")),
        }
        if args.once {
            break;
        }
    }
    Ok(())
}

fn print(args: &RecvArgs, report: &RecvReport) -> Result<(), Failure> {
    let from = report.from.map_or_else(String::new, |from| from.to_string());
    if args.json {
        return out::json(&json!({
            "from": from,
            "files": report.files,
            "others": report.others,
            "bytes": report.bytes,
            "seconds": report.seconds,
            "wire_bytes": { "frames": report.frames, "control": report.control },
        }));
    }
    let speed = rate(report.bytes as f64 / report.seconds.max(1e-9), "B/s");
    out::print(&format!(
        "received {} files, {} folders and links, {} from {from} in {:.2} s ({speed}); frames {}, control {} bytes\n",
        count(report.files),
        count(report.others),
        bytes(report.bytes),
        report.seconds,
        count(report.frames),
        count(report.control),
    ))
}
