//! Longest match: the longest token at each place, from left to right.
//!
//! A text is cut at certain boundaries into pieces that do not depend on each other. There are
//! three ways from a piece to its ids:
//!
//! * `known`: one look-up in the table of words, for many pieces of one text or of several before
//!   their ids are put in order. Where most were unknown lately, longer pieces, not looked up.
//! * `lanes`: the pieces that were not found, 32 at once, where the processor has AVX-512. Their
//!   memory latencies overlap, no branch waits for a token's end, and random letters take no longer
//!   than known words.
//! * `walk`: one token after the other, where there are no boundaries or no AVX-512.
//!
//! All give the same ids, and none learns anything from the text.
//!
//! A text that is made to match long tokens only up to their last byte is walked at most as many
//! times as the longest token has bytes: `walk` bounds it by that factor, not by a constant.

mod known;
#[cfg(target_arch = "x86_64")]
mod lanes;
mod stream;
#[cfg(test)]
mod tests;
mod walk;

pub use stream::GreedyStream;

use foldhash::{HashSet, HashSetExt};

use crate::certain::{CertainPairs, Level};
use crate::formats::FormatError;
use crate::formats::sections::{SectionReader, SectionWriter, Stored};
use crate::trie::{Trie, TrieError};
use crate::vocab::{Unknown, VocabSource};
use crate::words::{Builder, WORD_BYTES, WordTable};

/// A vocabulary compiled for longest match.
///
/// Every byte has a token in its trie: where the vocabulary has none, one with the id that
/// [`Unknown`] says. So a match always succeeds.
#[derive(Clone, Debug)]
pub struct Greedy {
    trie: Trie,
    pairs: CertainPairs,
    level: Level,
    /// The id of bytes without a token, where it can be a token's, too.
    unknown: Option<u32>,
}

/// Memory that encoding works in, for one thread at a time. Up to about 64 KiB, allocated when it
/// is first needed.
#[derive(Debug, Default)]
pub struct Scratch {
    /// None until text is encoded by longest match.
    pieces: Option<Box<known::Pieces>>,
    /// Ids that are only counted.
    counted: Vec<u32>,
}

impl Scratch {
    /// Bytes of memory that it has allocated.
    pub(crate) fn memory(&self) -> usize {
        let pieces = self.pieces.as_ref().map_or(0, |pieces| pieces.memory());
        pieces + self.counted.capacity() * size_of::<u32>()
    }
}

impl Greedy {
    /// Compiles `source`, whose mode, ranks and grammar do not matter.
    ///
    /// # Errors
    /// As [`Trie::build`].
    pub fn compile(source: &VocabSource) -> Result<Self, TrieError> {
        let added = lacking(source);
        let listed = source.tokens.iter().map(|(id, bytes)| (*id, bytes.as_slice()));
        let unknown = added.first().map(|(id, _)| *id);
        let unknown = unknown.filter(|_| source.unknown != Unknown::AddBytes);
        let added = added.iter().map(|(id, byte)| (*id, std::slice::from_ref(byte)));
        let pairs = CertainPairs::from_tokens(listed.clone().map(|(_, bytes)| bytes));
        Ok(Self { trie: Trie::build(listed.chain(added))?, pairs, level: Level::detect(), unknown })
    }

    /// Appends the ids of `text` to `ids`. Does not allocate once the buffers have grown.
    ///
    /// `words` are those of [`Greedy::words`], or none.
    pub(crate) fn encode_into(
        &self,
        words: Option<&WordTable>,
        scratch: &mut Scratch,
        text: &[u8],
        ids: &mut Vec<u32>,
    ) {
        let pieces = scratch.pieces.get_or_insert_default();
        known::Work { greedy: self, words, pieces, ids, ends: None, total: text.len() }
            .texts(&[text]);
    }

    /// Appends the ids of each of `texts` to `ids`, and to `ends` how many there are after each.
    pub(crate) fn encode_batch(
        &self,
        words: Option<&WordTable>,
        scratch: &mut Scratch,
        texts: &[&[u8]],
        ids: &mut Vec<u32>,
        ends: &mut Vec<u32>,
    ) {
        let pieces = scratch.pieces.get_or_insert_default();
        let total = texts.iter().map(|text| text.len()).sum();
        known::Work { greedy: self, words, pieces, ids, ends: Some(ends), total }.texts(texts);
    }

    /// Number of ids of `text`.
    pub(crate) fn count(
        &self,
        words: Option<&WordTable>,
        scratch: &mut Scratch,
        text: &[u8],
    ) -> usize {
        let Scratch { pieces, counted } = scratch;
        let mut work = known::Work {
            greedy: self,
            words,
            pieces: pieces.get_or_insert_default(),
            ids: counted,
            ends: None,
            total: text.len(),
        };
        work.count(text)
    }

    /// Adds to `table` the tokens that fit into it, and those of `words` that become few enough
    /// tokens. A word must have no token before it: it is encoded as a text of its own.
    pub(crate) fn words<'a>(&self, words: impl IntoIterator<Item = &'a [u8]>, table: &mut Builder) {
        let mut known = HashSet::new();
        for (id, bytes) in self.trie.tokens().filter(|(_, bytes)| bytes.len() <= WORD_BYTES) {
            table.add(&bytes, &[id]);
            known.insert(bytes);
        }
        let mut ids = Vec::new();
        for word in words.into_iter().filter(|word| (1..=WORD_BYTES).contains(&word.len())) {
            if known.insert(word.to_vec()) {
                ids.clear();
                self.each(word, |id, _| ids.push(id));
                table.add(word, &ids);
            }
        }
    }

    /// Bytes of the token `id` at the beginning of `text`, which has `len` by the table of tokens,
    /// or 0 for no token: an id for unknown bytes can be no token's, or another's.
    #[inline]
    pub(crate) fn length(&self, id: u32, len: u32, text: &[u8]) -> u32 {
        if len == 0 || self.unknown == Some(id) {
            return self.trie.view().find(text).len as u32;
        }
        len
    }

    /// Calls `token` with the id and the length in bytes of each token of `text`, in order.
    pub fn each(&self, text: &[u8], mut token: impl FnMut(u32, u32)) {
        let view = self.trie.view();
        let mut at = 0;
        while at < text.len() {
            let found = view.find(&text[at..]);
            token(found.id, found.len as u32);
            at += found.len.max(1);
        }
    }

    /// The trie, with a token for each byte.
    #[must_use]
    pub fn trie(&self) -> &Trie {
        &self.trie
    }

    /// The certain boundaries of its tokens.
    #[must_use]
    pub fn pairs(&self) -> &CertainPairs {
        &self.pairs
    }

    /// Bytes of memory that it takes.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.trie.memory() + size_of::<[u64; 1024]>() + size_of::<[u32; 512]>()
    }
}

/// The id of some byte that is that of another token, too.
fn shared(trie: &Trie) -> Option<u32> {
    let mut bytes: Vec<u32> = (0..=255u8).filter_map(|byte| trie.get(&[byte])).collect();
    bytes.sort_unstable();
    if let Some(pair) = bytes.windows(2).find(|pair| pair[0] == pair[1]) {
        return Some(pair[0]);
    }
    let mut longer = trie.tokens().filter(|(_, bytes)| bytes.len() > 1).map(|(id, _)| id);
    longer.find(|id| bytes.binary_search(id).is_ok())
}

/// The bytes that no token of `source` is, with the ids that they get.
fn lacking(source: &VocabSource) -> Vec<(u32, u8)> {
    let mut has = [false; 256];
    for (_, bytes) in &source.tokens {
        if let [byte] = bytes[..] {
            has[usize::from(byte)] = true;
        }
    }
    let lacking = (0..=255u8).filter(|&byte| !has[usize::from(byte)]);
    match source.unknown {
        Unknown::AddBytes => {
            let ordinary = source.tokens.iter().map(|(id, _)| *id);
            let all = ordinary.chain(source.specials.iter().map(|special| special.id));
            let first = all.max().map_or(0, |id| id.saturating_add(1));
            (0u32..).zip(lacking).map(|(n, byte)| (first.saturating_add(n), byte)).collect()
        }
        Unknown::Id(id) => lacking.map(|byte| (id, byte)).collect(),
        Unknown::Crayon => lacking.map(|byte| (1, byte)).collect(),
    }
}

impl Stored for Greedy {
    fn write(&self, writer: &mut SectionWriter) {
        self.trie.write(writer);
        self.pairs.write(writer);
    }

    fn read(reader: &mut SectionReader) -> Result<Self, FormatError> {
        let (trie, pairs) = (Trie::read(reader)?, CertainPairs::read(reader)?);
        let wrong = |tag: &str, cause: String| FormatError::Section { tag: tag.to_owned(), cause };
        if let Some(byte) = (0..=255u8).find(|byte| trie.get(&[*byte]).is_none()) {
            return Err(wrong("trie", format!("no token for byte {byte}")));
        }
        if let Some((id, _)) = trie.tokens().find(|(_, bytes)| pairs.lacks(bytes)) {
            return Err(wrong("pairs", format!("a pair of token {id} is missing")));
        }
        let unknown = shared(&trie);
        Ok(Self { trie, pairs, level: Level::detect(), unknown })
    }
}
