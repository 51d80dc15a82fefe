//! A port: a device, started, with its queues to be taken.

use std::collections::{BTreeMap, HashMap};
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use dpdk_sys as sys;

use super::eal;
use super::error::DpdkError;
use super::pool::{MbufPool, step_of};
use super::spec::DpdkSpec;

/// The ports of this process, by device: one that receives and one that sends may share one.
static PORTS: Mutex<Option<HashMap<String, Weak<Port>>>> = Mutex::new(None);

/// Bytes of a frame beyond the MTU: addresses, type, check sequence, two tags.
const HEADERS: u32 = 26;

/// Held while a device is attached, set up or detached: DPDK does not guard its lists.
static DEVICES: Mutex<()> = Mutex::new(());

/// A started port. Stopped and closed when its last user drops it.
#[derive(Debug)]
pub(crate) struct Port {
    spec: DpdkSpec,
    port: u16,
    grant: sys::PortGrant,
    read: AtomicBool,
    next_tx: AtomicU16,
    /// Packets that each receive queue's reader has taken.
    taken: Box<[AtomicU64]>,
    // After the port: it holds mbufs until it is closed.
    pool: MbufPool,
}

/// One receive queue; there is no other handle to it.
#[derive(Debug)]
pub(crate) struct RxQueue {
    port: Arc<Port>,
    queue: u16,
}

/// One transmit queue; there is no other handle to it.
#[derive(Debug)]
pub(crate) struct TxQueue {
    port: Arc<Port>,
    queue: u16,
}

impl Port {
    /// The port of `spec`, which is attached and started unless that has happened.
    ///
    /// # Errors
    /// What DPDK said; or that the device is in use with other settings.
    pub(crate) fn open(spec: &DpdkSpec) -> Result<Arc<Self>, DpdkError> {
        eal::start(spec)?;
        let mut ports = PORTS.lock().unwrap_or_else(PoisonError::into_inner);
        let ports = ports.get_or_insert_with(HashMap::new);
        if let Some(open) = ports.get(&spec.device).and_then(Weak::upgrade) {
            if open.spec == *spec {
                return Ok(open);
            }
            return Err(DpdkError::new(
                format!("{} is open with other settings", spec.device),
                "give it the same settings at each place",
            ));
        }
        let port = Arc::new(Self::start(spec)?);
        ports.insert(spec.device.clone(), Arc::downgrade(&port));
        Ok(port)
    }

    fn start(spec: &DpdkSpec) -> Result<Self, DpdkError> {
        let pool = MbufPool::new(spec)?;
        let port = probe(spec)?;
        let mut made = Self {
            spec: spec.clone(),
            port,
            grant: sys::PortGrant::default(),
            read: AtomicBool::new(false),
            next_tx: AtomicU16::new(0),
            taken: (0..spec.queues).map(|_| AtomicU64::new(0)).collect(),
            pool,
        };
        made.set_up()?;
        Ok(made)
    }

    fn set_up(&mut self) -> Result<(), DpdkError> {
        let spec = &self.spec;
        let wish = sys::PortWish {
            queues: spec.queues,
            rx_slots: spec.rx_slots,
            tx_slots: spec.tx_slots,
            mtu: spec.mtu.unwrap_or(0),
            promiscuous: u8::from(spec.promiscuous),
            vlan_strip: u8::from(spec.vlan_strip),
        };
        let view = self.pool.view();
        let (base, len) = (view.base().as_ptr().cast(), view.len());
        let _devices = DEVICES.lock().unwrap_or_else(PoisonError::into_inner);
        eal::listen();
        // SAFETY: the memory is registered; the port is ours.
        let rc = unsafe { sys::pfs_port_dma(self.port, base, len) };
        if rc < 0 {
            let doing = format!("letting {} reach its mbufs", spec.device);
            return Err(DpdkError::call(&doing, rc, &eal::said(), ""));
        }
        let mut step = std::ptr::null();
        // SAFETY: the port was just found and nobody else has it; the pool lives as long.
        let rc = unsafe {
            sys::pfs_port_start(
                self.port,
                &raw const wish,
                self.pool.raw(),
                &raw mut self.grant,
                &raw mut step,
            )
        };
        if rc != 0 {
            return Err(self.refused(&step_of(step), rc));
        }
        self.fits()
    }

    /// Whether the largest frame fits an mbuf, or the device spreads it over several. Devices of
    /// software do as they like with long frames, and say neither.
    fn fits(&self) -> Result<(), DpdkError> {
        let (spec, grant) = (&self.spec, &self.grant);
        let longest = u32::from(grant.mtu) + HEADERS;
        if !spec.is_pci() || grant.scatter != 0 || longest <= u32::from(spec.frame_bytes) {
            return Ok(());
        }
        Err(DpdkError::new(
            format!(
                "{} has an MTU of {}, an mbuf holds {} bytes of a frame, and its driver {} does not spread one over several",
                spec.device,
                grant.mtu,
                spec.frame_bytes,
                self.driver()
            ),
            format!("frame_bytes={longest}, or a smaller mtu"),
        ))
    }

    fn refused(&self, step: &str, rc: c_int) -> DpdkError {
        let (spec, grant) = (&self.spec, &self.grant);
        if step == "queues" {
            return DpdkError::new(
                format!(
                    "{} cannot have {} receive queues: its driver {} has {} at most",
                    spec.device,
                    spec.queues,
                    self.driver(),
                    grant.max_queues
                ),
                format!("queues={}", grant.max_queues),
            );
        }
        let fix = match spec.mtu {
            Some(mtu) if mtu > grant.max_mtu && grant.max_mtu > 0 => {
                format!("mtu={} is its largest", grant.max_mtu)
            }
            _ => String::new(),
        };
        DpdkError::call(&format!("{}: {step}", spec.device), rc, &eal::said(), fix)
    }

    /// All receive queues, to one taker.
    ///
    /// # Errors
    /// When they are taken.
    pub(crate) fn rx_queues(self: &Arc<Self>) -> Result<Vec<RxQueue>, DpdkError> {
        if self.read.swap(true, Relaxed) {
            let what = format!("{} is read by another source already", self.spec.device);
            return Err(DpdkError::new(what, "name each device once, with more queues"));
        }
        let queue = |queue| RxQueue { port: Arc::clone(self), queue };
        Ok((0..self.spec.queues).map(queue).collect())
    }

    /// A transmit queue that nobody has.
    ///
    /// # Errors
    /// When all are taken.
    pub(crate) fn tx_queue(self: &Arc<Self>) -> Result<TxQueue, DpdkError> {
        let queue = self.next_tx.fetch_add(1, Relaxed);
        if queue < self.grant.tx_queues {
            return Ok(TxQueue { port: Arc::clone(self), queue });
        }
        self.next_tx.fetch_sub(1, Relaxed);
        let what = format!(
            "all {} transmit queues of {} are in use",
            self.grant.tx_queues, self.spec.device
        );
        Err(DpdkError::new(what, "ask for more queues"))
    }

    /// The settings that it was opened with.
    pub(crate) const fn spec(&self) -> &DpdkSpec {
        &self.spec
    }

    /// What it was given.
    pub(crate) const fn grant(&self) -> &sys::PortGrant {
        &self.grant
    }

    /// Its mbufs.
    pub(crate) const fn pool(&self) -> &MbufPool {
        &self.pool
    }

    /// Its driver's name.
    pub(crate) fn driver(&self) -> String {
        let name = &self.grant.driver;
        let end = name.iter().position(|&byte| byte == 0).unwrap_or(name.len());
        String::from_utf8_lossy(&name[..end]).into_owned()
    }

    /// Its totals as the driver counts them; zeros where it does not tell.
    pub(crate) fn stats(&self) -> sys::PortStats {
        let mut stats = sys::PortStats::default();
        // SAFETY: the port is open as long as `self`; the totals are ours.
        unsafe { sys::pfs_port_stats(self.port, &raw mut stats) };
        stats
    }

    /// The driver's own totals by name, those that are not 0.
    pub(crate) fn xstats(&self) -> BTreeMap<String, u64> {
        let mut found: BTreeMap<String, u64> = BTreeMap::new();
        // SAFETY: the port is open; `add` is given the map that it is to add to.
        unsafe { sys::pfs_port_xstats(self.port, add, (&raw mut found).cast()) };
        found
    }

    /// Its speed in Mbit/s, 0 where it has none, and whether the link is up.
    pub(crate) fn link(&self) -> (u32, bool) {
        let (mut mbps, mut up) = (0, 0);
        // SAFETY: the port is open.
        let rc = unsafe { sys::pfs_port_link(self.port, &raw mut mbps, &raw mut up) };
        if rc < 0 || mbps == u32::MAX { (0, up != 0) } else { (mbps, up != 0) }
    }
}

extern "C" fn add(found: *mut c_void, name: *const c_char, value: u64) {
    if value == 0 {
        return;
    }
    // SAFETY: `xstats` passes its map, which nobody else uses meanwhile; the name is a string
    // ended by 0, as DPDK's are.
    unsafe {
        let name = CStr::from_ptr(name).to_string_lossy().into_owned();
        (*found.cast::<BTreeMap<String, u64>>()).insert(name, value);
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        let view = self.pool.view();
        let (base, len) = (view.base().as_ptr().cast(), view.len());
        let _devices = DEVICES.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: nobody has a queue any more: each holds the port.
        unsafe { sys::pfs_port_close(self.port, base, len) };
    }
}

fn probe(spec: &DpdkSpec) -> Result<u16, DpdkError> {
    let text = |text: String| {
        CString::new(text).map_err(|_| DpdkError::new("a device's name holds a NUL byte", ""))
    };
    let (devargs, name) = (text(spec.devargs())?, text(spec.device.clone())?);
    let mut port = 0;
    let devices = DEVICES.lock().unwrap_or_else(PoisonError::into_inner);
    eal::listen();
    // SAFETY: EAL runs; both are strings ended by 0.
    let rc = unsafe { sys::pfs_port_probe(devargs.as_ptr(), name.as_ptr(), &raw mut port) };
    let said = eal::said();
    drop(devices);
    if rc == 0 {
        return Ok(port);
    }
    let fix = if spec.is_pci() {
        format!(
            "see to which driver it is bound: pfs doctor; dpdk-devbind.py -b vfio-pci {}",
            spec.device
        )
    } else {
        "virtual devices are net_null0, net_ring0, net_pcap0, net_af_packet0, net_af_xdp0, net_tap0, net_memif0, each with its args".to_owned()
    };
    Err(DpdkError::call(&format!("attaching {}", spec.devargs()), rc, &said, fix))
}

impl RxQueue {
    pub(crate) fn port(&self) -> &Port {
        &self.port
    }

    pub(crate) const fn index(&self) -> u16 {
        self.queue
    }

    /// Takes packets; gives their number. Each is the caller's, to be freed.
    #[inline]
    pub(crate) fn burst(&mut self, mbufs: &mut [*mut sys::Mbuf]) -> usize {
        let want = mbufs.len().min(usize::from(sys::BURST)) as u16;
        // SAFETY: the port is started, the queue this one's alone, and `want` pointers fit.
        let got =
            unsafe { sys::pfs_rx_burst(self.port.port, self.queue, mbufs.as_mut_ptr(), want) };
        usize::from(got)
    }

    /// Frees segments, each by itself.
    ///
    /// # Safety
    /// They were received here, and nobody uses them.
    #[inline]
    pub(crate) unsafe fn free(&mut self, mbufs: &mut [*mut sys::Mbuf]) {
        let (pool, count) = (self.port.pool.raw(), mbufs.len() as u16);
        debug_assert!(mbufs.len() <= usize::from(u16::MAX));
        // SAFETY: by the caller.
        unsafe { sys::pfs_mbuf_free(pool, mbufs.as_mut_ptr(), count) };
    }

    /// Frees mbufs that are as their pool had them.
    ///
    /// # Safety
    /// They were received here and are plain mbufs of the port's pool ([`sys::Mbuf::oddity`]),
    /// and nobody uses them.
    #[inline]
    pub(crate) unsafe fn put(&mut self, mbufs: &mut [*mut sys::Mbuf]) {
        debug_assert!(mbufs.len() <= usize::from(u16::MAX));
        // SAFETY: by the caller.
        unsafe { sys::pfs_mbuf_put(self.port.pool.raw(), mbufs.as_mut_ptr(), mbufs.len() as u16) };
    }

    /// Publishes how many packets were taken from this queue, and gives how many were from the
    /// others.
    pub(crate) fn taken(&self, here: u64) -> u64 {
        let taken = &self.port.taken;
        taken[usize::from(self.queue)].store(here, Relaxed);
        taken.iter().map(|taken| taken.load(Relaxed)).sum::<u64>() - here
    }
}

impl TxQueue {
    pub(crate) fn port(&self) -> &Port {
        &self.port
    }

    /// Copies frames into mbufs and sends them; gives how many were taken.
    pub(crate) fn burst(&mut self, frames: &[sys::Frame]) -> usize {
        let count = frames.len().min(usize::from(sys::BURST)) as u16;
        let pool = self.port.pool.raw();
        // SAFETY: the port is started, the queue this one's alone; the frames are readable.
        let taken =
            unsafe { sys::pfs_tx_burst(self.port.port, self.queue, pool, frames.as_ptr(), count) };
        usize::from(taken)
    }
}
