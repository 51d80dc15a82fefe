//! The transfers that all workers of an op share.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

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
    folder: Option<Mutex<Folder>>,
}

impl SharedTransfers {
    /// Those that this process registers.
    #[must_use]
    pub const fn new(transfers: Arc<Transfers>) -> Self {
        Self { transfers, folder: None }
    }

    /// Those that `folder` describes.
    ///
    /// # Errors
    /// Of [`Folder::open`].
    pub fn open(folder: &Path) -> Result<Self, FolderError> {
        let transfers = Arc::new(Transfers::new());
        let folder = Mutex::new(Folder::open(folder, &transfers)?);
        Ok(Self { transfers, folder: Some(folder) })
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

    /// Ends what a folder describes, as far as it is there. Every worker calls it: the last one finds
    /// all that came.
    pub(super) fn end(&self) -> Ended {
        let Some(folder) = &self.folder else { return Ended::default() };
        // Whoever panicked in it left files under their working names.
        let mut folder = folder.lock().unwrap_or_else(PoisonError::into_inner);
        folder.end(|error| tracing::error!(%error, "ending a transfer"))
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
