//! A whole file: windows by several threads, its hash by the calling one as they come.
//!
//! Windows are made in batches, each in one of a few buffers that go round, so that memory does not
//! grow with the file. A batch is written and hashed while it is in the caches.

use std::io;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use sha2::{Digest, Sha256};
use thiserror::Error;

use super::output::Output;
use super::source::{Scratch, Source, WINDOW_MAX};
use super::{Kernels, RebuildError, Stores};
use crate::formats::FormatError;
use crate::space::Space;

/// Bytes of a batch, at least one window: a share of a core's second-level cache.
const BATCH: u64 = 256 << 10;

/// A file that was not rebuilt. Nothing of it is left.
#[derive(Debug, Error)]
pub enum FileError {
    /// The program is damaged, or is none.
    #[error("window {index}: {fault}")]
    Program {
        /// The window.
        index: u64,
        /// What is wrong with it.
        fault: FormatError,
    },
    /// Windows longer than this build makes, or without length.
    #[error("windows of {0} bytes: 1 to {WINDOW_MAX} are possible")]
    WindowBytes(u32),
    /// Pieces that make no window.
    #[error("window {index}: {fault}")]
    Window {
        /// The window.
        index: u64,
        /// What is wrong with it.
        fault: RebuildError,
    },
    /// All windows were made, and the file is another than the program was made of.
    #[error(
        "the file's SHA-256 would be {got}, the program says {want}: the blob holds other bytes \
         than the one that the program was made with, or the program was changed"
    )]
    Hash {
        /// SHA-256 of what was made, in hexadecimal.
        got: String,
        /// What the program says.
        want: String,
    },
    /// The file system refuses.
    #[error("{doing} {path}: {error}")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
}

/// How a file is rebuilt.
#[derive(Clone, Copy, Debug, Default)]
pub struct FileOptions<'a> {
    /// Threads that make windows, beside the calling one that hashes; by default one less than
    /// there are cores, 1 to 4.
    pub threads: Option<NonZeroUsize>,
    /// Counts the bytes that are made and hashed, for a bar.
    pub progress: Option<&'a AtomicU64>,
}

/// A file that was rebuilt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rebuilt {
    /// Its bytes.
    pub bytes: u64,
    /// Its SHA-256.
    pub sha256: [u8; 32],
    /// Whether the program told the SHA-256, so that it was compared.
    pub checked: bool,
}

/// Makes the file at `path` from `source` and `space`, and compares its SHA-256 before it appears.
///
/// # Errors
/// When the program, the space or the file system does not give the file; then nothing is left
/// behind, and what had the name before still has it.
pub fn file(
    source: &impl Source,
    space: &Space<'_>,
    path: &Path,
    options: FileOptions<'_>,
) -> Result<Rebuilt, FileError> {
    let head = source.head();
    if head.window_bytes == 0 || head.window_bytes > WINDOW_MAX {
        return Err(FileError::WindowBytes(head.window_bytes));
    }
    let io = |doing| move |error| FileError::Io { doing, path: path.to_owned(), error };
    let output = Output::create(path, head.size).map_err(io("creating"))?;
    let threads = options.threads.map_or_else(default_threads, NonZeroUsize::get);
    let line = Line::new(source, threads);
    let sha256 = thread::scope(|scope| {
        for _ in 0..threads.min(line.batches.try_into().unwrap_or(usize::MAX)) {
            scope.spawn(|| line.work(space, &output, path));
        }
        line.hash(options.progress)
    });
    if let Some(error) = lock(&line.failed).take() {
        return Err(error);
    }
    if let Some(want) = head.sha256
        && want != sha256
    {
        return Err(FileError::Hash { got: hex(&sha256), want: hex(&want) });
    }
    output.publish().map_err(io("finishing"))?;
    Ok(Rebuilt { bytes: head.size, sha256, checked: head.sha256.is_some() })
}

fn default_threads() -> usize {
    // Hashing is one thread's work and slower than a few makers.
    thread::available_parallelism().map_or(1, |cores| (cores.get() - 1).clamp(1, 4))
}

/// Lowercase hexadecimal.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What a panicking thread leaves is told by the join.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A buffer that goes round between makers and hasher.
#[derive(Debug, Default)]
struct Place {
    turn: Mutex<Turn>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Turn {
    /// The batch that is to be made here next, or is here.
    batch: u64,
    /// Whether it is here.
    made: bool,
    bytes: Vec<u8>,
}

/// The way of all batches.
struct Line<'s, S> {
    source: &'s S,
    places: Vec<Place>,
    /// Windows of a batch.
    per_batch: u64,
    batches: u64,
    /// The batch that nobody has taken yet.
    next: AtomicU64,
    stop: AtomicBool,
    failed: Mutex<Option<FileError>>,
}

impl<'s, S: Source> Line<'s, S> {
    fn new(source: &'s S, threads: usize) -> Self {
        let head = source.head();
        let per_batch = (BATCH / u64::from(head.window_bytes)).max(1);
        let batches = head.windows().div_ceil(per_batch);
        let places = (2 * threads as u64 + 2).min(batches.max(1));
        let place = |batch| Place {
            turn: Mutex::new(Turn { batch, ..Turn::default() }),
            changed: Condvar::new(),
        };
        Self {
            source,
            places: (0..places).map(place).collect(),
            per_batch,
            batches,
            next: AtomicU64::new(0),
            stop: AtomicBool::new(false),
            failed: Mutex::new(None),
        }
    }

    fn place(&self, batch: u64) -> &Place {
        &self.places[(batch % self.places.len() as u64) as usize]
    }

    /// Waits for `ready` at the place of `batch`, and takes the buffer; `None` when all is to stop.
    fn wait(&self, batch: u64, made: bool) -> Option<Vec<u8>> {
        let place = self.place(batch);
        let mut turn = lock(&place.turn);
        loop {
            if self.stop.load(Ordering::Acquire) {
                return None;
            }
            if turn.batch == batch && turn.made == made {
                return Some(std::mem::take(&mut turn.bytes));
            }
            turn = place.changed.wait(turn).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Gives the buffer on: to the hasher when `made`, else to the maker of the place's next batch.
    fn pass(&self, batch: u64, made: bool, bytes: Vec<u8>) {
        let place = self.place(batch);
        let mut turn = lock(&place.turn);
        let next = if made { batch } else { batch + self.places.len() as u64 };
        *turn = Turn { batch: next, made, bytes };
        drop(turn);
        place.changed.notify_all();
    }

    /// Ends all threads' waiting.
    fn halt(&self) {
        self.stop.store(true, Ordering::Release);
        for place in &self.places {
            // Whoever is between test and wait holds the lock.
            drop(lock(&place.turn));
            place.changed.notify_all();
        }
    }

    /// Makes and writes batches until there are none.
    fn work(&self, space: &Space<'_>, output: &Output, path: &Path) {
        let _guard = HaltOnPanic(self);
        let mut scratch = Scratch::default();
        loop {
            let batch = self.next.fetch_add(1, Ordering::Relaxed);
            if batch >= self.batches {
                return;
            }
            let Some(mut bytes) = self.wait(batch, false) else { return };
            let first = batch * self.per_batch;
            let offset = first * u64::from(self.source.head().window_bytes);
            let io = |error| FileError::Io { doing: "writing", path: path.to_owned(), error };
            let made = self
                .make(first, space, &mut scratch, &mut bytes)
                .and_then(|()| output.write(&bytes, offset).map_err(io));
            if let Err(error) = made {
                lock(&self.failed).get_or_insert(error);
                return self.halt();
            }
            self.pass(batch, true, bytes);
        }
    }

    /// Makes the batch that begins with window `first`.
    fn make(
        &self,
        first: u64,
        space: &Space<'_>,
        scratch: &mut Scratch,
        bytes: &mut Vec<u8>,
    ) -> Result<(), FileError> {
        let head = self.source.head();
        let kernels = Kernels::default();
        let windows = first..(first + self.per_batch).min(head.windows());
        let total = windows.clone().map(|index| head.window_len(index)).sum();
        bytes.resize(total, 0);
        let mut rest = bytes.as_mut_slice();
        for index in windows {
            let (out, after) = rest.split_at_mut(head.window_len(index));
            rest = after;
            let parts = self
                .source
                .window(index, scratch)
                .map_err(|fault| FileError::Program { index, fault })?;
            kernels
                .window(space, parts.pieces, parts.raw, out, Stores::Cached)
                .map_err(|fault| FileError::Window { index, fault })?;
        }
        Ok(())
    }

    /// Hashes all batches in order; what it gives back means nothing after a failure.
    fn hash(&self, progress: Option<&AtomicU64>) -> [u8; 32] {
        let mut hash = Sha256::new();
        for batch in 0..self.batches {
            let Some(bytes) = self.wait(batch, true) else { break };
            hash.update(&bytes);
            if let Some(progress) = progress {
                progress.fetch_add(bytes.len() as u64, Ordering::Relaxed);
            }
            self.pass(batch, false, bytes);
        }
        hash.finalize().into()
    }
}

/// Lets nobody wait for a thread that is gone.
struct HaltOnPanic<'l, 's, S: Source>(&'l Line<'s, S>);

impl<S: Source> Drop for HaltOnPanic<'_, '_, S> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.halt();
        }
    }
}

#[cfg(test)]
mod tests;
