//! A block's columns, read node by node.

use super::code::{NO_LEAF, ODD_GAP, id_of, is_escape, take_exits};
use super::columns::Meaning;
use super::pass::Pass;
use super::predict;
use super::unit::{CODES, COLUMNS, FEEDS_MAX, GAPS, LENGTHS, LINES, LINKS, REST};
use crate::items::Item;
use crate::languages::{Grammar, Habits, Symbol, SymbolId};
use crate::varint::Rest;

/// The symbols of a file, as its codes and numbers name them.
#[derive(Debug)]
pub(crate) struct Meanings {
    codes: [Option<Meaning>; 256],
    /// What a code does to those that pass over it.
    pub(super) passes: [Pass; 256],
    /// By class and index.
    symbols: [Vec<Symbol>; 2],
}

impl Meanings {
    pub(crate) fn new(grammar: &Grammar, symbols: [Vec<Symbol>; 2]) -> Self {
        let mut meanings = Self { codes: [None; 256], passes: [Pass::UNUSUAL; 256], symbols };
        for code in 0..=u8::MAX {
            let meaning = id_of(code).and_then(|id| meanings.meaning(grammar, id));
            meanings.codes[usize::from(code)] = meaning;
            meanings.passes[usize::from(code)] = Pass::of(code, meaning);
        }
        meanings
    }

    /// All symbols, each with its number in the file.
    pub(crate) fn symbols(&self) -> impl Iterator<Item = (SymbolId, Symbol)> {
        [false, true].into_iter().flat_map(|class| {
            let symbols = self.symbols[usize::from(class)].iter().enumerate();
            symbols.map(move |(index, symbol)| (SymbolId::new(class, index as u16), *symbol))
        })
    }

    fn meaning(&self, grammar: &Grammar, id: SymbolId) -> Option<Meaning> {
        let symbol =
            *self.symbols[usize::from(id.is_measured_leaf())].get(usize::from(id.index()))?;
        Some(Meaning { symbol, implied: grammar.implied_len(symbol).into() })
    }
}

/// An entry of the column of links on nodes that end behind the block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unclosed {
    pub(crate) children: u32,
    pub(crate) nodes: u32,
    pub(crate) start: u32,
    pub(crate) end: u32,
}

/// What is done with the line starts on the way.
#[derive(Debug)]
pub(crate) enum Lines {
    /// Nothing; their column is not read.
    Skip,
    /// They are read and forgotten.
    Pass,
    /// They are appended.
    Keep(Vec<u32>),
}

impl Lines {
    /// Takes a line start; none where it comes before an earlier one.
    #[inline]
    fn push(&mut self, line: u32) -> Option<()> {
        let Self::Keep(lines) = self else { return Some(()) };
        let in_order = lines.last().is_none_or(|before| *before <= line);
        lines.push(line);
        in_order.then_some(())
    }
}

/// Reads nodes in a row from their first one on. Every number is checked: none is trusted to fit.
#[derive(Debug)]
pub(crate) struct Reading<'a> {
    grammar: &'a Grammar,
    pub(super) meanings: &'a Meanings,
    pub(super) habits: &'a Habits,
    pub(super) source: Option<&'a [u8]>,
    pub(super) columns: [Rest<'a>; COLUMNS],
    /// Right guesses of lengths until the next wrong one; not known at first.
    right: Option<u32>,
    /// Leaves with the usual line feeds until the next one with others; not known at first.
    quiet: Option<u32>,
    /// Code of the leaf before.
    pub(super) before: u8,
    /// Bytes between the last line feed of a gap and its leaf.
    pub(super) indent: u32,
    pub(super) lines: Lines,
    pub(super) depth: u32,
    pub(super) end: u32,
    first: u32,
}

impl<'a> Reading<'a> {
    /// Takes a block's bytes apart: lengths of the columns, then these.
    pub(crate) fn new(
        (grammar, meanings): (&'a Grammar, &'a Meanings),
        source: Option<&'a [u8]>,
        bytes: &'a [u8],
        (place, lines): (Place, Lines),
    ) -> Option<Self> {
        let mut rest = Rest(bytes);
        let mut lens = [0; COLUMNS];
        for len in &mut lens {
            *len = rest.number()? as usize;
        }
        let mut columns = [Rest::default(); COLUMNS];
        for (column, len) in columns.iter_mut().zip(lens) {
            *column = Rest(rest.take(len)?);
        }
        Some(Self::of((grammar, meanings), source, columns, (place, lines)))
    }

    /// Reads on in columns, from where they are.
    pub(crate) fn of(
        (grammar, meanings): (&'a Grammar, &'a Meanings),
        source: Option<&'a [u8]>,
        columns: [Rest<'a>; COLUMNS],
        (place, lines): (Place, Lines),
    ) -> Self {
        let Place { base, depth, first } = place;
        let (habits, before, indent) = (grammar.habits(), NO_LEAF, 0);
        let (right, quiet) = (None, None);
        Self {
            grammar,
            meanings,
            habits,
            source,
            columns,
            right,
            quiet,
            before,
            indent,
            lines,
            depth,
            end: base,
            first,
        }
    }

    /// What is left of the columns.
    pub(crate) const fn columns(&self) -> &[Rest<'a>; COLUMNS] {
        &self.columns
    }

    /// The next node; none when the bytes mean nothing.
    #[inline]
    pub(crate) fn next(&mut self) -> Option<Item> {
        let mut code = self.columns[CODES].byte()?;
        let odd = code == ODD_GAP;
        if odd {
            code = self.columns[CODES].byte()?;
        }
        let Meaning { symbol, implied } = match self.meanings.codes[usize::from(code)] {
            Some(meaning) => meaning,
            None => self.escaped(code)?,
        };
        let depth = self.depth;
        let mut item = Item { symbol, depth, start: self.end, end: 0, lead: 0, tail: 0, ends: 0 };
        if !symbol.is_leaf() {
            if symbol.is_measured() {
                item.lead = self.columns[REST].number()?;
                item.tail = self.columns[REST].number()?;
            }
            self.depth += 1;
            return (!odd).then_some(item);
        }
        item.start = self.end.checked_add(self.gap(odd, code)?)?;
        let len = if symbol.is_measured() { self.length(item.start)? } else { implied };
        item.end = item.start.checked_add(len)?;
        self.end = item.end;
        item.ends = take_exits(&mut self.columns[CODES]);
        self.depth = self.depth.checked_sub(item.ends)?;
        if !matches!(self.lines, Lines::Skip) && self.source.is_none() {
            self.leaf_lines(code, &item)?;
        }
        self.before = code;
        Some(item)
    }

    #[cold]
    fn escaped(&mut self, code: u8) -> Option<Meaning> {
        if !is_escape(code) {
            return None;
        }
        let bytes = self.columns[REST].take(2)?;
        let id = SymbolId::from_bits(u16::from_le_bytes(*bytes.first_chunk()?));
        self.meanings.meaning(self.grammar, id)
    }

    #[inline]
    fn gap(&mut self, odd: bool, code: u8) -> Option<u32> {
        if let Some(source) = self.source {
            return match odd {
                true => self.columns[GAPS].number(),
                false => Some(predict::gap(source, self.end as usize)),
            };
        }
        let token = match odd {
            true => self.columns[GAPS].wide()?,
            false => self.habits.gap(self.before, code).into(),
        };
        if token & 1 == 0 {
            return u32::try_from(token / 2).ok();
        }
        let zigzag = token >> 2;
        let more = (zigzag >> 1).cast_signed() ^ -(zigzag & 1).cast_signed();
        self.indent = u32::try_from(i64::from(self.indent).checked_add(more)?).ok()?;
        let feeds = match token & 2 {
            0 => {
                self.lines.push(self.end.checked_add(1)?)?;
                1
            }
            _ => self.feeds()?,
        };
        feeds.checked_add(self.indent)
    }

    /// Line feeds of a gap that has several, or not as its first bytes; gives the bytes up to the last.
    #[cold]
    fn feeds(&mut self) -> Option<u32> {
        let more = self.columns[GAPS].number()?;
        if more >= FEEDS_MAX {
            return None;
        }
        if more == 0 {
            let last = self.line_starts(GAPS, self.end)?;
            return Some(last - self.end);
        }
        for line in 1..=more + 1 {
            self.lines.push(self.end.checked_add(line)?)?;
        }
        Some(more + 1)
    }

    /// Reads a count and as many line starts from `at` on; gives the last.
    fn line_starts(&mut self, column: usize, mut at: u32) -> Option<u32> {
        for _ in 0..self.columns[column].number()? {
            at = at.checked_add(self.columns[column].number()?)?;
            self.lines.push(at)?;
        }
        Some(at)
    }

    /// Line starts in a leaf.
    #[inline]
    fn leaf_lines(&mut self, code: u8, item: &Item) -> Option<()> {
        let quiet = match self.quiet {
            Some(quiet) => quiet,
            None => self.columns[LINES].number()?,
        };
        let Some(left) = quiet.checked_sub(1) else {
            self.quiet = None;
            let last = self.line_starts(LINES, item.start)?;
            return (last <= item.end).then_some(());
        };
        self.quiet = Some(left);
        if self.habits.ends_line(code) { self.lines.push(item.end) } else { Some(()) }
    }

    /// Ends it; at a tree's end with what is behind the last leaf. Gives the line starts if they were
    /// kept.
    pub(crate) fn finish(&mut self, last: bool) -> Option<Vec<u32>> {
        if self.source.is_none() {
            let quiet = self.quiet.or_else(|| self.columns[LINES].number());
            if quiet != Some(0) {
                return None;
            }
            if last {
                self.line_starts(LINES, self.end)?;
            }
        }
        Some(match &mut self.lines {
            Lines::Keep(lines) => std::mem::take(lines),
            Lines::Skip | Lines::Pass => Vec::new(),
        })
    }

    #[inline]
    fn length(&mut self, start: u32) -> Option<u32> {
        let column = &mut self.columns[LENGTHS];
        let Some(source) = self.source else { return column.number() };
        let right = match self.right {
            Some(right) => right,
            // Behind the last wrong guess all are right.
            None => column.number().unwrap_or(u32::MAX),
        };
        let Some(left) = right.checked_sub(1) else {
            self.right = None;
            return column.number();
        };
        self.right = Some(left);
        Some(predict::length(source, start as usize))
    }

    /// Depth of the next node.
    pub(crate) const fn depth(&self) -> u32 {
        self.depth
    }

    /// Ancestors of the block's first node that are parents in it, nearest first.
    pub(crate) fn ancestors(&self) -> Option<Vec<u32>> {
        let mut links = self.columns[LINKS];
        let mut below = self.first;
        let count = links.number()?;
        let mut next = || {
            below = below.checked_sub(links.number()?)?;
            Some(below)
        };
        (0..count).map(|_| next()).collect()
    }

    /// Where node `wanted` ends, which does so behind the block.
    pub(crate) fn unclosed(&self, wanted: u32) -> Option<Unclosed> {
        let mut links = self.columns[LINKS];
        for _ in 0..links.number()? {
            links.number()?;
        }
        let mut node = self.first;
        for _ in 0..links.number()? {
            node = node.checked_add(links.number()?)?;
            let (children, nodes, start) = (links.number()?, links.number()?, links.number()?);
            let end = start.checked_add(links.number()?)?;
            if node == wanted {
                return Some(Unclosed { children, nodes, start, end });
            }
        }
        None
    }
}

/// Where a block lies in its tree.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    /// End of the leaf before it.
    pub(crate) base: u32,
    /// Depth of its first node.
    pub(crate) depth: u32,
    /// Number of its first node.
    pub(crate) first: u32,
}
