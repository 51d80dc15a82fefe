//! The grammar of `o200k_base`.
//!
//! `[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|…)?|`
//! `[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|…)?|`
//! `\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+`
//!
//! What backtracking makes of the first two: inside a run of letters and marks, a capital begins
//! a piece when the piece has had a lower-case letter. In a piece without one, capitals that the
//! run ends with are a piece of their own if a character of either case is before them.

use super::{Carry, Found, Planes, Rules, Trial, Window, numbers};

/// The rules of [`crate::vocab::Grammar::O200k`].
#[derive(Clone, Copy, Debug)]
pub(in crate::split) struct O200k;

/// How the characters of class "other" are divided.
#[derive(Clone, Copy)]
struct Signs {
    /// Members of runs of punctuation, which marks can be, too.
    run: u64,
    /// Newlines and slashes that belong to the run before them.
    tail: u64,
}

/// All positions that `from` reaches through `class`, itself included: a match star.
#[inline(always)]
const fn reach(from: u64, class: u64) -> u64 {
    ((from & class).wrapping_add(class) ^ class) | from
}

/// Tails that begin at `from`.
#[inline(always)]
fn tails(from: u64, class: u64) -> u64 {
    reach(from, class) & class
}

/// Members of runs of punctuation, with the slashes of `tail` out of play.
///
/// A sign is in a run unless it begins a piece and a word follows, as the word then takes it;
/// a mark is in a run when it follows a member, else in a word.
#[inline(always)]
fn runs(sign: u64, mark: u64, next_word: u64, tail: u64, before_blank: u64, carry: &Carry) -> u64 {
    let sign = sign & !tail;
    let before = sign << 1 | (carry.sign & !carry.tail);
    let sure = sign & (before_blank | before | !next_word);
    if mark == 0 && carry.other & !carry.sign == 0 {
        return sure;
    }
    let class = sign | (mark & !tail);
    reach(sure | carry.other & class, class) & class
}

#[inline(always)]
fn signs(planes: &Planes, sign: u64, mark: u64, carry: &Carry) -> Signs {
    let next_word = (planes.letter | mark) >> 1;
    let before_blank = planes.blank << 1 | carry.blank;
    let class = planes.newline | planes.slash;
    // A newline after a sign follows a member: the sign is in a run or in a tail.
    let mut from = (planes.newline & (sign << 1 | carry.sign | carry.other)) | carry.tail & class;
    let mut tail = tails(from, class);
    let mut run = runs(sign, mark, next_word, tail, before_blank, carry);
    if mark != 0 {
        // After a mark, it depends on where the mark is; settled from left to right.
        loop {
            let more = planes.newline & (run & mark) << 1 & !tail;
            if more == 0 {
                break;
            }
            from |= more & more.wrapping_neg();
            tail = tails(from, class);
            run = runs(sign, mark, next_word, tail, before_blank, carry);
        }
    }
    Signs { run, tail }
}

/// Of contractions, those that do not come right after another one that stands.
#[inline(always)]
fn alternate(two: u64, three: u64) -> (u64, u64) {
    let all = two | three;
    if (two << 2 | three << 3) & all == 0 {
        return (two, three);
    }
    let (mut rest, mut taken) = (all, 0);
    while rest != 0 {
        let first = rest & rest.wrapping_neg();
        taken |= first;
        rest &= !(first | (first & two) << 2 | (first & three) << 3);
    }
    (two & taken, three & taken)
}

impl Rules for O200k {
    const FOLD: bool = true;
    const CASE: bool = true;

    #[inline(always)]
    fn starts(self, planes: &Planes, carry: &mut Carry, window: Window) -> Found {
        let Planes { letter, number, space, newline, blank, .. } = *planes;
        let valid = planes.valid();
        let mark = planes.either & !letter;
        let sign = valid & !(letter | number | space | mark);
        let Signs { run, tail } = signs(planes, sign, mark, carry);
        let word = letter | (mark & !run);
        let before_word = word << 1 | carry.letter;
        // Contractions end a word; their letters begin none.
        let (two, three) =
            planes.contractions(planes.apostrophe & before_word & !run & !carry.after);
        let (two, three) = alternate(two, three);
        let inside = (two | three) << 1 | three << 2 | carry.inside;
        let word = word & !inside;
        let prefix = sign & !run & !tail & !(two | three);
        let free = space & !tail;
        let indent = space & !newline;
        let before_indent = indent << 1 | carry.indent;
        let before_free = free << 1 | carry.space;
        let after_newline = indent & before_free & !before_indent;
        let digits = numbers(3, number, carry, window);
        let trial = Trial::indents(indent, after_newline, newline, true, carry);
        let (mut found, open) = trial.settle(window);
        let words = word & !(word << 1 | carry.letter | before_indent | prefix << 1 | carry.prefix);
        let others = run & !(run << 1 | carry.other | blank << 1 | carry.blank);
        let spaces = (free & !before_free) | (indent & (valid & !space) >> 1);
        found.starts |= (words | digits | prefix | others | spaces) & valid;
        let capitals = cases(planes, word, &mut found, carry, window);
        carry.held = if open { 1 } else { 2 * u64::from(capitals) };
        carry.letter = window.leaving(word);
        carry.other = window.leaving(run);
        carry.sign = window.leaving(sign & !tail);
        carry.prefix = window.leaving(prefix);
        carry.blank = window.leaving(blank);
        carry.space = window.leaving(free);
        carry.indent = window.leaving(indent);
        carry.tail = window.leaving(tail);
        carry.inside = window.beyond(inside, 0) | window.beyond(three, 2);
        carry.after =
            window.beyond(carry.after, 0) | window.beyond(two, 2) | window.beyond(three, 3);
        found
    }
}

/// Adds the starts at capitals inside of words; gives back whether one of them is to be held.
#[inline(always)]
fn cases(planes: &Planes, word: u64, found: &mut Found, carry: &mut Carry, window: Window) -> bool {
    let upper = planes.upper & word;
    let either = planes.either & word;
    let cased = reach((planes.lower & word) << 1 | carry.cased, either);
    found.starts |= upper & cased;
    let candidates = upper & (either << 1 | carry.either) & !cased;
    let held = carry.held == 2;
    carry.cased = window.beyond(cased, 0) & 1;
    carry.either = window.leaving(either);
    if candidates == 0 && !held {
        return false;
    }
    let trial = Trial { run: upper, candidates, refuse: word, at_end: true, held };
    let (tails, open) = trial.settle(window);
    found.starts |= tails.starts;
    found.release |= tails.release;
    found.hold |= tails.hold;
    open
}
