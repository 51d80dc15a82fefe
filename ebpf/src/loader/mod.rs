//! From the object's bytes to a loaded program and its maps, by either loader.

mod with_aya;
#[cfg(feature = "libbpf")]
mod with_libbpf;

use std::os::fd::{AsFd, OwnedFd};

use crate::abi::{MAX_QUEUES, RawCounts, RawTable};
use crate::error::XdpError;
use crate::object::Variant;
use crate::rules::MAX_RULES;
use crate::sys::{self, MapInfo};

/// Which library reads the object and loads it. Both lead to the same program and maps;
/// attaching is the same for both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Loader {
    /// The aya crate: needs nothing of the host.
    #[default]
    Aya,
    /// libbpf through libbpf-rs.
    #[cfg(feature = "libbpf")]
    Libbpf,
}

/// Descriptors of a loaded program and its maps.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) program: OwnedFd,
    pub(crate) sockets: OwnedFd,
    pub(crate) tables: OwnedFd,
    pub(crate) active: OwnedFd,
    pub(crate) queue_count: OwnedFd,
    pub(crate) rule_count: OwnedFd,
}

pub(crate) fn load(loader: Loader, object: &[u8], variant: Variant) -> Result<Loaded, XdpError> {
    crate::host::lift_memlock();
    match loader {
        Loader::Aya => with_aya::load(object, variant),
        #[cfg(feature = "libbpf")]
        Loader::Libbpf => with_libbpf::load(object, variant),
    }
}

impl Loaded {
    /// Collects the descriptors, `map` giving each map's by name, and checks their shapes: what
    /// is read from and written to them relies on it.
    fn collect(
        program: OwnedFd,
        mut map: impl FnMut(&str) -> Result<OwnedFd, XdpError>,
    ) -> Result<Self, XdpError> {
        let mut checked = |name: &str, kind: u32, value_bytes: usize, entries: u32| {
            let fd = map(name)?;
            let doing = || format!("asking the kernel about map {name}");
            let info = sys::map_info(fd.as_fd()).map_err(|e| XdpError::io(doing(), e))?;
            let value_bytes = value_bytes as u32;
            let want = MapInfo { kind, id: info.id, key_bytes: 4, value_bytes, entries };
            if info == want {
                Ok(fd)
            } else {
                Err(XdpError::object(format!("map {want:?} {name}")))
            }
        };
        const XSKMAP: u32 = 17;
        const ARRAY: u32 = 2;
        const PERCPU_ARRAY: u32 = 6;
        let counts = size_of::<RawCounts>();
        Ok(Self {
            sockets: checked("pfs_sockets", XSKMAP, 4, MAX_QUEUES)?,
            tables: checked("pfs_tables", ARRAY, size_of::<RawTable>(), 2)?,
            active: checked("pfs_active", ARRAY, 4, 1)?,
            queue_count: checked("pfs_queue_count", PERCPU_ARRAY, counts, MAX_QUEUES)?,
            rule_count: checked("pfs_rule_count", PERCPU_ARRAY, counts, 2 * MAX_RULES as u32)?,
            program,
        })
    }
}
