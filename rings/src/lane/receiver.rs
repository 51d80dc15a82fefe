//! The receiver's end of a lane.

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use crate::spsc::{Consumer, PeerState, Producer};
use crate::wait::{WaitStrategy, Waited};
use crate::{Desc, Process};

/// Pushes descriptors, drains returned tokens. One per lane; see the module's invariant.
#[derive(Debug)]
pub struct LaneReceiver {
    descs: Producer<Desc>,
    tokens: Consumer<u32>,
    /// Descriptors pushed whose tokens have not been drained.
    outstanding: usize,
}

impl LaneReceiver {
    pub(super) fn new(mut descs: Producer<Desc>, mut tokens: Consumer<u32>) -> Self {
        // A receiver never waits for a worker, not even for a microsecond.
        descs.never_pace();
        tokens.never_pace();
        let outstanding = descs.len() + tokens.len();
        Self { descs, tokens, outstanding }
    }

    /// Slots of the forward ring.
    #[must_use]
    pub const fn capacity(&self) -> usize {
        self.descs.capacity()
    }

    /// Pushes all of `chain` or none of it; `false` when the lane has no room for all.
    ///
    /// `chain` is one or more whole SOM..EOM chains, whose frames the caller has lent. They
    /// become visible together. On `false` the caller still owns them, and
    /// [`Self::peer`] tells whether room will ever come.
    #[inline]
    #[must_use]
    pub fn push(&mut self, chain: &[Desc]) -> bool {
        if self.outstanding + chain.len() > self.tokens.capacity()
            || !self.descs.has_room(chain.len())
        {
            return false;
        }
        let pushed = self.descs.push_slice(chain);
        self.outstanding += pushed;
        pushed == chain.len()
    }

    /// Pushes as many whole chains from the front of `descs` as there is room for; returns the
    /// number of descriptors pushed. They become visible together.
    #[inline]
    pub fn push_chains(&mut self, descs: &[Desc]) -> usize {
        if self.push(descs) {
            return descs.len();
        }
        let room = self.tokens.capacity().saturating_sub(self.outstanding).min(self.descs.free());
        let whole = room.min(descs.len());
        let whole = descs[..whole].iter().rposition(Desc::is_eom).map_or(0, |last| last + 1);
        if self.push(&descs[..whole]) { whole } else { 0 }
    }

    /// Takes returned tokens, as many as are there and fit; returns how many.
    ///
    /// They are numbers from another side: pass each to [`crate::FramePool::reclaim`].
    #[inline]
    pub fn drain(&mut self, tokens: &mut [u32]) -> usize {
        let n = self.tokens.pop_into(tokens);
        // A peer may return tokens that it was never sent; the pool refuses them.
        self.outstanding = self.outstanding.saturating_sub(n);
        n
    }

    /// Descriptors pushed whose tokens have not been drained.
    #[must_use]
    pub const fn outstanding(&self) -> usize {
        self.outstanding
    }

    /// Descriptors pushed since the lane was made.
    #[must_use]
    pub const fn pushed(&self) -> u64 {
        self.descs.pushed()
    }

    /// Descriptors pushed that the worker has not taken. Reads the worker's index, a line of
    /// another core: not for each packet.
    pub fn backlog(&mut self) -> usize {
        self.descs.len()
    }

    /// Waits until `slots` descriptors can be pushed: for sources that do not drop.
    ///
    /// Drain first: a lane can be full of undrained tokens. Then this returns at once, when
    /// there are tokens to drain ([`Waited::Ready`] means: drain and try again).
    pub fn wait(
        &mut self,
        slots: usize,
        strategy: WaitStrategy,
        timeout: Duration,
        stop: Option<&AtomicBool>,
    ) -> Waited {
        if self.outstanding + slots > self.tokens.capacity() {
            return self.tokens.wait(strategy, timeout, stop);
        }
        self.descs.wait(slots, strategy, timeout, stop)
    }

    /// Waits until a token has come back: for a source that is out of frames.
    pub fn wait_for_tokens(
        &mut self,
        strategy: WaitStrategy,
        timeout: Duration,
        stop: Option<&AtomicBool>,
    ) -> Waited {
        self.tokens.wait(strategy, timeout, stop)
    }

    /// Says that nothing more will be pushed: the worker ends once it has taken what is there.
    /// Tokens can still be drained.
    pub fn hang_up(&mut self) {
        self.descs.close();
    }

    /// How the worker stands: poisoned when either ring is.
    #[must_use]
    pub fn peer(&self) -> PeerState {
        worse(self.descs.peer(), self.tokens.peer())
    }

    /// The worker's process; `None` on the heap and before one has come.
    #[must_use]
    pub fn worker_process(&self) -> Option<Process> {
        self.descs.peer_process()
    }

    /// Whether the worker's process died without closing. Reads `/proc`.
    #[must_use]
    pub fn worker_died(&self) -> bool {
        self.descs.peer_died()
    }

    /// After the worker died: the tokens of the descriptors that its successor will still see.
    ///
    /// Drain first. Frames on loan to this lane that are not among these were lost with the
    /// worker, and are the receiver's again. What is outstanding is counted anew.
    pub fn take_stock(&mut self) -> Vec<u32> {
        let pending: Vec<_> = self.descs.pending().iter().map(|desc| desc.frame).collect();
        self.outstanding = pending.len() + self.tokens.len();
        pending
    }
}

/// The graver of two states.
pub(super) fn worse(one: PeerState, other: PeerState) -> PeerState {
    use PeerState::{Closed, Open, Poisoned};
    match (one, other) {
        (Poisoned, _) | (_, Poisoned) => Poisoned,
        (Closed, _) | (_, Closed) => Closed,
        (Open, Open) => Open,
    }
}
