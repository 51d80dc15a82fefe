//! The op `kv`: operations in payload, executed on a store.

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
pub use store::SharedStore;

use self::todo::{Kind, Todo};
use crate::counters::KvCounters;
use crate::pcpu::{BATCH, Engine, EngineBatch, EngineCells, Outlet};

/// Longest message that is put together from several spans.
const MESSAGE_MAX: usize = 16 << 20;

/// One worker's state of a `kv` op.
#[derive(Debug)]
pub struct KvEngine {
    grammar: KvGrammar,
    store: Arc<SharedStore>,
    db: Database,
    todo: Todo<'static>,
    /// Operations of a batch by their shard.
    lists: Vec<Vec<Op<'static>>>,
    replies: Replies,
    requests: Requests,
    /// A message that goes on in the next span.
    open: Vec<u8>,
    /// The message is longer than any may be: it is left out.
    overlong: bool,
    /// Operations executed, operations refused, sum of digests.
    results: [u64; 3],
    counters: KvCounters,
    cells: Arc<EngineCells>,
}

impl KvEngine {
    /// The state of `op`, over its store.
    #[must_use]
    pub fn new(op: &KvOp, store: Arc<SharedStore>) -> Self {
        Self {
            grammar: op.grammar,
            db: store.database(&op.db),
            todo: Todo::default(),
            lists: (0..store.len()).map(|_| Vec::new()).collect(),
            store,
            replies: Replies::new(),
            requests: Requests::new(),
            open: Vec::new(),
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

    /// Executes the operations of whole messages.
    fn messages(&mut self, messages: &[&[u8]], time_ns: u64) {
        let mut todo: Todo<'_> = std::mem::take(&mut self.todo);
        if self.grammar == KvGrammar::Frame {
            self.frames(messages, &mut todo);
        } else {
            for payload in messages.iter().filter(|payload| !payload.is_empty()) {
                let (db, counters) = (self.db, &mut self.counters);
                let whole = match self.grammar {
                    KvGrammar::Cheetah => texts::lines(payload, db, &mut todo, counters),
                    _ => texts::resp(payload, db, &mut self.requests, &mut todo, counters),
                };
                if whole {
                    self.counters.frames += 1;
                } else {
                    self.counters.malformed += 1;
                }
            }
        }
        if !todo.steps.is_empty() {
            self.execute(&todo, time_ns);
        }
        self.todo = todo.recycle();
    }

    /// Checks frames, then asks for all of them at once which are new, then takes their operations.
    fn frames<'a>(&mut self, messages: &[&'a [u8]], todo: &mut Todo<'a>) {
        for part in messages.chunks(BATCH) {
            let mut frames = [None; BATCH];
            for (frame, payload) in frames.iter_mut().zip(part) {
                match Frame::parse(payload) {
                    Ok(found) if found.is_reply() => self.counters.replies += 1,
                    Ok(found) => *frame = Some(found),
                    Err(error) => *self.counters.wrong(error) += 1,
                }
            }
            let mut sequences = self.store.sequences();
            let before = sequences.counters();
            let mut missing = before.missing;
            for slot in &mut frames {
                let Some(frame) = slot else { continue };
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
            for frame in frames.iter().flatten() {
                texts::frame(frame, self.db, todo, &mut self.counters);
            }
        }
    }

    /// Sorts steps by shard and executes each shard's with one hold of its lock.
    fn execute(&mut self, todo: &Todo<'_>, time_ns: u64) {
        let mut lists: Vec<Vec<Op<'_>>> = std::mem::take(&mut self.lists);
        {
            // Any shard knows which owns a key.
            let first = if lists.len() > 1 { self.store.shard(0) } else { None };
            for step in &todo.steps {
                let op = todo.op(step);
                let owner = match (&first, op) {
                    (None, _) => 0,
                    (Some(shard), Op::Put { space, key, .. } | Op::Delete { space, key }) => {
                        shard.shard().owner(space, key)
                    }
                    (_, Op::Edit { absolute, .. } | Op::Remove { absolute, .. }) => {
                        (absolute.wrapping_sub(1) % lists.len() as u64) as usize
                    }
                    _ => self.store.next_turn(),
                };
                self.counters.take(step.kind);
                self.results[2] = self.results[2].wrapping_add(digest(&op));
                if let Some(list) = lists.get_mut(owner) {
                    list.push(op);
                }
            }
        }
        for (at, list) in lists.iter().enumerate().filter(|(_, list)| !list.is_empty()) {
            let Some(mut shard) = self.store.shard(at) else { continue };
            set_clock(&mut shard, time_ns);
            shard.execute(list, &mut self.replies);
            drop(shard);
            for reply in self.replies.iter() {
                match reply {
                    Reply::Failed(error) => {
                        self.results[1] += 1;
                        *self.counters.refused(error) += 1;
                    }
                    Reply::Missing => {
                        self.results[0] += 1;
                        self.counters.missing += 1;
                    }
                    _ => self.results[0] += 1,
                }
            }
        }
        // Nothing is left to convert: this reuses the allocations.
        let recycle = |mut list: Vec<Op<'_>>| -> Vec<Op<'static>> {
            list.clear();
            list.into_iter().map(|_| Op::get(Space(0), b"")).collect()
        };
        self.lists = lists.into_iter().map(recycle).collect();
    }

    /// A span of a message that has others.
    fn part(&mut self, bytes: &[u8], (som, eom): (bool, bool), time_ns: u64) {
        if som {
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
                self.messages(&[&open], time_ns);
            }
            self.open = open;
            self.open.clear();
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
        }
    }
}

fn set_clock(shard: &mut StoreShard, time_ns: u64) {
    // Batches without a time leave the clock as it is.
    if time_ns > 0 {
        match shard {
            StoreShard::Memory(shard) => shard.set_clock(time_ns / 1_000_000),
            StoreShard::Durable(shard) => shard.set_clock(time_ns / 1_000_000),
        }
    }
}

/// A digest of an operation: of its kind, key and value, not of when it came. Sums of digests do not
/// depend on the order. It is for comparing, not against forgery.
///
/// `mix` over the kind's number, then of the key and of the value the length and the bytes in words
/// of 8, little-endian, the last filled up with zeros: `h = (h ^ word) · 0x9e3779b97f4a7c15`, then
/// `h ^= h >> 32`.
fn digest(op: &Op<'_>) -> u64 {
    let (kind, key, value): (u64, &[u8], &[u8]) = match *op {
        Op::Put { space, key, value, hidden, .. } => {
            (1 | u64::from(hidden) << 8 | u64::from(space.0) << 16, key, value)
        }
        Op::Delete { space, key } => (2 | u64::from(space.0) << 16, key, b""),
        Op::Insert { space, value } => (3 | u64::from(space.0) << 16, b"", value),
        Op::Edit { space, absolute, value } => {
            (4 | u64::from(space.0) << 16 | absolute.rotate_left(32), b"", value)
        }
        Op::Remove { space, absolute } => {
            (5 | u64::from(space.0) << 16 | absolute.rotate_left(32), b"", b"")
        }
        _ => (0, b"", b""),
    };
    let mix = |hash: u64, word: u64| {
        let hash = (hash ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        hash ^ hash >> 32
    };
    let mut hash = mix(0, kind);
    for bytes in [key, value] {
        hash = mix(hash, bytes.len() as u64);
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            hash = mix(hash, u64::from_le_bytes(*word));
        }
        if !rest.is_empty() {
            let mut last = [0; 8];
            last[..rest.len()].copy_from_slice(rest);
            hash = mix(hash, u64::from_le_bytes(last));
        }
    }
    hash
}

impl Engine for KvEngine {
    fn run(&mut self, batch: &EngineBatch<'_>, _: Option<&mut dyn Outlet>) {
        if self.open.is_empty() && !self.overlong && batch.is_whole() {
            let mut messages: [&[u8]; BATCH] = [&[]; BATCH];
            let spans = batch.spans();
            let len = spans.len();
            for (message, span) in messages.iter_mut().zip(spans) {
                *message = span.bytes;
            }
            self.messages(&messages[..len], batch.time_ns);
        } else {
            for span in batch.spans() {
                self.part(span.bytes, (span.som, span.eom), batch.time_ns);
            }
        }
    }

    fn tick(&mut self, _: u64, _: Option<&mut dyn Outlet>) {
        for at in 0..self.store.len() {
            if let Some(mut shard) = self.store.shard(at) {
                // Groups that are due are written, old logs and dead records removed.
                shard.poll();
            }
        }
    }

    fn finish(&mut self, _: u64, _: Option<&mut dyn Outlet>) {
        for at in 0..self.store.len() {
            if let Some(mut shard) = self.store.shard(at)
                && let Err(error) = shard.flush()
            {
                tracing::error!(%error, shard = at, "making the store durable");
                self.counters.unsynced += 1;
            }
        }
    }

    fn results(&self) -> &[u64] {
        &self.results
    }

    fn cells(&self) -> Option<Arc<EngineCells>> {
        Some(Arc::clone(&self.cells))
    }

    fn publish(&mut self) {
        self.cells.publish(&self.counters.values());
    }
}
