//! GPT-2's grammar: `r50k_base`, `p50k_base`.
//!
//! `'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s`

use super::{Carry, Found, Planes, Rules, Window};

/// The rules of [`crate::vocab::Grammar::R50k`].
#[derive(Clone, Copy, Debug)]
pub(in crate::split) struct R50k;

impl Rules for R50k {
    const FOLD: bool = false;
    const CASE: bool = false;

    #[inline(always)]
    fn starts(self, planes: &Planes, carry: &mut Carry, window: Window) -> Found {
        let Planes { letter, number, space, blank, .. } = *planes;
        let valid = planes.valid();
        let other = valid & !(letter | number | space);
        let before_other = other << 1 | carry.other;
        let before_blank = blank << 1 | carry.blank;
        let (two, three) = planes.contractions(planes.apostrophe & !(before_other | before_blank));
        // A run of one class begins a piece, or the blank before it does.
        let runs = (letter & !(letter << 1 | carry.letter))
            | (number & !(number << 1 | carry.number))
            | (other & !before_other);
        let runs = runs & !before_blank & !((two | three) << 1 | carry.inside);
        // Of white space the first character, and the last when something follows.
        let spaces = space & (!(space << 1 | carry.space) | (valid & !space) >> 1);
        let starts = runs | spaces | two << 2 | three << 3 | carry.after;
        carry.letter = window.leaving(letter);
        carry.number = window.leaving(number);
        carry.other = window.leaving(other);
        carry.blank = window.leaving(blank);
        carry.space = window.leaving(space);
        carry.inside = window.beyond(carry.inside, 0) | window.beyond(two | three, 1);
        carry.after =
            window.beyond(carry.after, 0) | window.beyond(two, 2) | window.beyond(three, 3);
        Found { starts: starts & valid, release: false, hold: 0 }
    }
}
