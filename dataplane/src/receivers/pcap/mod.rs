//! The `pcap` backend: captures in pcap and pcapng, as fast as they can be taken.
//!
//! Descriptors point into the file's own bytes in memory: no packet is copied. Programs may
//! write to them; the file is not touched.

mod bytes;
mod classic;
mod file;
mod link;
mod ng;
mod reader;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use pfs_rings::{Desc, FramePool, PageWish, RegionView};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use bytes::Bytes;
pub use file::COPY_LIMIT;
pub(crate) use file::CaptureFile;
pub use link::Link;
pub use reader::{CaptureError, Fault, Packet, Reader, pcap_read};

use super::{Batch, Framing, Granted, Receive, ReceiveError};
use crate::counters::SourceCounters;

/// A mapped file's length is looked at again after this many bytes.
const CHECK_EVERY: u64 = 4 << 20;

/// How long a source that waits for its frames sleeps at most.
const NAP: Duration = Duration::from_micros(50);

/// A capture file as a source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PcapSpec {
    /// The capture: pcap or pcapng, not packed.
    pub path: PathBuf,
    /// How often it is read; 0: until stopped. A round begins when all spans of the one before
    /// are back.
    #[serde(default = "one")]
    pub loops: u64,
    /// Whether each further round reads the file again. Needed when a program writes to the
    /// payload; without it, such a program finds its own output in the second round.
    #[serde(default = "yes")]
    pub restore: bool,
    /// Most packets on loan at once.
    #[serde(default = "frames")]
    pub frames: u32,
    /// Pages for a file of at most 64 MiB, which is copied to memory; larger ones are mapped.
    #[serde(default)]
    pub pages: PageWish,
}

const fn one() -> u64 {
    1
}
const fn yes() -> bool {
    true
}
const fn frames() -> u32 {
    4096
}

impl PcapSpec {
    /// The capture at `path`, once.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        let pages = PageWish::default();
        Self { path: path.into(), loops: one(), restore: yes(), frames: frames(), pages }
    }
}

/// Receives from a capture file. Lossless: waits while all its tokens are on loan.
///
/// `offered` counts the whole packets found; a record that is cut or corrupt ends the source with
/// an error, after the packets before it, and is not counted.
#[derive(Debug)]
pub struct PcapReceiver {
    file: CaptureFile,
    start: Reader,
    reader: Reader,
    framing: Framing,
    pool: FramePool,
    /// Rounds still to begin; `u64::MAX` is never counted down.
    rounds: u64,
    restore: bool,
    round_offered: u64,
    check_at: u64,
    failure: Option<ReceiveError>,
    counters: SourceCounters,
}

impl PcapReceiver {
    /// Opens the capture of `spec`.
    ///
    /// # Errors
    /// When the file cannot be read, is no capture, or its first packet's link type is not read.
    pub fn open(spec: &PcapSpec) -> Result<Self, ReceiveError> {
        Self::open_with(spec, COPY_LIMIT)
    }

    fn open_with(spec: &PcapSpec, copy_limit: u64) -> Result<Self, ReceiveError> {
        let file = CaptureFile::open(&spec.path, spec.pages, copy_limit)?;
        let start = Reader::open(file.bytes()).map_err(|error| file.error(error))?;
        let framing = first_link(&start, &file)?.framing();
        Ok(Self {
            reader: start.clone(),
            start,
            framing,
            pool: FramePool::new(spec.frames.max(1)),
            rounds: if spec.loops == 0 { u64::MAX } else { spec.loops - 1 },
            restore: spec.restore,
            round_offered: 0,
            check_at: CHECK_EVERY,
            failure: None,
            counters: SourceCounters::default(),
            file,
        })
    }

    /// Begins the next round if there is one and no span is out; tells whether it did.
    fn next_round(&mut self) -> Result<bool, ReceiveError> {
        if self.round_offered == 0 {
            self.rounds = 0;
        }
        if self.rounds == 0 || self.pool.on_loan() > 0 {
            return Ok(false);
        }
        if self.restore {
            // SAFETY: nothing is on loan.
            unsafe { self.file.restore() }?;
        }
        if self.rounds != u64::MAX {
            self.rounds -= 1;
        }
        self.reader = self.start.clone();
        self.round_offered = 0;
        self.check_at = CHECK_EVERY;
        Ok(true)
    }

    /// The next packet of this round or the next; `None` when there is none now.
    #[inline]
    fn next_packet(&mut self) -> Result<Option<Packet>, ReceiveError> {
        loop {
            if self.reader.position() >= self.check_at {
                self.file.check()?;
                self.check_at = self.reader.position() + CHECK_EVERY;
            }
            match self.reader.next(self.file.bytes()) {
                Ok(Some(packet)) => return Ok(Some(packet)),
                Ok(None) if self.next_round()? => {}
                Ok(None) => return Ok(None),
                Err(error) => return Err(self.file.error(error)),
            }
        }
    }

    /// Ends the source; what is on loan stays so.
    const fn end(&mut self) {
        self.rounds = 0;
        self.reader.end();
    }
}

/// The link type of the first packet. Broken files are left for the first `poll` to report.
fn first_link(start: &Reader, file: &CaptureFile) -> Result<Link, ReceiveError> {
    match start.clone().next(file.bytes()) {
        Ok(Some(packet)) => Ok(packet.link),
        Err(error) if error.fault.is_unsupported() => Err(file.error(error)),
        Ok(None) | Err(_) => Ok(Link::Ethernet),
    }
}

/// The descriptor of a packet under `token`, its EtherType put right in `view`.
///
/// # Safety
/// `packet` was read from `view`'s bytes and is not lent.
#[inline]
pub(crate) unsafe fn describe(view: &RegionView, packet: &Packet, token: u32) -> Desc {
    if let Some(ether_type) = packet.ether_type
        && let Some(at) = view.span(packet.offset + 12, 2)
    {
        // SAFETY: two bytes inside the packet, which the caller may write.
        unsafe { at.cast::<[u8; 2]>().write(ether_type) };
    }
    let cut = if packet.captured < packet.wire { Desc::ERR } else { 0 };
    let stamped = if packet.stamp_ns.is_some() { Desc::STAMP_FILE } else { 0 };
    Desc {
        offset: packet.offset,
        len: packet.captured,
        flags: Desc::SOM | Desc::EOM | cut | stamped,
        frame: token,
        stamp: packet.stamp_ns.unwrap_or_default() as u32,
        ..Desc::default()
    }
}

impl Receive for PcapReceiver {
    fn poll(&mut self, batch: &mut Batch) -> Result<usize, ReceiveError> {
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        let before = batch.len();
        while batch.room() > 0 {
            let Some(frame) = self.pool.take() else { break };
            match self.next_packet() {
                Ok(Some(packet)) => {
                    self.counters.offered += 1;
                    self.round_offered += 1;
                    let token = self.pool.lend(frame);
                    // SAFETY: the reader only moves forward, and a round begins with nothing on
                    // loan: this packet is not lent.
                    let desc = unsafe { describe(self.file.view(), &packet, token) };
                    batch.push(desc, packet.wire);
                }
                Ok(None) => {
                    self.pool.put(frame);
                    break;
                }
                Err(error) => {
                    self.pool.put(frame);
                    self.end();
                    if batch.len() == before {
                        return Err(error);
                    }
                    self.failure = Some(error);
                    break;
                }
            }
        }
        let added = batch.len() - before;
        self.counters.polled += added as u64;
        Ok(added)
    }

    fn recycle(&mut self, frames: &[u32]) {
        for &token in frames {
            if let Ok(frame) = self.pool.reclaim(token) {
                self.pool.put(frame);
            }
        }
    }

    fn wait(&mut self, timeout: Duration) -> Result<(), ReceiveError> {
        if !self.finished() && (self.pool.free() == 0 || self.reader.ended()) {
            thread::sleep(timeout.min(NAP));
        }
        Ok(())
    }

    fn counters(&mut self) -> SourceCounters {
        SourceCounters { refused_tokens: self.pool.refused(), ..self.counters }
    }

    fn granted(&self) -> Granted {
        Granted {
            backend: "pcap".into(),
            mode: self.file.mode().into(),
            from: self.path().display().to_string(),
            queue: None,
            frames: self.pool.capacity(),
            region_bytes: self.file.view().len() as u64,
            notes: self.file.notes().to_vec(),
        }
    }

    fn region(&self) -> RegionView {
        self.file.view().clone()
    }

    fn framing(&self) -> Framing {
        self.framing
    }

    fn lossless(&self) -> bool {
        true
    }

    fn finished(&self) -> bool {
        self.failure.is_none() && self.reader.ended() && self.rounds == 0
    }

    fn detach(&mut self) {
        self.failure = None;
        self.end();
    }
}

impl PcapReceiver {
    /// The file that is read.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.file.path()
    }
}
