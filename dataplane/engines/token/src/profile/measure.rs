//! What a vocabulary makes of a text.

use super::BuildError;
use super::count::{chunks, count};
use super::length::bits;
use crate::trie::{Trie, TrieError};
use crate::vocab::VocabSource;

/// What longest match with a vocabulary makes of a text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measure {
    /// Bytes of the text.
    pub bytes: u64,
    /// Tokens that it becomes.
    pub tokens: u64,
    /// Tokens of the vocabulary that occur in it.
    pub used: usize,
    /// Bits of an ideal code for the tokens' frequencies in this text, over its bytes.
    pub bits_per_byte: f64,
}

impl Measure {
    /// Bytes over tokens; 0 for no text.
    #[must_use]
    pub fn bytes_per_token(&self) -> f64 {
        if self.tokens == 0 { 0.0 } else { self.bytes as f64 / self.tokens as f64 }
    }

    pub(super) fn of(counts: &[u64], bytes: usize) -> Self {
        Self {
            bytes: bytes as u64,
            tokens: counts.iter().sum(),
            used: counts.iter().filter(|&&count| count > 0).count(),
            bits_per_byte: if bytes == 0 { 0.0 } else { bits(counts) / bytes as f64 },
        }
    }
}

/// Segments `texts` by longest match with the tokens of `source`, single bytes standing for themselves
/// where it lacks them, on `threads` threads (0: as many as the machine has).
///
/// # Errors
/// [`TrieError`] for tokens that no trie can hold.
pub fn measure(
    source: &VocabSource,
    texts: &[&[u8]],
    threads: usize,
) -> Result<Measure, TrieError> {
    let mut tokens: Vec<&[u8]> = source.tokens.iter().map(|(_, bytes)| bytes.as_slice()).collect();
    let all: Vec<u8> = (0..=255).collect();
    let have: Vec<u8> =
        tokens.iter().filter_map(|t| if let [b] = t { Some(*b) } else { None }).collect();
    tokens.extend(all.chunks(1).filter(|byte| !have.contains(&byte[0])));
    let trie = Trie::build((0..).zip(tokens.iter().copied()))?;
    let counts = count(&trie, tokens.len(), &chunks(texts), false, threads_of(threads));
    Ok(Measure::of(&counts.tokens, texts.iter().map(|text| text.len()).sum()))
}

pub(super) fn threads_of(asked: usize) -> usize {
    let machine = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    if asked == 0 { machine() } else { asked }
}

/// Most bytes of text: pairs are counted in 32 bits.
pub(super) const MAX_TEXT: usize = u32::MAX as usize;

pub(super) fn check_text(bytes: usize) -> Result<(), BuildError> {
    if (1..=MAX_TEXT).contains(&bytes) {
        return Ok(());
    }
    Err(BuildError::Text { bytes, most: MAX_TEXT })
}
