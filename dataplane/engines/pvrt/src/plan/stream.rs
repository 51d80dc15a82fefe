//! Files that are longer than memory, planned by several threads.

use std::io::{self, Read};
use std::sync::mpsc;
use std::thread;

use thiserror::Error;

use super::Planner;
use crate::program::Window;

/// Windows that a thread plans at a time; across them matches go on.
const BATCH: usize = 16;

/// Why a file cannot be planned.
#[derive(Debug, Error)]
pub enum PlanError {
    /// The file could not be read.
    #[error("while planning a file: {0}")]
    Read(io::Error),
    /// zstd has no memory.
    #[error("zstd cannot begin: {0}; free memory, or plan with fewer threads")]
    Compressor(io::Error),
    /// A window's length that cannot be.
    #[error("windows of {0} bytes are not possible: take 1 to 16777216")]
    WindowBytes(u32),
    /// Whoever takes the windows could not.
    #[error("while taking planned windows: {0}")]
    Take(io::Error),
}

/// A batch of a file: its number of bytes from the begin, and its bytes.
type Task = (u64, Vec<u8>);

impl Planner<'_> {
    /// Plans all that `file` gives, on `threads` threads (at least one), and gives the windows to
    /// `each` in order. Holds about 4 MiB for each thread beside the index, however long the file.
    ///
    /// # Errors
    /// When the file cannot be read, or `each` fails: planning then ends.
    pub fn plan_file(
        &self,
        mut file: impl Read,
        threads: usize,
        mut each: impl FnMut(Window) -> io::Result<()>,
    ) -> Result<(), PlanError> {
        let window_bytes = self.settings.window_bytes;
        if !(1..=1 << 24).contains(&window_bytes) {
            return Err(PlanError::WindowBytes(window_bytes));
        }
        let window_bytes = window_bytes as usize;
        if threads <= 1 {
            return self.plan_alone(&mut file, window_bytes, each);
        }
        thread::scope(|scope| {
            let mut workers = Vec::new();
            for _ in 0..threads {
                let (tasks, inbox) = mpsc::sync_channel::<Task>(1);
                let (outbox, planned) = mpsc::sync_channel(1);
                scope.spawn(move || self.work(window_bytes, &inbox, &outbox));
                workers.push((tasks, planned));
            }
            let (mut sent, mut taken, mut offset, mut more) = (0, 0, 0, true);
            while more || taken < sent {
                while more && sent - taken < threads {
                    let bytes = read_batch(&mut file, window_bytes * BATCH)?;
                    more = bytes.len() == window_bytes * BATCH;
                    let len = bytes.len() as u64;
                    if len > 0 && workers[sent % threads].0.send((offset, bytes)).is_ok() {
                        sent += 1;
                    }
                    offset += len;
                }
                if taken < sent {
                    let planned = workers[taken % threads].1.recv();
                    let ended =
                        |_| PlanError::Take(io::Error::other("a planning thread ended early"));
                    let windows: Vec<Window> = planned.map_err(ended)??;
                    windows.into_iter().try_for_each(&mut each).map_err(PlanError::Take)?;
                    taken += 1;
                }
            }
            Ok(())
        })
    }

    fn plan_alone(
        &self,
        file: &mut impl Read,
        window_bytes: usize,
        mut each: impl FnMut(Window) -> io::Result<()>,
    ) -> Result<(), PlanError> {
        let mut lane = self.lane()?;
        let mut offset = 0;
        loop {
            let bytes = read_batch(file, window_bytes * BATCH)?;
            for window in bytes.chunks(window_bytes) {
                each(lane.plan(window, offset)).map_err(PlanError::Take)?;
                offset += window.len() as u64;
            }
            if bytes.len() < window_bytes * BATCH {
                return Ok(());
            }
        }
    }

    fn work(
        &self,
        window_bytes: usize,
        inbox: &mpsc::Receiver<Task>,
        outbox: &mpsc::SyncSender<Result<Vec<Window>, PlanError>>,
    ) {
        while let Ok((offset, bytes)) = inbox.recv() {
            // A lane for each batch: what one thread plans does not depend on what others do.
            let planned = self.lane().map(|mut lane| {
                let windows = bytes.chunks(window_bytes).enumerate();
                let place = |n: usize| offset + (n * window_bytes) as u64;
                windows.map(|(n, window)| lane.plan(window, place(n))).collect()
            });
            if outbox.send(planned).is_err() {
                return;
            }
        }
    }
}

/// The next `len` bytes, or all that are left.
fn read_batch(file: &mut impl Read, len: usize) -> Result<Vec<u8>, PlanError> {
    let mut bytes = Vec::with_capacity(len);
    file.by_ref().take(len as u64).read_to_end(&mut bytes).map_err(PlanError::Read)?;
    Ok(bytes)
}
