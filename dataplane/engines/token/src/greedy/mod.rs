//! Longest match: the longest token at each place, from left to right.
//!
//! A text is cut at certain boundaries into pieces that do not depend on each other. There are
//! three ways from a piece to its ids:
//!
//! * `known`: one look-up in the table of words. The fastest while most pieces are there.
//! * `lanes`: 32 stretches of pieces walked at once, where the processor has AVX-512. Their memory
//!   latencies overlap, no branch waits for a token's end, and random letters take no longer than
//!   known words.
//! * `walk`: one token after the other, where there are no boundaries or no AVX-512.
//!
//! Which one is taken follows the share of pieces that the table did not have; all give the same
//! ids, and none learns anything from the text.

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
}

/// Memory that encoding works in, for one thread at a time. Up to about 64 KiB, allocated when it
/// is first needed.
#[derive(Debug, Default)]
pub struct Scratch {
    known: known::Scratch,
    #[cfg(target_arch = "x86_64")]
    lanes: lanes::Jobs,
}

impl Scratch {
    /// Bytes of memory that it has allocated, but for what 16 walks side by side take.
    pub(crate) fn memory(&self) -> usize {
        self.known.memory()
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
        let added = added.iter().map(|(id, byte)| (*id, std::slice::from_ref(byte)));
        let pairs = CertainPairs::from_tokens(listed.clone().map(|(_, bytes)| bytes));
        Ok(Self { trie: Trie::build(listed.chain(added))?, pairs, level: Level::detect() })
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
        let mut at = 0;
        while at < text.len() {
            at += self.block(words, scratch, &text[at..], ids);
        }
    }

    /// Number of ids of `text`. `ids` is scratch: what it holds is lost.
    pub(crate) fn count(
        &self,
        words: Option<&WordTable>,
        scratch: &mut Scratch,
        text: &[u8],
        ids: &mut Vec<u32>,
    ) -> usize {
        let (mut at, mut count) = (0, 0);
        while at < text.len() {
            ids.clear();
            at += self.block(words, scratch, &text[at..], ids);
            count += ids.len();
        }
        ids.clear();
        count
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

    /// Encodes the beginning of `text`, which is not empty, and gives its length.
    #[inline]
    fn block(
        &self,
        words: Option<&WordTable>,
        scratch: &mut Scratch,
        text: &[u8],
        ids: &mut Vec<u32>,
    ) -> usize {
        if let Some(words) = words {
            let done = known::block(self, words, &mut scratch.known, text, ids);
            if done > 0 {
                return done;
            }
        }
        match self.level {
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => {
                let done = lanes::block(self, &mut scratch.lanes, text, ids);
                if done > 0 {
                    return done;
                }
            }
            Level::Portable => {}
        }
        walk::block(self.trie.view(), text, ids)
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
        Ok(Self { trie, pairs, level: Level::detect() })
    }
}
