//! The transfers that all workers of an op share.

use std::path::Path;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use pfs_pvrt::wire::{
    Destination, Ended, Folder, FolderError, Header, HeldSpace, Kind, Transfer, TransferSpec,
    Transfers,
};

use pfs_pvrt::wire::frame::{HEADER, STEP_LEAST};

/// Window of the trial's transfer, in bytes.
const TRIAL_WINDOW: u32 = 65_536;
/// Bytes of a window's check.
const CHECK: u32 = 8;

/// Transfers, and the folder that describes them if one does.
#[derive(Debug)]
pub struct SharedTransfers {
    transfers: Arc<Transfers>,
    described: Option<Described>,
}

/// A folder, and the thread that gives its files their names: hashing one takes a worker's time that
/// frames need.
#[derive(Debug)]
struct Described {
    folder: Arc<Mutex<Folder>>,
    /// Where it is told to look; none when it is to end, or could not be had.
    look: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Described {
    fn new(folder: Folder) -> Self {
        let folder = Arc::new(Mutex::new(folder));
        // One word that waits says as much as many.
        let (look, told) = sync_channel(1);
        let files = Arc::clone(&folder);
        let work = move || {
            while told.recv().is_ok() {
                lock(&files).look(failed);
            }
        };
        let thread = thread::Builder::new().name("pvrt-files".into()).spawn(work);
        let thread = thread.inspect_err(|error| {
            tracing::warn!(%error, "no thread for files: they get their names at the run's end");
        });
        Self { folder, look: Some(look), thread: thread.ok() }
    }
}

impl Drop for Described {
    fn drop(&mut self) {
        self.look = None;
        if let Some(thread) = self.thread.take() {
            // What it panicked with was printed.
            let _ = thread.join();
        }
    }
}

/// Whoever panicked in it left files under their working names.
fn lock(folder: &Mutex<Folder>) -> MutexGuard<'_, Folder> {
    folder.lock().unwrap_or_else(PoisonError::into_inner)
}

fn failed(error: FolderError) {
    tracing::error!(%error, "ending a transfer");
}

impl SharedTransfers {
    /// Those that this process registers.
    #[must_use]
    pub const fn new(transfers: Arc<Transfers>) -> Self {
        Self { transfers, described: None }
    }

    /// Those that `folder` describes.
    ///
    /// # Errors
    /// Of [`Folder::open`].
    pub fn open(folder: &Path) -> Result<Self, FolderError> {
        let transfers = Arc::new(Transfers::new());
        let described = Described::new(Folder::open(folder, &transfers)?);
        Ok(Self { transfers, described: Some(described) })
    }

    /// One in memory that [`trial_frame`] makes frames of, and that never ends.
    ///
    /// # Panics
    /// Never: a window of memory can always be had.
    #[must_use]
    pub fn trial() -> Self {
        let spec = TransferSpec {
            size: TRIAL_WINDOW.into(),
            window_bytes: TRIAL_WINDOW,
            ..TransferSpec::default()
        };
        let memory = Destination::memory(spec.size).expect("one window of memory");
        let transfer = Transfer::new(spec, HeldSpace::default(), memory).expect("possible");
        let transfers = Arc::new(Transfers::new());
        transfers.register(transfer).expect("the only one");
        Self::new(transfers)
    }

    /// The transfers.
    #[must_use]
    pub const fn transfers(&self) -> &Arc<Transfers> {
        &self.transfers
    }

    /// Has files that are whole given their names; does not wait for it.
    pub(super) fn look(&self) {
        if let Some(look) = self.described.as_ref().and_then(|described| described.look.as_ref()) {
            // Full: it will look anyway. Gone: what is whole gets its name at the end.
            let _ = look.try_send(());
        }
    }

    /// Ends what a folder describes, as far as it is there. Every worker calls it: the last one finds
    /// all that came.
    pub(super) fn end(&self) -> Ended {
        self.described
            .as_ref()
            .map_or_else(Ended::default, |described| lock(&described.folder).end(failed))
    }
}

/// Fills a payload with a frame of [`SharedTransfers::trial`]: the next of a window that comes as it
/// is, with a wrong check, so that it begins anew each time. Payloads too short for that become
/// frames with nothing to keep, or none.
pub fn trial_frame(number: u64, payload: &mut [u8]) {
    let Some(room) = payload.len().checked_sub(HEADER).filter(|room| *room > 0) else { return };
    let several = room >= usize::from(STEP_LEAST);
    let step = room.min(usize::from(pfs_pvrt::wire::frame::STEP_MOST)) as u16;
    let header = if several {
        let total = TRIAL_WINDOW + CHECK;
        let fragment = (number % u64::from(total.div_ceil(step.into()))) as u16;
        Header { sequence: number, step, total, fragment, ..Header::default() }
    } else {
        let total = u32::from(step);
        Header { kind: Kind::Probe, sequence: number, step, total, ..Header::default() }
    };
    let mut frame = Vec::with_capacity(payload.len());
    header.write_plain([&vec![0x76; header.payload()], &[]], &mut frame);
    payload[..frame.len()].copy_from_slice(&frame);
}
