//! Learning a grammar's symbols and dictionaries from sources.

use std::collections::HashMap;
use std::sync::Arc;

use super::code::{NO_LEAF, code_of};
use super::error::ColdError;
use super::record::raw_blocks;
use super::unit::{Tokens, take_upto};
use crate::flat::{Flat, Flattener};
use crate::items::Items;
use crate::languages::{Grammar, Habits, Learner, Symbol, Trained};
use crate::parse::{Limits, ParseError, Parser};

/// Why nothing was learned.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// The grammar cannot parse.
    #[error(transparent)]
    Parse(#[from] ParseError),
    /// zstd found too little to learn from, or fails.
    #[error(transparent)]
    Cold(#[from] ColdError),
}

/// Learns from `sources`, three times over: first the symbols, the more frequent the earlier, then what
/// stands between leaves, then with these a dictionary of at most `dictionary_bytes` for stored and one for guessed positions.
/// Sources that a tree cannot be stored of are left out.
///
/// # Errors
/// See [`TrainError`].
pub fn train(
    grammar: &Grammar,
    sources: &[Vec<u8>],
    dictionary_bytes: usize,
) -> Result<Trained, TrainError> {
    let name = &grammar.identity().name;
    let bare = Grammar::untrained(name, grammar.language().clone());
    let mut counts: HashMap<Symbol, u64> = HashMap::new();
    each(&bare, sources, |flat, _| {
        for id in &flat.symbols {
            *counts.entry(bare.symbol(*id)).or_default() += 1;
        }
    })?;
    let mut symbols: Vec<_> = counts.into_iter().collect();
    symbols.sort_unstable_by_key(|(symbol, count)| (std::cmp::Reverse(*count), symbol.bits()));
    let symbols: Vec<_> = symbols.into_iter().map(|(symbol, _)| symbol).collect();
    let with = |habits| {
        let trained =
            |identity: &_| Some(Trained::new(identity, symbols.clone(), habits, Vec::new()));
        Grammar::with(name, grammar.language().clone(), trained)
    };
    let (sorted, mut learner) = (with(Habits::default()), Learner::default());
    each(&sorted, sources, |flat, _| learn(&sorted, flat, &mut learner))?;
    let habits = learner.habits();
    let sorted = with(habits.clone());
    let mut blocks = [Vec::new(), Vec::new()];
    each(&sorted, sources, |flat, source| {
        blocks[0].extend(raw_blocks(&sorted, flat, None));
        blocks[1].extend(raw_blocks(&sorted, flat, Some(source)));
    })?;
    let dictionary = |blocks: &Vec<Vec<u8>>| {
        let fail = |source| ColdError::Zstd { doing: "train a dictionary", source };
        zstd::dict::from_samples(blocks, dictionary_bytes).map_err(fail)
    };
    let dictionaries = blocks.iter().map(dictionary).collect::<Result<_, _>>()?;
    Ok(Trained::new(grammar.identity(), symbols, habits, dictionaries))
}

/// Counts what stands between a tree's leaves.
fn learn(grammar: &Grammar, flat: &Flat, learner: &mut Learner) {
    let (mut tokens, mut lines) = (Tokens::default(), &flat.lines[..]);
    let (mut before, mut end) = (NO_LEAF, 0);
    for (id, item) in Items::new(grammar, flat).filter(|(_, item)| item.symbol.is_leaf()) {
        let code = code_of(id);
        learner.gap(before, code, tokens.next(item.start, end, &mut lines));
        let within = take_upto(&mut lines, item.end);
        if within.is_empty() || within == [item.end] {
            learner.leaf(code, !within.is_empty());
        }
        (before, end) = (code, item.end);
    }
}

fn each(
    grammar: &Arc<Grammar>,
    sources: &[Vec<u8>],
    mut take: impl FnMut(&Flat, &[u8]),
) -> Result<(), ParseError> {
    let mut parser = Parser::new(grammar)?;
    let mut flattener = Flattener::new(grammar);
    for source in sources {
        let tree = parser.parse(source, None, Limits::default())?;
        if let Ok(flat) = flattener.flatten(&tree, source) {
            take(&flat, source);
        }
    }
    Ok(())
}
