//! A block's columns, read node by node.

use super::columns::{CODES, COLUMNS, ENDS, GAPS, LINKS, Meaning, REST};
use super::predict;
use crate::items::Item;
use crate::languages::{Code, Grammar, Symbol, SymbolId};
use crate::varint::Rest;

/// The symbols of a file, as its codes and numbers name them.
#[derive(Debug)]
pub(crate) struct Meanings {
    codes: [Option<Meaning>; 256],
    /// By class and index.
    symbols: [Vec<Symbol>; 2],
}

impl Meanings {
    pub(crate) fn new(grammar: &Grammar, symbols: [Vec<Symbol>; 2]) -> Self {
        let mut meanings = Self { codes: [None; 256], symbols };
        for code in 0..=u8::MAX {
            if !Code(code).is_escape() {
                meanings.codes[usize::from(code)] = meanings.meaning(grammar, Code(code).id());
            }
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

/// Reads one block from its first node on. Every number is checked: none is trusted to fit.
#[derive(Debug)]
pub(crate) struct Reading<'a> {
    grammar: &'a Grammar,
    meanings: &'a Meanings,
    source: Option<&'a [u8]>,
    columns: [Rest<'a>; COLUMNS],
    /// Right guesses until the next wrong one, of gaps and lengths; none known at first.
    right: [Option<u32>; 2],
    depth: u32,
    end: u32,
    first: u32,
}

impl<'a> Reading<'a> {
    /// Takes a block's bytes apart: lengths of the columns, then these.
    pub(crate) fn new(
        grammar: &'a Grammar,
        meanings: &'a Meanings,
        source: Option<&'a [u8]>,
        bytes: &'a [u8],
        place: Place,
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
        Some(Self::of(grammar, meanings, source, columns, place))
    }

    /// Reads on in columns, from where they are.
    pub(crate) const fn of(
        grammar: &'a Grammar,
        meanings: &'a Meanings,
        source: Option<&'a [u8]>,
        columns: [Rest<'a>; COLUMNS],
        place: Place,
    ) -> Self {
        let Place { base, depth, first } = place;
        Self { grammar, meanings, source, columns, right: [None; 2], depth, end: base, first }
    }

    /// What is left of the columns.
    pub(crate) const fn columns(&self) -> &[Rest<'a>; COLUMNS] {
        &self.columns
    }

    /// The next node; none when the bytes mean nothing.
    #[inline]
    pub(crate) fn next(&mut self) -> Option<Item> {
        let code = self.columns[CODES].byte()?;
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
            return Some(item);
        }
        item.start = self.end.checked_add(self.position(0, self.end)?)?;
        let len = if symbol.is_measured() { self.position(1, item.start)? } else { implied };
        item.end = item.start.checked_add(len)?;
        self.end = item.end;
        item.ends = self.columns[ENDS].number()?;
        self.depth = self.depth.checked_sub(item.ends)?;
        Some(item)
    }

    #[cold]
    fn escaped(&mut self, code: u8) -> Option<Meaning> {
        if !Code(code).is_escape() {
            return None;
        }
        let bytes = self.columns[REST].take(2)?;
        let id = SymbolId::from_bits(u16::from_le_bytes(*bytes.first_chunk()?));
        self.meanings.meaning(self.grammar, id)
    }

    #[inline]
    fn position(&mut self, which: usize, at: u32) -> Option<u32> {
        let Some(source) = self.source else { return self.columns[GAPS + which].number() };
        let column = &mut self.columns[GAPS + which];
        let right = match self.right[which] {
            Some(right) => right,
            // Behind the last wrong guess all are right.
            None => column.number().unwrap_or(u32::MAX),
        };
        let Some(left) = right.checked_sub(1) else {
            self.right[which] = None;
            return column.number();
        };
        self.right[which] = Some(left);
        Some(match which {
            0 => predict::gap(source, at as usize),
            _ => predict::length(source, at as usize),
        })
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
