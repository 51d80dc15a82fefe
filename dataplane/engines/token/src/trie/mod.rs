//! The tokens of a vocabulary as a double array: one load per byte, id and check in the same cell.
//!
//! A cell is one `u64`: the byte that leads to it (bits 0–7), the base of its children (bits 8–31)
//! and the id of the token that ends in it (bits 32–63, all ones where none does). The child of a
//! node along byte `b` is cell `base ^ b`, if that cell's byte is `b`. The byte alone decides because
//! no two nodes have the same base, so that a cell has one possible parent; that makes room for the
//! id, and lets the builder place nodes in any order.
//!
//! The first 256 cells belong to no node. Cell 0 is the root's, and base 0 has no children, because
//! none of those cells has the byte that would lead to it. Nor is any base a multiple of 256: a free
//! cell's byte is its index's low byte, which only such a base could reach.
//!
//! Beside it lies a table of all pairs of bytes, which takes a walk over its first two bytes at once.

mod build;
mod stored;
#[cfg(test)]
mod tests;
pub mod v2;

use std::hint::select_unpredictable;

use crate::Table;

/// Marks a cell where no token ends; not a valid id.
pub const NO_ID: u32 = u32::MAX;

/// Most cells: a base has 24 bits.
const MOST_CELLS: usize = 1 << 24;

/// The byte that leads to a cell.
#[inline(always)]
const fn label(cell: u64) -> u8 {
    cell as u8
}

/// The base of a cell's children; 0 where it has none.
#[inline(always)]
const fn base(cell: u64) -> u32 {
    cell as u32 >> 8
}

/// The id in a cell or in an entry of the pair table.
#[inline(always)]
const fn id(cell: u64) -> u32 {
    (cell >> 32) as u32
}

const fn cell(label: u8, base: u32, id: u32) -> u64 {
    (id as u64) << 32 | (base as u64) << 8 | label as u64
}

/// Why a trie could not be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TrieError {
    /// The tokens have more prefixes than cells can be numbered.
    #[error(
        "the tokens have {nodes} distinct prefixes, more than the {most} that a trie can hold; \
         leave out tokens"
    )]
    TooLarge {
        /// Distinct prefixes of all tokens.
        nodes: usize,
        /// The most that fit.
        most: usize,
    },
    /// An id that is reserved.
    #[error("token id {NO_ID} is reserved for \"no token\"; give the token another id")]
    ReservedId,
    /// An id that the file format has no room for.
    #[error(
        "token id {id} is above 2147483647, the most that a .dat file can hold; write version 3"
    )]
    IdTooLarge {
        /// The id.
        id: u32,
    },
    /// A token of no bytes, which no text can match.
    #[error("token {id} is empty: it would match everywhere; leave it out")]
    EmptyToken {
        /// Its id.
        id: u32,
    },
}

/// The tokens of a vocabulary, for longest match.
#[derive(Clone, Debug)]
pub struct Trie {
    /// A multiple of 256 of them; every base in them is a multiple of 256 away from the end or more.
    cells: Table<u64>,
    /// By two bytes in little-endian order: as a cell, but the low byte is the length of the token
    /// whose id it has (0 for none), and base 0 says that no token begins with both bytes.
    pairs: Table<u64>,
    /// Bytes of the longest token.
    longest: usize,
    /// Number of tokens.
    len: usize,
}

/// The node that the bytes of a token so far have led to, and the longest token passed on the way.
///
/// It is what a match needs to go on in the next piece of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Walk {
    base: u32,
    /// The id of the longest token so far; [`NO_ID`] for none.
    pub id: u32,
    /// Its bytes; 0 for none.
    pub len: u32,
    /// Bytes walked.
    pub depth: u32,
}

impl Trie {
    /// The trie of `tokens` as (id, bytes). Of tokens with equal bytes the last one stays.
    ///
    /// # Errors
    /// A token is empty, an id is [`NO_ID`], or there are more than about 16 million prefixes.
    pub fn build<'a>(tokens: impl IntoIterator<Item = (u32, &'a [u8])>) -> Result<Self, TrieError> {
        build::build(tokens)
    }

    /// The longest token that `text` begins with: its id and its length in bytes.
    #[inline]
    #[must_use]
    pub fn longest(&self, text: &[u8]) -> Option<(u32, usize)> {
        self.view().longest(text)
    }

    /// The id of the token that is exactly `bytes`.
    #[must_use]
    pub fn get(&self, bytes: &[u8]) -> Option<u32> {
        let mut walk = self.start();
        self.advance(&mut walk, bytes);
        (walk.len > 0 && walk.len as usize == bytes.len()).then_some(walk.id)
    }

    /// A walk that has seen no byte.
    #[inline]
    #[must_use]
    pub fn start(&self) -> Walk {
        Walk { base: base(self.cells[0]), id: NO_ID, len: 0, depth: 0 }
    }

    /// Takes `walk` on over `text`. Says whether it has ended: that no token goes on with what
    /// follows, which is so before the end of `text`, or at it where no token goes further.
    ///
    /// A walk that has ended stays so. Its token is `walk.id` with `walk.len` bytes.
    #[inline]
    pub fn advance(&self, walk: &mut Walk, text: &[u8]) -> bool {
        let view = self.view();
        for &byte in text {
            let Some(cell) = view.child(walk.base, byte) else {
                walk.base = 0;
                return true;
            };
            walk.base = base(cell);
            walk.depth += 1;
            if id(cell) != NO_ID {
                (walk.id, walk.len) = (id(cell), walk.depth);
            }
        }
        walk.base == 0
    }

    /// Bytes of the longest token; 0 without tokens.
    #[must_use]
    pub fn longest_token(&self) -> usize {
        self.longest
    }

    /// Number of tokens.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it has no tokens.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes of memory that it takes.
    #[must_use]
    pub fn memory(&self) -> usize {
        size_of_val(&*self.cells) + size_of_val(&*self.pairs)
    }

    /// The tokens as (id, bytes), in the order of their bytes.
    pub fn tokens(&self) -> impl Iterator<Item = (u32, Vec<u8>)> {
        let mut open = vec![(base(self.cells[0]), 0u16)];
        let mut bytes = Vec::new();
        std::iter::from_fn(move || {
            loop {
                let (parent, next) = open.last_mut()?;
                let Ok(byte) = u8::try_from(*next) else {
                    open.pop();
                    bytes.pop();
                    continue;
                };
                *next += 1;
                let Some(cell) = self.view().child(*parent, byte) else { continue };
                bytes.push(byte);
                open.push((base(cell), 0));
                if id(cell) != NO_ID {
                    return Some((id(cell), bytes.clone()));
                }
            }
        })
    }

    /// The arrays, taken once per call of an encoder.
    #[inline(always)]
    pub(crate) fn view(&self) -> View<'_> {
        View { cells: &self.cells, pairs: &self.pairs }
    }

    /// A trie over `cells`, which are well formed, with the pair table made from them.
    fn over(cells: Table<u64>, longest: usize, len: usize) -> Self {
        let mut pairs = vec![cell(0, 0, NO_ID); 1 << 16];
        let root = base(cells[0]);
        for first in 0..=255u8 {
            let Some(one) = child(&cells, root, first) else { continue };
            let alone = cell(u8::from(id(one) != NO_ID), 0, id(one));
            for second in 0..=255u8 {
                let entry = &mut pairs[usize::from(u16::from_le_bytes([first, second]))];
                *entry = match child(&cells, base(one), second) {
                    None => alone,
                    Some(two) if id(two) != NO_ID => cell(2, base(two), id(two)),
                    Some(two) => cell(label(alone), base(two), id(alone)),
                };
            }
        }
        Self { cells, pairs: pairs.into(), longest, len }
    }
}

/// The child of the node whose children have base `base`, along `byte`.
#[inline(always)]
fn child(cells: &[u64], base: u32, byte: u8) -> Option<u64> {
    let cell = *cells.get((base ^ u32::from(byte)) as usize)?;
    (label(cell) == byte).then_some(cell)
}

/// The longest token at a place in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// [`NO_ID`] for none.
    pub(crate) id: u32,
    /// Its bytes; 0 for none.
    pub(crate) len: usize,
    /// Bytes that were looked at: where as many are equal, the same token is found. The end of the
    /// text counts as a byte.
    pub(crate) seen: usize,
}

/// The arrays of a [`Trie`], borrowed. Only made from a trie, so that what [`Trie`] says of its
/// cells holds.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    cells: &'a [u64],
    pairs: &'a [u64],
}

impl View<'_> {
    /// As [`child`], for bases that come from these cells.
    #[inline(always)]
    fn child(self, base: u32, byte: u8) -> Option<u64> {
        debug_assert!(((base | 0xff) as usize) < self.cells.len());
        // SAFETY: the number of cells is a multiple of 256 and every base in the cells and in the
        // pair table is below it (the builder places nodes so, `stored::check` refuses a file where
        // it is not so), and the exclusive or with a byte changes only the low eight bits.
        let cell = unsafe { *self.cells.get_unchecked((base ^ u32::from(byte)) as usize) };
        (label(cell) == byte).then_some(cell)
    }

    /// The entry for the first two bytes of a text.
    #[inline(always)]
    fn pair(self, first: u8, second: u8) -> u64 {
        debug_assert_eq!(self.pairs.len(), 1 << 16);
        // SAFETY: the table has an entry for each of the 65,536 pairs; `Trie::over` makes it so.
        unsafe { *self.pairs.get_unchecked(usize::from(u16::from_le_bytes([first, second]))) }
    }

    /// As [`Trie::longest`].
    #[inline(always)]
    pub(crate) fn longest(self, text: &[u8]) -> Option<(u32, usize)> {
        let found = self.find(text);
        (found.len != 0).then_some((found.id, found.len))
    }

    /// The longest token that `text` begins with, and how much of the text that rests on.
    #[inline(always)]
    pub(crate) fn find(self, text: &[u8]) -> Found {
        let [first, second, rest @ ..] = text else {
            return self.find_short(text);
        };
        let entry = self.pair(*first, *second);
        let mut found = Found { id: id(entry), len: usize::from(label(entry)), seen: 2 };
        let mut node = base(entry);
        for &byte in rest {
            found.seen += 1;
            let Some(cell) = self.child(node, byte) else { return found };
            // Whether a token ends here is a coin's toss to the branch predictor.
            let best = (id(cell), found.seen);
            let before = (found.id, found.len);
            (found.id, found.len) = (
                select_unpredictable(id(cell) != NO_ID, best.0, before.0),
                select_unpredictable(id(cell) != NO_ID, best.1, before.1),
            );
            node = base(cell);
        }
        found.seen += 1;
        found
    }

    /// As [`View::find`], for a text of one byte or none.
    #[cold]
    fn find_short(self, text: &[u8]) -> Found {
        let cell = text.first().and_then(|&byte| self.child(base(self.cells[0]), byte));
        match cell {
            Some(cell) if id(cell) != NO_ID => Found { id: id(cell), len: 1, seen: 2 },
            _ => Found { id: NO_ID, len: 0, seen: 2 },
        }
    }

    /// The address of the first cell and of the first entry of the pair table.
    #[cfg(target_arch = "x86_64")]
    pub(crate) fn addresses(self) -> (*const u64, *const u64) {
        (self.cells.as_ptr(), self.pairs.as_ptr())
    }
}
