//! The books: where every offered packet went, and whether the sum holds.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::counters::{ReceiverCounters, SourceCounters, WorkerCounters};

/// One receiver's account, or the sum over receivers.
///
/// `offered = dropped_nic + dropped_kernel + filtered + dropped_no_frame + dropped_ring_full +
/// dropped_malformed + delivered`, and `delivered = consumed + in_flight`. `offered` and
/// `consumed` are counted by others than those who count the rest, so a bug shows as a residual.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Books {
    /// Packets that reached the source.
    pub offered: u64,
    /// Lost in the NIC or its driver.
    pub dropped_nic: u64,
    /// Lost in the kernel.
    pub dropped_kernel: u64,
    /// Selected by no rule, or by a pass or drop rule.
    pub filtered: u64,
    /// Lost for want of a frame.
    pub dropped_no_frame: u64,
    /// Lost for want of room in a lane.
    pub dropped_ring_full: u64,
    /// Headers that do not parse.
    pub dropped_malformed: u64,
    /// Handed to workers.
    pub delivered: u64,
    /// Finished by workers.
    pub consumed: u64,
    /// Handed to workers and not yet finished: descriptors in lanes.
    pub in_flight: u64,
    /// How far `offered` is from its sum, plus how far `delivered` is from its own: 0 when every
    /// packet is accounted for. Two errors cannot cancel.
    pub residual: u64,
}

impl Books {
    /// Closes the books over receivers' and workers' totals.
    ///
    /// While traffic flows the totals are of slightly different moments and the residual may be
    /// off by the packets of those moments; after a run it is exact.
    #[must_use]
    pub fn close(
        sources: &SourceCounters,
        receivers: &ReceiverCounters,
        workers: &WorkerCounters,
        in_flight: u64,
    ) -> Self {
        let mut books = Self {
            offered: sources.offered,
            dropped_nic: sources.dropped_nic,
            dropped_kernel: sources.dropped_kernel,
            filtered: sources.filtered + receivers.filtered,
            dropped_no_frame: sources.dropped_no_frame,
            dropped_ring_full: receivers.dropped_ring_full,
            dropped_malformed: sources.dropped_malformed + receivers.dropped_malformed,
            delivered: receivers.delivered,
            consumed: workers.consumed + workers.bad_spans,
            in_flight,
            residual: 0,
        };
        books.residual = books.unaccounted();
        books
    }

    /// The books over totals of a run that goes on: what is delivered and not yet consumed is in
    /// flight.
    pub(crate) fn of_totals(
        sources: &SourceCounters,
        receivers: &ReceiverCounters,
        mut workers: WorkerCounters,
    ) -> Self {
        // A worker may have published after its receiver: what it did since is not yet delivered.
        let ahead = (workers.consumed + workers.bad_spans).saturating_sub(receivers.delivered);
        workers.consumed = workers.consumed.saturating_sub(ahead);
        let done = workers.consumed + workers.bad_spans;
        Self::close(sources, receivers, &workers, receivers.delivered.saturating_sub(done))
    }

    /// Packets lost, whatever the cause.
    #[must_use]
    pub const fn dropped(&self) -> u64 {
        self.dropped_nic
            + self.dropped_kernel
            + self.dropped_no_frame
            + self.dropped_ring_full
            + self.dropped_malformed
    }

    /// Packets lost, by cause: the cause's name in the books, and how many.
    #[must_use]
    pub const fn drops(&self) -> [(&'static str, u64); 5] {
        [
            ("dropped_nic", self.dropped_nic),
            ("dropped_kernel", self.dropped_kernel),
            ("dropped_no_frame", self.dropped_no_frame),
            ("dropped_ring_full", self.dropped_ring_full),
            ("dropped_malformed", self.dropped_malformed),
        ]
    }

    const fn unaccounted(&self) -> u64 {
        let placed = self.dropped() + self.filtered + self.delivered;
        let finished = self.consumed + self.in_flight;
        self.offered.abs_diff(placed) + self.delivered.abs_diff(finished)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_that_nobody_counts_shows() {
        let sources = SourceCounters { offered: 10, dropped_kernel: 2, ..Default::default() };
        let receivers = ReceiverCounters { filtered: 1, delivered: 7, ..Default::default() };
        let workers = WorkerCounters { consumed: 7, ..Default::default() };
        assert_eq!(Books::close(&sources, &receivers, &workers, 0).residual, 0);
        let lost = WorkerCounters { consumed: 6, ..Default::default() };
        assert_eq!(Books::close(&sources, &receivers, &lost, 0).residual, 1);
        assert_eq!(Books::close(&sources, &receivers, &lost, 1).residual, 0);
        let twice = SourceCounters { offered: 9, ..sources };
        assert_eq!(Books::close(&twice, &receivers, &workers, 0).residual, 1);
        assert_eq!(Books::close(&twice, &receivers, &lost, 0).residual, 2, "no cancelling");
    }
}
