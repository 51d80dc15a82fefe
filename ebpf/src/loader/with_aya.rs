//! Loading with aya. Its own attach is not used: see [`crate::sys`].

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use aya::maps::Map;
use aya::programs::Xdp;
use aya::{Ebpf, EbpfLoader};

use super::Loaded;
use crate::error::XdpError;
use crate::object::Variant;

pub(super) fn load(object: &[u8], variant: Variant) -> Result<Loaded, XdpError> {
    let name = variant.name();
    let mut bpf =
        EbpfLoader::new().load(object).map_err(|e| XdpError::load("creating the BPF maps", &e))?;
    let program = program(&mut bpf, name)?;
    Loaded::collect(program, |map| match bpf.map(map) {
        Some(Map::XskMap(data) | Map::Array(data) | Map::PerCpuArray(data)) => {
            duplicate(data.fd().as_fd())
        }
        _ => Err(XdpError::object(format!("map {map}"))),
    })
}

fn program(bpf: &mut Ebpf, name: &str) -> Result<OwnedFd, XdpError> {
    let xdp: &mut Xdp = bpf
        .program_mut(name)
        .and_then(|program| program.try_into().ok())
        .ok_or_else(|| XdpError::object(format!("program {name}")))?;
    let doing = || format!("loading XDP program {name}");
    xdp.load().map_err(|e| XdpError::load(doing(), &e))?;
    duplicate(xdp.fd().map_err(|e| XdpError::load(doing(), &e))?.as_fd())
}

fn duplicate(fd: std::os::fd::BorrowedFd<'_>) -> Result<OwnedFd, XdpError> {
    fd.try_clone_to_owned().map_err(|e: io::Error| XdpError::io("duplicating a descriptor", e))
}
