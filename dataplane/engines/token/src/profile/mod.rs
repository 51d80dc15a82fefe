//! Builds a vocabulary for longest match that minimizes the entropy of its own segmentation.
//!
//! What counts is the length of a text in bits when each token costs what an ideal code for the
//! tokens' frequencies gives it: L = C·log₂C − Σ cₜ·log₂cₜ, with cₜ the times that longest match takes
//! token t and C their sum. The builder starts from the 256 bytes and repeats three steps:
//!
//! 1. *Segment* the text by longest match and *count* tokens and pairs of neighbours. An occurrence
//!    belongs to one token, so that a part of a frequent string counts only where it stands alone.
//! 2. *Grow*: join the pairs that shorten L most, each judged after what those before it have used up.
//! 3. *Prune*: once above the size asked for, drop the tokens whose removal lengthens L least, each judged
//!    by the parts that would stand in its place.
//!
//! The tokens of the shortest segmentation seen are the result. All counts are sums over chunks that
//! do not depend on the number of threads, and ties fall by the bytes: the same text and options
//! give the same vocabulary.

mod count;
mod grow;
mod length;
mod measure;
mod prune;
mod rounds;

pub use measure::{Measure, measure};
pub use rounds::{Built, build};

/// What to build.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildOptions {
    /// Name of the vocabulary.
    pub name: String,
    /// Number of tokens, the 256 bytes among them. At least 256.
    pub size: usize,
    /// Longest token in bytes, 1 to [`MAX_TOKEN_BYTES`](crate::vocab::MAX_TOKEN_BYTES).
    pub longest: usize,
    /// Stretches of 32 KiB, at least, in which the parts of a token stand side by side; less for texts
    /// below `spread` MiB. Keeps out what a single file repeats.
    pub spread: u32,
    /// Threads that segment and count; 0 for as many as the machine has. The result is the same.
    pub threads: usize,
    /// Rounds of growing and pruning after the size is reached.
    pub refinements: usize,
}

impl Default for BuildOptions {
    fn default() -> Self {
        Self {
            name: "profile".into(),
            size: 50_000,
            longest: 32,
            spread: 5,
            threads: 0,
            refinements: 10,
        }
    }
}

/// How far a build is, told after each segmentation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Progress {
    /// Segmentations done.
    pub done: usize,
    /// Segmentations in all.
    pub of: usize,
    /// Tokens in the vocabulary that was measured.
    pub tokens: usize,
    /// Bits per byte of the text that is built from.
    pub bits_per_byte: f64,
}

/// Why a vocabulary cannot be built.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// Fewer than the bytes, or more than ids.
    #[error("{size} tokens cannot be built: 256 to {most} can, and the 256 bytes are among them")]
    Size {
        /// The size asked for.
        size: usize,
        /// The largest that can be asked for.
        most: usize,
    },
    /// Tokens of an impossible length.
    #[error("tokens of up to {longest} bytes cannot be built; 1 to {most} can")]
    Longest {
        /// The length asked for.
        longest: usize,
        /// The longest that can be asked for.
        most: usize,
    },
    /// No text, or so much that counts overflow.
    #[error("{bytes} bytes of text: 1 to {most} can be built from")]
    Text {
        /// Bytes of the text.
        bytes: usize,
        /// The most that can be counted.
        most: usize,
    },
    /// The text has too few different strings.
    #[error(
        "the text has {found} tokens to offer and {asked} are asked for; give more text, or ask for fewer"
    )]
    TooFew {
        /// The size asked for.
        asked: usize,
        /// The most tokens that were found.
        found: usize,
    },
}

#[cfg(test)]
mod tests;
