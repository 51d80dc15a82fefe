//! A capture as smoke sends it: whole frames for links, payload for UDP.

use std::path::{Path, PathBuf};

use pfs_dataplane::receivers::ReceiveError;
use pfs_dataplane::transmitters::frames::CaptureFrames;

use super::text::save;
use super::work::Work;
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
    /// What is done with them.
    pub(super) work: Work,
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
        let path = path.to_owned();
        Ok(Self { name, path, frames, payloads, work: Work::Digests })
    }
}

/// Bytes that an Ethernet frame has at the least on a wire, its check sequence not counted.
const SHORTEST: usize = 60;

impl Capture {
    /// The capture as it comes off a wire: short frames have zeros after them, which are payload
    /// where no header tells its length. Written into `out`, for legs that read a file.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(super) fn padded(mut self, out: &Path) -> Result<Self, Failure> {
        let short = |frame: &&mut Vec<u8>| frame.len() < SHORTEST;
        let padded = self.frames.iter_mut().filter(short).map(|frame| frame.resize(SHORTEST, 0));
        if padded.count() == 0 {
            return Ok(self);
        }
        let path = out.join(format!("padded-{}.pcap", self.name));
        save(&path, &self.frames).map_err(Failure::failed)?;
        Ok(Self { name: self.name, ..Self::load(&path)? })
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
