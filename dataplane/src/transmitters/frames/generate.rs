//! Generated frames: sizes, flows and content from a seed. Used by the `memory` receiver and by
//! `pfs tx`.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::build::{LONGEST, UDP_HEADERS, UdpAddresses, fill, write_udp};

/// Sizes of generated frames.
///
/// Sizes count the 4 bytes of the frame check sequence, as RFC 2544 and FD.io CSIT do: a frame
/// of size 64 has 60 bytes in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum FrameSize {
    /// A mix, by name.
    Mix(Mix),
    /// All frames of this size in bytes, 64 to 65,553.
    Bytes(u32),
}

/// Mixes of frame sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mix {
    /// CSIT's IMIX v4: 28 frames of 64, 16 of 570 and 4 of 1,518 bytes, evenly interleaved.
    Imix,
}

/// A frame size that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a frame size; use imix, or bytes from 64 to 65553 (check sequence included)")]
pub struct BadFrameSize(String);

/// Bytes of the frame check sequence, which is never in memory.
const FCS: u32 = 4;

/// 7 of 64, 4 of 570 and 1 of 1,518: a quarter of the mix.
const IMIX: [u32; 12] = [64, 570, 64, 64, 570, 64, 1518, 64, 570, 64, 570, 64];

impl FrameSize {
    /// Checks the range.
    ///
    /// # Errors
    /// When the size is below 64 or above 65,553.
    pub fn check(self) -> Result<Self, BadFrameSize> {
        match self {
            Self::Bytes(bytes) if !(64..=LONGEST as u32 + FCS).contains(&bytes) => {
                Err(BadFrameSize(bytes.to_string()))
            }
            ok => Ok(ok),
        }
    }

    /// Bytes in memory of frame `index`.
    #[must_use]
    pub const fn len_of(self, index: u64) -> usize {
        let size = match self {
            Self::Mix(Mix::Imix) => IMIX[(index % IMIX.len() as u64) as usize],
            Self::Bytes(bytes) => bytes,
        };
        size.saturating_sub(FCS) as usize
    }

    /// Frames after which the sizes repeat.
    #[must_use]
    pub const fn period(self) -> u32 {
        match self {
            Self::Mix(Mix::Imix) => IMIX.len() as u32,
            Self::Bytes(_) => 1,
        }
    }
}

impl FromStr for FrameSize {
    type Err = BadFrameSize;

    fn from_str(text: &str) -> Result<Self, BadFrameSize> {
        if text == "imix" {
            return Ok(Self::Mix(Mix::Imix));
        }
        let bytes = text.parse().map_err(|_| BadFrameSize(text.to_owned()))?;
        Self::Bytes(bytes).check()
    }
}

impl fmt::Display for FrameSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mix(Mix::Imix) => f.write_str("imix"),
            Self::Bytes(bytes) => write!(f, "{bytes}"),
        }
    }
}

/// What frames are generated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GenerateSpec {
    /// Frame sizes: `imix`, or bytes (64 to 65,553), 4 bytes of check sequence counted.
    #[serde(default = "smallest")]
    pub frame_size: FrameSize,
    /// Different UDP flows; frame n belongs to flow n modulo this.
    #[serde(default = "flows")]
    pub flows: u32,
    /// Seed of the payload bytes.
    #[serde(default)]
    pub seed: u64,
    /// Different frames, after which the sequence repeats; rounded up so that mix and flows come
    /// out even where that is near.
    #[serde(default = "frames")]
    pub frames: u32,
    /// Addresses of the first flow.
    #[serde(default)]
    pub addresses: UdpAddresses,
}

const fn smallest() -> FrameSize {
    FrameSize::Bytes(64)
}
const fn flows() -> u32 {
    64
}
const fn frames() -> u32 {
    4096
}

impl Default for GenerateSpec {
    fn default() -> Self {
        Self {
            frame_size: smallest(),
            flows: flows(),
            seed: 0,
            frames: frames(),
            addresses: UdpAddresses::default(),
        }
    }
}

impl GenerateSpec {
    /// Frames of one size or mix, all else by default.
    #[must_use]
    pub fn of_size(frame_size: FrameSize) -> Self {
        Self { frame_size, ..Self::default() }
    }

    /// Frames in the sequence: at least 1, a multiple of the mix's period.
    #[must_use]
    pub fn count(&self) -> u32 {
        let period = self.frame_size.period();
        self.frames.max(1).checked_next_multiple_of(period).unwrap_or(period)
    }

    /// Writes frame `index` into `frame`, whose length is [`FrameSize::len_of`] `index`. The same
    /// spec and index give the same bytes on every host.
    ///
    /// # Panics
    /// When `frame` is shorter than [`UDP_HEADERS`]: sizes are checked by [`FrameSize::check`].
    pub fn write(&self, index: u64, frame: &mut [u8]) {
        let flow = (index % u64::from(self.flows.max(1))) as u32;
        let payload = frame.len() - UDP_HEADERS;
        let seed = self.seed ^ index.wrapping_mul(0xd6e8_feb8_6659_fd93);
        fill(&mut frame[UDP_HEADERS..], seed);
        write_udp(frame, payload, &self.addresses.flow(flow));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn imix_is_28_16_4() {
        let size: FrameSize = "imix".parse().expect("a mix");
        let lens: Vec<_> = (0..48).map(|index| size.len_of(index)).collect();
        let count = |len| lens.iter().filter(|&&have| have == len).count();
        assert_eq!((count(60), count(566), count(1514)), (28, 16, 4));
    }

    #[test]
    fn sizes_out_of_range_are_refused() {
        for bad in ["63", "65554", "", "-1", "IMIX", "64b"] {
            assert!(bad.parse::<FrameSize>().is_err(), "{bad}");
        }
        assert_eq!("65553".parse::<FrameSize>().expect("fits").len_of(0), LONGEST);
    }

    #[test]
    fn plan_text_names_mixes_and_counts_bytes() {
        let spec: GenerateSpec = serde_json::from_str(r#"{"frame_size":"imix"}"#).expect("a mix");
        assert_eq!(spec.frame_size, FrameSize::Mix(Mix::Imix));
        let spec: GenerateSpec = serde_json::from_str(r#"{"frame_size":1518}"#).expect("a size");
        assert_eq!(spec.frame_size.len_of(7), 1514);
        assert!(serde_json::from_str::<GenerateSpec>(r#"{"frame_sizes":64}"#).is_err());
    }
}
