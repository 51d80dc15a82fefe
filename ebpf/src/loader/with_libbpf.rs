//! Loading with libbpf. Its attach cannot choose the mode through a link, and by netlink it
//! outlives the process: so attaching is this crate's own.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use libbpf_rs::{MapCore as _, ObjectBuilder};

use super::{Loaded, ROWS};
use crate::error::XdpError;
use crate::object::Variant;

pub(super) fn load(object: &[u8], variant: Variant, cpus: u32) -> Result<Loaded, XdpError> {
    let name = variant.name();
    let fail = |e: libbpf_rs::Error| XdpError::load(format!("loading XDP program {name}"), &e);
    let mut open = ObjectBuilder::default().open_memory(object).map_err(fail)?;
    for mut program in open.progs_mut() {
        let wanted = program.name() == name;
        program.set_autoload(wanted);
    }
    for mut map in open.maps_mut() {
        if let Some((_, slots)) = ROWS.iter().find(|(name, _)| map.name() == *name) {
            map.set_max_entries(cpus * slots).map_err(fail)?;
        }
    }
    let object = open.load().map_err(fail)?;
    let program = object
        .progs()
        .find(|program| program.name() == name)
        .ok_or_else(|| XdpError::object(format!("program {name}")))?;
    Loaded::collect(duplicate(program.as_fd())?, cpus, |map| {
        let found = object.maps().find(|m| m.name() == map);
        duplicate(found.ok_or_else(|| XdpError::object(format!("map {map}")))?.as_fd())
    })
}

fn duplicate(fd: BorrowedFd<'_>) -> Result<OwnedFd, XdpError> {
    fd.try_clone_to_owned().map_err(|e| XdpError::io("duplicating a descriptor", e))
}
