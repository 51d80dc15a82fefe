//! What a file's index says of a grammar, held against the one at hand.

use std::sync::Arc;

use super::codec::{Positions, decoder};
use super::error::ColdError;
use super::reading::Meanings;
use crate::languages::{Grammar, Identity, Symbol, SymbolTable};
use crate::varint::Rest;

/// A grammar of a file, as far as this process has it.
#[derive(Debug)]
pub(crate) enum Known {
    Ready(Box<Ready>),
    /// Another release is at hand, or none.
    Other {
        stored: Identity,
        at_hand: Option<Identity>,
    },
    /// The dictionary that blocks need is not this build's.
    Dictionary {
        grammar: Box<str>,
        id: u64,
    },
}

/// A grammar that trees of a file can be read with.
#[derive(Debug)]
pub(crate) struct Ready {
    grammar: Arc<Grammar>,
    meanings: Meanings,
    /// The file numbers symbols as the grammar's table does in this process.
    same_numbers: bool,
}

impl Ready {
    /// For what is being written, its symbols numbered by `table`.
    pub(crate) fn of(grammar: &Arc<Grammar>, table: &SymbolTable) -> Self {
        let meanings = Meanings::new(grammar, [false, true].map(|class| table.symbols(class)));
        Self { grammar: Arc::clone(grammar), meanings, same_numbers: false }
    }

    pub(crate) const fn grammar(&self) -> &Arc<Grammar> {
        &self.grammar
    }

    pub(crate) const fn meanings(&self) -> &Meanings {
        &self.meanings
    }

    /// Whether the file numbers symbols as the grammar's table does in this process.
    pub(super) const fn same_numbers(&self) -> bool {
        self.same_numbers
    }

    /// Numbers the file's symbols in the grammar's table, where that has not done so.
    pub(super) fn adopt(&mut self) {
        self.same_numbers = self.meanings.symbols().all(|(number, symbol)| {
            self.grammar.intern(symbol).is_some_and(|known| known == number)
        });
    }
}

impl Known {
    /// Follows `table`, which numbers the symbols and has grown.
    pub(crate) fn grow(&mut self, table: &SymbolTable) {
        if let Self::Ready(ready) = self
            && ready.meanings.symbols().count()
                != table.lens().iter().map(|it| usize::from(*it)).sum()
        {
            **ready = Ready::of(&ready.grammar, table);
        }
    }

    pub(crate) fn ready(&self) -> Result<&Ready, ColdError> {
        match self {
            Self::Ready(ready) => Ok(ready),
            Self::Other { stored, at_hand } => {
                let none = || Identity { name: "none".into(), abi: 0, tables: [0; 16] };
                let at_hand = at_hand.clone().unwrap_or_else(none).into();
                Err(ColdError::Grammar { stored: stored.clone().into(), at_hand })
            }
            Self::Dictionary { grammar, id } => {
                Err(ColdError::Dictionary { grammar: grammar.clone(), id: *id })
            }
        }
    }
}

/// Reads a row of an index on a grammar.
pub(crate) fn known(
    rest: &mut Rest<'_>,
    at_hand: &mut impl FnMut(&str) -> Option<Arc<Grammar>>,
) -> Result<Known, ColdError> {
    let malformed = || ColdError::malformed("index of grammars");
    let stored = identity(rest).ok_or_else(malformed)?;
    let ids = [rest.long().ok_or_else(malformed)?, rest.long().ok_or_else(malformed)?];
    let others = symbols(rest).ok_or_else(malformed)?;
    let measured = symbols(rest).ok_or_else(malformed)?;
    let grammar = at_hand(&stored.name);
    let Some(grammar) = grammar.as_ref().filter(|grammar| *grammar.identity() == stored) else {
        let at_hand = grammar.map(|grammar| grammar.identity().clone());
        return Ok(Known::Other { stored, at_hand });
    };
    for (positions, id) in Positions::ALL.into_iter().zip(ids) {
        if id != decoder(grammar, positions)?.id {
            return Ok(Known::Dictionary { grammar: stored.name, id });
        }
    }
    let in_class = others.iter().all(|symbol| !symbol.is_measured_leaf());
    let known = others.iter().chain(&measured).all(|symbol| grammar.knows(*symbol));
    if !in_class || !known || !measured.iter().all(|symbol| symbol.is_measured_leaf()) {
        return Err(malformed());
    }
    let table = grammar.symbols();
    let same = |symbols: &[Symbol], class| table.symbols(class).starts_with(symbols);
    let same_numbers = same(&others, false) && same(&measured, true);
    let meanings = Meanings::new(grammar, [others, measured]);
    let grammar = Arc::clone(grammar);
    Ok(Known::Ready(Box::new(Ready { grammar, meanings, same_numbers })))
}

fn identity(rest: &mut Rest<'_>) -> Option<Identity> {
    let name = std::str::from_utf8(rest.bytes()?).ok()?.into();
    let abi = rest.number()?;
    Some(Identity { name, abi, tables: *rest.take(16)?.first_chunk()? })
}

fn symbols(rest: &mut Rest<'_>) -> Option<Vec<Symbol>> {
    (0..rest.number()?).map(|_| Symbol::from_bits(rest.long()?)).collect()
}
