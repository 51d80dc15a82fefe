//! The op `kv`: operations in payload, executed on a store.

mod answers;
mod digest;
mod forms;
mod spec;
mod store;
mod texts;
mod todo;

use std::sync::Arc;

use pfs_kv::frame::{Frame, FrameError, Verdict};
use pfs_kv::resp::Requests;
use pfs_kv::{Database, Op, OpError, Replies, Reply, Space, StoreShard};

/// The engine, for who works on a store without packets.
pub use pfs_kv;

pub use spec::{KvGrammar, KvOp, KvSync, bytes_of, fsync_of};
pub use store::RunStore;

pub(in crate::ops) use digest::digest_bytes;

use self::answers::{Answers, Asked};
use self::digest::digest;
use self::todo::{Kind, Todo};
use crate::counters::KvCounters;
use crate::pcpu::{BATCH, Engine, EngineBatch, EngineCells, EngineSpan, Outlet, SpanMeta};
use crate::transmitters::replies::{ReplySink, Route};

/// Longest message that is put together from several spans.
const MESSAGE_MAX: usize = 16 << 20;

/// One worker's state of a `kv` op.
#[derive(Debug)]
pub struct KvEngine {
    grammar: KvGrammar,
    store: Arc<RunStore>,
    db: Database,
    todo: Todo<'static>,
    /// Operations of a batch by their shard.
    lists: Vec<Vec<Op<'static>>>,
    /// By shard: its list was executed.
    ran: Vec<bool>,
    replies: Replies,
    requests: Requests,
    /// Who is answered, and how.
    answers: Option<Box<Answers>>,
    /// A message that goes on in the next span.
    open: Vec<u8>,
    /// The way back to its sender.
    open_route: Option<Route>,
    /// The message is longer than any may be: it is left out.
    overlong: bool,
    /// Operations executed, operations refused, sum of digests.
    results: [u64; 3],
    counters: KvCounters,
    cells: Arc<EngineCells>,
}

impl KvEngine {
    /// The state of `op`, over its store; senders are answered through `replies`.
    #[must_use]
    pub fn new(op: &KvOp, store: Arc<RunStore>, replies: Option<ReplySink>) -> Self {
        let shards = store.shards().shards();
        Self {
            grammar: op.grammar,
            db: store.database(&op.db),
            todo: Todo::default(),
            lists: (0..shards).map(|_| Vec::new()).collect(),
            ran: vec![false; shards],
            store,
            replies: Replies::new(),
            requests: Requests::new(),
            answers: replies.map(|sink| Box::new(Answers::new(sink, shards))),
            open: Vec::new(),
            open_route: None,
            overlong: false,
            results: [0; 3],
            counters: KvCounters::default(),
            cells: Arc::new(EngineCells::new("kv", KvCounters::TABLE)),
        }
    }

    /// What it has counted.
    #[must_use]
    pub const fn counters(&self) -> &KvCounters {
        &self.counters
    }

    /// Executes the operations of whole messages, a batch at most.
    fn messages(&mut self, spans: &[EngineSpan<'_>], time_ns: u64) {
        let mut todo: Todo<'_> = std::mem::take(&mut self.todo);
        todo.answering = self.answers.is_some();
        let mut frames = [None; BATCH];
        if self.grammar == KvGrammar::Frame {
            self.frames(spans, &mut frames, &mut todo);
        } else {
            self.texts(spans, &mut todo);
        }
        if !todo.steps.is_empty() || !todo.asks.is_empty() {
            self.execute(&todo, time_ns);
        }
        if let Some(answers) = self.answers.as_mut().filter(|_| !todo.asks.is_empty()) {
            let asked = Asked { spans, frames: &frames, opened: self.open_route.as_ref() };
            answers.write(&todo.asks, &asked, &mut self.counters);
        }
        self.todo = todo.recycle();
    }

    /// The operations of texts.
    fn texts<'a>(&mut self, spans: &[EngineSpan<'a>], todo: &mut Todo<'a>) {
        for (at, span) in spans.iter().enumerate() {
            let payload = span.bytes;
            if payload.is_empty() {
                continue;
            }
            // What is left of a line reads as a whole one, with another value.
            if span.cut() {
                self.counters.torn += 1;
                continue;
            }
            if todo.answering && texts::is_reply(payload) {
                self.counters.replies += 1;
                continue;
            }
            todo.message = at;
            let (db, counters) = (self.db, &mut self.counters);
            let whole = match self.grammar {
                KvGrammar::Cheetah => texts::lines(payload, db, todo, counters),
                _ => texts::resp(payload, db, &mut self.requests, todo, counters),
            };
            if whole {
                self.counters.frames += 1;
            } else {
                self.counters.malformed += 1;
            }
        }
    }

    /// Checks frames, then asks for all of them at once which are new, then takes their operations.
    fn frames<'a>(
        &mut self,
        spans: &[EngineSpan<'a>],
        frames: &mut [Option<Frame<'a>>; BATCH],
        todo: &mut Todo<'a>,
    ) {
        for (frame, span) in frames.iter_mut().zip(spans) {
            match Frame::parse(span.bytes) {
                Ok(found) if found.is_reply() => self.counters.replies += 1,
                Ok(found) => *frame = Some(found),
                Err(error) => *self.counters.wrong(error) += 1,
            }
        }
        self.sequence(frames);
        for (at, frame) in frames.iter().enumerate() {
            if let Some(frame) = frame {
                todo.message = at;
                texts::frame(frame, self.db, todo, &mut self.counters);
            }
        }
    }

    /// Leaves those frames out that came before, and counts what did not come.
    fn sequence(&mut self, frames: &mut [Option<Frame<'_>>; BATCH]) {
        let mut left: u64 = 0;
        for (at, frame) in frames.iter().enumerate() {
            left |= u64::from(frame.is_some()) << at;
        }
        // Part by part, in the order of their first frames: most often there is one sender.
        while left != 0 {
            let first = frames[left.trailing_zeros() as usize];
            let part = first.map_or(0, |frame| RunStore::part_of(frame.sender()));
            left = self.sequence_part(part, frames, left);
        }
    }

    /// The same for frames of `left` whose senders are in `part`; the others are left.
    fn sequence_part(
        &mut self,
        part: usize,
        frames: &mut [Option<Frame<'_>>; BATCH],
        mut left: u64,
    ) -> u64 {
        let mut sequences = self.store.sequences(part);
        let before = sequences.counters();
        let mut missing = before.missing;
        let mut rest = left;
        while rest != 0 {
            let at = rest.trailing_zeros() as usize;
            rest &= rest - 1;
            let slot = &mut frames[at];
            let Some(frame) = slot else { continue };
            if RunStore::part_of(frame.sender()) != part {
                continue;
            }
            left &= !(1 << at);
            match sequences.note(frame.sender(), frame.lane(), frame.sequence()) {
                Verdict::Fresh => self.counters.frames += 1,
                Verdict::Replayed => {
                    self.counters.replayed += 1;
                    *slot = None;
                }
                Verdict::Stale => {
                    self.counters.stale += 1;
                    *slot = None;
                }
            }
            let now = sequences.counters().missing;
            self.counters.skipped += now.saturating_sub(missing);
            missing = now;
        }
        let after = sequences.counters();
        drop(sequences);
        self.counters.late += after.late - before.late;
        self.counters.senders += after.streams - before.streams;
        self.counters.joined += after.joined - before.joined;
        self.counters.forgotten += after.evicted - before.evicted;
        left
    }

    /// Sorts steps by shard and executes each shard's with one hold of its lock.
    fn execute(&mut self, todo: &Todo<'_>, time_ns: u64) {
        let mut lists: Vec<Vec<Op<'_>>> = std::mem::take(&mut self.lists);
        let mut own = self.answers.take();
        let mut answers = own.as_deref_mut().filter(|_| !todo.asks.is_empty());
        if let Some(answers) = &mut answers {
            answers.begin(todo.steps.len());
        }
        for (at, step) in todo.steps.iter().enumerate() {
            let op = todo.op(step);
            let owner = self.store.shards().owner(&op);
            self.counters.take(step.kind);
            self.results[2] = self.results[2].wrapping_add(digest(&op));
            if let Some(list) = lists.get_mut(owner) {
                list.push(op);
            }
            if let Some(answers) = &mut answers {
                answers.place(owner, at);
            }
        }
        let writes = todo.asks.iter().any(|ask| ask.form.of_write());
        self.run_lists(&lists, answers, (writes, time_ns));
        self.answers = own;
        // Nothing is left to convert: this reuses the allocations.
        let recycle = |mut list: Vec<Op<'_>>| -> Vec<Op<'static>> {
            list.clear();
            list.into_iter().map(|_| Op::get(Space(0), b"")).collect()
        };
        self.lists = lists.into_iter().map(recycle).collect();
    }

    /// Sends answers that waited for the disk.
    fn release(&mut self) {
        if let Some(answers) = &mut self.answers {
            answers.release(self.store.shards());
        }
    }

    fn count_replies(&mut self) {
        if let Some(answers) = &mut self.answers {
            let sink = answers.sink.take_counters();
            self.counters.replies_sent += sink.sent;
            self.counters.replies_dropped += sink.dropped;
            self.counters.replies_failed += sink.failed;
        }
    }

    /// Executes each shard's list with one hold of its lock: first those that are free.
    fn run_lists(
        &mut self,
        lists: &[Vec<Op<'_>>],
        mut answers: Option<&mut Answers>,
        (writes, time_ns): (bool, u64),
    ) {
        let Self { store, ran, replies, results, counters, .. } = self;
        let store = store.shards();
        for wait in [false, true] {
            for (at, list) in lists.iter().enumerate() {
                if ran[at] || list.is_empty() {
                    continue;
                }
                let mut found = store.free_shard(at);
                if found.is_none() && wait {
                    counters.shard_waits += 1;
                    found = store.shard(at);
                }
                let Some(mut shard) = found else { continue };
                ran[at] = true;
                set_clock(&mut shard, time_ns);
                let ticket = shard.execute(list, replies);
                if let Some(answers) = &mut answers {
                    answers.note((at, &mut shard), replies, (ticket, writes));
                }
                drop(shard);
                count(replies, results, counters);
            }
        }
        ran.fill(false);
    }

    /// A span of a message that has others.
    fn part(&mut self, span: &EngineSpan<'_>, time_ns: u64) {
        let EngineSpan { bytes, som, eom, .. } = *span;
        if som {
            self.open_route = self.answers.as_ref().and_then(|answers| answers.sink.route(span));
            // A message that never ended is abandoned.
            self.counters.malformed += u64::from(!self.open.is_empty() || self.overlong);
            self.open.clear();
            self.overlong = false;
        }
        if self.overlong || self.open.len() + bytes.len() > MESSAGE_MAX {
            self.overlong = true;
            self.open.clear();
        } else {
            self.open.extend_from_slice(bytes);
        }
        if eom {
            let open = std::mem::take(&mut self.open);
            if std::mem::take(&mut self.overlong) {
                self.counters.malformed += 1;
            } else {
                let mut meta = SpanMeta::default();
                meta.flags = span.meta.flags;
                let whole = EngineSpan { bytes: &open, som: true, eom: true, meta, frame: None };
                self.messages(&[whole], time_ns);
            }
            self.open = open;
            self.open.clear();
            self.open_route = None;
        }
    }
}

impl KvCounters {
    /// The counter for what is wrong with a frame.
    fn wrong(&mut self, error: FrameError) -> &mut u64 {
        match error {
            FrameError::Magic | FrameError::Version => &mut self.foreign,
            FrameError::Short
            | FrameError::Check
            | FrameError::OperationShort
            | FrameError::Trailing => &mut self.torn,
            _ => &mut self.malformed,
        }
    }

    /// The counter for why an operation was refused.
    fn refused(&mut self, error: OpError) -> &mut u64 {
        match error {
            OpError::Full { .. } | OpError::System { .. } => &mut self.full,
            OpError::ReadOnly => &mut self.read_only,
            OpError::Poisoned => &mut self.broken,
            _ => &mut self.refused,
        }
    }

    fn take(&mut self, kind: Kind) {
        match kind {
            Kind::Put { .. } | Kind::Insert | Kind::Edit(_) => self.writes += 1,
            Kind::Delete | Kind::Remove(_) => self.deletes += 1,
            Kind::Get | Kind::Read(_) => self.gets += 1,
        }
    }
}

/// Counts what the store has said to a list.
fn count(replies: &Replies, results: &mut [u64; 3], counters: &mut KvCounters) {
    for reply in replies.iter() {
        match reply {
            Reply::Failed(error) => {
                results[1] += 1;
                *counters.refused(error) += 1;
            }
            Reply::Missing => {
                results[0] += 1;
                counters.missing += 1;
            }
            _ => results[0] += 1,
        }
    }
}

fn set_clock(shard: &mut StoreShard, time_ns: u64) {
    // Batches without a time leave the clock as it is.
    if time_ns > 0 {
        shard.set_clock(time_ns / 1_000_000);
    }
}

impl Engine for KvEngine {
    fn run(&mut self, batch: &EngineBatch<'_>, _: Option<&mut dyn Outlet>) {
        self.release();
        if self.open.is_empty() && !self.overlong && batch.is_whole() {
            let (meta, frame) = (SpanMeta::default(), None);
            let none = EngineSpan { bytes: &[], som: true, eom: true, meta, frame };
            let mut messages = [none; BATCH];
            let spans = batch.spans();
            let len = spans.len();
            for (message, span) in messages.iter_mut().zip(spans) {
                *message = span;
            }
            self.messages(&messages[..len], batch.time_ns);
        } else {
            for span in batch.spans() {
                self.part(&span, batch.time_ns);
            }
        }
    }

    fn tick(&mut self, _: u64, _: Option<&mut dyn Outlet>) {
        let store = self.store.shards();
        for at in 0..store.shards() {
            if let Some(mut shard) = store.shard(at) {
                // Groups that are due are written, old logs and dead records removed.
                shard.poll();
            }
        }
        self.release();
    }

    fn finish(&mut self, _: u64, _: Option<&mut dyn Outlet>) {
        let store = self.store.shards();
        for at in 0..store.shards() {
            if let Some(mut shard) = store.shard(at)
                && let Err(error) = shard.flush()
            {
                tracing::error!(%error, shard = at, "making the store durable");
                self.counters.unsynced += 1;
            }
        }
        self.release();
        if let Some(answers) = &mut self.answers {
            self.counters.replies_dropped += answers.abandon();
            answers.sink.close();
        }
        self.count_replies();
    }

    fn results(&self) -> &[u64] {
        &self.results
    }

    fn cells(&self) -> Option<Arc<EngineCells>> {
        Some(Arc::clone(&self.cells))
    }

    fn publish(&mut self) {
        self.count_replies();
        self.cells.publish(&self.counters.values());
    }
}
