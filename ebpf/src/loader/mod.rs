//! From the object's bytes to a loaded program and its maps, by either loader.

mod with_aya;
#[cfg(feature = "libbpf")]
mod with_libbpf;

use std::os::fd::{AsFd, OwnedFd};

use crate::abi::{COUNT_WORDS, MAX_QUEUES, RULE_SLOTS, RawTable};
use crate::error::XdpError;
use crate::mapped::Mapped;
use crate::object::Variant;
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

/// A loaded program and its maps: descriptors, and memory of those that are read and written while
/// frames come.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) program: OwnedFd,
    pub(crate) sockets: OwnedFd,
    pub(crate) tables: OwnedFd,
    pub(crate) active: OwnedFd,
    /// A word for each queue.
    pub(crate) open: Mapped,
    /// [`RawCounts`](crate::abi::RawCounts): for each CPU a row of queues.
    pub(crate) queue_count: Mapped,
    /// [`RawCounts`](crate::abi::RawCounts): for each CPU a row of rules' slots.
    pub(crate) rule_count: Mapped,
}

/// The maps that have a row for each CPU, and slots of a row.
const ROWS: [(&str, u32); 2] = [("pfs_queue_count", MAX_QUEUES), ("pfs_rule_count", RULE_SLOTS)];

/// Loads the program, with counters for `cpus` CPUs.
pub(crate) fn load(
    loader: Loader,
    object: &[u8],
    variant: Variant,
    cpus: u32,
) -> Result<Loaded, XdpError> {
    crate::host::lift_memlock();
    match loader {
        Loader::Aya => with_aya::load(object, variant, cpus),
        #[cfg(feature = "libbpf")]
        Loader::Libbpf => with_libbpf::load(object, variant, cpus),
    }
}

impl Loaded {
    /// Collects the maps, `map` giving each one's descriptor by name, and checks their shapes: what
    /// is read from and written to them relies on it.
    fn collect(
        program: OwnedFd,
        cpus: u32,
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
        let sockets = checked("pfs_sockets", XSKMAP, 4, MAX_QUEUES)?;
        let tables = checked("pfs_tables", ARRAY, size_of::<RawTable>(), 2)?;
        let active = checked("pfs_active", ARRAY, 4, 1)?;
        let mut mapped = |name: &str, words: usize, entries: u32| {
            let fd = checked(name, ARRAY, words * size_of::<u64>(), entries)?;
            Mapped::new(fd.as_fd(), words * entries as usize)
                .map_err(|e| XdpError::io(format!("mapping {name} into memory"), e))
        };
        let open = mapped("pfs_open", 1, MAX_QUEUES)?;
        let [queue_count, rule_count] =
            ROWS.map(|(name, slots)| mapped(name, COUNT_WORDS, cpus * slots));
        let (queue_count, rule_count) = (queue_count?, rule_count?);
        Ok(Self { program, sockets, tables, active, open, queue_count, rule_count })
    }
}
