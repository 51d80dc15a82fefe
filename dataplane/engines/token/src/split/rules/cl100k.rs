//! The grammar of `cl100k_base`, and of Qwen 2 with single digits.
//!
//! `'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|`
//! `\s++$|\s*[\r\n]|\s+(?!\S)|\s`

use super::{Carry, Found, Planes, Rules, Trial, Window, numbers};

/// The rules of [`crate::vocab::Grammar::Cl100k`].
#[derive(Clone, Copy, Debug)]
pub(in crate::split) struct Cl100k<const DIGITS: u64> {
    /// White space at the end of the text is cut after its last newline (no `\s++$`).
    pub(in crate::split) cut_at_end: bool,
}

impl<const DIGITS: u64> Rules for Cl100k<DIGITS> {
    const FOLD: bool = true;
    const CASE: bool = false;

    #[inline(always)]
    fn starts(self, planes: &Planes, carry: &mut Carry, window: Window) -> Found {
        let Planes { letter, number, space, newline, blank, .. } = *planes;
        let valid = planes.valid();
        let other = valid & !(letter | number | space);
        let before_other = other << 1 | carry.other;
        let first_other = other & !(before_other | blank << 1 | carry.blank);
        let (two, three) = planes.contractions(planes.apostrophe & first_other);
        // Newlines right after punctuation belong to it.
        let tail = newline & !newline.wrapping_add(newline & (before_other | carry.tail));
        let free = space & !tail;
        let indent = space & !newline;
        let before_indent = indent << 1 | carry.indent;
        let before_free = free << 1 | carry.space;
        let after_newline = indent & before_free & !before_indent;
        let digits = numbers(DIGITS, number, carry, window);
        let trial = Trial::indents(indent, after_newline, newline, self.cut_at_end, carry);
        let (mut found, open) = trial.settle(window);
        carry.held = u64::from(open);
        // A word has one character before it that is no newline, if that begins a piece.
        let before_prefix = first_other << 1 | carry.prefix;
        let words = letter & !(letter << 1 | carry.letter | before_indent | before_prefix);
        let spaces = (free & !before_free) | (indent & (valid & !space) >> 1);
        let contractions = two << 2 | three << 3 | carry.after;
        found.starts |= (words | digits | first_other | spaces | contractions) & valid;
        carry.letter = window.leaving(letter);
        carry.other = window.leaving(other);
        carry.prefix = window.leaving(first_other);
        carry.blank = window.leaving(blank);
        carry.space = window.leaving(free);
        carry.indent = window.leaving(indent);
        carry.tail = window.leaving(tail);
        carry.after =
            window.beyond(carry.after, 0) | window.beyond(two, 2) | window.beyond(three, 3);
        found
    }
}
