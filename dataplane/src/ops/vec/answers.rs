//! What became of the operations of a batch, and the replies that say so.

use pfs_vec::Answer;
use pfs_vec::frame::{Asker, ReplyBuilder, Status};

use super::collections::RunCollections;
use crate::counters::VecCounters;
use crate::ops::held::{Held, HeldReplies};
use crate::transmitters::replies::{ReplySink, Route};

/// One worker's answers.
#[derive(Debug)]
pub(super) struct Answers {
    pub(super) sink: ReplySink,
    builder: ReplyBuilder,
    asked: Vec<Asked>,
    outcomes: Vec<Outcome>,
    /// A write is a collection's place and a change's number.
    held: HeldReplies<(usize, u64)>,
}

/// A message whose sender is answered, and where its outcomes begin.
#[derive(Debug)]
struct Asked {
    route: Route,
    asker: Asker,
    first: usize,
}

/// What became of an operation.
#[derive(Debug)]
struct Outcome {
    index: u16,
    kind: u8,
    writes: bool,
    status: Status,
    /// Of a search, what was found.
    answer: Answer,
}

impl Answers {
    pub(super) fn new(sink: ReplySink) -> Self {
        let (asked, outcomes) = (Vec::new(), Vec::new());
        Self { sink, builder: ReplyBuilder::default(), asked, outcomes, held: HeldReplies::new() }
    }

    /// From here on outcomes are of a message that `asker` sent.
    pub(super) fn ask(&mut self, asker: Asker, route: Route) {
        self.asked.push(Asked { route, asker, first: self.outcomes.len() });
    }

    /// Notes that an operation of the message that was begun last is done, unless it is said otherwise; where.
    pub(super) fn note(&mut self, (index, kind): (u16, u8), writes: bool) -> usize {
        let (status, answer) = (Status::Done, Answer::default());
        self.outcomes.push(Outcome { index, kind, writes, status, answer });
        self.outcomes.len() - 1
    }

    /// Says otherwise of an outcome.
    pub(super) fn set(&mut self, at: usize, status: Status) {
        if let Some(outcome) = self.outcomes.get_mut(at) {
            outcome.status = status;
        }
    }

    /// Says what a search has found.
    pub(super) fn found(&mut self, at: usize, answer: Answer) {
        if let Some(outcome) = self.outcomes.get_mut(at) {
            outcome.answer = answer;
        }
    }

    /// Writes the replies to a batch; those that tell of writes wait until `writes` are durable.
    pub(super) fn send(&mut self, writes: &[(usize, u64)], counters: &mut VecCounters) {
        let Self { sink, builder, asked, outcomes, held } = self;
        let mut waiting = Held { writes: writes.to_vec(), replies: Vec::new() };
        let ends = asked.iter().skip(1).map(|asked| asked.first).chain([outcomes.len()]);
        for (one, end) in asked.iter().zip(ends.collect::<Vec<_>>()) {
            let outcomes = &outcomes[one.first..end];
            counters.answers += outcomes.len() as u64;
            let waits = !writes.is_empty() && outcomes.iter().any(|outcome| outcome.writes);
            builder.limit(sink.room(&one.route));
            let mut emit = |bytes: &[u8]| {
                if waits {
                    waiting.replies.push((one.route, bytes.to_vec()));
                } else {
                    sink.push(&one.route, bytes);
                }
            };
            for outcome in outcomes {
                builder.expect(outcome.answer.expected);
                let hits = outcome.answer.hits.iter();
                hits.for_each(|hit| builder.hit(hit.score, &hit.id));
                let of = (outcome.index, outcome.kind);
                let cut = builder.push(&one.asker, of, outcome.status, &mut emit);
                counters.too_large += u64::from(cut);
            }
            builder.finish(&one.asker, &mut emit);
        }
        asked.clear();
        outcomes.clear();
        if !waiting.replies.is_empty() {
            counters.replies_dropped += held.push(waiting);
        }
        sink.send();
    }

    /// Sends replies whose writes have become durable.
    pub(super) fn release(&mut self, collections: &RunCollections) {
        let is_durable = |&(at, lsn): &(usize, u64)| collections.at(at).durable() >= lsn;
        self.held.release(is_durable, &mut self.sink);
    }

    /// Forgets replies whose writes did not become durable; how many.
    pub(super) fn abandon(&mut self) -> u64 {
        self.held.abandon()
    }
}
