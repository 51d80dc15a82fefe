//! Loading with aya. Its own attach is not used: see [`crate::sys`].

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use aya::maps::Map;
use aya::programs::{ProgramError, Xdp};
use aya::{Ebpf, EbpfLoader};

use super::{Loaded, ROWS};
use crate::error::XdpError;
use crate::object::Variant;

/// As many as make a signal at each of them unlikely; libbpf has 5.
const LOAD_ATTEMPTS: u32 = 16;

pub(super) fn load(object: &[u8], variant: Variant, cpus: u32) -> Result<Loaded, XdpError> {
    let name = variant.name();
    let mut loader = EbpfLoader::new();
    for (map, slots) in ROWS {
        loader.map_max_entries(map, cpus * slots);
    }
    let mut bpf = loader.load(object).map_err(|e| XdpError::load("creating the BPF maps", &e))?;
    let program = program(&mut bpf, name)?;
    Loaded::collect(program, cpus, |map| match bpf.map(map) {
        Some(Map::XskMap(data) | Map::Array(data)) => duplicate(data.fd().as_fd()),
        _ => Err(XdpError::object(format!("map {map}"))),
    })
}

fn program(bpf: &mut Ebpf, name: &str) -> Result<OwnedFd, XdpError> {
    let xdp: &mut Xdp = bpf
        .program_mut(name)
        .and_then(|program| program.try_into().ok())
        .ok_or_else(|| XdpError::object(format!("program {name}")))?;
    let doing = || format!("loading XDP program {name}");
    // The verifier gives up with EAGAIN when a signal is pending; that is no verdict on the
    // program.
    for _ in 0..LOAD_ATTEMPTS {
        match xdp.load() {
            Err(ProgramError::LoadError { io_error, .. })
                if io_error.raw_os_error() == Some(libc::EAGAIN) => {}
            other => {
                other.map_err(|e| XdpError::load(doing(), &e))?;
                break;
            }
        }
    }
    duplicate(xdp.fd().map_err(|e| XdpError::load(doing(), &e))?.as_fd())
}

fn duplicate(fd: std::os::fd::BorrowedFd<'_>) -> Result<OwnedFd, XdpError> {
    fd.try_clone_to_owned().map_err(|e: io::Error| XdpError::io("duplicating a descriptor", e))
}
