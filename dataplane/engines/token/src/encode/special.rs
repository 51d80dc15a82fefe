//! Special tokens in texts.

use super::sink::Sink;
use super::{EncodeError, Encoder, SpecialPolicy};
use crate::vocabulary::Vocabulary;

/// Longest text that is encoded at once: offsets have 32 bits, of which the splitter uses 31.
const LONGEST: usize = (1 << 31) - 1;

impl Encoder {
    /// Refuses texts that are too long or have a special token that is denied.
    pub(super) fn admit(&self, text: &[u8]) -> Result<(), EncodeError> {
        if text.len() > LONGEST {
            return Err(EncodeError::TooLong { bytes: text.len(), most: LONGEST });
        }
        if self.options.specials == SpecialPolicy::Deny
            && let Some(finder) = self.vocab.finder()
            && let Some(found) = finder.find(text)
        {
            let special = &self.vocab.specials[found.pattern().as_usize()];
            let offset = found.start() as i64;
            return Err(EncodeError::Special { text: special.text.clone(), offset });
        }
        Ok(())
    }

    /// Calls `plain` with each stretch of `text` between special tokens, where they are allowed,
    /// and adds those.
    #[inline]
    pub(super) fn with_specials<S: Sink>(
        &mut self,
        text: &[u8],
        sink: &mut S,
        mut plain: impl FnMut(&mut Self, &[u8], &mut S),
    ) {
        let mut start = 0;
        if self.options.specials == SpecialPolicy::Allow {
            let vocab = std::sync::Arc::clone(&self.vocab);
            for found in vocab.finder().into_iter().flat_map(|finder| finder.find_iter(text)) {
                plain(self, &text[start..found.start()], sink);
                sink.one(special_id(&vocab, found.pattern()), found.len() as u32);
                start = found.end();
            }
        }
        plain(self, &text[start..], sink);
    }
}

/// The id of the special token that the finder calls `pattern`.
pub(super) fn special_id(vocab: &Vocabulary, pattern: aho_corasick::PatternID) -> u32 {
    vocab.specials[pattern.as_usize()].id
}
