//! The worker's end of a lane.

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use super::BURST;
use super::receiver::worse;
use crate::spsc::{Consumer, PeerState, Producer};
use crate::wait::{WaitStrategy, Waited};
use crate::{Desc, Process};

/// Takes descriptors, returns tokens. One per lane.
///
/// A turn is [`Self::peek`], work on the spans, [`Self::release`], then [`Self::give_back`].
#[derive(Debug)]
pub struct LaneWorker {
    descs: Consumer<Desc>,
    tokens: Producer<u32>,
    /// Most descriptors found waiting at one look.
    high_water: usize,
    broken_chains: u64,
    refused_returns: u64,
}

impl LaneWorker {
    pub(super) const fn new(descs: Consumer<Desc>, tokens: Producer<u32>) -> Self {
        Self { descs, tokens, high_water: 0, broken_chains: 0, refused_returns: 0 }
    }

    /// Copies the oldest descriptors out, up to [`BURST`], the last one ending a chain; returns
    /// how many. They stay in the ring until [`Self::release`].
    ///
    /// A copy, so that what is checked is what is used. When a receiver breaks its promise and
    /// no chain ends in what is there, all of it is given out and counted
    /// ([`Self::broken_chains`]), so that the lane does not stand still.
    #[inline]
    pub fn peek(&mut self, out: &mut [Desc; BURST]) -> usize {
        let n = self.descs.copy_front(out);
        self.high_water = self.high_water.max(self.descs.seen());
        match out[..n].iter().rposition(Desc::is_eom) {
            Some(last) => last + 1,
            None => {
                self.broken_chains += u64::from(n > 0);
                n
            }
        }
    }

    /// Copies out descriptors behind the `n` oldest, as far as they were seen at the last
    /// [`Self::peek`]; returns how many. They stay where they are: this is for fetching their payload
    /// ahead.
    #[inline]
    pub fn behind(&mut self, n: usize, out: &mut [Desc]) -> usize {
        self.descs.copy_behind(n, out)
    }

    /// Frees the forward slots of the `n` oldest descriptors, after their work and before
    /// [`Self::give_back`].
    #[inline]
    pub fn release(&mut self, n: usize) {
        self.descs.release(n);
    }

    /// Returns frame tokens. Never waits: the receiver pushes no more than can come back.
    ///
    /// Tokens that find no room, which takes more tokens than descriptors, are dropped and
    /// counted ([`Self::refused_returns`]).
    #[inline]
    pub fn give_back(&mut self, tokens: &[u32]) {
        let n = self.tokens.push_slice(tokens);
        self.refused_returns += (tokens.len() - n) as u64;
    }

    /// Waits until there is a descriptor.
    pub fn wait(
        &mut self,
        strategy: WaitStrategy,
        timeout: Duration,
        stop: Option<&AtomicBool>,
    ) -> Waited {
        self.descs.wait(strategy, timeout, stop)
    }

    /// Descriptors waiting to be taken.
    pub fn backlog(&mut self) -> usize {
        self.descs.len()
    }

    /// The forward ring's high-water mark: most descriptors, at most its slots, that this end has
    /// found waiting at one look. It looks when it has taken what it saw before, so that a peak
    /// between two looks can have been higher.
    #[must_use]
    pub const fn high_water(&self) -> usize {
        self.high_water
    }

    /// How the receiver stands: poisoned when either ring is. Closed is the end only once
    /// [`Self::peek`] gives nothing more.
    #[must_use]
    pub fn peer(&self) -> PeerState {
        worse(self.descs.peer(), self.tokens.peer())
    }

    /// The receiver's process; `None` on the heap and before one has come.
    #[must_use]
    pub fn receiver_process(&self) -> Option<Process> {
        self.descs.peer_process()
    }

    /// Whether the receiver's process died without closing. Reads `/proc`.
    #[must_use]
    pub fn receiver_died(&self) -> bool {
        self.descs.peer_died()
    }

    /// Bursts in which no chain ended.
    #[must_use]
    pub const fn broken_chains(&self) -> u64 {
        self.broken_chains
    }

    /// Tokens that found no room.
    #[must_use]
    pub const fn refused_returns(&self) -> u64 {
        self.refused_returns
    }
}
