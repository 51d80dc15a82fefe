//! Replies that wait until the writes they tell of are durable.

use std::collections::VecDeque;

use crate::transmitters::replies::{ReplySink, Route};

/// Bytes of replies that may wait.
const MOST_BYTES: usize = 16 << 20;

/// Replies of batches, oldest first; `W` names a write that must be durable before they go.
#[derive(Debug)]
pub(super) struct HeldReplies<W> {
    batches: VecDeque<Held<W>>,
    bytes: usize,
}

/// Replies of one batch, and the writes that they wait for.
#[derive(Debug)]
pub(super) struct Held<W> {
    pub(super) writes: Vec<W>,
    pub(super) replies: Vec<(Route, Vec<u8>)>,
}

impl<W> Held<W> {
    fn bytes(&self) -> usize {
        let each = |(_, reply): &(Route, Vec<u8>)| size_of::<Route>() + reply.len();
        self.replies.iter().map(each).sum()
    }
}

impl<W> HeldReplies<W> {
    /// None wait yet.
    pub(super) const fn new() -> Self {
        Self { batches: VecDeque::new(), bytes: 0 }
    }

    /// Lets replies wait; how many were dropped because too many do.
    pub(super) fn push(&mut self, held: Held<W>) -> u64 {
        let bytes = held.bytes();
        if self.bytes + bytes > MOST_BYTES {
            return held.replies.len() as u64;
        }
        self.bytes += bytes;
        self.batches.push_back(held);
        0
    }

    /// Sends replies whose writes `is_durable` says have become so, in order.
    pub(super) fn release(&mut self, is_durable: impl Fn(&W) -> bool, sink: &mut ReplySink) {
        while let Some(held) = self.batches.front_mut() {
            held.writes.retain(|write| !is_durable(write));
            if !held.writes.is_empty() {
                break;
            }
            for (route, reply) in &held.replies {
                sink.push(route, reply);
            }
            self.bytes -= held.bytes();
            self.batches.pop_front();
        }
        sink.send();
    }

    /// Forgets replies whose writes did not become durable; how many.
    pub(super) fn abandon(&mut self) -> u64 {
        self.bytes = 0;
        self.batches.drain(..).map(|held| held.replies.len() as u64).sum()
    }
}
