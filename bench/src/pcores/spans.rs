//! Where payload lies: lists of descriptors over a part of memory.

use std::fmt;
use std::str::FromStr;

use pfs_rings::Desc;
use serde::{Deserialize, Serialize};

/// Most spans of a scattered list: enough that no cache holds what they cover.
const MOST: usize = 1 << 20;

/// How spans follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// One after another, without a gap.
    Contiguous,
    /// At random places, of random lengths from `align` to 5 × `align` less 1.
    Scattered,
}

impl Mode {
    /// Its name, as on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Contiguous => "contiguous",
            Self::Scattered => "scattered",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Mode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "contiguous" => Ok(Self::Contiguous),
            "scattered" => Ok(Self::Scattered),
            _ => Err(format!("no mode {text}: contiguous or scattered")),
        }
    }
}

/// How spans are cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Shape {
    /// How they follow each other.
    pub(super) mode: Mode,
    /// Bytes of a contiguous span, before it is rounded up to `align`.
    pub(super) len: u32,
    /// Border that spans begin at, in bytes; a power of two.
    pub(super) align: u32,
    /// Spans of one message, 1 to 64: descriptors of one frame.
    pub(super) dpf: usize,
}

impl Shape {
    /// Bytes of a contiguous span.
    #[must_use]
    pub(super) const fn span_bytes(&self) -> u32 {
        self.len.next_multiple_of(self.align)
    }

    /// Descriptors of spans in `from..from + len`, whole messages alone; no two overlap. Scattered
    /// ones come from PacketFS's generator of the multi-core bench, started with `seed`; a span
    /// that overlaps an earlier one is left out.
    ///
    /// # Errors
    /// When not even one message fits.
    pub(super) fn list(&self, from: u64, len: u64, seed: u32) -> Result<Vec<Desc>, String> {
        let mut list = match self.mode {
            Mode::Contiguous => self.contiguous(from, len),
            Mode::Scattered => self.scattered(from, len, seed),
        };
        list.truncate(list.len() / self.dpf * self.dpf);
        if list.is_empty() {
            return Err(format!(
                "a range of {len} bytes has no room for a message of {} spans; make it larger",
                self.dpf
            ));
        }
        for (at, desc) in list.iter_mut().enumerate() {
            desc.frame = at as u32;
            let at = at % self.dpf;
            let first = if at == 0 { Desc::SOM } else { 0 };
            desc.flags = first | if at + 1 == self.dpf { Desc::EOM } else { 0 };
        }
        Ok(list)
    }

    fn contiguous(&self, from: u64, len: u64) -> Vec<Desc> {
        let bytes = self.span_bytes();
        let desc =
            |at| Desc { offset: from + at * u64::from(bytes), len: bytes, ..Desc::default() };
        (0..len / u64::from(bytes)).map(desc).collect()
    }

    fn scattered(&self, from: u64, range: u64, seed: u32) -> Vec<Desc> {
        let align = u64::from(self.align);
        let lines = (range / align) as usize;
        // Some two fifths of the lines are then taken, and most draws still find a free place.
        let wanted = (lines / 6).clamp(self.dpf, MOST);
        let mut list = Vec::with_capacity(wanted);
        let mut taken = vec![false; lines];
        let mut draws = Draws(seed);
        for _ in 0..wanted * 8 {
            let x = u64::from(draws.next());
            let (len, at) = (x % (4 * align) + align, (x % range) & !(align - 1));
            let covered = (at / align) as usize..((at + len).div_ceil(align)) as usize;
            if let Some(covered) = taken.get_mut(covered).filter(|lines| !lines.contains(&true)) {
                covered.fill(true);
                list.push(Desc { offset: from + at, len: len as u32, ..Desc::default() });
            }
            if list.len() == wanted {
                break;
            }
        }
        list
    }
}

/// PacketFS's 32-bit generator: shifts of 13, 17 and 5.
struct Draws(u32);

impl Draws {
    const fn next(&mut self) -> u32 {
        self.0 ^= self.0 >> 13;
        self.0 ^= self.0 << 17;
        self.0 ^= self.0 >> 5;
        self.0
    }
}

/// Seed of the first worker's list: PacketFS's own.
pub(super) const SEED: u32 = 0xdead_beef;

#[cfg(test)]
mod tests {
    use super::*;

    const SCATTERED: Shape = Shape { mode: Mode::Scattered, len: 0, align: 64, dpf: 1 };

    #[test]
    fn the_generator_is_the_originals() {
        let list = SCATTERED.list(0, 256 << 20, SEED).unwrap();
        let first: Vec<_> = list[..4].iter().map(|desc| (desc.offset, desc.len)).collect();
        let original =
            [(199_373_248, 286), (47_029_632, 249), (21_500_800, 203), (122_472_704, 69)];
        assert_eq!(first, original);
    }

    #[test]
    fn no_two_spans_overlap_and_all_are_inside() {
        for shape in [SCATTERED, Shape { mode: Mode::Contiguous, len: 80, align: 64, dpf: 4 }] {
            let mut list = shape.list(4096, 1 << 16, 7).unwrap();
            assert_eq!(list.len() % shape.dpf, 0);
            list.sort_by_key(|desc| desc.offset);
            assert!(list[0].offset >= 4096 && list.iter().all(|desc| desc.len > 0));
            for pair in list.windows(2) {
                assert!(pair[0].offset + u64::from(pair[0].len) <= pair[1].offset);
            }
            let last = list.last().unwrap();
            assert!(last.offset + u64::from(last.len) <= 4096 + (1 << 16));
        }
    }

    #[test]
    fn a_segment_is_rounded_up_and_messages_are_chains() {
        let shape = Shape { mode: Mode::Contiguous, len: 80, align: 64, dpf: 2 };
        let list = shape.list(0, 128 * 5, 1).unwrap();
        assert_eq!((list.len(), list[1].offset, list[1].len), (4, 128, 128));
        let flags: Vec<_> = list.iter().map(|desc| desc.flags).collect();
        assert_eq!(flags, [Desc::SOM, Desc::EOM, Desc::SOM, Desc::EOM]);
        let error = Shape { dpf: 64, ..shape }.list(0, 128, 1).unwrap_err();
        assert!(error.contains("no room for a message of 64 spans"), "{error}");
    }
}
