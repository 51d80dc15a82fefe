//! The producer's side of a lane: a list of descriptors, pushed again and again.

use pfs_rings::Desc;
use pfs_rings::lane::{BURST, LaneReceiver};

/// A list and the lane that it goes into.
///
/// A span's next turn may wait in the ring behind its last one: a lane has one worker, which takes
/// descriptors in order and no more at a time than the list is long, so that no batch has a span
/// twice.
pub(super) struct Feed<'a> {
    lane: LaneReceiver,
    list: &'a [Desc],
    burst: usize,
    at: usize,
    pushed: u64,
    /// Tokens that came back, of all passes.
    returned: u64,
}

impl<'a> Feed<'a> {
    /// Pushes `burst` descriptors of `list` at a time.
    pub(super) fn new(lane: LaneReceiver, list: &'a [Desc], burst: usize) -> Self {
        Self { lane, list, burst: burst.min(list.len()), at: 0, pushed: 0, returned: 0 }
    }

    /// Pushes the next burst, if there is room for it; tells whether it did. At the end of the list
    /// it begins anew, unless this is the last pass.
    #[inline]
    pub(super) fn push(&mut self, last_pass: bool) -> bool {
        if self.at == self.list.len() && !last_pass {
            self.at = 0;
        }
        let end = (self.at + self.burst).min(self.list.len());
        let next = &self.list[self.at..end];
        if next.is_empty() || !self.lane.push(next) {
            return false;
        }
        self.at = end;
        self.pushed += next.len() as u64;
        true
    }

    /// Pushes bursts until `window` descriptors are under way, or no more go in.
    #[inline]
    pub(super) fn fill(&mut self, window: usize, last_pass: bool) {
        while self.lane.outstanding() < window && self.push(last_pass) {}
    }

    /// Takes tokens that have come back.
    #[inline]
    pub(super) fn drain(&mut self) {
        let mut tokens = [0; BURST];
        loop {
            let n = self.lane.drain(&mut tokens);
            self.returned += n as u64;
            if n < tokens.len() {
                return;
            }
        }
    }

    /// Whether this pass has pushed all.
    #[inline]
    pub(super) const fn is_at_end(&self) -> bool {
        self.at == self.list.len()
    }

    /// Whether every token has come back.
    pub(super) const fn is_settled(&self) -> bool {
        self.lane.outstanding() == 0 && self.pushed == self.returned
    }

    /// Passes that were pushed whole.
    pub(super) const fn passes(&self) -> u64 {
        self.pushed / self.list.len() as u64
    }

    /// Tells the worker that no more comes.
    pub(super) fn hang_up(&mut self) {
        self.lane.hang_up();
    }
}
