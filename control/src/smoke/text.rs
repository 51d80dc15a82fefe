//! A text as smoke sends it: cut into UDP payloads, over several flows at once.

use std::fs;
use std::path::{Path, PathBuf};

use pfs_dataplane::ops::ids::{Columns, IdSinkSpec};
use pfs_dataplane::ops::token::Digest;
use pfs_dataplane::ops::token::pfs_token::{Encoder, Vocabulary};
use pfs_dataplane::receivers::Framing;
use pfs_dataplane::run::RuleResults;
use pfs_dataplane::transmitters::Transmit;
use pfs_dataplane::transmitters::frames::{SHORTEST, UDP_HEADERS, UdpAddresses, write_udp};
use pfs_dataplane::transmitters::pcap::{PcapSinkSpec, PcapWriter};

use super::capture::Capture;
use super::work::Work;
use crate::failure::Failure;
use crate::plan::IdSink;

/// Program that each text runs through.
pub(super) const PROGRAM: &str = "token:o200k_base,mode=flow";
/// Name of the sink for its ids.
pub(super) const SINK: &str = "ids";
const VOCAB: &str = "o200k_base";
/// Flows that carry the whole text, each cut in another way.
const FLOWS: u32 = 3;
/// Longest payload; cuts do not look where characters end.
const LONGEST: usize = 1400;

/// What must come out of a text.
#[derive(Debug)]
pub(super) struct Text {
    /// Ids of the whole text.
    ids: Vec<u32>,
    /// File that a leg writes the ids to that it finds.
    found: PathBuf,
}

/// Cuts the text at `path`; leaves the frames as a capture in `out`, for legs that read one.
///
/// # Errors
/// When the text cannot be read, or the capture not written.
pub(super) fn load(path: &Path, out: &Path) -> Result<Capture, Failure> {
    let text = fs::read(path)
        .map_err(|error| Failure::failed(format!("reading {}: {error}", path.display())))?;
    let vocab = Vocabulary::open(VOCAB).map_err(Failure::failed)?;
    let mut ids = Vec::new();
    Encoder::new(vocab.into()).encode_into(&text, &mut ids).map_err(Failure::failed)?;
    let payloads = payloads(&text);
    let frames: Vec<Vec<u8>> = payloads.iter().map(|(flow, part)| frame(*flow, part)).collect();
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let capture = out.join(format!("{name}.pcap"));
    save(&capture, &frames).map_err(Failure::failed)?;
    let text = Text { ids, found: out.join(format!("{name}.u32")) };
    let payloads = payloads.into_iter().map(|(_, part)| part.to_vec()).collect();
    Ok(Capture { name, path: capture, frames, payloads, work: Work::Text(text) })
}

/// The flows' parts of the text, in turn.
fn payloads(text: &[u8]) -> Vec<(u32, &[u8])> {
    let mut rest = [text; FLOWS as usize];
    let mut parts = Vec::new();
    let mut length = 1;
    while rest.iter().any(|rest| !rest.is_empty()) {
        for (flow, rest) in (0..).zip(&mut rest) {
            // Every length comes in time, the short ones too.
            length = length * 31 % LONGEST + 1;
            let (part, left) = rest.split_at(length.min(rest.len()));
            *rest = left;
            if !part.is_empty() {
                parts.push((flow, part));
            }
        }
    }
    parts
}

/// An Ethernet frame of `flow` with a UDP payload.
pub(super) fn frame(flow: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0; (UDP_HEADERS + payload.len()).max(SHORTEST)];
    frame[UDP_HEADERS..][..payload.len()].copy_from_slice(payload);
    write_udp(&mut frame, payload.len(), &UdpAddresses::default().flow(flow));
    frame
}

/// Writes a capture.
///
/// # Errors
/// When it cannot.
pub(super) fn save(
    path: &Path,
    frames: &[Vec<u8>],
) -> Result<(), pfs_dataplane::transmitters::TransmitError> {
    let mut writer =
        PcapWriter::create(&PcapSinkSpec { path: path.to_owned() }, Framing::Ethernet)?;
    let frames: Vec<&[u8]> = frames.iter().map(Vec::as_slice).collect();
    writer.send(&frames)?;
    writer.flush()
}

impl Text {
    /// The sink that a leg's plan has.
    pub(super) fn sink(&self) -> IdSink {
        IdSink { name: SINK.into(), to: IdSinkSpec::U32 { path: self.found.clone() } }
    }

    /// Holds the ids that a leg has left against those of the whole text, flow by flow.
    ///
    /// # Errors
    /// What differs.
    pub(super) fn check(&self, results: &[RuleResults]) -> Result<(), String> {
        let columns = Columns::open(&self.found).map_err(|error| error.to_string())?;
        let mut flows: Vec<(u16, Vec<u32>)> = Vec::new();
        for record in columns.records() {
            let at = flows.iter().position(|(port, _)| *port == record.source_port);
            let at = at.unwrap_or_else(|| {
                flows.push((record.source_port, Vec::new()));
                flows.len() - 1
            });
            flows[at].1.extend_from_slice(columns.ids_of(record));
        }
        if flows.len() != FLOWS as usize {
            return Err(format!("ids of {} flows and not of {FLOWS}", flows.len()));
        }
        for (port, ids) in &flows {
            let same = ids.iter().zip(&self.ids).take_while(|(a, b)| a == b).count();
            if *ids != self.ids {
                let (there, whole) = (ids.len(), self.ids.len());
                return Err(format!(
                    "port {port}: {there} ids, the whole text has {whole}; they differ from id {same} on"
                ));
            }
        }
        let digest = Digest::of(&self.ids).wrapping_mul(u64::from(FLOWS));
        let expected = [self.ids.len() as u64 * u64::from(FLOWS), digest];
        match results.first().map(|rule| &rule.results.r[..2]) {
            Some(found) if *found == expected => Ok(()),
            found => Err(format!("tokens and digest are {found:?} and not {expected:?}")),
        }
    }
}
