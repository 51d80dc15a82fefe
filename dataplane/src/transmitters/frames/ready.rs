//! Generated frames that lie ready.

use super::{Burst, GenerateSpec};
use crate::receivers::{ReceiveError, errors};

/// The sequence of a [`GenerateSpec`], built once and sent over and over.
#[derive(Debug)]
pub struct GeneratedFrames {
    bytes: Vec<u8>,
    /// End of each frame in `bytes`.
    ends: Vec<usize>,
    next: usize,
    left: u64,
}

impl GeneratedFrames {
    /// Builds the frames of `spec`; `packets` of them are given, or frames without end.
    ///
    /// # Errors
    /// When a size is out of range.
    pub fn new(spec: &GenerateSpec, packets: Option<u64>) -> Result<Self, ReceiveError> {
        let size =
            spec.frame_size.check().map_err(|error| errors::unsupported(error.to_string(), ""))?;
        let mut bytes = Vec::new();
        let mut ends = Vec::new();
        for index in 0..u64::from(spec.count()) {
            let start = bytes.len();
            bytes.resize(start + size.len_of(index), 0);
            spec.write(index, &mut bytes[start..]);
            ends.push(bytes.len());
        }
        Ok(Self { bytes, ends, next: 0, left: packets.unwrap_or(u64::MAX) })
    }

    /// The next frames; an empty burst at the end.
    pub fn next_burst(&mut self) -> Burst<'_> {
        let mut burst = Burst::default();
        while !burst.is_full() && self.left > 0 {
            let start = if self.next == 0 { 0 } else { self.ends[self.next - 1] };
            burst.push(&self.bytes[start..self.ends[self.next]], 0);
            self.next = (self.next + 1) % self.ends.len();
            self.left -= 1;
        }
        burst
    }
}
