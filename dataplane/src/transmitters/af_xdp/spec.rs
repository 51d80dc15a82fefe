//! What an AF_XDP transmitter is asked to be, as the plan writes it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::link::Link;
use crate::receivers::af_xdp::HEADROOM;
use crate::receivers::af_xdp::ZeroCopy;
use crate::receivers::af_xdp::bind::zero_copy_possible;
use crate::receivers::af_xdp::socket::XskConfig;
use crate::transmitters::TransmitError;

/// Receive buffers that a zero-copy driver is given though nobody receives.
const FILL_ZERO_COPY: u32 = 2048;
/// The same in copy mode, where the ring is only there because a socket must have one.
const FILL_COPY: u32 = 64;

/// An AF_XDP sink: one queue of one interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AfXdpTxSpec {
    /// Interface to send from; it must be up.
    pub interface: String,
    /// Transmit queue, from 0. No AF_XDP receiver can be bound to the same one.
    #[serde(default)]
    pub queue: u32,
    /// Whether the driver may read from the UMEM itself.
    #[serde(default)]
    pub zero_copy: ZeroCopy,
    /// Slots of the TX ring, a power of two; as many buffers can be under way.
    #[serde(default = "default_tx_slots")]
    pub tx_slots: u32,
    /// Bytes of a UMEM frame, 2048 or 4096; 256 of them stay unused.
    #[serde(default = "default_frame_bytes")]
    pub frame_bytes: u32,
    /// Whether to put the UMEM into 2 MiB pages where the host has free ones.
    #[serde(default)]
    pub huge_pages: bool,
}

const fn default_tx_slots() -> u32 {
    2048
}
const fn default_frame_bytes() -> u32 {
    2048
}

impl AfXdpTxSpec {
    /// A specification with defaults for `interface`.
    #[must_use]
    pub fn new(interface: &str) -> Self {
        Self {
            interface: interface.to_owned(),
            queue: 0,
            zero_copy: ZeroCopy::default(),
            tx_slots: default_tx_slots(),
            frame_bytes: default_frame_bytes(),
            huge_pages: false,
        }
    }

    /// Sizes for the socket, once they and the queue are known to be possible.
    pub(super) fn config(&self, link: &Link) -> Result<XskConfig, TransmitError> {
        let refuse = |what: String, fix: String| Err(TransmitError::Unsupported { what, fix });
        if !self.tx_slots.is_power_of_two() || !(32..=1 << 20).contains(&self.tx_slots) {
            let slots = self.tx_slots;
            return refuse(
                format!("tx_slots {slots} is not a power of two from 32 to 1048576"),
                String::new(),
            );
        }
        if ![2048, 4096].contains(&self.frame_bytes) {
            let bytes = self.frame_bytes;
            return refuse(format!("frame_bytes {bytes} is neither 2048 nor 4096"), String::new());
        }
        if self.queue >= link.tx_queues {
            let Link { name, tx_queues, .. } = link;
            return refuse(
                format!(
                    "{name} has no transmit queue {}: it has {tx_queues}, counted from 0",
                    self.queue
                ),
                format!("list them: ethtool -l {name}"),
            );
        }
        let fill =
            if zero_copy_possible(link, self.zero_copy) { FILL_ZERO_COPY } else { FILL_COPY };
        Ok(XskConfig {
            queue: self.queue,
            frames: self.tx_slots + fill,
            frame_bytes: self.frame_bytes,
            rx_slots: 2,
            tx_slots: self.tx_slots,
            fill_slots: fill,
            comp_slots: self.tx_slots,
            capacity: self.frame_bytes - HEADROOM,
            zero_copy: self.zero_copy,
            huge_pages: self.huge_pages,
        })
    }
}
