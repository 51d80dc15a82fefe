//! Nodes in a row as columns of bytes: of a block, or of a chunk. Nothing in them depends on where they
//! lie.
//!
//! | column | entries |
//! |---|---|
//! | codes | a byte a node, and bytes between them: see `code.rs` |
//! | gaps | of each gap that is not the usual one: its token; with the source at hand its bytes |
//! | lengths | per measured leaf: its bytes. With the source at hand pairs of right guesses and bytes, of wrong ones |
//! | rest | per node that needs it: symbol number `u16` of an escape; lead and tail of a measured inner node |
//! | lines | of each leaf whose line feeds are not the usual ones: leaves with these since the last such, count, of each start its difference to the one before, the first to the leaf's start; then the leaves since. Nothing with the source at hand |
//!
//! The token of a gap has a number in its high bits and a class in the lowest. `0`: it has no line feed;
//! half of the token are its bytes. `01`: one line feed, at its first byte; token >> 2 is the difference
//! of the bytes behind it to those behind the line feed of the gap before, zigzag. `11`: the same
//! difference, behind more: line feeds less one, 1..=63, of which each follows on the one before; or 0, their number,
//! and of each line start the difference to the one before, the first to the gap's start.
//!
//! Numbers are LEB128 but for codes and escapes (little endian).

use super::code::{NO_LEAF, ODD_GAP, code_of, is_escape, push_exits};
use super::predict;
use crate::items::Item;
use crate::languages::{Habits, SymbolId};
use crate::varint::push;

/// Columns of nodes, and one of links.
pub(crate) const COLUMNS: usize = 6;
pub(crate) const CODES: usize = 0;
pub(crate) const GAPS: usize = 1;
pub(crate) const LENGTHS: usize = 2;
pub(crate) const REST: usize = 3;
pub(crate) const LINES: usize = 4;
pub(crate) const LINKS: usize = 5;

/// Line feeds in a row that a token counts.
pub(super) const FEEDS_MAX: u32 = 64;

/// What positions are held against.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Usual<'a> {
    /// What is usual between leaves of two kinds.
    Kinds(&'a Habits),
    /// The source's own white space and words.
    Source(&'a [u8]),
}

/// Nodes in a row.
#[derive(Debug)]
pub(crate) struct Unit {
    pub(crate) columns: [Vec<u8>; COLUMNS],
    tokens: Tokens,
    /// Code of the leaf before.
    before: u8,
    /// Right guesses of lengths, and leaves with the usual line feeds, since the last other one.
    right: u32,
    quiet: u32,
}

impl Default for Unit {
    fn default() -> Self {
        let (columns, tokens) = (Default::default(), Tokens::default());
        Self { columns, tokens, before: NO_LEAF, right: 0, quiet: 0 }
    }
}

impl Unit {
    /// Adds a node. `end` is the end of the leaf before, `lines` are the line starts behind that.
    #[inline]
    pub(crate) fn push(
        &mut self,
        usual: Usual<'_>,
        (id, item): (SymbolId, &Item),
        end: u32,
        lines: &mut &[u32],
    ) {
        let code = code_of(id);
        if item.symbol.is_leaf() {
            self.gap(usual, code, item.start, end, lines);
        }
        self.columns[CODES].push(code);
        if is_escape(code) {
            self.columns[REST].extend(id.bits().to_le_bytes());
        }
        if !item.symbol.is_leaf() {
            if item.symbol.is_measured() {
                push(&mut self.columns[REST], u64::from(item.lead));
                push(&mut self.columns[REST], u64::from(item.tail));
            }
            return;
        }
        if item.symbol.is_measured() {
            self.length(usual, item.start, item.end - item.start);
        }
        push_exits(&mut self.columns[CODES], item.ends);
        if let Usual::Kinds(habits) = usual {
            self.lines(habits.ends_line(code), item, lines);
        }
        self.before = code;
    }

    fn gap(&mut self, usual: Usual<'_>, code: u8, start: u32, end: u32, lines: &mut &[u32]) {
        let (token, expected) = match usual {
            Usual::Source(source) => {
                (u64::from(start - end), u64::from(predict::gap(source, end as usize)))
            }
            Usual::Kinds(habits) => {
                (self.tokens.next(start, end, lines), habits.gap(self.before, code).into())
            }
        };
        if token != expected {
            self.columns[CODES].push(ODD_GAP);
            push(&mut self.columns[GAPS], token);
            self.columns[GAPS].append(&mut self.tokens.behind);
        }
    }

    fn length(&mut self, usual: Usual<'_>, start: u32, length: u32) {
        let column = &mut self.columns[LENGTHS];
        if let Usual::Source(source) = usual {
            if predict::length(source, start as usize) == length {
                self.right += 1;
                return;
            }
            push(column, u64::from(std::mem::take(&mut self.right)));
        }
        push(column, u64::from(length));
    }

    fn lines(&mut self, one: bool, item: &Item, lines: &mut &[u32]) {
        let within = take_upto(lines, item.end);
        if if one { within == [item.end] } else { within.is_empty() } {
            self.quiet += 1;
            return;
        }
        let column = &mut self.columns[LINES];
        push(column, u64::from(std::mem::take(&mut self.quiet)));
        push_lines(column, within, item.start);
    }

    /// Ends it; with line starts behind the last leaf, whose end is given, if it is a tree's last.
    pub(crate) fn finish(&mut self, usual: Usual<'_>, last: Option<(&[u32], u32)>) {
        if let Usual::Kinds(_) = usual {
            push(&mut self.columns[LINES], u64::from(std::mem::take(&mut self.quiet)));
            if let Some((lines, end)) = last {
                push_lines(&mut self.columns[LINES], lines, end);
            }
        }
        (self.before, self.right, self.tokens.indent) = (NO_LEAF, 0, 0);
    }
}

/// Gaps as tokens.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    /// Bytes between the last line feed of a gap and its leaf.
    indent: u32,
    /// What stands behind the token.
    behind: Vec<u8>,
}

impl Tokens {
    /// The token of the gap from `end` to `start`, whose line starts are the first of `lines`.
    pub(crate) fn next(&mut self, start: u32, end: u32, lines: &mut &[u32]) -> u64 {
        self.behind.clear();
        let within = take_upto(lines, start);
        let Some(last) = within.last() else { return 2 * u64::from(start - end) };
        let indent = start - last;
        let more = i64::from(indent) - i64::from(self.indent);
        self.indent = indent;
        let zigzag = ((more << 1) ^ (more >> 63)).cast_unsigned();
        let in_a_row = within.len() as u32 <= FEEDS_MAX
            && within.iter().zip(1..).all(|(line, at)| end.checked_add(at) == Some(*line));
        match (in_a_row, within.len()) {
            (true, 1) => return zigzag << 2 | 1,
            (true, feeds) => push(&mut self.behind, feeds as u64 - 1),
            (false, _) => {
                push(&mut self.behind, 0);
                push_lines(&mut self.behind, within, end);
            }
        }
        zigzag << 2 | 3
    }
}

/// Takes the line starts up to `upto` off `lines`.
pub(super) fn take_upto<'l>(lines: &mut &'l [u32], upto: u32) -> &'l [u32] {
    let count = lines.iter().take_while(|line| **line <= upto).count();
    let (within, behind) = lines.split_at(count);
    *lines = behind;
    within
}

fn push_lines(column: &mut Vec<u8>, lines: &[u32], mut before: u32) {
    push(column, lines.len() as u64);
    for line in lines {
        push(column, u64::from(line - before));
        before = *line;
    }
}
