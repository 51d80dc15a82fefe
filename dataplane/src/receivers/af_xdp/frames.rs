//! Where each UMEM frame is: free, with the kernel, or on loan.

use std::io;
use std::mem;

use pfs_rings::{Frame, FramePool};
use xsk_rs::FrameDesc;

use super::socket::Xsk;
use crate::receivers::BATCH;

/// Frames moved to the fill ring at a time.
const REFILL: u32 = 32;

/// One receiver's frames.
#[derive(Debug)]
pub(super) struct Frames {
    pub(super) pool: FramePool,
    frame_bytes: u32,
    fill_slots: u32,
    /// Frames that the kernel has, in the fill ring or filled in the RX ring.
    lent_to_kernel: Box<[Option<Frame>]>,
    kernel_holds: u32,
    refilled: bool,
}

impl Frames {
    /// `frames` frames of `frame_bytes`, all free.
    pub(super) fn new(frames: u32, frame_bytes: u32, fill_slots: u32) -> Self {
        Self {
            pool: FramePool::new(frames),
            frame_bytes,
            fill_slots,
            lent_to_kernel: (0..frames).map(|_| None).collect(),
            kernel_holds: 0,
            refilled: false,
        }
    }

    /// Moves free frames to the fill ring, up to a batch, and returns how many.
    ///
    /// The kernel never holds more frames than the fill ring has slots, so that there is always
    /// room; it is asked all the same, since the kernel publishes its reading position late.
    pub(super) fn refill(&mut self, xsk: &mut Xsk) -> u32 {
        let lacking = self.fill_slots - self.kernel_holds;
        let most = lacking.min(BATCH as u32).min(self.pool.free() as u32);
        // Wait for a batch while the ring is well filled.
        if most == 0 || most < REFILL && self.kernel_holds > self.fill_slots / 2 {
            return 0;
        }
        let count = most.min(xsk.fill.nb_free(most));
        let mut descs = [FrameDesc::default(); BATCH];
        for desc in &mut descs[..count as usize] {
            let Some(frame) = self.pool.take() else { break };
            let index = frame.index() as usize;
            *desc = xsk.frames[index];
            self.lent_to_kernel[index] = Some(frame);
        }
        // SAFETY: these frames are of this UMEM, and each was free in the pool: neither the
        // kernel nor a worker has them.
        let taken = unsafe { xsk.fill.produce(&descs[..count as usize]) };
        debug_assert_eq!(taken, count as usize, "room was asked for");
        self.kernel_holds += count;
        self.refilled |= count > 0;
        count
    }

    /// Whether frames went to the fill ring since this was last asked.
    pub(super) const fn take_refilled(&mut self) -> bool {
        mem::replace(&mut self.refilled, false)
    }

    /// The frame of a descriptor off the RX ring, which the kernel must have had.
    #[inline]
    pub(super) fn reclaim_from_kernel(&mut self, desc: FrameDesc) -> io::Result<Frame> {
        let size = self.frame_bytes as usize;
        let (index, within) = (desc.addr() / size, desc.addr() % size);
        let fits = within + desc.lengths().data() <= size;
        match self.lent_to_kernel.get_mut(index).and_then(Option::take) {
            Some(frame) if fits => {
                self.kernel_holds -= 1;
                Ok(frame)
            }
            _ => Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!(
                    "the RX ring names {} bytes at {}, which it was not lent",
                    desc.lengths().data(),
                    desc.addr()
                ),
            )),
        }
    }

    /// Frees the frame of a descriptor whose packet nobody gets.
    pub(super) fn discard(&mut self, desc: FrameDesc) -> io::Result<()> {
        let frame = self.reclaim_from_kernel(desc)?;
        self.pool.put(frame);
        Ok(())
    }
}
