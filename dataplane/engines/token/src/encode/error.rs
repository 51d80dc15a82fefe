//! Options of an encoder and why a text is refused.

/// What happens to text that reads like a special token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum SpecialPolicy {
    /// It is text like any other: right for what comes from a network, where it may be forged.
    #[default]
    AsText,
    /// It becomes the special token.
    Allow,
    /// It is an error.
    Deny,
}

/// How an encoder works.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EncodeOptions {
    /// What happens to text that reads like a special token.
    pub specials: SpecialPolicy,
    /// Most bytes of an unfinished piece that a stream keeps; `None` for no limit. Beyond it the
    /// stream goes on as if the text had ended there, which [`crate::Encoder::push`] reports.
    /// Without effect on a vocabulary of longest match, whose streams keep fewer bytes than the
    /// longest token has in any case.
    pub max_carry: Option<usize>,
    /// Most bytes of a cache of words that had to be merged; `None`, as by default, for none, so
    /// that nothing is ever learned from a text. [`EncodeOptions::LEARN`] is a good size.
    ///
    /// The cache is the encoder's own, keyed by a secret, and compares whole words: ids do not
    /// depend on it. How long a text takes then does depend on the texts before it.
    pub learn: Option<usize>,
}

impl EncodeOptions {
    /// A size for [`EncodeOptions::learn`]: 64 KiB, two thousand words.
    pub const LEARN: usize = 64 << 10;
}

/// A text that is not encoded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// It contains a special token's text.
    #[error(
        "the text has special token `{text}` at byte {offset}; allow special tokens or take them \
         as text"
    )]
    Special {
        /// The special token's text.
        text: String,
        /// Where it begins, in bytes from the start of the text, or of the stream's last push
        /// (negative where it began in an earlier one).
        offset: i64,
    },
    /// It is too long for 32-bit offsets.
    #[error("cannot encode {bytes} bytes at once, at most {most}; push them as a stream")]
    TooLong {
        /// Its length.
        bytes: usize,
        /// The most that can be.
        most: usize,
    },
}
