//! Which patterns may begin at a node, by the node's code: what lets a search read the codes alone.

use std::ops::Range;
use std::sync::Arc;

use super::Query;
use super::step::{Scope, Step, closure};
use crate::languages::{Code, Grammar, Symbol, SymbolId};

/// What is to be done at a node whose symbol fits the first step of a pattern.
#[derive(Clone, Copy, Debug)]
pub(super) enum Action {
    /// The node alone is a match.
    Match { pattern: u16, step: u16 },
    /// Look for matches under the node, or under its parent.
    Look { pattern: u16 },
}

/// The actions of one query for the symbols of one grammar, as far as they are numbered.
#[derive(Debug)]
pub(super) struct Plan {
    grammar: Arc<Grammar>,
    /// Symbols known, by class.
    lens: [u16; 2],
    /// By class and index: which of the actions.
    symbols: [Vec<Range<u32>>; 2],
    actions: Vec<Action>,
    /// By code: some pattern may begin there.
    starts: [bool; 256],
    /// By code: the kind is named.
    named: [bool; 256],
    /// By step: the codes that fit it. An escape fits none here.
    fits: Vec<[u64; 4]>,
}

impl Plan {
    pub(super) fn new(query: &Query, grammar: &Arc<Grammar>) -> Self {
        let lens = grammar.symbols().lens();
        let mut plan = Self {
            grammar: Arc::clone(grammar),
            lens,
            symbols: [Vec::new(), Vec::new()],
            actions: Vec::new(),
            starts: [false; 256],
            named: [false; 256],
            fits: vec![[0; 4]; query.steps.len()],
        };
        for class in [false, true] {
            for symbol in grammar.symbols().symbols(class) {
                let from = plan.actions.len() as u32;
                query.actions(symbol, &mut plan.actions);
                plan.symbols[usize::from(class)].push(from..plan.actions.len() as u32);
            }
        }
        for code in 0..=u8::MAX {
            plan.code(query, code);
        }
        plan
    }

    fn code(&mut self, query: &Query, code: u8) {
        let at = usize::from(code);
        if Code(code).is_escape() {
            let class = &self.symbols[usize::from(code >= Code::MEASURED)];
            self.starts[at] = class.iter().any(|actions| !actions.is_empty());
            return;
        }
        let id = Code(code).id();
        let Some((symbol, _)) = self.grammar.symbols().get(id) else { return };
        self.starts[at] = !self.range(id).is_empty();
        self.named[at] = symbol.flags().has(crate::languages::Flags::NAMED);
        for (fits, step) in self.fits.iter_mut().zip(&query.steps) {
            if step.fits(symbol) {
                fits[at / 64] |= 1 << (at % 64);
            }
        }
    }

    /// Whether it is for `grammar` and knows all of its symbols.
    pub(super) fn is_for(&self, grammar: &Arc<Grammar>) -> bool {
        Arc::ptr_eq(&self.grammar, grammar) && self.lens == grammar.symbols().lens()
    }

    fn range(&self, id: SymbolId) -> Range<u32> {
        let class = &self.symbols[usize::from(id.is_measured_leaf())];
        class.get(usize::from(id.index())).cloned().unwrap_or(0..0)
    }

    /// The first node of `codes` from `from` on at which a pattern may begin.
    #[inline]
    pub(super) fn next(&self, codes: &[u8], from: usize) -> Option<usize> {
        let found = codes[from..].iter().position(|code| self.starts[usize::from(*code)])?;
        Some(from + found)
    }

    /// What is to be done at a node of this number.
    #[inline]
    pub(super) fn actions(&self, id: SymbolId) -> &[Action] {
        let range = self.range(id);
        &self.actions[range.start as usize..range.end as usize]
    }

    /// Whether a node of this code can be step number `step`.
    #[inline]
    pub(super) fn fits(
        &self,
        steps: &[Step],
        step: u16,
        code: u8,
        symbol: impl Fn() -> Symbol,
    ) -> bool {
        if Code(code).is_escape() {
            return steps[usize::from(step)].fits(symbol());
        }
        self.fits[usize::from(step)][usize::from(code) / 64] >> (code % 64) & 1 == 1
    }

    /// Whether a node of this code is named.
    #[inline]
    pub(super) fn is_named(&self, code: u8, symbol: impl Fn() -> Symbol) -> bool {
        if Code(code).is_escape() {
            return symbol().flags().has(crate::languages::Flags::NAMED);
        }
        self.named[usize::from(code)]
    }
}

impl Query {
    /// Adds what is to be done at nodes of a symbol.
    fn actions(&self, symbol: Symbol, actions: &mut Vec<Action>) {
        for (number, pattern) in self.patterns.iter().enumerate() {
            if pattern.scope == Scope::Tree {
                continue;
            }
            let fits =
                |entry: &&super::step::Entry| self.steps[usize::from(entry.step)].fits(symbol);
            let mut entries = pattern.entries.iter().filter(fits);
            let Some(first) = entries.next() else { continue };
            let pattern = number as u16;
            actions.push(match entries.next() {
                None if self.is_whole(first.step) => Action::Match { pattern, step: first.step },
                _ => Action::Look { pattern },
            });
        }
    }

    /// A node that fits this step is a match by itself.
    fn is_whole(&self, at: u16) -> bool {
        let step = &self.steps[usize::from(at)];
        let behind = closure(&self.steps, at + 1).unwrap_or_default();
        let done = matches!(behind[..], [only] if self.steps[usize::from(only)].depth == super::step::DONE);
        done && step.depth == 0 && step.negated.is_empty() && !step.last_child
    }
}
