//! A capture as smoke sends it: whole frames for links, payload for UDP.

use std::path::{Path, PathBuf};

use pfs_dataplane::receivers::ReceiveError;
use pfs_dataplane::transmitters::frames::CaptureFrames;

use super::store::Load;
use super::text::Text;
use crate::failure::Failure;

/// One capture, read whole.
#[derive(Debug)]
pub(super) struct Capture {
    /// File name without its folder.
    pub(super) name: String,
    pub(super) path: PathBuf,
    /// Every frame, in order.
    pub(super) frames: Vec<Vec<u8>>,
    /// The payload of every frame that parses, in order; empty ones too.
    pub(super) payloads: Vec<Vec<u8>>,
    /// What its token ids must be, for a text cut into payloads.
    pub(super) text: Option<Text>,
    /// What the store must hold, for key/value operations.
    pub(super) load: Option<Load>,
}

impl Capture {
    /// Reads the capture at `path`.
    ///
    /// # Errors
    /// When it cannot be read or is corrupt: smoke needs captures that are whole.
    pub(super) fn load(path: &Path) -> Result<Self, Failure> {
        let open = || CaptureFrames::open(path, 1);
        let frames = open().and_then(all).map_err(Failure::failed)?;
        let payloads = open().map(CaptureFrames::payload_only).and_then(all);
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let payloads = payloads.map_err(Failure::failed)?;
        Ok(Self { name, path: path.to_owned(), frames, payloads, text: None, load: None })
    }
}

fn all(mut source: CaptureFrames) -> Result<Vec<Vec<u8>>, ReceiveError> {
    let mut all = Vec::new();
    loop {
        let burst = source.next_burst()?;
        if burst.frames().is_empty() {
            return Ok(all);
        }
        all.extend(burst.frames().iter().map(|frame| frame.to_vec()));
    }
}
