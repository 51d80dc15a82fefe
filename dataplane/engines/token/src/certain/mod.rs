//! Certain boundaries: places where no tokenization can join two bytes.
//!
//! A pair of bytes that stands side by side in no token is a border between tokens wherever it
//! occurs, in any mode. Cutting there splits a text exactly: the pieces are independent.
//!
//! [`CertainPairs`] knows the pairs exactly and keeps beside them a cover that vector code can
//! look up: each byte has a few bits as a left neighbour and a few as a right one, and a pair is
//! *held together* when they have a bit in common. The cover holds every pair together that is inside
//! a token and some that are not. So it leaves out cuts, which is as exact, and no level of
//! instructions finds other cuts than the rest.

mod cover;
mod cut;
mod stored;
#[cfg(test)]
mod tests;

use crate::Table;
use cover::Cover;

/// Words of 64 bits in the bitmap of all pairs.
const WORDS: usize = 1024;

/// The pairs of bytes that occur inside some token, and the cutter that they give.
#[derive(Clone, Debug)]
pub struct CertainPairs {
    /// Bit `256 * a + b`: some token has `a` followed by `b`.
    inside: Table<u64>,
    cover: Cover,
}

impl CertainPairs {
    /// The pairs of `tokens`.
    pub fn from_tokens<'a>(tokens: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut inside = vec![0u64; WORDS];
        let mut seen = [1u64; 256];
        for token in tokens {
            for pair in token.windows(2) {
                let at = usize::from(pair[0]) << 8 | usize::from(pair[1]);
                inside[at / 64] |= 1 << (at % 64);
            }
            for &byte in token {
                seen[usize::from(byte)] += 1;
            }
        }
        let cover = Cover::of(&inside, &seen);
        Self { inside: inside.into(), cover }
    }

    /// Whether some token has `left` followed by `right`. Where none has, the border between
    /// them is one between tokens.
    #[inline]
    #[must_use]
    pub fn inside(&self, left: u8, right: u8) -> bool {
        is_inside(&self.inside, left, right)
    }

    /// Whether `token` has a pair that is not here: what whoever reads both from a file asks.
    /// Such a pair breaks no memory rule, but text would be cut inside the token.
    #[must_use]
    pub fn lacks(&self, token: &[u8]) -> bool {
        token.windows(2).any(|pair| !self.inside(pair[0], pair[1]))
    }

    /// Number of pairs that occur inside tokens.
    #[must_use]
    pub fn count(&self) -> usize {
        self.inside.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Whether the cutter leaves `left` and `right` together; so it does with every pair that is
    /// [`CertainPairs::inside`] a token.
    #[inline(always)]
    #[must_use]
    pub fn held(&self, left: u8, right: u8) -> bool {
        self.cover.held(left, right)
    }

    /// Cuts `text` at certain boundaries: appends the end offset of each piece that is decided, and
    /// gives the bytes in these. With `more`, text may follow, and what comes after the last
    /// boundary is left for the next call; else it is the last piece.
    ///
    /// `text` may be at most 4 GiB long: offsets have 32 bits.
    pub fn cut(&self, text: &[u8], more: bool, ends: &mut Vec<u32>) -> usize {
        self.cut_with(Level::detect(), text, more, ends)
    }

    /// As [`CertainPairs::cut`] with given instructions.
    pub(crate) fn cut_with(
        &self,
        level: Level,
        text: &[u8],
        more: bool,
        ends: &mut Vec<u32>,
    ) -> usize {
        let before = ends.len();
        cut::ends(level, &self.cover, text, ends);
        if !more && !text.is_empty() {
            ends.push(text.len() as u32);
        }
        if ends.len() == before { 0 } else { ends[ends.len() - 1] as usize }
    }

    /// The first boundary in `text` at offset `from` or after, as the offset after it; what lies
    /// at the end of the text is none. Finds those, too, that the cutter passes over.
    #[inline]
    #[must_use]
    pub fn next(&self, text: &[u8], from: usize) -> Option<usize> {
        let from = from.max(1);
        let inside: &[u64] = &self.inside;
        let pairs = text.get(from - 1..)?.windows(2);
        Some(from + { pairs }.position(|pair| !is_inside(inside, pair[0], pair[1]))?)
    }

    /// The last boundary in `text`, as the offset after it: what lies before is decided whatever
    /// follows. `None` where there is none.
    #[must_use]
    pub fn last(&self, text: &[u8]) -> Option<usize> {
        let at = text.windows(2).rposition(|pair| !self.held(pair[0], pair[1]))?;
        Some(at + 1)
    }
}

fn is_inside(pairs: &[u64], left: u8, right: u8) -> bool {
    let at = usize::from(left) << 8 | usize::from(right);
    pairs[at / 64] >> (at % 64) & 1 == 1
}

/// The instructions that the cutter is written for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    /// AVX-512 F, BW, DQ, VL, VBMI and VBMI2: 64 bytes at a time.
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// Two table look-ups a byte, eight bytes at a time; runs everywhere.
    Portable,
}

impl Level {
    /// All that this processor has, fastest first.
    pub(crate) fn available() -> impl Iterator<Item = Self> {
        let all = [
            #[cfg(target_arch = "x86_64")]
            Self::Avx512,
            Self::Portable,
        ];
        all.into_iter().filter(|level| level.is_available())
    }

    pub(crate) fn is_available(self) -> bool {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => {
                is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("avx512vl")
                    && is_x86_feature_detected!("avx512vbmi")
                    && is_x86_feature_detected!("avx512vbmi2")
                    && is_x86_feature_detected!("bmi2")
                    && is_x86_feature_detected!("popcnt")
            }
            Self::Portable => true,
        }
    }

    pub(crate) fn detect() -> Self {
        Self::available().next().unwrap_or(Self::Portable)
    }
}
