//! The grammars' patterns written out as matchers over characters: slow, plain, for all bytes.

use crate::split::class::{self, EITHER, LETTER, LONG_S, LOWER, NEWLINE, NUMBER, SPACE, UPPER};
use crate::vocab::Grammar;

/// A character: its class bits, its byte when ASCII, and where it ends.
#[derive(Clone, Copy)]
struct Char {
    class: u8,
    ascii: u8,
    end: usize,
}

impl Char {
    fn is(self, bits: u8) -> bool {
        self.class & bits != 0
    }

    fn other(self) -> bool {
        !self.is(LETTER | NUMBER | SPACE)
    }

    fn mark(self) -> bool {
        self.is(EITHER) && !self.is(LETTER)
    }
}

/// Length of the longest prefix of `text` whose characters all satisfy `test`.
fn run(text: &[Char], test: impl Fn(Char) -> bool) -> usize {
    text.iter().take_while(|c| test(**c)).count()
}

fn contraction(text: &[Char], fold: bool) -> Option<usize> {
    let letter = |at: usize| {
        let c = text.get(at)?;
        let ascii = if fold && c.is(LONG_S) { b's' } else { c.ascii };
        Some(if fold { ascii.to_ascii_lowercase() } else { ascii })
    };
    match (letter(0)?, letter(1)?, letter(2)) {
        (b'\'', b's' | b'd' | b'm' | b't', _) => Some(2),
        (b'\'', b'l', Some(b'l')) | (b'\'', b'v' | b'r', Some(b'e')) => Some(3),
        _ => None,
    }
}

/// White space at the end of all grammars: `\s*[\r\n]` where wanted, `\s+(?!\S)`, `\s`.
fn white(text: &[Char], newline: bool, cut_at_end: bool) -> Option<usize> {
    let all = run(text, |c| c.is(SPACE));
    if all == 0 {
        return None;
    }
    if all == text.len() && !cut_at_end {
        return Some(all);
    }
    let last = text[..all].iter().rposition(|c| c.is(NEWLINE));
    match last {
        Some(last) if newline => Some(last + 1),
        _ if all == text.len() || all == 1 => Some(all),
        _ => Some(all - 1),
    }
}

fn r50k(text: &[Char]) -> usize {
    let blank = usize::from(text[0].ascii == b' ');
    let class = |test: fn(Char) -> bool| match run(&text[blank..], test) {
        0 => None,
        n => Some(blank + n),
    };
    contraction(text, false)
        .or_else(|| class(|c| c.is(LETTER)))
        .or_else(|| class(|c| c.is(NUMBER)))
        .or_else(|| class(Char::other))
        .or_else(|| white(text, false, true))
        .expect("some alternative matches")
}

/// ` ?[^\s\p{L}\p{N}]+` and then what `tail` allows.
fn punctuation(text: &[Char], tail: fn(Char) -> bool) -> Option<usize> {
    let blank = usize::from(text[0].ascii == b' ');
    match blank + run(&text[blank..], Char::other) {
        n if n == blank => None,
        n => Some(n + run(&text[n..], tail)),
    }
}

fn cl100k(text: &[Char], digits: usize, cut_at_end: bool) -> usize {
    let prefix = usize::from(!text[0].is(NEWLINE | LETTER | NUMBER));
    let word = || match run(&text[prefix..], |c| c.is(LETTER)) {
        0 => None,
        n => Some(prefix + n),
    };
    let number = || match run(text, |c| c.is(NUMBER)) {
        0 => None,
        n => Some(n.min(digits)),
    };
    contraction(text, true)
        .or_else(word)
        .or_else(number)
        .or_else(|| punctuation(text, |c| c.is(NEWLINE)))
        .or_else(|| white(text, true, cut_at_end))
        .expect("some alternative matches")
}

/// One of o200k's two alternatives for words from `at` on, by trying as a regex engine does.
fn word(text: &[Char], at: usize, small_needed: bool) -> Option<usize> {
    let capital = |c: Char| c.is(UPPER | EITHER);
    let small = |c: Char| c.is(LOWER | EITHER);
    let most = run(&text[at..], capital);
    let n = if small_needed {
        (0..=most).rev().find_map(|n| match run(&text[at + n..], small) {
            0 => None,
            m => Some(n + m),
        })?
    } else if most > 0 {
        most + run(&text[at + most..], small)
    } else {
        return None;
    };
    let end = at + n;
    Some(end + contraction(&text[end..], true).unwrap_or(0))
}

fn o200k(text: &[Char]) -> usize {
    let prefix = !text[0].is(NEWLINE | LETTER | NUMBER);
    let words = [true, false].into_iter().find_map(|small_needed| {
        let with = if prefix { word(text, 1, small_needed) } else { None };
        with.or_else(|| word(text, 0, small_needed))
    });
    let number = || match run(text, |c| c.is(NUMBER)) {
        0 => None,
        n => Some(n.min(3)),
    };
    words
        .or_else(number)
        .or_else(|| punctuation(text, |c| c.is(NEWLINE) || c.ascii == b'/'))
        .or_else(|| white(text, true, true))
        .expect("some alternative matches")
}

/// Ends of the pieces of `text`.
pub(super) fn split(grammar: Grammar, cut_at_end: bool, text: &[u8]) -> Vec<u32> {
    let mut chars = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let (class, len) = class::first(&text[at..]);
        let ascii = if text[at] < 0x80 { text[at] } else { 0 };
        at += len;
        chars.push(Char { class, ascii, end: at });
    }
    let (mut ends, mut at) = (Vec::new(), 0);
    while at < chars.len() {
        at += match grammar {
            Grammar::Whole => chars.len() - at,
            Grammar::R50k => r50k(&chars[at..]),
            Grammar::Cl100k { digits } | Grammar::Llama3 { digits } => {
                cl100k(&chars[at..], usize::from(digits), cut_at_end)
            }
            Grammar::O200k => o200k(&chars[at..]),
        };
        ends.push(chars[at - 1].end as u32);
    }
    assert!(chars.iter().all(|c| !c.mark() || c.other()), "marks count as other");
    ends
}
