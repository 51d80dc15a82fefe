//! All lanes of a run, in one region of the largest pages that the host grants.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use pfs_rings::lane::{LaneReceiver, LaneWorker, MappedLane};
use pfs_rings::{PageWish, Region, RegionGranted, RegionRequest};

use super::RunError;

/// Bytes of the huge page that every architecture here has.
const HUGE_PAGE: u64 = 2 << 20;

/// What memory a run asks for.
#[derive(Clone, Copy, Debug, Default)]
pub struct LaneMemory {
    /// Largest pages to try for.
    pub pages: PageWish,
    /// Whether to lock it.
    pub lock: bool,
}

/// Most spans that one lane's forward ring was found to hold. Both ends raise it, when they publish
/// their counters: the worker with what it saw, the receiver with what it counts then.
#[derive(Debug, Default)]
pub(super) struct HighWater(AtomicU64);

impl HighWater {
    pub(super) fn raise(&self, spans: usize) {
        self.0.fetch_max(spans as u64, Relaxed);
    }

    pub(super) fn read(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// An end of a lane with the lane's mark.
#[derive(Debug)]
pub(super) struct Marked<T> {
    pub(super) end: T,
    pub(super) high_water: Arc<HighWater>,
}

/// Lanes by receiver, then by worker; both ends are taken by the threads that they are for.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    /// For each receiver, its end of the lane to each worker.
    pub(super) receivers: Vec<Vec<Marked<LaneReceiver>>>,
    /// For each worker, its end of the lane from each receiver.
    pub(super) workers: Vec<Vec<Marked<LaneWorker>>>,
    /// What the host gave for them; `None` where there is no lane.
    pub(super) granted: Option<RegionGranted>,
}

impl Lanes {
    /// No lane for any of so many receivers.
    pub(super) fn none(receivers: usize) -> Self {
        let receivers = (0..receivers).map(|_| Vec::new()).collect();
        Self { receivers, ..Self::default() }
    }

    /// A lane of `slots` descriptors from each receiver to each worker.
    ///
    /// # Errors
    /// When the host has not the memory, or `slots` is no power of two from 64 on.
    pub(super) fn create(
        receivers: usize,
        workers: usize,
        slots: u32,
        memory: LaneMemory,
    ) -> Result<Self, RunError> {
        let slots = slots as usize;
        let lane = MappedLane::bytes(slots).ok_or(RunError::RingSlots { slots })?;
        let bytes = lane * (receivers * workers) as u64;
        // A whole huge page even for a small lane: one entry of the TLB then serves all of it.
        let mut request = RegionRequest::new(bytes.max(HUGE_PAGE)).with_pages(memory.pages);
        request.lock = memory.lock;
        let region = Region::create(&request)?;
        let view = region.view();
        let mut lanes = Self {
            receivers: (0..receivers).map(|_| Vec::new()).collect(),
            workers: (0..workers).map(|_| Vec::new()).collect(),
            granted: Some(region.granted().clone()),
        };
        let mut offset = 0;
        for mine in &mut lanes.receivers {
            for its in &mut lanes.workers {
                let lane_here = MappedLane::create(&view, offset, slots)?;
                let high_water = Arc::<HighWater>::default();
                let mark = Arc::clone(&high_water);
                mine.push(Marked { end: lane_here.receiver()?, high_water });
                its.push(Marked { end: lane_here.worker()?, high_water: mark });
                offset += lane;
            }
        }
        Ok(lanes)
    }
}
