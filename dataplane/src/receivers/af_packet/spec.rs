//! What an AF_PACKET source can be asked for.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::link::Link;
use crate::receivers::ReceiveError;

/// Largest frame that the kernel hands over: receive offload merges packets up to 64 KiB.
const LARGEST_FRAME: u32 = 1 << 16;
/// Room for the block's and the frame's header, beside the frame.
const HEADERS: u32 = 512;

/// An AF_PACKET source: one packet socket with a ring of blocks that the kernel fills.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AfPacketSpec {
    /// Interface to receive from.
    pub interface: String,
    /// Bytes of one block: a multiple of 4,096, at least 128 KiB, so that the largest merged
    /// frame fits.
    #[serde(default = "block_bytes")]
    pub block_bytes: u32,
    /// Blocks in the ring, at least 2. `blocks * block_bytes` must stay below 4 GiB.
    #[serde(default = "blocks")]
    pub blocks: u32,
    /// Milliseconds after which a block that is not full is handed over, and so the longest
    /// that a frame waits in the kernel. 0 lets the kernel choose by the link's speed. Low
    /// values cost wake-ups, at most one per interval.
    #[serde(default = "retire_ms")]
    pub retire_ms: u32,
    /// Share the interface's frames with other sockets of the same group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fanout: Option<Fanout>,
    /// Receive frames for other stations too. Ends with the run.
    #[serde(default)]
    pub promiscuous: bool,
    /// Keep at most so many bytes of each frame (at least 14, a VLAN tag that the kernel took
    /// out not counted); frames that are cut say so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snap_bytes: Option<u32>,
    /// Frames that workers can hold at once; what arrives beyond is dropped and counted.
    #[serde(default = "frames")]
    pub frames: u32,
}

/// Membership in a fanout group: each frame goes to one socket of the group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Fanout {
    /// The group's number, the same for all members; private to the network namespace.
    pub group: u16,
    /// How a frame's socket is chosen.
    pub mode: FanoutMode,
    /// With `hash`: let the kernel reassemble IPv4 fragments first. A datagram then stays with
    /// its flow, and arrives as one frame that can be larger than the MTU. Without it all
    /// fragments of a datagram still go to one socket, as they came, but chosen by addresses
    /// alone.
    #[serde(default = "defrag")]
    pub defrag: bool,
}

/// How the kernel chooses a frame's socket in a fanout group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FanoutMode {
    /// By flow; both directions of a flow go to one socket.
    Hash,
    /// By the CPU that the frame arrived on.
    Cpu,
    /// One after the other; flows are split.
    Lb,
    /// All to one socket, to the next when that one is full.
    Rollover,
    /// By the receive queue of the NIC.
    Qm,
}

const fn block_bytes() -> u32 {
    1 << 20
}

const fn blocks() -> u32 {
    64
}

const fn retire_ms() -> u32 {
    4
}

const fn frames() -> u32 {
    1 << 16
}

const fn defrag() -> bool {
    true
}

impl AfPacketSpec {
    /// Everything as it is by default, on `interface`.
    #[must_use]
    pub fn new(interface: impl Into<String>) -> Self {
        Self {
            interface: interface.into(),
            block_bytes: block_bytes(),
            blocks: blocks(),
            retire_ms: retire_ms(),
            fanout: None,
            promiscuous: false,
            snap_bytes: None,
            frames: frames(),
        }
    }

    /// Bytes of the whole ring.
    #[must_use]
    pub const fn ring_bytes(&self) -> u64 {
        self.blocks as u64 * self.block_bytes as u64
    }

    pub(super) fn check(&self, link: &Link) -> Result<(), ReceiveError> {
        let least = link.mtu.max(LARGEST_FRAME).saturating_add(HEADERS).next_multiple_of(4096);
        if self.block_bytes < least || !self.block_bytes.is_multiple_of(4096) {
            return Err(unsupported(
                format!("block_bytes {} of {}", self.block_bytes, self.interface),
                format!("give a multiple of 4096 that is at least {least}, for the largest frame"),
            ));
        }
        if self.blocks < 2 || self.ring_bytes() > u64::from(u32::MAX) {
            return Err(unsupported(
                format!("{} blocks of {} bytes", self.blocks, self.block_bytes),
                "give at least 2 blocks, and less than 4 GiB in all".to_owned(),
            ));
        }
        if self.frames == 0 || self.frames > 1 << 24 {
            return Err(unsupported(
                format!("{} frames on loan", self.frames),
                "give 1 to 16777216 frames".to_owned(),
            ));
        }
        if self.snap_bytes.is_some_and(|bytes| bytes < 14) {
            return Err(unsupported(
                "snap_bytes below 14 cuts the Ethernet header".to_owned(),
                "give at least 14".to_owned(),
            ));
        }
        Ok(())
    }
}

impl Fanout {
    /// The value of the `PACKET_FANOUT` option. Members of a group must agree on all of it.
    pub(super) const fn option(self) -> u32 {
        let mode = match self.mode {
            FanoutMode::Hash => libc::PACKET_FANOUT_HASH,
            FanoutMode::Cpu => libc::PACKET_FANOUT_CPU,
            FanoutMode::Lb => libc::PACKET_FANOUT_LB,
            FanoutMode::Rollover => libc::PACKET_FANOUT_ROLLOVER,
            FanoutMode::Qm => libc::PACKET_FANOUT_QM,
        };
        let defrag = self.defrag && matches!(self.mode, FanoutMode::Hash);
        let defrag = if defrag { libc::PACKET_FANOUT_FLAG_DEFRAG } else { 0 };
        // The group has a hook of its own: the socket's own option does not reach it.
        let flags = defrag | libc::PACKET_FANOUT_FLAG_IGNORE_OUTGOING;
        (self.group as u32) | (mode | flags) << 16
    }
}

fn unsupported(what: String, fix: String) -> ReceiveError {
    ReceiveError::Unsupported { what, fix }
}
