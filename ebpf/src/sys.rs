//! The bpf(2) commands that the loaders do not offer, or offer with a fallback that is unwanted
//! here: aya's attach falls back to netlink, which outlives the process and may replace a
//! program.
//!
//! Command and structure layouts: `linux/bpf.h`.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use bytemuck::{Pod, Zeroable};

const MAP_UPDATE_ELEM: libc::c_int = 2;
const MAP_DELETE_ELEM: libc::c_int = 3;
const PROG_TEST_RUN: libc::c_int = 10;
const PROG_GET_FD_BY_ID: libc::c_int = 13;
const OBJ_GET_INFO_BY_FD: libc::c_int = 15;
const LINK_CREATE: libc::c_int = 28;
const LINK_GET_FD_BY_ID: libc::c_int = 30;
const LINK_GET_NEXT_ID: libc::c_int = 31;
const LINK_DETACH: libc::c_int = 34;

const ATTACH_TYPE_XDP: u32 = 37;
const LINK_TYPE_XDP: u32 = 6;

/// Attach through the stack (`XDP_FLAGS_SKB_MODE`).
pub(crate) const FLAG_GENERIC: u32 = 1 << 1;
/// Attach in the driver (`XDP_FLAGS_DRV_MODE`).
pub(crate) const FLAG_NATIVE: u32 = 1 << 2;

#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct MapElem {
    map: u32,
    pad: u32,
    key: u64,
    value: u64,
    flags: u64,
}

#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct TestRun {
    prog: u32,
    retval: u32,
    data_size_in: u32,
    data_size_out: u32,
    data_in: u64,
    data_out: u64,
    repeat: u32,
    duration: u32,
    ctx_size_in: u32,
    ctx_size_out: u32,
    ctx_in: u64,
    ctx_out: u64,
}

/// The first fields of `struct bpf_prog_info`; the kernel fills as much as is asked for.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub(crate) struct ProgInfo {
    kind: u32,
    pub(crate) id: u32,
    pub(crate) tag: [u8; 8],
    jited_len: u32,
    xlated_len: u32,
    jited: u64,
    xlated: u64,
    load_time: u64,
    uid: u32,
    nr_map_ids: u32,
    map_ids: u64,
    name: [u8; 16],
}

impl ProgInfo {
    /// The program's name, at most 15 bytes of what it was given.
    pub(crate) fn name(&self) -> String {
        CStr::from_bytes_until_nul(&self.name)
            .map_or_else(|_| String::new(), |c| c.to_string_lossy().into_owned())
    }
}

/// `struct bpf_link_info` of an XDP link.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub(crate) struct LinkInfo {
    kind: u32,
    pub(crate) id: u32,
    pub(crate) program: u32,
    pad: u32,
    pub(crate) ifindex: u32,
    pad2: u32,
}

/// The first fields of `struct bpf_map_info`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub(crate) struct MapInfo {
    pub(crate) kind: u32,
    pub(crate) id: u32,
    pub(crate) key_bytes: u32,
    pub(crate) value_bytes: u32,
    pub(crate) entries: u32,
}

/// Calls bpf(2).
///
/// # Safety
/// Every pointer in `attr` must be good for what `command` reads and writes through it.
unsafe fn bpf<T: Pod>(command: libc::c_int, attr: &mut T) -> io::Result<libc::c_long> {
    // SAFETY: `attr` is a live, plain structure of the size given; the pointers in it are good
    // by this function's contract.
    let rc = unsafe { libc::syscall(libc::SYS_bpf, command, &raw mut *attr, size_of::<T>()) };
    if rc < 0 { Err(io::Error::last_os_error()) } else { Ok(rc) }
}

/// Calls a bpf(2) command that returns a descriptor.
///
/// # Safety
/// As [`bpf`], and the command must return a descriptor.
unsafe fn bpf_fd<T: Pod>(command: libc::c_int, attr: &mut T) -> io::Result<OwnedFd> {
    // SAFETY: passed on from the caller.
    let fd = unsafe { bpf(command, attr) }?;
    let fd = libc::c_int::try_from(fd).map_err(io::Error::other)?;
    // SAFETY: the command returned a new descriptor that nobody else has.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn raw(fd: BorrowedFd<'_>) -> u32 {
    // A borrowed descriptor is never negative.
    fd.as_raw_fd().unsigned_abs()
}

/// Writes `value` under `key`. The slice must be as long as the map's value: the caller knows its map.
///
/// # Safety
/// `value` must be at least as long as what the kernel reads for this map.
pub(crate) unsafe fn map_update(map: BorrowedFd<'_>, key: u32, value: &[u8]) -> io::Result<()> {
    let (key, value) = (&raw const key as u64, value.as_ptr() as u64);
    let mut attr = MapElem { map: raw(map), pad: 0, key, value, flags: 0 };
    // SAFETY: all maps here have u32 keys; `value` is long enough by this function's contract.
    unsafe { bpf(MAP_UPDATE_ELEM, &mut attr) }.map(drop)
}

/// Removes `key`.
pub(crate) fn map_delete(map: BorrowedFd<'_>, key: u32) -> io::Result<()> {
    let mut attr =
        MapElem { map: raw(map), pad: 0, key: &raw const key as u64, value: 0, flags: 0 };
    // SAFETY: all maps here have u32 keys, and this one lives until the call returns.
    unsafe { bpf(MAP_DELETE_ELEM, &mut attr) }.map(drop)
}

/// Runs a program once on `frame`, and returns its code. The kernel refuses fewer than 14 bytes.
pub(crate) fn test_run(prog: BorrowedFd<'_>, frame: &[u8]) -> io::Result<u32> {
    let mut attr = TestRun::zeroed();
    attr.prog = raw(prog);
    attr.data_size_in = u32::try_from(frame.len()).map_err(io::Error::other)?;
    attr.data_in = frame.as_ptr() as u64;
    attr.repeat = 1;
    // SAFETY: the kernel reads `data_size_in` bytes of the live slice; no output is asked for.
    unsafe { bpf(PROG_TEST_RUN, &mut attr) }?;
    Ok(attr.retval)
}

/// Attaches a program to an interface by a link that ends with its last descriptor. Fails with
/// EBUSY or EEXIST where a program is attached already: it is never replaced.
pub(crate) fn link_create(prog: BorrowedFd<'_>, ifindex: u32, flags: u32) -> io::Result<OwnedFd> {
    let mut attr = [raw(prog), ifindex, ATTACH_TYPE_XDP, flags];
    // SAFETY: no pointers are passed, and the command returns a descriptor.
    unsafe { bpf_fd(LINK_CREATE, &mut attr) }
}

/// Takes a link's program off its interface, whoever else holds the link.
pub(crate) fn link_detach(link: BorrowedFd<'_>) -> io::Result<()> {
    let mut attr = [raw(link)];
    // SAFETY: no pointers are passed.
    unsafe { bpf(LINK_DETACH, &mut attr) }.map(drop)
}

/// A program by its id.
pub(crate) fn program_by_id(id: u32) -> io::Result<OwnedFd> {
    let mut attr = [id, 0, 0];
    // SAFETY: no pointers are passed, and the command returns a descriptor.
    unsafe { bpf_fd(PROG_GET_FD_BY_ID, &mut attr) }
}

fn info<T: Pod>(fd: BorrowedFd<'_>) -> io::Result<T> {
    #[repr(C)]
    #[derive(Clone, Copy, Pod, Zeroable)]
    struct Attr {
        fd: u32,
        len: u32,
        info: u64,
    }
    let mut info = T::zeroed();
    let len = size_of::<T>() as u32;
    let mut attr = Attr { fd: raw(fd), len, info: &raw mut info as u64 };
    // SAFETY: the kernel writes at most `len` bytes to `info`, any of which are valid for a Pod.
    unsafe { bpf(OBJ_GET_INFO_BY_FD, &mut attr) }?;
    Ok(info)
}

/// What the kernel says of a program.
pub(crate) fn program_info(prog: BorrowedFd<'_>) -> io::Result<ProgInfo> {
    info(prog)
}

/// What the kernel says of a map.
pub(crate) fn map_info(map: BorrowedFd<'_>) -> io::Result<MapInfo> {
    info(map)
}

/// The XDP link that holds program `program` on interface `ifindex`, if one does. Needs
/// CAP_SYS_ADMIN, as every walk over ids does.
pub(crate) fn find_link(program: u32, ifindex: u32) -> io::Result<Option<(u32, OwnedFd)>> {
    let mut id = 0;
    loop {
        let mut attr = [id, 0, 0];
        // SAFETY: no pointers are passed.
        match unsafe { bpf(LINK_GET_NEXT_ID, &mut attr) } {
            Err(e) if e.raw_os_error() == Some(libc::ENOENT) => return Ok(None),
            other => other?,
        };
        id = attr[1];
        let mut attr = [id, 0, 0];
        // SAFETY: no pointers are passed, and the command returns a descriptor.
        let link = match unsafe { bpf_fd(LINK_GET_FD_BY_ID, &mut attr) } {
            // Gone since.
            Err(e) if e.raw_os_error() == Some(libc::ENOENT) => continue,
            other => other?,
        };
        let info: LinkInfo = info(std::os::fd::AsFd::as_fd(&link))?;
        if info.kind == LINK_TYPE_XDP && info.program == program && info.ifindex == ifindex {
            return Ok(Some((id, link)));
        }
    }
}

/// Returns once every program run that had begun has ended.
pub(crate) fn wait_for_running_programs() {
    const CMD_GLOBAL: libc::c_int = 1;
    // SAFETY: the call takes no pointers. It waits for a grace period of RCU, which programs
    // run under. Where it is refused (nohz_full) a pause far longer than a run does the same.
    if unsafe { libc::syscall(libc::SYS_membarrier, CMD_GLOBAL, 0, 0) } != 0 {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}
