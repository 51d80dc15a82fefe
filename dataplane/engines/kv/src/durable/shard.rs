//! A shard whose changes are written to a log before they are acknowledged.
//!
//! A burst is executed in memory, its changes go to a frame, and the caller gets a [`Ticket`]. Room
//! for the frame is made first, so that a full disk refuses the burst before anything was done.
//! What may be acknowledged when: [`DurableShard::acknowledged`].

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::codec::{self, CHANGE_MAX};
use super::files::{Lock, last_epoch, write_epoch};
use super::frame::{self, HEAD};
use super::recover::{Recovered, recover};
use super::segment::{END, LEAD, Lead, Preparing, Segment, seal};
use super::snapshot::Snapshot;
use super::sync::Syncer;
use super::{DurableError, DurableSettings, Fsync};
use crate::change::Change;
use crate::op::{BURST_MAX, Op, OpError, Replies, Space};
use crate::shard::{Journal, Shard, ShardSettings};

/// How long a full disk is left alone before it is tried again.
const RETRY: Duration = Duration::from_millis(50);
/// Bytes of an open frame at which it is written although its group goes on.
const WRITE_AT: usize = 256 << 10;

/// Number of the frame that holds a burst's changes; 0 when there were none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// A shard with its log, in a directory of its own.
#[derive(Debug)]
pub struct DurableShard {
    shard: Shard,
    settings: DurableSettings,
    folder: PathBuf,
    pub(super) lead: Lead,
    /// This opening is counted in the lead's epoch and on disk: with its first segment.
    counted: bool,
    segment: Option<Segment>,
    preparing: Preparing,
    /// A segment of an earlier opening that is to be sealed when the next one exists.
    unsealed: Option<(PathBuf, u64)>,
    syncer: Syncer,
    /// Frames written.
    written: u64,
    /// The open frame: its changes, behind room for the head.
    open: Vec<u8>,
    opened_at: Option<Instant>,
    poisoned: bool,
    /// When the disk was last found full.
    full: Option<Instant>,
    snapshot: Option<Snapshot>,
    /// Log bytes since the last snapshot.
    since_snapshot: u64,
    recovered: Recovered,
    // Dropped last: nobody else gets in before the threads above are done.
    _lock: Lock,
}

struct Notes<'a>(&'a mut Vec<u8>);

impl Journal for Notes<'_> {
    #[inline]
    fn note(&mut self, change: &Change<'_>) {
        codec::encode(change, self.0);
    }
}

impl DurableShard {
    /// Opens the shard in `folder`, which is made if it is not there, and recovers what is in it.
    ///
    /// # Errors
    /// When another process has it, when something else lies in it, when what had been durable is
    /// damaged or missing, or when a system call fails.
    pub fn open(
        folder: &Path,
        shard: ShardSettings,
        settings: DurableSettings,
    ) -> Result<Self, DurableError> {
        let lock = Lock::take(folder)?;
        let (mut shard, recovered, unsealed) = recover(folder, shard, settings.salvage)?;
        shard.set_clock(unix_ms());
        let epoch = last_epoch(folder)?;
        let &ShardSettings { shard: number, shards, seed, .. } = shard.settings();
        let lead = Lead { shard: number, shards, epoch, number: 0, seed };
        let mut this = Self {
            shard,
            settings,
            folder: folder.into(),
            lead,
            counted: false,
            segment: None,
            preparing: Preparing::default(),
            unsealed,
            syncer: Syncer::new(recovered.last),
            written: recovered.last,
            open: Vec::with_capacity(WRITE_AT * 2),
            opened_at: None,
            poisoned: false,
            full: None,
            snapshot: None,
            since_snapshot: recovered.log_bytes,
            recovered,
            _lock: lock,
        };
        // A full disk is no reason not to read.
        match this.next_segment(0) {
            Err(error) if no_space(&error) => this.full = Some(Instant::now()),
            Err(source) => {
                return Err(DurableError::Io {
                    doing: "making a segment in",
                    path: folder.into(),
                    source,
                });
            }
            // What salvage left out must not be in the way again.
            Ok(()) if !this.recovered.lost.is_empty() => this.snapshot()?,
            Ok(()) => {}
        }
        Ok(this)
    }

    /// The shard, to read and scan.
    #[must_use]
    pub const fn shard(&self) -> &Shard {
        &self.shard
    }

    /// What was found when it was opened.
    #[must_use]
    pub const fn recovered(&self) -> &Recovered {
        &self.recovered
    }

    /// Tells the time, in milliseconds since 1970.
    pub const fn set_clock(&mut self, now: u64) {
        self.shard.set_clock(now);
    }

    /// Executes `ops` in order and answers each; writes are refused, one by one, when the disk is
    /// full or the log is broken, and reads go on. The answers to writes are to be held back until
    /// the ticket is [`DurableShard::acknowledged`].
    pub fn execute(&mut self, ops: &[Op<'_>], replies: &mut Replies) -> Ticket {
        if ops.iter().all(Op::reads) {
            self.shard.execute(ops, replies);
            return Ticket(0);
        }
        let refused = self.make_room(ops.iter().map(size_of_op).sum()).err();
        self.shard.refuse(refused);
        let before = self.begin();
        self.shard.execute_noted(ops, replies, &mut Notes(&mut self.open));
        let ticket = self.end(before);
        if self.poisoned {
            replies.fail_writes(OpError::Poisoned);
        }
        self.snapshot_step();
        ticket
    }

    /// Removes up to `most` keys that begin with `prefix`, hidden ones too, in one step that is
    /// recovered whole or not at all: the number removed, whether there are more, and the ticket.
    ///
    /// # Errors
    /// When writes are refused.
    pub fn purge(
        &mut self,
        space: Space,
        prefix: &[u8],
        most: usize,
    ) -> Result<(u64, bool, Ticket), OpError> {
        self.make_room(CHANGE_MAX + prefix.len() + crate::KEY_MAX)?;
        let before = self.begin();
        let (removed, more) =
            self.shard.purge_noted(space, prefix, most, &mut Notes(&mut self.open));
        let ticket = self.end(before);
        if self.poisoned { Err(OpError::Poisoned) } else { Ok((removed, more, ticket)) }
    }

    /// Removes all keys that begin with `prefix` up to `last`, and that one, in one step that is
    /// recovered whole or not at all: the number removed, and the ticket.
    ///
    /// # Errors
    /// When writes are refused.
    pub(crate) fn purge_to(
        &mut self,
        space: Space,
        prefix: &[u8],
        last: &[u8],
    ) -> Result<(u64, Ticket), OpError> {
        self.make_room(CHANGE_MAX + prefix.len() + last.len())?;
        let before = self.begin();
        let removed = self.shard.purge_to_noted(space, prefix, last, &mut Notes(&mut self.open));
        let ticket = self.end(before);
        self.snapshot_step();
        if self.poisoned { Err(OpError::Poisoned) } else { Ok((removed, ticket)) }
    }

    /// Work for an idle moment, and for the time between bursts: [`DurableShard::commit`] if a
    /// group is old enough, expires, cleans, goes on with a snapshot. Call it at least every
    /// `max_us` of [`Fsync::Group`]; whether there is more to do at once.
    pub fn poll(&mut self) -> bool {
        if self.opened_at.is_some_and(|at| at.elapsed() >= self.settings.fsync.wait()) {
            self.write_open();
        }
        self.snapshot_step();
        self.shard.maintain(64 << 10) || self.snapshot.is_some()
    }

    /// Writes the open group and asks for its sync now, unless a sync is running: then the group
    /// grows until that is done or it is old enough. For the end of a turn of a loop that is woken
    /// by [`DurableShard::wake_with`].
    pub fn commit(&mut self) {
        if let Some(at) = self.opened_at
            && (self.syncer.is_idle() || at.elapsed() >= self.settings.fsync.wait())
        {
            self.write_open();
        }
    }

    /// Calls `wake` whenever a group has become durable, or could not, from another thread. It
    /// must not block. The first one given stays.
    pub fn wake_with(&self, wake: Box<dyn Fn() + Send + Sync>) {
        self.syncer.wake_with(wake);
    }

    /// Greatest ticket that is durable.
    #[must_use]
    pub fn durable(&self) -> Ticket {
        Ticket(self.syncer.durable())
    }

    /// Whether the write with `ticket` may be acknowledged: it is durable, or with
    /// [`Fsync::Never`], it was given to the kernel.
    #[must_use]
    pub fn acknowledged(&self, ticket: Ticket) -> bool {
        let reached = match self.settings.fsync {
            Fsync::Never => self.written,
            _ => self.syncer.durable(),
        };
        ticket.0 <= reached
    }

    /// Waits until the write with `ticket` may be acknowledged.
    ///
    /// # Errors
    /// When it cannot be made durable: the store takes no more writes.
    pub fn wait(&mut self, ticket: Ticket) -> Result<(), DurableError> {
        if ticket.0 > self.written {
            self.write_open();
        }
        let grouped = matches!(self.settings.fsync, Fsync::Group { .. });
        if grouped && !self.poisoned && ticket.0 <= self.written {
            self.poisoned |= !self.syncer.wait(ticket.0);
        } else if !self.acknowledged(ticket) {
            self.flush()?;
        }
        if self.acknowledged(ticket) { Ok(()) } else { Err(DurableError::Poisoned) }
    }

    /// Makes everything durable now.
    ///
    /// # Errors
    /// When it cannot be: the store takes no more writes.
    pub fn flush(&mut self) -> Result<(), DurableError> {
        self.write_open();
        if let Some(segment) = &self.segment
            && !self.poisoned
            && self.syncer.durable() < self.written
            && !self.syncer.sync(&segment.file, self.written)
        {
            self.poisoned = true;
        }
        if self.is_poisoned() { Err(DurableError::Poisoned) } else { Ok(()) }
    }

    /// Whether writing or syncing failed, so that no more writes are taken.
    #[must_use]
    pub fn is_poisoned(&self) -> bool {
        self.poisoned || self.syncer.failed()
    }

    /// Whether the disk was full when it was last tried.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        self.full.is_some()
    }

    /// Prepares a frame; its length so far.
    fn begin(&mut self) -> usize {
        if self.open.is_empty() {
            frame::begin(&mut self.open);
        }
        self.open.len()
    }

    /// Ends a burst that began with `before` bytes in the frame.
    fn end(&mut self, before: usize) -> Ticket {
        if self.open.len() == before {
            if before == HEAD {
                self.open.clear();
            }
            return Ticket(0);
        }
        let ticket = Ticket(self.written + 1);
        let opened = *self.opened_at.get_or_insert_with(Instant::now);
        match self.settings.fsync {
            Fsync::Group { max_us, max_bytes } => {
                let due = self.open.len() as u64 >= max_bytes
                    || opened.elapsed() >= Duration::from_micros(max_us);
                if due || self.open.len() >= WRITE_AT {
                    self.write_open();
                }
            }
            Fsync::Always | Fsync::Never => self.write_open(),
        }
        ticket
    }

    /// Writes the open frame, and syncs it or asks for that.
    fn write_open(&mut self) {
        self.opened_at = None;
        if self.open.len() <= HEAD || self.is_poisoned() {
            self.open.clear();
            self.poisoned |= self.syncer.failed();
            return;
        }
        let sequence = self.written + 1;
        frame::seal(&mut self.open, 0, self.lead.epoch, sequence, self.syncer.durable());
        let Some(segment) = &mut self.segment else {
            self.poisoned = true;
            return;
        };
        self.since_snapshot += self.open.len() as u64;
        let written = segment.write(&self.open);
        self.open.clear();
        if let Err(error) = written {
            tracing::error!(%error, path = %segment.path.display(), "writing the log failed");
            self.poisoned = true;
            return;
        }
        self.written = sequence;
        match self.settings.fsync {
            Fsync::Always => self.poisoned |= !self.syncer.sync(&segment.file, sequence),
            Fsync::Group { .. } => self.syncer.ask(&segment.file, sequence),
            Fsync::Never => {}
        }
        if segment.at * 2 > segment.size {
            self.preparing.begin(&self.folder, self.settings.segment_bytes);
        }
    }

    /// Makes sure that a frame with `len` bytes more can be written.
    fn make_room(&mut self, len: usize) -> Result<(), OpError> {
        if self.is_poisoned() {
            self.poisoned = true;
            return Err(OpError::Poisoned);
        }
        if len > BURST_MAX {
            return Err(OpError::BurstTooLong { len });
        }
        let needed = (self.open.len() + len + HEAD) as u64;
        if self.segment.as_ref().is_some_and(|segment| segment.fits(needed)) {
            return Ok(());
        }
        if self.full.is_some_and(|tried| tried.elapsed() < RETRY) {
            return Err(OpError::ReadOnly);
        }
        self.write_open();
        match self.next_segment(len as u64) {
            Ok(()) => {
                self.full = None;
                Ok(())
            }
            Err(error) if no_space(&error) => {
                self.full = Some(Instant::now());
                Err(OpError::ReadOnly)
            }
            Err(error) => {
                tracing::error!(%error, "making a segment of the log failed");
                self.poisoned = true;
                Err(OpError::Poisoned)
            }
        }
    }

    /// Goes on in a new segment, when everything in the last one is durable.
    fn next_segment(&mut self, len: u64) -> io::Result<()> {
        let least = len + (LEAD + HEAD + END) as u64 + 4096;
        let prepared = self.preparing.take(&self.folder, self.settings.segment_bytes, least)?;
        if let Some(last) = &self.segment {
            if !self.syncer.sync(&last.file, self.written) {
                return Err(io::Error::other("syncing the log failed"));
            }
            self.unsealed = Some((last.path.clone(), last.at));
        }
        let epoch = self.lead.epoch.wrapping_add(u32::from(!self.counted));
        let lead = Lead { number: self.written + 1, epoch, ..self.lead };
        let next = Segment::adopt(&self.folder, &lead, &prepared)?;
        if !self.counted {
            // Behind the segment: a folder that was opened is one that must have segments.
            write_epoch(&self.folder, epoch).map_err(DurableError::into_io)?;
            (self.lead.epoch, self.counted) = (epoch, true);
        }
        self.segment = Some(next);
        let path = self.segment.as_ref().map(|segment| segment.path.clone());
        // A segment without frames had the same number: the new one took its place.
        let other = |(last, _): &(PathBuf, u64)| Some(last) != path.as_ref();
        if let Some((path, at)) = self.unsealed.take().filter(other) {
            seal(&path, at, lead.number)?;
        }
        Ok(())
    }

    /// Writes a snapshot to its end, and removes the log before it.
    ///
    /// # Errors
    /// When it cannot be written; the log stays as it is.
    pub fn snapshot(&mut self) -> Result<(), DurableError> {
        if self.snapshot.is_none() {
            self.begin_snapshot()?;
        }
        while self.snapshot.is_some() {
            self.step(usize::MAX)?;
        }
        Ok(())
    }

    fn begin_snapshot(&mut self) -> Result<(), DurableError> {
        self.write_open();
        let lead = Lead { number: self.written, ..self.lead };
        self.snapshot = Some(Snapshot::begin(&self.folder, lead)?);
        self.since_snapshot = 0;
        Ok(())
    }

    /// A little of a snapshot, when one is due or being written.
    fn snapshot_step(&mut self) {
        let due = self.since_snapshot > self.settings.snapshot_bytes && !self.is_poisoned();
        let step = match &self.snapshot {
            Some(_) => self.step(64),
            None if due => self.begin_snapshot(),
            None => return,
        };
        if let Err(error) = step {
            tracing::warn!(%error, "no snapshot: the log grows");
            self.snapshot = None;
            self.since_snapshot = 0;
        }
    }

    fn step(&mut self, rows: usize) -> Result<(), DurableError> {
        let Some(snapshot) = &mut self.snapshot else { return Ok(()) };
        if !snapshot.step(&self.shard, rows)? {
            return Ok(());
        }
        // It may hold what is not durable yet in the log, which must not be older than it.
        self.flush()?;
        if let Some(snapshot) = self.snapshot.take() {
            snapshot.finish(self.written)?;
        }
        Ok(())
    }
}

#[cfg(test)]
impl DurableShard {
    /// Goes on writing to another file, one that fails.
    pub(super) fn write_to(&mut self, path: &Path) {
        let file = std::fs::OpenOptions::new().read(true).write(true).open(path).unwrap();
        self.segment.as_mut().unwrap().file = std::sync::Arc::new(file);
    }
}

impl Drop for DurableShard {
    fn drop(&mut self) {
        if let Err(error) = self.flush() {
            tracing::error!(%error, folder = %self.folder.display(), "closing");
        }
    }
}

/// Most bytes that the change of `op` takes in a frame.
fn size_of_op(op: &Op<'_>) -> usize {
    let strings = match *op {
        Op::Put { key, value, .. } => key.len() + value.len(),
        Op::Delete { key, .. } | Op::Add { key, .. } | Op::Expire { key, .. } => key.len() + 20,
        Op::Insert { value, .. } | Op::Edit { value, .. } => value.len(),
        Op::Get { .. } | Op::Read { .. } | Op::Remove { .. } => 0,
    };
    CHANGE_MAX + strings
}

fn no_space(error: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge)
}

/// Now, in milliseconds since 1970.
pub(crate) fn unix_ms() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as u64)
}
