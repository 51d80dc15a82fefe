//! Bindings to the installed libdpdk, through a shim that `build.rs` compiles against its headers.
//!
//! Most of DPDK's fast path is inline functions of C headers, which have no symbols to bind to;
//! and its structures change between releases. So the shim (`shim/`) has a plain function for each
//! thing that the dataplane does, and structures of its own. Of DPDK's own structures only the
//! mbuf is read from Rust, by places that the shim asserts when it is compiled.
//!
//! Without the feature `libdpdk` this crate is empty.
#![cfg(feature = "libdpdk")]

mod mbuf;

use std::ffi::{c_char, c_int, c_void};

pub use mbuf::{MBUF_ALIGN, Mbuf};

/// A pool of mbufs: `struct rte_mempool`.
#[derive(Debug)]
#[repr(C)]
pub struct Mempool {
    _opaque: [u8; 0],
}

/// Takes a piece of a log line: level (`RTE_LOG_EMERG` 1 to `RTE_LOG_DEBUG` 8), bytes, their
/// number.
pub type LogSink = extern "C" fn(level: u32, text: *const c_char, len: usize);

/// What a port is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct PortWish {
    /// Receive queues, and as many transmit queues where there are so many.
    pub queues: u16,
    /// Descriptors of each receive queue.
    pub rx_slots: u16,
    /// Descriptors of each transmit queue.
    pub tx_slots: u16,
    /// Largest frame without its Ethernet header; 0: as it is.
    pub mtu: u16,
    /// Whether to take frames for other addresses.
    pub promiscuous: u8,
    /// Whether the device takes VLAN tags out.
    pub vlan_strip: u8,
}

/// What a port was given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct PortGrant {
    /// Driver's name, ended by 0.
    pub driver: [u8; 32],
    /// Receive queues that the device can have; set on failure too, 0 where it is not known.
    pub max_queues: u16,
    /// Largest MTU that it can have.
    pub max_mtu: u16,
    /// Transmit queues.
    pub tx_queues: u16,
    /// Descriptors of each receive queue.
    pub rx_slots: u16,
    /// Descriptors of each transmit queue.
    pub tx_slots: u16,
    /// Largest frame without its Ethernet header.
    pub mtu: u16,
    /// NUMA node; negative where it has none.
    pub numa_node: i16,
    /// Whether it takes frames for other addresses.
    pub promiscuous: u8,
    /// Whether it takes VLAN tags out.
    pub vlan_strip: u8,
    /// Whether it spreads flows over its queues by a hash.
    pub rss: u8,
    /// Whether it spreads a frame that is longer than an mbuf over several.
    pub scatter: u8,
    /// Hardware address.
    pub mac: [u8; 6],
}

/// Totals of a port, as its driver counts them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct PortStats {
    /// Packets received.
    pub ipackets: u64,
    /// Packets sent.
    pub opackets: u64,
    /// Packets that the device dropped because its queue was full.
    pub imissed: u64,
    /// Packets that came broken.
    pub ierrors: u64,
    /// Packets that could not be sent.
    pub oerrors: u64,
    /// Times that no mbuf was free.
    pub rx_nombuf: u64,
}

/// Bytes to be sent.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Frame {
    /// The first of them.
    pub data: *const c_void,
    /// Their number.
    pub len: usize,
}

/// Most mbufs or frames in one call of a burst.
pub const BURST: u16 = 64;

// The signatures are those of shim/shim.h, which the shim's own sources include.
unsafe extern "C" {
    /// Starts EAL; once in a process. The calling thread's cores stay as they are.
    pub fn pfs_eal_init(argc: c_int, argv: *mut *mut c_char, sink: LogSink) -> c_int;
    /// Ends EAL. Nothing of it may be used afterwards.
    pub fn pfs_eal_cleanup() -> c_int;
    /// The release of the library that was loaded: `DPDK 22.11.11`.
    pub safe fn pfs_eal_version() -> *const c_char;
    /// The release of the headers that the shim was compiled with: `DPDK 22.11`.
    pub safe fn pfs_compiled_version() -> *const c_char;
    /// Whether devices get virtual addresses. EAL must run.
    pub fn pfs_eal_iova_is_va() -> c_int;
    /// Whether EAL's memory is in huge pages. EAL must run.
    pub fn pfs_eal_has_hugepages() -> c_int;
    /// Gives the calling thread a number, and so a cache of free mbufs. EAL must run.
    pub fn pfs_thread_register() -> c_int;
    /// Takes the calling thread's number back.
    pub fn pfs_thread_unregister();
    /// What an error number of DPDK means; negative or not.
    pub safe fn pfs_strerror(code: c_int) -> *const c_char;

    /// Tells EAL of memory that it did not make.
    pub fn pfs_extmem_register(base: *mut c_void, len: usize, page: usize) -> c_int;
    /// Takes that back.
    pub fn pfs_extmem_unregister(base: *mut c_void, len: usize) -> c_int;
    /// Bytes that a pool of `mbufs` takes; 0 where an mbuf does not fit a page.
    pub safe fn pfs_pool_bytes(mbufs: u32, room: u16, page: usize, any_iova: c_int) -> usize;
    /// Makes a pool whose mbufs lie in registered memory. `room` counts the headroom.
    pub fn pfs_pool_create(
        name: *const c_char,
        mbufs: u32,
        cache: u32,
        room: u16,
        base: *mut c_void,
        len: usize,
        page: usize,
        any_iova: c_int,
        pool: *mut *mut Mempool,
        step: *mut *const c_char,
    ) -> c_int;
    /// Frees a pool; no device may use it.
    pub fn pfs_pool_free(pool: *mut Mempool);
    /// Free mbufs, those in caches included.
    pub fn pfs_pool_available(pool: *const Mempool) -> u32;
    /// Frees `count` segments one by one; their links are cut first.
    pub fn pfs_mbuf_free(pool: *mut Mempool, mbufs: *mut *mut Mbuf, count: u16);
    /// Frees mbufs of `pool` that are plain ([`Mbuf::oddity`]), without a look at them.
    pub fn pfs_mbuf_put(pool: *mut Mempool, mbufs: *mut *mut Mbuf, count: u16);
    /// Frees a whole chain.
    pub fn pfs_mbuf_free_chain(mbuf: *mut Mbuf);
    /// A copy of a chain in mbufs of `pool`; null where it has too few.
    pub fn pfs_mbuf_copy(mbuf: *mut Mbuf, pool: *mut Mempool) -> *mut Mbuf;

    /// Finds the port of a device, which is attached where it is not yet.
    pub fn pfs_port_probe(devargs: *const c_char, name: *const c_char, port: *mut u16) -> c_int;
    /// Lets a device reach registered memory.
    pub fn pfs_port_dma(port: u16, base: *mut c_void, len: usize) -> c_int;
    /// Configures a port and starts it. `step` says where it failed.
    pub fn pfs_port_start(
        port: u16,
        wish: *const PortWish,
        pool: *mut Mempool,
        grant: *mut PortGrant,
        step: *mut *const c_char,
    ) -> c_int;
    /// Stops a port, takes the memory back from its device and detaches that; it can be attached
    /// again.
    pub fn pfs_port_close(port: u16, base: *mut c_void, len: usize) -> c_int;
    /// Reads a port's totals.
    pub fn pfs_port_stats(port: u16, stats: *mut PortStats) -> c_int;
    /// Gives `each` a driver's own totals, up to 512 of them.
    pub fn pfs_port_xstats(
        port: u16,
        each: extern "C" fn(arg: *mut c_void, name: *const c_char, value: u64),
        arg: *mut c_void,
    ) -> c_int;
    /// Reads a link's speed in Mbit/s and whether it is up.
    pub fn pfs_port_link(port: u16, mbps: *mut u32, up: *mut c_int) -> c_int;
    /// Takes up to `count` chains from a queue.
    pub fn pfs_rx_burst(port: u16, queue: u16, mbufs: *mut *mut Mbuf, count: u16) -> u16;
    /// Copies up to [`BURST`] frames into mbufs and sends them; how many were taken.
    pub fn pfs_tx_burst(
        port: u16,
        queue: u16,
        pool: *mut Mempool,
        frames: *const Frame,
        count: u16,
    ) -> u16;
}
