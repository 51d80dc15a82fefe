//! A capture as smoke sends it: whole frames for links, payload for UDP.

use std::path::{Path, PathBuf};

use pfs_dataplane::packet::{Classifier, Rule, RuleSet, Verdict};
use pfs_dataplane::receivers::pcap::{PcapReceiver, PcapSpec};
use pfs_dataplane::receivers::{Batch, Receive};

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
}

impl Capture {
    /// Reads the capture at `path`.
    ///
    /// # Errors
    /// When it cannot be read or is corrupt: smoke needs captures that are whole.
    pub(super) fn load(path: &Path) -> Result<Self, Failure> {
        let fail = |error| Failure::failed(format!("{}: {error}", path.display()));
        let mut reader = PcapReceiver::open(&PcapSpec::new(path)).map_err(fail)?;
        let view = reader.region();
        let all = RuleSet::compile(&[Rule::all("all")]).map_err(Failure::failed)?;
        let mut classifier = Classifier::new(reader.framing(), all);
        let (mut frames, mut payloads) = (Vec::new(), Vec::new());
        let mut batch = Batch::default();
        while !reader.finished() {
            batch.clear();
            reader.poll(&mut batch).map_err(fail)?;
            let tokens: Vec<u32> = batch.descs().iter().map(|desc| desc.frame).collect();
            for desc in batch.descs() {
                // SAFETY: the descriptor was just polled and is not passed on: we own its span.
                frames.extend(unsafe { view.bytes_mut(desc) }.map(|bytes| bytes.to_vec()));
            }
            // SAFETY: we own every descriptor of the batch, which point into `view`; the slices
            // above are gone.
            let verdicts = unsafe { classifier.classify(&mut batch, &view) }.to_vec();
            for (desc, verdict) in batch.descs().iter().zip(verdicts) {
                if verdict == Verdict::Deliver {
                    // SAFETY: as above.
                    payloads.extend(unsafe { view.bytes_mut(desc) }.map(|bytes| bytes.to_vec()));
                }
            }
            reader.recycle(&tokens);
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Self { name, path: path.to_owned(), frames, payloads })
    }
}
