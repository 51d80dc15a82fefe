//! Byte-pair encoding of one piece: exact, and linear in its length.
//!
//! Inside, tokens have *numbers*: the 256 bytes come first, then the tokens that merges make, by the
//! rank of the merge that makes them. So a number is a rank too, whether the vocabulary ranks merges
//! by id or lists them. Each token has one final merge: while no merge crosses its borders, its bytes
//! merge as they would alone, so that the last step is always the same pair. The pair table hence has
//! one entry per token at most.
//!
//! - Pieces of up to 64 bytes merge in place ([`merge`]), the lowest rank first; where there are
//!   AVX-512 registers, several of them side by side.
//! - Pieces of more than 15 bytes are first cut where no token has the two bytes that meet, as long
//!   as each token of the vocabulary comes of merges: such parts are independent.
//! - Longer ones go through overlapping windows of that size ([`long`]). A list of tokens is the
//!   encoding of its bytes exactly when each neighbouring pair is the encoding of *its* bytes
//!   ([`valid`]), so that only the joints of windows are to be checked. Where a joint fails again and
//!   again, which takes a text made for it, encoding goes on from prefix to prefix ([`prefixes`]).

mod build;
mod isa;
mod long;
mod merge;
mod pairs;
mod prefixes;
mod stored;
#[cfg(test)]
mod tests;
mod valid;
#[cfg(target_arch = "x86_64")]
mod x86;

pub(crate) use long::Scratch;
pub(crate) use merge::{Few, WINDOW, Wide};
pub(crate) use prefixes::Prefixes;

use crate::Table;
use crate::certain::CertainPairs;
use crate::split::Level;
use crate::trie::Trie;
use crate::vocab::VocabSource;
use pairs::Pairs;

/// No number.
pub(crate) const NONE: u32 = (1 << 26) - 1;
/// Numbers are below this: three of 21 and 22 bits share a cell of the pair table.
pub(crate) const MOST_NUMBERS: usize = (1 << 21) - 1;

/// What the encoding of pieces needs of a vocabulary.
#[derive(Clone, Debug)]
pub(crate) struct Bpe {
    /// What each pair of bytes (first in the high half) merges into.
    bytes: Table<u32>,
    /// What each pair of numbers merges into.
    pairs: Pairs,
    /// The id of each number.
    ids: Table<u32>,
    /// The pair that merged into each number; a byte's is itself, twice.
    halves: Table<[u32; 2]>,
    /// Bytes of each number.
    lengths: Table<u32>,
    /// The longest other token that each number's bytes begin with, as a number; [`NONE`] for none.
    shorter: Table<u32>,
    /// The numbers by their bytes.
    trie: Trie,
    /// Whether both halves of each number are below it, as in all vocabularies that come from
    /// training. Where it is not so, joints are checked by encoding them.
    rising: bool,
    /// Bytes of the longest number.
    longest: usize,
    /// Where text can be cut; `None` where some token of the vocabulary comes of no merges, and so
    /// only of a whole piece.
    certain: Option<CertainPairs>,
    /// Instruction set of the loops, which this processor has.
    level: Level,
}

impl Bpe {
    /// The id of `number`.
    #[inline(always)]
    pub(crate) fn id(&self, number: u32) -> u32 {
        debug_assert!((number as usize) < self.ids.len());
        // SAFETY: numbers come from bytes (256 ids at least), the pair tables and the trie, whose
        // values are all below the number of ids; `build` makes and `stored` checks them so.
        unsafe { *self.ids.get_unchecked(number as usize) }
    }

    /// Bytes of `number`.
    #[inline(always)]
    pub(crate) fn length(&self, number: u32) -> usize {
        debug_assert!((number as usize) < self.lengths.len());
        // SAFETY: as for `id`; the tables are equally long.
        unsafe { *self.lengths.get_unchecked(number as usize) as usize }
    }

    /// Says of an id whether a piece of its bytes becomes that one token.
    pub(crate) fn whole_pieces(&self, source: &VocabSource) -> impl Fn(u32) -> bool + use<> {
        let mut made = vec![];
        if !source.whole_piece_first {
            made.resize(self.ids.iter().max().map_or(0, |&id| id as usize + 1), false);
            self.ids.iter().for_each(|&id| made[id as usize] = true);
        }
        let first = source.whole_piece_first;
        move |id| first || made.get(id as usize).is_some_and(|&made| made)
    }

    /// Every token that merging leads to, as (id, bytes).
    pub(crate) fn spelled(&self) -> impl Iterator<Item = (u32, Vec<u8>)> {
        (0..self.ids.len() as u32).map(|number| {
            let mut bytes = Vec::with_capacity(self.length(number));
            self.spell(number, &mut bytes);
            (self.id(number), bytes)
        })
    }

    /// Where in `piece`, of more than 15 bytes, its first part ends; `None` where it has one only.
    #[inline]
    pub(crate) fn certain_cut(&self, piece: &[u8]) -> Option<usize> {
        self.certain.as_ref()?.next(piece, 1)
    }

    /// Finds where text can be cut. `tokens` is the number of tokens of the vocabulary.
    pub(crate) fn find_certain(&mut self, source: &VocabSource) {
        let all_made = source.tokens.len() == self.ids.len();
        let tokens = source.tokens.iter().map(|(_, bytes)| bytes.as_slice());
        self.certain = all_made.then(|| CertainPairs::from_tokens(tokens));
    }

    /// Bytes of memory that it takes.
    pub(crate) fn memory(&self) -> usize {
        size_of_val(&*self.bytes)
            + self.pairs.memory()
            + size_of_val(&*self.ids)
            + size_of_val(&*self.halves)
            + size_of_val(&*self.lengths)
            + size_of_val(&*self.shorter)
            + self.trie.memory()
            + self
                .certain
                .as_ref()
                .map_or(0, |_| size_of::<[u64; 1024]>() + size_of::<[u32; 512]>())
    }
}
