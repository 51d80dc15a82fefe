//! What usually stands between two leaves of a grammar's trees: where it does, nothing is stored of it.

use std::collections::HashMap;
use std::sync::LazyLock;

/// Gaps by the codes of the leaves around them, and which leaves end a line. Codes are bytes of a cold
/// tree's column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Habits {
    /// By code before and code: the token of a gap.
    gaps: Gaps,
    /// By code: the leaf ends behind a line feed.
    line_ends: [bool; CODES],
}

const CODES: usize = 256;

/// One place for every two codes, so that a look-up needs no look at its bounds.
type Gaps = Box<[[u8; CODES]; CODES]>;

/// None are known.
pub(crate) static NONE: LazyLock<Habits> = LazyLock::new(Habits::default);

impl Default for Habits {
    fn default() -> Self {
        Self { gaps: Box::new([[0; CODES]; CODES]), line_ends: [false; CODES] }
    }
}

impl Habits {
    /// The usual token of the gap between two leaves of these codes; 0, for no bytes, where none is known.
    /// It has nothing behind it.
    #[inline]
    pub(crate) fn gap(&self, before: u8, code: u8) -> u8 {
        self.gaps[usize::from(before)][usize::from(code)]
    }

    /// Whether leaves of a code usually have one line feed, as their last byte.
    #[inline]
    pub(crate) fn ends_line(&self, code: u8) -> bool {
        self.line_ends[usize::from(code)]
    }

    /// Appends it: count, then of each gap that is not 0 both codes and the token; 32 bytes of bits for the
    /// codes that end lines.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        let gaps = self.gaps.as_flattened().iter();
        let known = gaps.enumerate().filter(|(_, token)| **token != 0);
        out.extend((known.clone().count() as u32).to_le_bytes());
        for (at, token) in known {
            out.extend([(at / CODES) as u8, (at % CODES) as u8, *token]);
        }
        let mut bits = [0u8; CODES / 8];
        for (code, _) in self.line_ends.iter().enumerate().filter(|(_, ends)| **ends) {
            bits[code / 8] |= 1 << (code % 8);
        }
        out.extend(bits);
    }

    /// What [`Habits::write`] wrote, from its two parts; none where a token is of the class with more
    /// behind it.
    pub(super) fn read(gaps: &[u8], bits: &[u8]) -> Option<Self> {
        let mut habits = Self::default();
        for gap in gaps.chunks_exact(3) {
            if gap[2] & 3 == 3 {
                return None;
            }
            habits.gaps[usize::from(gap[0])][usize::from(gap[1])] = gap[2];
        }
        for (code, ends) in habits.line_ends.iter_mut().enumerate() {
            *ends = bits.get(code / 8)? >> (code % 8) & 1 == 1;
        }
        Some(habits)
    }
}

/// Counts what stands between leaves.
#[derive(Debug)]
pub(crate) struct Learner {
    gaps: HashMap<(u8, u8), HashMap<u8, u32>>,
    line_ends: [[u32; 2]; CODES],
}

impl Default for Learner {
    fn default() -> Self {
        Self { gaps: HashMap::new(), line_ends: [[0; 2]; CODES] }
    }
}

impl Learner {
    /// A gap of this token was met.
    pub(crate) fn gap(&mut self, before: u8, code: u8, token: u64) {
        // One of the class with more behind it never follows from codes.
        if let Ok(token) = u8::try_from(token)
            && token & 3 != 3
        {
            *self.gaps.entry((before, code)).or_default().entry(token).or_default() += 1;
        }
    }

    /// A leaf without line feeds was met, or one with a single one at its end.
    pub(crate) fn leaf(&mut self, code: u8, ends_line: bool) {
        self.line_ends[usize::from(code)][usize::from(ends_line)] += 1;
    }

    /// The most frequent of each.
    pub(crate) fn habits(&self) -> Habits {
        let mut habits = Habits::default();
        for ((before, code), counts) in &self.gaps {
            let most = counts.iter().max_by_key(|(token, count)| (**count, u8::MAX - **token));
            habits.gaps[usize::from(*before)][usize::from(*code)] = most.map_or(0, |it| *it.0);
        }
        habits.line_ends = self.line_ends.map(|it| it[1] > it[0]);
        habits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_frequent_is_kept_and_comes_back() {
        let mut learner = Learner::default();
        for (token, times) in [(9u64, 3), (2, 4), (0, 1), (7, 90), (1 << 20, 90)] {
            (0..times).for_each(|_| learner.gap(255, 3, token));
        }
        [false, true, true].into_iter().for_each(|ends| learner.leaf(200, ends));
        let habits = learner.habits();
        assert_eq!((habits.gap(255, 3), habits.gap(3, 255)), (2, 0));
        assert!(habits.ends_line(200) && !habits.ends_line(201));
        let mut out = Vec::new();
        habits.write(&mut out);
        let (gaps, bits) = out[4..].split_at(3);
        assert_eq!(Habits::read(gaps, bits), Some(habits));
        assert_eq!(Habits::read(gaps, &bits[1..]), None);
        assert_eq!(Habits::read(&[255, 3, 7], bits), None);
        assert_eq!(NONE.gap(255, 3), 0);
    }
}
