//! Pieces of more than 64 bytes: windows, whose joints are checked.
//!
//! Tokens of windows are right once the end of the piece is reached and all joints have come right.
//! Where the end is there, they are handed over before that, to be taken back if it turns out
//! otherwise ([`Bpe::whole`]); where more may come, only what no continuation changes is given
//! ([`Bpe::settle`]), and finding out what that is costs more than the windows do.

use super::isa::Isa;
use super::merge::{Merged, WINDOW};
use super::{Bpe, Prefixes};

/// Bytes at the end of a window whose tokens are left to the next one: what follows changes them
/// too often.
const SLACK: usize = 8;
/// Bytes of a long piece that are taken at once.
pub(crate) const BLOCK: usize = 2048;
/// Numbers that are kept back when others are handed over: as many steps back are possible.
const HELD: usize = 128;
/// Numbers that each buffer keeps room for; the rest is given back behind a long piece.
const KEPT: usize = BLOCK + 64;

/// Buffers for the encoding of long pieces.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    /// Numbers of the last block.
    pub(crate) numbers: Vec<u32>,
    prefixes: Prefixes,
}

impl Scratch {
    /// Gives back what a text took that is made to keep its tokens undecided.
    pub(crate) fn trim(&mut self) {
        self.numbers.truncate(KEPT);
        self.numbers.shrink_to(KEPT);
        self.prefixes.trim(KEPT);
    }

    /// Bytes of memory that the buffers take.
    pub(crate) fn memory(&self) -> usize {
        self.numbers.capacity() * size_of::<u32>() + self.prefixes.memory()
    }
}

impl Bpe {
    /// Bytes of a long piece that are to be given to [`Bpe::settle`] at once.
    pub(crate) fn block(&self) -> usize {
        BLOCK.max(8 * self.longest)
    }

    /// As [`Bpe::whole`].
    #[inline(always)]
    pub(super) fn whole_with(
        &self,
        isa: impl Isa,
        text: &[u8],
        scratch: &mut Scratch,
        take: &mut dyn FnMut(&[u32]),
    ) -> bool {
        scratch.numbers.clear();
        let windowed = self.windows(isa, text, &mut scratch.numbers, |numbers| {
            if numbers.len() >= BLOCK {
                let count = numbers.len() - HELD;
                take(&numbers[..count]);
                numbers.drain(..count);
            }
        });
        if windowed {
            take(&scratch.numbers);
        }
        windowed
    }

    /// As [`Bpe::settle`].
    #[inline(always)]
    pub(super) fn settle_with(
        &self,
        isa: impl Isa,
        text: &[u8],
        more: bool,
        scratch: &mut Scratch,
    ) -> usize {
        scratch.numbers.clear();
        let windowed = self.windows(isa, text, &mut scratch.numbers, |_| {});
        if windowed && !more {
            return text.len();
        }
        if windowed && let Some(len) = self.cut(text, scratch) {
            return len;
        }
        scratch.numbers.clear();
        scratch.prefixes.fill(self, None, text);
        let len = if more { scratch.prefixes.common(self, self.longest) } else { text.len() };
        scratch.prefixes.tokens(self, len, &mut scratch.numbers);
        len
    }

    /// Cuts the tokens of `text` off at a border that every continuation of it has; `None` where
    /// the border tried is none.
    ///
    /// A continuation's encoding has a border among the last `longest` prefixes of `text`, for no
    /// token is longer. If all of these have a border in common, then so has every continuation.
    #[inline(always)]
    fn cut(&self, text: &[u8], scratch: &mut Scratch) -> Option<usize> {
        let target = text.len().checked_sub(2 * self.longest + 4 * WINDOW)?;
        let (mut len, mut kept) = (0, 0);
        for &number in &scratch.numbers {
            if len + self.length(number) > target {
                break;
            }
            len += self.length(number);
            kept += 1;
        }
        let before = scratch.numbers[..kept].last().copied();
        before?;
        scratch.prefixes.fill(self, before, &text[len..]);
        scratch.prefixes.all_known(self.longest).then(|| {
            scratch.numbers.truncate(kept);
            len
        })
    }

    /// The tokens of `text` from windows; false where their joints do not come right, which only a
    /// text made for it brings about, and tokens of more than a window. `behind` is called behind
    /// each window and may take numbers off the front, but not all.
    #[inline(always)]
    fn windows(
        &self,
        isa: impl Isa,
        text: &[u8],
        numbers: &mut Vec<u32>,
        mut behind: impl FnMut(&mut Vec<u32>),
    ) -> bool {
        // Repetitive text has equal windows one after the other.
        let (mut last, mut merged) = (&text[..0], Merged::default());
        let mut steps_back = 4 + text.len() / WINDOW;
        let mut start = 0;
        loop {
            let end = text.len().min(start + WINDOW);
            if start == end {
                return true;
            }
            let window = &text[start..end];
            if window != last {
                // No closure may stand between the caller's instruction set and this call.
                (last, merged) = (window, isa.merge(self, window));
            }
            if let Some(&before) = numbers.last()
                && !self.valid(before, merged.numbers[0])
            {
                if steps_back == 0 {
                    return false;
                }
                steps_back -= 1;
                start -= self.length(before);
                numbers.pop();
                if numbers.is_empty() && start > 0 {
                    // What stands before has been taken away.
                    return false;
                }
                continue;
            }
            let keep = if end == text.len() { end } else { end - SLACK };
            for (i, number) in merged.iter().enumerate() {
                let next = start + self.length(number);
                if next > keep && i > 0 {
                    break;
                }
                numbers.push(number);
                start = next;
            }
            behind(numbers);
        }
    }
}
