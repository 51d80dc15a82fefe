//! A folder of real files sent over a link that loses, repeats and reorders frames by a seed; then
//! once more with one part in a hundred changed. Both ends go past the kernel's UDP where they can.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::Arc;
use std::thread;

use pfs_dataplane::link::Link;
use pfs_dataplane::netns::{NetNs, VethOptions};
use pfs_pvrt::transfer::control::Security;
use pfs_pvrt::transfer::control::keys::SharedKey;
use pfs_pvrt::transfer::frames::{Faults, Faulty, FrameSink, UdpSink};
use pfs_pvrt::transfer::{Gauge, OpenSink, RecvOptions, SendOptions, SendReport, Server, send};

use super::leg::Backend;
use crate::pvrt::{LinkFrom, Via};

/// Bytes of the folder, and the longest file in it.
const BYTES: u64 = 64 << 20;
const LONGEST: u64 = 4 << 20;
/// Where real files are.
const REAL: [&str; 3] = ["/usr/lib", "/usr/share", "/usr/bin"];
/// Frames lost of a hundred.
const LOST_PERCENT: u64 = 5;
/// Bytes changed at a place.
const CHANGE: u64 = 4096;

/// Both transfers.
#[derive(Debug)]
pub(super) struct Outcome {
    /// What was sent, and what it was called.
    pub(super) reports: Vec<(&'static str, SendReport)>,
}

/// Sends the folder twice over `backend`; it is made in `out`, and removed afterwards.
///
/// # Errors
/// What went wrong, or what differs.
pub(super) fn run(backend: Backend, out: &Path) -> Result<Outcome, String> {
    let folder = out.join(format!("transfer-{}", process::id()));
    let done = thread::scope(|scope| {
        // In a thread of its own, which may enter a namespace.
        let run = scope.spawn(|| both(backend, &folder));
        run.join().unwrap_or_else(|_| Err("panicked".into()))
    });
    // Where it cannot be removed it is not in the way.
    let _ = fs::remove_dir_all(&folder);
    done
}

fn both(backend: Backend, folder: &Path) -> Result<Outcome, String> {
    let failed = |error: io::Error| format!("making a folder of files: {error}");
    let (from, to) = (folder.join("from"), folder.join("to"));
    fs::create_dir_all(&from).map_err(failed)?;
    let bytes = gather(&from).map_err(failed)?;
    let way = Way::open(backend)?;
    let whole = way.send(&from, &to)?;
    same(&from, &to)?;
    if whole.wire.repair == 0 {
        return Err("frames were lost, none was sent again".into());
    }
    bound(backend, &whole, bytes, bytes)?;
    let changed = change(&from, bytes / 100).map_err(failed)?;
    let again = way.send(&from, &to)?;
    same(&from, &to)?;
    bound(backend, &again, changed, bytes)?;
    Ok(Outcome { reports: vec![("whole", whole), ("changed", again)] })
}

/// Whether no more went over the wire than `new` bytes of `all` need that does not pack: what goes
/// around them in frames, a fiftieth for the sync and the manifest, and what was lost once more. A
/// socket on loopback loses frames of its own: what it holds unread is little without privilege.
fn bound(backend: Backend, report: &SendReport, new: u64, all: u64) -> Result<(), String> {
    let (wire, bytes) = (report.wire, report.wire.total());
    let framed = new + new / 1424 * 48 + new / 50 + all / 500;
    let lost = if backend == Backend::Udp { new / 4 } else { new / 100 };
    let most = framed + framed * LOST_PERCENT / (100 - LOST_PERCENT) + lost;
    if bytes <= most {
        return Ok(());
    }
    Err(format!("{bytes} bytes on the wire for {new} new ones, {most} are enough: {wire:?}"))
}

/// Copies real files into `to`; returns their bytes.
fn gather(to: &Path) -> io::Result<u64> {
    let (mut bytes, mut number) = (0, 0_u32);
    let mut folders: Vec<PathBuf> = REAL.iter().rev().map(PathBuf::from).collect();
    while let Some(folder) = folders.pop() {
        let Ok(listing) = fs::read_dir(&folder) else { continue };
        let mut paths: Vec<PathBuf> = listing.flatten().map(|item| item.path()).collect();
        paths.sort();
        for path in paths {
            let Ok(about) = fs::symlink_metadata(&path) else { continue };
            if about.is_dir() {
                folders.push(path);
            } else if about.is_file() && about.len() <= LONGEST && bytes + about.len() <= BYTES {
                let below = to.join(format!("{}", number / 100));
                fs::create_dir_all(&below)?;
                let Ok(content) = fs::read(&path) else { continue };
                fs::write(below.join(format!("{number}")), &content)?;
                (bytes, number) = (bytes + content.len() as u64, number + 1);
            }
        }
        if bytes + LONGEST / 64 > BYTES {
            break;
        }
    }
    Ok(bytes)
}

/// Changes about `bytes` in the midst of files; returns how many.
fn change(root: &Path, bytes: u64) -> io::Result<u64> {
    let (mut changed, mut state) = (0, 0x9e37_79b9_u64);
    let files: Vec<PathBuf> = files(root)?;
    for round in 0..64 {
        for path in &files {
            if changed >= bytes {
                return Ok(changed);
            }
            let file = fs::File::options().read(true).write(true).open(path)?;
            let length = file.metadata()?.len();
            let at = CHANGE * (2 * round + 1);
            if at + CHANGE > length {
                continue;
            }
            let mut new = vec![0; CHANGE as usize];
            for byte in &mut new {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                *byte = (state >> 56) as u8;
            }
            file.write_all_at(&new, at)?;
            changed += CHANGE;
        }
    }
    Ok(changed)
}

fn files(root: &Path) -> io::Result<Vec<PathBuf>> {
    let (mut files, mut folders) = (Vec::new(), vec![root.to_owned()]);
    while let Some(folder) = folders.pop() {
        for item in fs::read_dir(folder)? {
            let path = item?.path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    files.sort();
    Ok(files)
}

fn same(from: &Path, to: &Path) -> Result<(), String> {
    let failed = |error: io::Error| format!("comparing: {error}");
    let (ours, theirs) = (files(from).map_err(failed)?, files(to).map_err(failed)?);
    if ours.len() != theirs.len() {
        return Err(format!("{} files of {} arrived", theirs.len(), ours.len()));
    }
    for (one, other) in ours.iter().zip(&theirs) {
        let alike = one.strip_prefix(from).ok() == other.strip_prefix(to).ok();
        if !alike || fs::read(one).map_err(failed)? != fs::read(other).map_err(failed)? {
            return Err(format!("{} is not what was sent", other.display()));
        }
    }
    Ok(())
}

/// A way from one end to the other.
struct Way {
    _namespace: Option<NetNs>,
    listen: SocketAddr,
    links: Option<(Via, LinkFrom)>,
}

impl Way {
    fn open(backend: Backend) -> Result<Self, String> {
        let (kind, from) = match backend {
            Backend::AfXdpNative => ("af_xdp", "af_xdp:rx0,mode=native"),
            Backend::AfXdpGeneric => ("af_xdp", "af_xdp:rx0,mode=generic"),
            Backend::AfPacket => ("af_packet", "af_packet:rx0"),
            _ => {
                return Ok(Self {
                    _namespace: None,
                    listen: ([127, 0, 0, 1], 0).into(),
                    links: None,
                });
            }
        };
        let namespace = NetNs::enter().map_err(|error| error.to_string())?;
        namespace
            .veth_pair("tx0", "rx0", VethOptions::default())
            .map_err(|error| error.to_string())?;
        // Both ends are in one namespace: frames come from an address of its own.
        for (knob, value) in
            [("all/rp_filter", "0"), ("rx0/rp_filter", "0"), ("rx0/accept_local", "1")]
        {
            fs::write(format!("/proc/sys/net/ipv4/conf/{knob}"), value)
                .map_err(|error| format!("setting {knob}: {error}"))?;
        }
        for (address, name) in [("198.18.7.1/24", "tx0"), ("198.18.7.2/24", "rx0")] {
            let added =
                process::Command::new("ip").args(["address", "add", address, "dev", name]).status();
            if !added.is_ok_and(|status| status.success()) {
                return Err(format!("giving {name} an address failed"));
            }
        }
        let peer = Link::find("rx0").map_err(|error| error.to_string())?;
        let mac = peer.mac.map(|byte| format!("{byte:02x}")).join(":");
        let via = Via::parse(&format!("{kind}:tx0,to={mac}"))?;
        Ok(Self {
            _namespace: Some(namespace),
            listen: ([198, 18, 7, 2], 0).into(),
            links: Some((via, LinkFrom::parse(from)?)),
        })
    }

    fn send(&self, source: &Path, to: &Path) -> Result<SendReport, String> {
        let security = || {
            SharedKey::new(b"smoke, on a link of its own")
                .map(Security::Shared)
                .map_err(|error| error.to_string())
        };
        let from = self.links.as_ref().map(|(_, from)| from.clone().opener(0, true));
        let options = RecvOptions { fsync: false, source: from, ..RecvOptions::new(security()?) };
        let server = Server::bind(self.listen, to, options).map_err(|error| error.to_string())?;
        let at = server.local().map_err(|error| error.to_string())?;
        let stop = Arc::new(Gauge::default());
        let watched = Arc::clone(&stop);
        let receiving = thread::spawn(move || server.receive(&watched));
        let options = SendOptions { sink: Some(self.sink()?), ..SendOptions::new(security()?) };
        let sent = send(&[source.join("")], at, options, &Arc::new(Gauge::default()));
        if sent.is_err() {
            stop.stop.store(true, std::sync::atomic::Ordering::Relaxed);
        }
        let received = receiving.join().map_err(|_| "the receiver panicked".to_owned())?;
        let sent = sent.map_err(|error| error.to_string())?;
        received.map_err(|error| error.to_string())?;
        Ok(sent)
    }

    fn sink(&self) -> Result<Box<OpenSink>, String> {
        let (lost, share) = (LOST_PERCENT as u32 * 10_000, 50_000);
        let faults = Faults { lost, twice: share, late: share, seed: 1 };
        let via = self.links.as_ref().map(|(via, _)| via.clone());
        Ok(Box::new(move |to| {
            let sink: Box<dyn FrameSink> = match via {
                Some(via) => Box::new(Faulty::new(via.open(to)?, faults)),
                None => Box::new(Faulty::new(UdpSink::open(to)?, faults)),
            };
            Ok(sink)
        }))
    }
}
