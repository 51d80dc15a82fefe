//! The op `pvrt`: files put together from frames in payload.

mod frames;
mod shared;
mod spec;

use std::sync::Arc;

use pfs_pvrt::wire::{Lane, LaneCounters};

/// The engine, for who has files put together without packets.
pub use pfs_pvrt;

pub use frames::LinkSource;
pub use shared::{SharedTransfers, trial_frame};
pub use spec::PvrtOp;

use crate::counters::PVRT_TABLE;
use crate::pcpu::{Engine, EngineBatch, EngineCells, Outlet};

/// Longest message that is put together from several spans: a datagram is never longer.
const MESSAGE_MAX: usize = 65_536;

/// One worker's state of a `pvrt` op.
#[derive(Debug)]
pub struct PvrtEngine {
    shared: Arc<SharedTransfers>,
    lane: Lane,
    idle_ns: u64,
    /// A message that goes on in the next span.
    open: Vec<u8>,
    /// Messages of several spans left out because they were too long or never ended.
    torn: u64,
    /// Windows made when the files were last looked at.
    looked: u64,
    /// Of files that have their names, and of those with a wrong hash.
    ended: [u64; 2],
    /// Bytes, windows, sum of digests.
    results: [u64; 3],
    cells: Arc<EngineCells>,
}

impl PvrtEngine {
    /// The state of `op`, over its transfers.
    #[must_use]
    pub fn new(op: &PvrtOp, shared: Arc<SharedTransfers>) -> Self {
        Self {
            lane: Lane::new(Arc::clone(shared.transfers()), op.lane()),
            shared,
            idle_ns: u64::from(op.idle_ms) * 1_000_000,
            open: Vec::new(),
            torn: 0,
            looked: 0,
            ended: [0; 2],
            results: [0; 3],
            cells: Arc::new(EngineCells::new("pvrt", PVRT_TABLE)),
        }
    }

    /// What its lane has counted.
    #[must_use]
    pub const fn counters(&self) -> &LaneCounters {
        self.lane.counters()
    }

    /// A span of a message that has others, or that follows one which has not ended.
    fn part(&mut self, bytes: &[u8], (som, eom): (bool, bool), time_ns: u64) {
        if som {
            self.torn += u64::from(!self.open.is_empty());
            self.open.clear();
        }
        // A message that is too long stays so until it ends.
        let room = (MESSAGE_MAX + 1).saturating_sub(self.open.len());
        self.open.extend_from_slice(&bytes[..bytes.len().min(room)]);
        if eom {
            if self.open.len() > MESSAGE_MAX {
                self.torn += 1;
            } else {
                self.lane.batch([self.open.as_slice()], time_ns);
            }
            self.open.clear();
        }
    }

    fn settle(&mut self) {
        let counters = self.lane.counters();
        self.results = [counters.bytes, counters.windows, self.lane.digest()];
    }
}

impl Engine for PvrtEngine {
    fn run(&mut self, batch: &EngineBatch<'_>, _: Option<&mut dyn Outlet>) {
        if self.open.is_empty() && batch.is_whole() {
            self.lane.batch(batch.spans().map(|span| span.bytes), batch.time_ns);
        } else {
            for span in batch.spans() {
                self.part(span.bytes, (span.som, span.eom), batch.time_ns);
            }
        }
        self.settle();
    }

    fn tick(&mut self, time_ns: u64, _: Option<&mut dyn Outlet>) {
        self.lane.tick(time_ns);
        self.lane.give_up(self.idle_ns);
        let windows = self.lane.counters().windows;
        if std::mem::replace(&mut self.looked, windows) != windows {
            self.shared.look();
        }
    }

    fn finish(&mut self, _: u64, _: Option<&mut dyn Outlet>) {
        // Windows half arrived are nobody's from here on.
        self.lane.give_up(0);
        let ended = self.shared.end();
        self.ended = [ended.files, ended.wrong];
        self.settle();
    }

    fn results(&self) -> &[u64] {
        &self.results
    }

    fn cells(&self) -> Option<Arc<EngineCells>> {
        Some(Arc::clone(&self.cells))
    }

    fn publish(&mut self) {
        let [files, wrong] = self.ended;
        let mut totals = [0; PVRT_TABLE.len()];
        let (lane, rest) = totals.split_at_mut(LaneCounters::TABLE.len());
        lane.copy_from_slice(&self.lane.counters().values());
        rest.copy_from_slice(&[self.torn, files, wrong]);
        self.cells.publish(&totals);
    }
}
