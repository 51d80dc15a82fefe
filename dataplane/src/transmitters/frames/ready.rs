//! Generated frames that lie ready.

use super::{Burst, GenerateSpec, UDP_HEADERS};
use crate::receivers::{ReceiveError, errors};

/// Most bytes of frames that are built ahead.
const MOST_BYTES: u64 = 1 << 30;

/// The sequence of a [`GenerateSpec`], built once and sent over and over.
#[derive(Debug)]
pub struct GeneratedFrames {
    bytes: Vec<u8>,
    /// End of each frame in `bytes`.
    ends: Vec<usize>,
    next: usize,
    left: u64,
    /// Bytes of each frame that are not given.
    headers: usize,
}

impl GeneratedFrames {
    /// Builds the frames of `spec`; `packets` of them are given, or frames without end.
    ///
    /// # Errors
    /// When a size is out of range, or the frames have over 1 GiB together.
    pub fn new(spec: &GenerateSpec, packets: Option<u64>) -> Result<Self, ReceiveError> {
        let size =
            spec.frame_size.check().map_err(|error| errors::unsupported(error.to_string(), ""))?;
        if spec.bytes(1) > MOST_BYTES {
            let what = format!("{} generated frames of {size} bytes", spec.count());
            return Err(errors::unsupported(what, "use fewer frames: together at most 1 GiB"));
        }
        let mut bytes = Vec::with_capacity(spec.bytes(1) as usize);
        let mut ends = Vec::new();
        for index in 0..u64::from(spec.count()) {
            let start = bytes.len();
            bytes.resize(start + size.len_of(index), 0);
            spec.write(index, &mut bytes[start..]);
            ends.push(bytes.len());
        }
        Ok(Self { bytes, ends, next: 0, left: packets.unwrap_or(u64::MAX), headers: 0 })
    }

    /// Gives each frame's payload instead of the frame, for the `udp` transmitter.
    #[must_use]
    pub const fn payload_only(mut self) -> Self {
        self.headers = UDP_HEADERS;
        self
    }

    /// The next frames; an empty burst at the end.
    pub fn next_burst(&mut self) -> Burst<'_> {
        let mut burst = Burst::default();
        while !burst.is_full() && self.left > 0 {
            let start = if self.next == 0 { 0 } else { self.ends[self.next - 1] };
            burst.push(&self.bytes[start + self.headers..self.ends[self.next]], 0);
            self.next = (self.next + 1) % self.ends.len();
            self.left -= 1;
        }
        burst
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sequence_repeats_until_the_count_is_reached() {
        let spec =
            GenerateSpec { frames: 100, ..GenerateSpec::of_size("imix".parse().expect("a mix")) };
        let mut source = GeneratedFrames::new(&spec, Some(1000)).expect("builds");
        let mut index = 0;
        loop {
            let burst = source.next_burst();
            if burst.frames().is_empty() {
                break;
            }
            for frame in burst.frames() {
                let nth = index % u64::from(spec.count());
                let mut want = vec![0; spec.frame_size.len_of(nth)];
                spec.write(nth, &mut want);
                assert_eq!(*frame, want);
                index += 1;
            }
        }
        assert_eq!(index, 1000);
        let huge = GenerateSpec { frames: u32::MAX, ..spec };
        assert!(GeneratedFrames::new(&huge, None).is_err());
    }
}
