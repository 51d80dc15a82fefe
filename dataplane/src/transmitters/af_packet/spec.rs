//! What an AF_PACKET sink can be asked for, and how large its ring becomes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ring::FRAME_AT;
use crate::link::Link;
use crate::transmitters::TransmitError;

/// Bytes of an Ethernet header without tag.
pub(super) const ETHERNET: usize = 14;
/// Bytes that a VLAN tag adds to what the link takes.
pub(super) const TAG: usize = 4;
/// Bytes of a ring at most: loopback's 64 KiB frames would make a large one otherwise.
const RING_BYTES: usize = 64 << 20;
/// Bytes of one block of the ring, unless a single slot is larger.
const BLOCK_BYTES: usize = 1 << 18;

/// An AF_PACKET sink: one packet socket with a ring of frame slots that the kernel sends from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AfPacketTxSpec {
    /// Interface to send on.
    pub interface: String,
    /// Frames that can be queued: a power of two, at most 65,536. Fewer are granted where
    /// the interface's frames are so large that the ring would exceed 64 MiB.
    #[serde(default = "ring_slots")]
    pub ring_slots: u32,
    /// Send past the queueing discipline, straight to the driver: faster, and no shaping.
    #[serde(default = "qdisc_bypass")]
    pub qdisc_bypass: bool,
}

const fn ring_slots() -> u32 {
    1024
}

const fn qdisc_bypass() -> bool {
    true
}

impl AfPacketTxSpec {
    /// Everything as it is by default, on `interface`.
    #[must_use]
    pub fn new(interface: impl Into<String>) -> Self {
        Self { interface: interface.into(), ring_slots: ring_slots(), qdisc_bypass: qdisc_bypass() }
    }
}

/// Sizes of a ring; all are powers of two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    /// Bytes of one slot, with its header.
    pub(super) slot_bytes: usize,
    /// Slots in the ring.
    pub(super) slots: usize,
    /// Bytes of one block.
    pub(super) block_bytes: usize,
}

impl Layout {
    pub(super) fn of(spec: &AfPacketTxSpec, link: &Link) -> Result<Self, TransmitError> {
        if !spec.ring_slots.is_power_of_two() || spec.ring_slots > 1 << 16 {
            return Err(TransmitError::Unsupported {
                what: format!("{} ring slots", spec.ring_slots),
                fix: "give a power of two up to 65536".to_owned(),
            });
        }
        // The largest MTU there is, 2^32, is no interface's; the bound keeps the sum in range.
        let mtu = link.mtu.min(1 << 20) as usize;
        let slot_bytes = (FRAME_AT + ETHERNET + TAG + mtu).next_power_of_two().max(2048);
        // A slot is at most 2 MiB by the bound above, so there are at least 32.
        let slots = (spec.ring_slots as usize).min(RING_BYTES / slot_bytes);
        let block_bytes = slot_bytes.max(BLOCK_BYTES.min(slot_bytes * slots)).max(4096);
        let slots = slots.max(block_bytes / slot_bytes);
        Ok(Self { slot_bytes, slots, block_bytes })
    }

    pub(super) const fn ring_bytes(&self) -> usize {
        self.slot_bytes * self.slots
    }
}
