//! Where transmitted frames come from: a capture, a stream cut into payloads, or a generator.

mod build;
mod capture;
mod generate;
mod payload;
mod ready;

pub use build::{
    BadMac, ETHERNET_HEADER, LONGEST, Mac, SHORTEST, UDP_HEADERS, UdpAddresses, write_raw,
    write_udp,
};
pub(super) use build::{fold, sum};
pub use capture::CaptureFrames;
pub use generate::{BadFrameSize, FrameSize, GenerateSpec, Mix};
pub use payload::{Envelope, PayloadFrames};
pub use ready::GeneratedFrames;

use crate::receivers::{BATCH, ReceiveError};

/// Up to 64 frames in order, borrowed from their source until its next burst.
#[derive(Debug)]
pub struct Burst<'a> {
    frames: [&'a [u8]; BATCH],
    stamps: [u64; BATCH],
    len: usize,
}

impl Default for Burst<'_> {
    fn default() -> Self {
        Self { frames: [&[]; BATCH], stamps: [0; BATCH], len: 0 }
    }
}

impl<'a> Burst<'a> {
    fn push(&mut self, frame: &'a [u8], stamp_ns: u64) {
        self.frames[self.len] = frame;
        self.stamps[self.len] = stamp_ns;
        self.len += 1;
    }

    const fn is_full(&self) -> bool {
        self.len == BATCH
    }

    /// The frames; none when the source has ended.
    #[must_use]
    pub fn frames(&self) -> &[&'a [u8]] {
        &self.frames[..self.len]
    }

    /// For each frame, when the original was seen, in nanoseconds since the source's first frame;
    /// 0 where nothing is known.
    #[must_use]
    pub fn stamps(&self) -> &[u64] {
        &self.stamps[..self.len]
    }
}

/// A source of frames. No frame costs an allocation.
#[derive(Debug)]
pub enum FrameSource {
    /// The packets of a capture.
    Capture(CaptureFrames),
    /// A file or standard input in pieces.
    Payload(PayloadFrames),
    /// Frames from a seed.
    Generated(GeneratedFrames),
}

impl FrameSource {
    /// The next frames, up to 64; an empty burst at the end.
    ///
    /// # Errors
    /// When the source is broken or cannot be read. The frames before that were given.
    pub fn next_burst(&mut self) -> Result<Burst<'_>, ReceiveError> {
        match self {
            Self::Capture(source) => source.next_burst(),
            Self::Payload(source) => source.next_burst(),
            Self::Generated(source) => Ok(source.next_burst()),
        }
    }
}
