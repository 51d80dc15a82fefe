//! Replies that wait until writes are durable.

use std::collections::VecDeque;

use super::collections::RunCollections;
use crate::transmitters::replies::{ReplySink, Route};

/// Bytes of replies that may wait.
const MOST_BYTES: usize = 16 << 20;

/// Replies of batches, oldest first.
#[derive(Debug, Default)]
pub(super) struct HeldReplies {
    batches: VecDeque<Held>,
    bytes: usize,
}

/// Replies of one batch, and the writes that must be durable before they go: a collection's place and a
/// change's number.
#[derive(Debug, Default)]
pub(super) struct Held {
    pub(super) writes: Vec<(usize, u64)>,
    pub(super) replies: Vec<(Route, Vec<u8>)>,
}

impl Held {
    fn bytes(&self) -> usize {
        let each = |(_, reply): &(Route, Vec<u8>)| size_of::<Route>() + reply.len();
        self.replies.iter().map(each).sum()
    }
}

impl HeldReplies {
    /// Lets replies wait; how many were dropped because too many do.
    pub(super) fn push(&mut self, held: Held) -> u64 {
        let bytes = held.bytes();
        if self.bytes + bytes > MOST_BYTES {
            return held.replies.len() as u64;
        }
        self.bytes += bytes;
        self.batches.push_back(held);
        0
    }

    /// Sends replies whose writes have become durable, in order.
    pub(super) fn release(&mut self, collections: &RunCollections, sink: &mut ReplySink) {
        while let Some(held) = self.batches.front_mut() {
            held.writes.retain(|&(at, lsn)| collections.at(at).durable() < lsn);
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
