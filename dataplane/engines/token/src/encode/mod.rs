//! From text to ids.

mod batch;
mod error;
mod learned;
mod round;
mod sink;
mod special;
mod stream;
#[cfg(test)]
mod tests;

pub use error::{EncodeError, EncodeOptions, SpecialPolicy};

use std::sync::Arc;

use crate::bpe::Scratch;
use crate::greedy;
use crate::split::{SplitState, Splitter};
use crate::vocabulary::{Engine, Vocabulary};
use round::{Keys, Round, Segment};
use sink::{Count, Ids, Offsets, Sink};

/// Bytes of text that are cut into pieces at once: some thousand words, whose ends stay in the
/// first cache until they have been looked up.
const CHUNK: usize = 4096;

/// Encodes text by one vocabulary. For one thread at a time; cheap to make, dear to make per text.
pub struct Encoder {
    vocab: Arc<Vocabulary>,
    options: EncodeOptions,
    splitter: Splitter,
    ends: Vec<u32>,
    keys: Box<Keys>,
    scratch: Scratch,
    greedy: greedy::Scratch,
}

impl std::fmt::Debug for Encoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Encoder")
            .field("vocabulary", &self.vocab.name())
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

impl Encoder {
    /// An encoder with the default options: special tokens' texts are text.
    #[must_use]
    pub fn new(vocab: Arc<Vocabulary>) -> Self {
        Self::with(vocab, EncodeOptions::default())
    }

    /// An encoder with `options`.
    #[must_use]
    pub fn with(vocab: Arc<Vocabulary>, options: EncodeOptions) -> Self {
        let keys = Keys::with(options.learn);
        Self {
            splitter: Splitter::new(vocab.grammar()),
            vocab,
            options,
            ends: Vec::with_capacity(CHUNK + 128),
            keys: Box::new(keys),
            scratch: Scratch::default(),
            greedy: greedy::Scratch::default(),
        }
    }

    /// The vocabulary.
    #[must_use]
    pub fn vocabulary(&self) -> &Arc<Vocabulary> {
        &self.vocab
    }

    /// Bytes of memory that it keeps for itself, beside the vocabulary that it shares: its buffers
    /// as they are now. They grow with long pieces, and are given back behind these.
    #[must_use]
    pub fn memory(&self) -> usize {
        size_of::<Self>()
            + self.ends.capacity() * size_of::<u32>()
            + self.keys.memory()
            + self.scratch.memory()
            + self.greedy.memory()
    }

    /// The options.
    #[must_use]
    pub fn options(&self) -> &EncodeOptions {
        &self.options
    }

    /// Appends the ids of `text` to `ids`. Does not allocate once the buffers have grown.
    ///
    /// # Errors
    /// The text contains a special token's text and the policy is [`SpecialPolicy::Deny`], or it is
    /// longer than 2 GiB. Nothing is appended then.
    pub fn encode_into(&mut self, text: &[u8], ids: &mut Vec<u32>) -> Result<(), EncodeError> {
        self.encode(text, &mut Ids(ids))
    }

    /// As [`Encoder::encode_into`], and appends to `ends` where each token ends in `text`, in bytes.
    ///
    /// # Errors
    /// As [`Encoder::encode_into`].
    pub fn encode_with_offsets(
        &mut self,
        text: &[u8],
        ids: &mut Vec<u32>,
        ends: &mut Vec<u32>,
    ) -> Result<(), EncodeError> {
        let vocab = Arc::clone(&self.vocab);
        self.encode(text, &mut Offsets { ids, ends, tokens: &vocab.tokens, end: 0 })
    }

    /// Number of ids of `text`, without keeping them.
    ///
    /// # Errors
    /// As [`Encoder::encode_into`].
    pub fn count(&mut self, text: &[u8]) -> Result<usize, EncodeError> {
        let mut count = Count::default();
        self.encode(text, &mut count)?;
        Ok(count.len())
    }

    fn encode<S: Sink>(&mut self, text: &[u8], sink: &mut S) -> Result<(), EncodeError> {
        self.admit(text)?;
        self.with_specials(text, sink, |this, part, sink| this.plain(part, sink));
        Ok(())
    }

    /// Encodes text without regard to special tokens.
    fn plain<S: Sink>(&mut self, text: &[u8], sink: &mut S) {
        let vocab = Arc::clone(&self.vocab);
        let bpe = match &vocab.engine {
            Engine::Bpe(bpe) => bpe,
            Engine::Greedy(greedy) => {
                return sink.greedy(greedy, &vocab.words, &mut self.greedy, text);
            }
        };
        let (mut start, mut seen) = (0, 0);
        let mut state = SplitState::default();
        while start < text.len() {
            seen = text.len().min(seen + CHUNK);
            self.ends.clear();
            let more = seen < text.len();
            let consumed =
                self.splitter.resume(&mut state, &text[start..seen], more, &mut self.ends);
            let segment = Segment { text, start, ends: &self.ends };
            let mut round =
                Round { vocab: &vocab, bpe, keys: &mut self.keys, scratch: &mut self.scratch };
            round.run(&[segment], sink, |_| {});
            start += consumed;
        }
    }
}
