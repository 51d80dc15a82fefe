//! What a source counts, and the identity that its counts must satisfy.

use serde::{Deserialize, Serialize};

/// Monotonic totals that a backend keeps of its own side: what was offered to it and what it
/// lost or passed by before a frame reached [`crate::receivers::Receive::poll`]'s batch.
///
/// `offered` is counted apart from the others (by the kernel, by the XDP program, or by the
/// reader of a file), so that the books can fail to close.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceCounters {
    /// Packets that reached the source, whatever became of them.
    pub offered: u64,
    /// Lost in the NIC or its driver's ring.
    pub dropped_nic: u64,
    /// Lost in the kernel: socket or ring full, fill ring empty.
    pub dropped_kernel: u64,
    /// Passed by on purpose before user space: XDP pass and drop rules, socket filters.
    pub filtered: u64,
    /// Lost because no frame was free to lend.
    pub dropped_no_frame: u64,
    /// Lost because the backend's own framing was broken.
    pub dropped_malformed: u64,
    /// Frames handed out in batches.
    pub polled: u64,
    /// Tokens that came back without being on loan.
    pub refused_tokens: u64,
}
