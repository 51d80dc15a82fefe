//! The op `vec`: records with vectors in payload, written to collections that are searched at once.

mod answers;
mod collections;
mod spec;
mod trial;
mod work;

use std::sync::Arc;

use pfs_kv::frame::{Sequences, Verdict};
use pfs_vec::frame::{Asker, Assembly, Frame, FrameError};

/// The engine, for who works on collections without packets.
pub use pfs_vec;

pub use collections::RunCollections;
pub use spec::VecOp;
pub use trial::trial_frame;

use self::answers::Answers;
use self::work::Work;
use crate::counters::VecCounters;
use crate::pcpu::{Engine, EngineBatch, EngineCells, EngineSpan, Outlet};
use crate::transmitters::replies::{ReplySink, Route};

/// Longest datagram that is put together from several spans.
const DATAGRAM_MAX: usize = 65_536;
/// Pairs of sender and stream whose sequences a worker follows at a time.
const SENDERS: usize = 4096;

/// One worker's state of a `vec` op.
#[derive(Debug)]
pub struct VecEngine {
    work: Work,
    /// What this worker's flows bring: a stream's frames come in one flow, so that its parts meet here.
    sequences: Sequences,
    assembly: Assembly,
    /// A datagram that goes on in the next span.
    open: Vec<u8>,
    /// Its flow, and the way back to its sender.
    opened: (u32, Option<Route>),
    cells: Arc<EngineCells>,
}

impl VecEngine {
    /// The state of `op`, over its collections; senders are answered through `replies`.
    #[must_use]
    pub fn new(op: &VecOp, collections: Arc<RunCollections>, replies: Option<ReplySink>) -> Self {
        let answers = replies.map(|sink| Box::new(Answers::new(sink)));
        Self {
            work: Work::new(collections, answers),
            sequences: Sequences::new(SENDERS),
            assembly: Assembly::new(op.limits()),
            open: Vec::new(),
            opened: (0, None),
            cells: Arc::new(EngineCells::new("vec", VecCounters::TABLE)),
        }
    }

    /// What it has counted.
    #[must_use]
    pub const fn counters(&self) -> &VecCounters {
        &self.work.counters
    }

    fn route(&self, span: &EngineSpan<'_>) -> Option<Route> {
        self.work.answers.as_ref().and_then(|answers| answers.sink.route(span))
    }

    /// A datagram of `flow`; `route` finds the way back to its sender.
    fn datagram(
        &mut self,
        bytes: &[u8],
        flow: u32,
        time_ns: u64,
        route: impl FnOnce(&Self) -> Option<Route>,
    ) {
        let frame = match Frame::parse(bytes) {
            Ok(frame) if frame.is_reply() => {
                self.work.counters.replies += 1;
                return;
            }
            Ok(frame) => frame,
            Err(error) => {
                *self.work.counters.wrong(error) += 1;
                return;
            }
        };
        if !self.is_fresh(&frame) {
            return;
        }
        self.work.counters.frames += 1;
        let route = route(self);
        let Self { assembly, work, .. } = self;
        let message = if frame.is_whole() {
            frame.bytes()
        } else {
            match assembly.take(flow, &frame, time_ns) {
                Some(message) => message,
                None => return,
            }
        };
        work.message(message, frame.answers_all(), route.map(|route| (Asker::from(&frame), route)));
    }

    /// Whether a frame has not come before; counts what did not come.
    fn is_fresh(&mut self, frame: &Frame<'_>) -> bool {
        let counters = &mut self.work.counters;
        let missing = self.sequences.counters().missing;
        let verdict = self.sequences.note(frame.sender(), frame.stream(), frame.sequence());
        match verdict {
            Verdict::Fresh => {}
            Verdict::Replayed => counters.replayed += 1,
            Verdict::Stale => counters.stale += 1,
        }
        let seen = self.sequences.counters();
        counters.skipped += seen.missing.saturating_sub(missing);
        counters.late = seen.late;
        (counters.senders, counters.joined) = (seen.streams, seen.joined);
        counters.forgotten = seen.evicted;
        verdict == Verdict::Fresh
    }

    /// A span of a datagram that has others, or that follows one which has not ended.
    fn part(&mut self, span: &EngineSpan<'_>, time_ns: u64) {
        if span.som {
            self.work.counters.torn += u64::from(!self.open.is_empty());
            self.open.clear();
            self.opened = (span.meta.flow, self.route(span));
        }
        // One that is too long stays so until it ends.
        let room = (DATAGRAM_MAX + 1).saturating_sub(self.open.len());
        self.open.extend_from_slice(&span.bytes[..span.bytes.len().min(room)]);
        if span.eom {
            let open = std::mem::take(&mut self.open);
            if open.len() > DATAGRAM_MAX {
                self.work.counters.torn += 1;
            } else {
                let (flow, route) = self.opened;
                self.datagram(&open, flow, time_ns, |_| route);
            }
            self.open = open;
            self.open.clear();
        }
    }
}

impl VecCounters {
    /// The counter for what is wrong with a frame.
    const fn wrong(&mut self, error: FrameError) -> &mut u64 {
        if error.is_foreign() {
            &mut self.foreign
        } else if error.is_torn() {
            &mut self.torn
        } else {
            &mut self.malformed
        }
    }
}

impl Engine for VecEngine {
    fn run(&mut self, batch: &EngineBatch<'_>, _: Option<&mut dyn Outlet>) {
        self.work.release();
        for span in batch.spans() {
            if span.som && span.eom && self.open.is_empty() {
                self.datagram(span.bytes, span.meta.flow, batch.time_ns, |own| own.route(&span));
            } else {
                self.part(&span, batch.time_ns);
            }
        }
        self.work.end_batch();
    }

    fn tick(&mut self, time_ns: u64, _: Option<&mut dyn Outlet>) {
        self.assembly.expire(time_ns);
        self.work.collections.tell_errors();
        self.work.release();
    }

    fn finish(&mut self, _: u64, _: Option<&mut dyn Outlet>) {
        // Messages half arrived are nobody's from here on.
        self.assembly.give_up();
        self.work.finish();
        self.work.count_replies();
    }

    fn results(&self) -> &[u64] {
        &self.work.results
    }

    fn cells(&self) -> Option<Arc<EngineCells>> {
        Some(Arc::clone(&self.cells))
    }

    fn publish(&mut self) {
        self.work.count_replies();
        let assembly = self.assembly.counters();
        let counters = &mut self.work.counters;
        counters.assembled = assembly.joined;
        counters.timed_out = assembly.timed_out;
        counters.evicted = assembly.evicted;
        counters.conflicts = assembly.conflicts;
        self.cells.publish(&counters.values());
    }
}
