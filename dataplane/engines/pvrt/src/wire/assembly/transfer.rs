//! A file that arrives, as all threads see it.

use std::any::Any;
use std::fmt;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use thiserror::Error;

use super::bits::Bits;
use super::destination::Destination;
use crate::space::Space;
use crate::wire::body::Dictionary;
use crate::wire::frame::WINDOW_MOST;
use crate::wire::seal::Key;
use crate::wire::wanted::Wanted;

/// A space together with what keeps its bytes.
#[derive(Default)]
pub struct HeldSpace {
    // Dropped before what it borrows from.
    space: Space<'static>,
    holder: Option<Arc<dyn Any + Send + Sync>>,
}

impl fmt::Debug for HeldSpace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let segments = self.space.segments();
        let segments: Vec<_> = segments.iter().map(|(base, bytes)| (base, bytes.len())).collect();
        f.debug_struct("HeldSpace").field("segments", &segments).finish_non_exhaustive()
    }
}

impl HeldSpace {
    /// The space that `of` makes of `holder`, which stays as long as this does.
    pub fn new<H: Send + Sync + 'static>(
        holder: Arc<H>,
        of: impl for<'a> FnOnce(&'a H) -> Space<'a>,
    ) -> Self {
        // SAFETY: the Arc is kept beside the space and dropped after it, and gives nobody `&mut`
        // while there are clones; what `of` makes borrows from nothing else that could go, as it works
        // for any lifetime.
        let space = of(unsafe { &*Arc::as_ptr(&holder) });
        Self { space, holder: Some(holder) }
    }

    /// The space.
    #[must_use]
    #[inline]
    pub fn space(&self) -> &Space<'_> {
        &self.space
    }

    /// What keeps the bytes.
    #[must_use]
    pub const fn holder(&self) -> Option<&Arc<dyn Any + Send + Sync>> {
        self.holder.as_ref()
    }
}

/// What two ends agree on before the first frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct TransferSpec {
    /// Its number, of this receiver's transfers no other's.
    pub id: u32,
    /// Bytes of the file.
    pub size: u64,
    /// Bytes of each window but the last, 1 to [`WINDOW_MOST`].
    pub window_bytes: u32,
    /// What the first reference of the window that begins at byte n of the file is relative to, less
    /// n: e.g. [`Space::BESIDE`] where most references are to an older file.
    pub anchor: u64,
}

impl TransferSpec {
    /// Number of windows.
    #[must_use]
    pub const fn windows(&self) -> u64 {
        self.size.div_ceil(self.window_bytes as u64)
    }

    /// Where window `at` begins in the file.
    #[must_use]
    pub const fn begin(&self, at: u32) -> u64 {
        at as u64 * self.window_bytes as u64
    }

    /// Bytes of window `at`; 0 beyond the last.
    #[must_use]
    pub const fn window_len(&self, at: u32) -> u32 {
        let left = self.size.saturating_sub(self.begin(at));
        if left < self.window_bytes as u64 { left as u32 } else { self.window_bytes }
    }

    /// What the first reference of window `at` is relative to.
    #[must_use]
    pub const fn from(&self, at: u32) -> u64 {
        self.anchor.wrapping_add(self.begin(at))
    }
}

/// A transfer that cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TransferError {
    /// Windows of an impossible size.
    #[error("windows of {0} bytes: they have 1 to {WINDOW_MOST}")]
    WindowBytes(u32),
    /// More windows than a frame can number.
    #[error("{0} windows are too many: choose longer ones")]
    Windows(u64),
    /// The destination has another size than the file.
    #[error("the destination has {have} bytes, the file {want}")]
    Destination {
        /// Bytes of the destination.
        have: u64,
        /// Bytes of the file.
        want: u64,
    },
    /// The number is another's.
    #[error("transfer {0} is under way already")]
    Taken(u32),
}

/// One file's arrival. Threads share it; each window is written by one at a time.
#[derive(Debug)]
pub struct Transfer {
    spec: TransferSpec,
    windows: u32,
    space: HeldSpace,
    destination: Destination,
    key: Option<Key>,
    dictionaries: Vec<Dictionary>,
    /// Windows that are done or that a lane works on.
    claimed: Bits,
    /// Windows whose check has passed: nobody writes them again.
    done: Bits,
    /// Windows whose references failed here: they must come raw.
    failed: Bits,
    done_count: AtomicU64,
    /// Frames that arrived, duplicates included.
    frames: AtomicU64,
    /// The highest sequence that arrived, plus 1.
    sequences: AtomicU64,
    /// Who asks what lanes are missing counts this up.
    asked: AtomicU64,
    answers: Mutex<Vec<Wanted>>,
}

/// What has arrived of a transfer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Windows whose check has passed.
    pub windows: u64,
    /// Frames that arrived whole and were this transfer's, duplicates included.
    pub frames: u64,
    /// The highest sequence of these, plus 1: what the sender had sent by then, of which the frames
    /// that are not among [`Self::frames`] are lost or late.
    pub sequences: u64,
}

impl Transfer {
    /// The transfer `spec`, whose references point into `space` and which fills `destination`.
    ///
    /// # Errors
    /// When windows are too long, too many, or the destination has another size.
    pub fn new(
        spec: TransferSpec,
        space: HeldSpace,
        destination: Destination,
    ) -> Result<Self, TransferError> {
        if spec.window_bytes == 0 || spec.window_bytes > WINDOW_MOST {
            return Err(TransferError::WindowBytes(spec.window_bytes));
        }
        let (have, want) = (destination.size(), spec.size);
        if have != want {
            return Err(TransferError::Destination { have, want });
        }
        let windows = u32::try_from(spec.windows()).ok().filter(|windows| *windows < u32::MAX);
        let windows = windows.ok_or(TransferError::Windows(spec.windows()))?;
        Ok(Self {
            spec,
            windows,
            space,
            destination,
            key: None,
            dictionaries: Vec::new(),
            claimed: Bits::new(windows),
            done: Bits::new(windows),
            failed: Bits::new(windows),
            done_count: AtomicU64::new(0),
            frames: AtomicU64::new(0),
            sequences: AtomicU64::new(0),
            asked: AtomicU64::new(0),
            answers: Mutex::default(),
        })
    }

    /// The same, of which only frames that `key` sealed are taken.
    #[must_use]
    pub fn with_key(self, key: Key) -> Self {
        Self { key: Some(key), ..self }
    }

    /// The same with dictionaries, numbered in this order.
    #[must_use]
    pub fn with_dictionaries(self, dictionaries: Vec<Dictionary>) -> Self {
        Self { dictionaries, ..self }
    }

    /// The same, of which `windows` are in the destination already, as an earlier run left them.
    #[must_use]
    pub fn with_done(self, windows: impl IntoIterator<Item = Range<u32>>) -> Self {
        for window in windows.into_iter().flat_map(|range| range.start..range.end.min(self.windows))
        {
            self.claimed.set(window, Ordering::Relaxed);
            let new = self.done.set(window, Ordering::Release);
            self.done_count.fetch_add(u64::from(new), Ordering::Release);
        }
        self
    }

    /// What was agreed on.
    #[must_use]
    #[inline]
    pub const fn spec(&self) -> &TransferSpec {
        &self.spec
    }

    /// Number of windows.
    #[must_use]
    #[inline]
    pub const fn windows(&self) -> u32 {
        self.windows
    }

    /// Where references point.
    #[must_use]
    #[inline]
    pub const fn space(&self) -> &HeldSpace {
        &self.space
    }

    /// Where the file is put together.
    #[must_use]
    pub const fn destination(&self) -> &Destination {
        &self.destination
    }

    /// What opens its frames; `None` for plain ones.
    #[inline]
    pub(super) const fn key(&self) -> Option<&Key> {
        self.key.as_ref()
    }

    /// The dictionaries that raw bytes may need.
    #[inline]
    pub(super) fn dictionaries(&self) -> &[Dictionary] {
        &self.dictionaries
    }

    /// What has arrived.
    #[must_use]
    pub fn progress(&self) -> Progress {
        Progress {
            windows: self.done_count.load(Ordering::Acquire),
            frames: self.frames.load(Ordering::Relaxed),
            sequences: self.sequences.load(Ordering::Relaxed),
        }
    }

    /// Whether each window's check has passed. What is left is the file's own hash.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.done_count.load(Ordering::Acquire) == u64::from(self.windows)
    }

    /// Whether window `at` is done.
    #[must_use]
    #[inline]
    pub fn is_done(&self, at: u32) -> bool {
        self.done.get(at, Ordering::Acquire)
    }

    /// The bytes of window `at`, once it is done: they do not change any more.
    #[must_use]
    pub fn window(&self, at: u32) -> Option<&[u8]> {
        if !self.is_done(at) {
            return None;
        }
        let len = self.spec.window_len(at) as usize;
        let begin = self.destination.at(self.spec.begin(at), len)?;
        // SAFETY: inside the destination. A done window stays claimed for good, and only a claim's
        // owner writes; whoever set the bit had finished before, which the acquiring load sees.
        Some(unsafe { std::slice::from_raw_parts(begin, len) })
    }

    /// Windows that are done, as ranges in order; what [`Self::with_done`] takes.
    #[must_use]
    pub fn done(&self) -> Vec<Range<u32>> {
        let mut ranges = Vec::new();
        self.done.runs(
            0..self.windows,
            |word| word,
            |range| {
                ranges.push(range);
                true
            },
        );
        ranges
    }

    /// Appends up to `most` stretches of the windows in `range` that are neither done nor begun;
    /// those whose references failed here are asked for raw.
    pub fn wanted(&self, range: Range<u32>, most: usize, out: &mut Vec<Wanted>) {
        let most = out.len().saturating_add(most);
        let mut gaps = Vec::new();
        self.claimed.runs(
            range,
            |word| !word,
            |gap| {
                gaps.push(gap);
                gaps.len() < most
            },
        );
        for gap in gaps {
            let mut at = gap.start;
            let mut push = |upto: u32, raw: bool| {
                if upto > at && out.len() < most {
                    out.push(Wanted::Windows { first: at, count: upto - at, raw });
                }
                at = upto;
            };
            self.failed.runs(
                gap.clone(),
                |word| word,
                |failed| {
                    push(failed.start, false);
                    push(failed.end, true);
                    true
                },
            );
            push(gap.end, false);
        }
    }

    /// Asks all lanes which fragments they miss of windows begun; they answer at their next tick,
    /// into what [`Self::take_answers`] gives.
    pub fn ask(&self) {
        self.asked.fetch_add(1, Ordering::Relaxed);
    }

    /// What lanes have answered since the last call.
    #[must_use]
    pub fn take_answers(&self) -> Vec<Wanted> {
        std::mem::take(&mut *self.answers.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// How often was asked.
    pub(super) fn asked(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }

    /// Answers for one lane.
    pub(super) fn answer(&self, wanted: &[Wanted]) {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        answers.extend_from_slice(wanted);
    }

    /// Counts a batch's frames, of which the highest sequence is one less than `sequences`.
    pub(super) fn arrived(&self, frames: u64, sequences: u64) {
        self.frames.fetch_add(frames, Ordering::Relaxed);
        self.sequences.fetch_max(sequences, Ordering::Relaxed);
    }
}

/// The right to write a window, which one lane has at a time; given back when dropped.
#[derive(Debug)]
pub(super) struct Claim {
    transfer: Arc<Transfer>,
    window: u32,
    bytes: ClaimBytes,
}

/// Where a claimed window is written.
#[derive(Debug)]
enum ClaimBytes {
    /// In the destination.
    Place(*mut u8, usize),
    /// In a buffer of the stream, which may be longer.
    Buffer(Vec<u8>, usize),
}

// SAFETY: the pointer is into the transfer's mapping, which any thread may write; which one does is
// what the claim says.
unsafe impl Send for Claim {}

/// Why there is no claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// The window is done or another lane's.
    Taken,
    /// All buffers of the stream are lent.
    Unroomed,
}

impl Claim {
    /// Of window `window`, unless it is done or another lane's.
    #[inline]
    pub(super) fn new(transfer: &Arc<Transfer>, window: u32) -> Result<Self, Refused> {
        let spec = transfer.spec();
        let len = spec.window_len(window) as usize;
        let bytes = match transfer.destination.as_stream() {
            None => {
                let begin = transfer.destination.at(spec.begin(window), len);
                ClaimBytes::Place(begin.ok_or(Refused::Taken)?, len)
            }
            Some(_) if transfer.claimed.get(window, Ordering::Relaxed) => {
                return Err(Refused::Taken);
            }
            Some(stream) => ClaimBytes::Buffer(stream.take(len).ok_or(Refused::Unroomed)?, len),
        };
        // Pairs with the release in `drop`: the next owner's writes come after the last one's.
        if transfer.claimed.set(window, Ordering::Acquire) {
            return Ok(Self { transfer: Arc::clone(transfer), window, bytes });
        }
        if let (ClaimBytes::Buffer(buffer, _), Some(stream)) =
            (bytes, transfer.destination.as_stream())
        {
            stream.give_back(buffer);
        }
        Err(Refused::Taken)
    }

    /// Its window.
    #[inline]
    pub(super) const fn window(&self) -> u32 {
        self.window
    }

    /// The window's bytes, where they are put together.
    #[inline]
    pub(super) fn bytes(&mut self) -> &mut [u8] {
        match &mut self.bytes {
            // SAFETY: inside the destination, which the transfer keeps. The window's bit in `claimed`
            // is set by this claim and cleared by its end alone, so that no other claim has it; windows
            // do not overlap; readers wait for the bit in `done`, which only `done` sets.
            ClaimBytes::Place(begin, len) => unsafe {
                std::slice::from_raw_parts_mut(*begin, *len)
            },
            ClaimBytes::Buffer(buffer, len) => &mut buffer[..*len],
        }
    }

    /// The check has passed: nobody writes the window any more, or it is given on.
    #[inline]
    pub(super) fn done(self) {
        let transfer = Arc::clone(&self.transfer);
        match transfer.destination.as_stream() {
            Some(stream) => (stream.give)(Filled(self)),
            None => self.finish(),
        }
    }

    fn finish(self) {
        let new = self.transfer.done.set(self.window, Ordering::Release);
        self.transfer.done_count.fetch_add(u64::from(new), Ordering::Release);
        self.transfer.failed.clear(self.window, Ordering::Relaxed);
    }

    /// References did not make the window: it must come raw.
    pub(super) fn failed(self) {
        self.transfer.failed.set(self.window, Ordering::Relaxed);
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if !self.transfer.done.get(self.window, Ordering::Relaxed) {
            self.transfer.claimed.clear(self.window, Ordering::Release);
        }
        if let (ClaimBytes::Buffer(buffer, _), Some(stream)) =
            (&mut self.bytes, self.transfer.destination.as_stream())
        {
            stream.give_back(std::mem::take(buffer));
        }
    }
}

/// A whole window of a [stream](Destination::stream), whose check has passed. Dropped before it is
/// [done](Self::done) it counts as missing.
#[derive(Debug)]
pub struct Filled(Claim);

impl Filled {
    /// Whose it is.
    #[must_use]
    pub fn transfer(&self) -> &Transfer {
        &self.0.transfer
    }

    /// Its number.
    #[must_use]
    pub const fn window(&self) -> u32 {
        self.0.window
    }

    /// Its bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        match &self.0.bytes {
            ClaimBytes::Buffer(buffer, len) => &buffer[..*len],
            // Only windows of streams are given on.
            ClaimBytes::Place(..) => &[],
        }
    }

    /// Its bytes are kept: it need not come again.
    pub fn done(self) {
        self.0.finish();
    }
}
