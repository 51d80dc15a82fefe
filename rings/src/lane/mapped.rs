//! Lanes in a region: the forward ring, then the return ring.

use super::{BURST, LaneReceiver, LaneWorker, return_slots};
use crate::spsc::{MappedRing, RingError};
use crate::{Desc, RegionView};

/// A lane in a region, neither end of which this handle holds.
#[derive(Debug)]
pub struct MappedLane {
    forward: MappedRing<Desc>,
    back: MappedRing<u32>,
}

impl MappedLane {
    /// Bytes that a lane of `slots` descriptors takes; `None` when `slots` is no power of two
    /// from [`BURST`] to 2^30.
    #[must_use]
    pub fn bytes(slots: usize) -> Option<u64> {
        if !(BURST..=1 << 30).contains(&slots) {
            return None;
        }
        let forward = MappedRing::<Desc>::bytes(slots)?;
        forward.checked_add(MappedRing::<u32>::bytes(return_slots(slots))?)
    }

    /// Makes an empty lane at `offset`, a multiple of [`crate::spsc::RING_ALIGN`].
    ///
    /// # Errors
    /// As [`MappedRing::create`].
    pub fn create(region: &RegionView, offset: u64, slots: usize) -> Result<Self, RingError> {
        let bytes = Self::bytes(slots).ok_or(RingError::Slots { slots: slots as u64 })?;
        let region_bytes = region.len() as u64;
        if offset.checked_add(bytes).is_none_or(|end| end > region_bytes) {
            return Err(RingError::Misplaced { offset, bytes, region: region_bytes });
        }
        let forward = MappedRing::create(region, offset, slots)?;
        let back = MappedRing::create(region, back_at(offset, slots)?, return_slots(slots))?;
        Ok(Self { forward, back })
    }

    /// Opens the lane at `offset`.
    ///
    /// # Errors
    /// As [`MappedRing::open`]; [`RingError::Slots`] when the rings are too small for a lane.
    pub fn open(region: &RegionView, offset: u64) -> Result<Self, RingError> {
        let forward = MappedRing::<Desc>::open(region, offset)?;
        let slots = forward.capacity();
        let back = MappedRing::<u32>::open(region, back_at(offset, slots)?)?;
        if back.capacity() < return_slots(slots) {
            return Err(RingError::Slots { slots: back.capacity() as u64 });
        }
        Ok(Self { forward, back })
    }

    /// Claims the receiver's end for this process.
    ///
    /// # Errors
    /// As [`MappedRing::producer`].
    pub fn receiver(&self) -> Result<LaneReceiver, RingError> {
        Ok(LaneReceiver::new(self.forward.producer()?, self.back.consumer()?))
    }

    /// Claims the worker's end for this process.
    ///
    /// # Errors
    /// As [`MappedRing::consumer`].
    pub fn worker(&self) -> Result<LaneWorker, RingError> {
        Ok(LaneWorker::new(self.forward.consumer()?, self.back.producer()?))
    }
}

fn back_at(offset: u64, slots: usize) -> Result<u64, RingError> {
    MappedLane::bytes(slots).ok_or(RingError::Slots { slots: slots as u64 })?;
    let forward = MappedRing::<Desc>::bytes(slots).unwrap_or(u64::MAX);
    Ok(offset.saturating_add(forward))
}
