//! Encoding from prefix to prefix: slower, but linear whatever the text.
//!
//! Each prefix of a text has one last token. It is the one token that ends there and stands validly
//! behind the last token of the prefix before it.

use super::{Bpe, NONE};

/// The last tokens of the prefixes of a text, from one of its token borders on.
#[derive(Debug, Default)]
pub(crate) struct Prefixes {
    /// By length of the prefix beyond the border; [`NONE`] where that prefix's encoding has no
    /// border where this begins.
    last: Vec<u32>,
}

impl Prefixes {
    /// Finds the last token of each prefix of `text`, which begins at a border of tokens, behind
    /// token `before` (`None` at the beginning of a piece).
    #[inline(always)]
    pub(super) fn fill(&mut self, bpe: &Bpe, before: Option<u32>, text: &[u8]) {
        self.last.clear();
        self.last.resize(text.len() + 1, NONE);
        for at in 0..text.len() {
            let left = if at == 0 { before } else { Some(self.last[at]).filter(|&l| l != NONE) };
            if at > 0 && left.is_none() {
                continue;
            }
            let mut next = bpe.trie.longest(&text[at..]).map_or(NONE, |(number, _)| number);
            while next != NONE {
                let end = at + bpe.length(next);
                let stands = match left {
                    _ if self.last[end] != NONE => false,
                    Some(left) => bpe.valid(left, next),
                    None => true,
                };
                if stands {
                    self.last[end] = next;
                }
                next = bpe.shorter[next as usize];
            }
        }
    }

    /// Gives back what is more than room for `kept` prefixes.
    pub(super) fn trim(&mut self, kept: usize) {
        self.last.truncate(kept);
        self.last.shrink_to(kept);
    }

    /// Bytes of memory that they take.
    pub(super) fn memory(&self) -> usize {
        self.last.capacity() * size_of::<u32>()
    }

    /// Whether each of the longest `count` prefixes has a border where this began.
    pub(super) fn all_known(&self, count: usize) -> bool {
        self.last.iter().rev().take(count).all(|&last| last != NONE)
    }

    /// The last border that all of the longest `count` prefixes have in common. All are known.
    pub(super) fn common(&self, bpe: &Bpe, count: usize) -> usize {
        let mut marked = vec![false; self.last.len()];
        let first = self.last.len().saturating_sub(count);
        marked[first..].fill(true);
        let mut open = self.last.len() - first;
        for end in (1..self.last.len()).rev() {
            if open == 1 && marked[end] {
                return end;
            }
            if marked[end] {
                let start = &mut marked[end - bpe.length(self.last[end])];
                open -= usize::from(*start);
                *start = true;
            }
        }
        0
    }

    /// Appends the tokens of the prefix of `len` bytes to `out`. It is known.
    pub(super) fn tokens(&self, bpe: &Bpe, len: usize, out: &mut Vec<u32>) {
        let first = out.len();
        let mut end = len;
        while end > 0 {
            let number = self.last[end];
            out.push(number);
            end -= bpe.length(number);
        }
        out[first..].reverse();
    }
}
