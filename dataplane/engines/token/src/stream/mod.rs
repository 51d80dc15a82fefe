//! What a stream of text keeps between two pushes.

use crate::greedy::GreedyStream;
use crate::split::SplitState;

/// The state of one stream: what is undecided of its text, and how far that has been looked at.
///
/// Up to 64 bytes, and the carried bytes: those of the unfinished piece. With a split grammar these
/// are mostly a word; a piece that goes on for more than 2 KiB is encoded as it comes, all but its
/// last tokens, so that the carry stays below that (or 8 times the longest token), for any text but
/// one made to keep all its tokens undecided. [`EncodeOptions::max_carry`] is a hard limit.
///
/// [`EncodeOptions::max_carry`]: crate::EncodeOptions::max_carry
#[derive(Clone, Debug, Default)]
pub struct StreamState {
    pub(crate) mode: State,
    /// Bytes that may be the beginning of a special token's text; rarely any.
    #[expect(clippy::box_collection, reason = "a vector takes 16 bytes more in every state")]
    pub(crate) held: Option<Box<Vec<u8>>>,
}

const _: () = assert!(size_of::<StreamState>() <= 64);

/// The state by the vocabulary's mode.
#[derive(Clone, Debug)]
pub(crate) enum State {
    /// Byte-pair encoding.
    Bpe(Pieces),
    /// Longest match.
    Greedy(GreedyStream),
}

impl Default for State {
    fn default() -> Self {
        Self::Bpe(Pieces::default())
    }
}

/// The state of a stream that is cut into pieces.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pieces {
    /// The unfinished piece.
    pub(crate) carry: Vec<u8>,
    /// How far `carry` has been looked at.
    pub(crate) split: SplitState,
    /// Whether the beginning of the unfinished piece is encoded already.
    pub(crate) inside: bool,
    /// What the block size of long pieces is multiplied by, as a power of two.
    pub(crate) doublings: u8,
}

impl Pieces {
    /// Whether nothing is kept.
    pub(crate) fn is_empty(&self) -> bool {
        self.carry.is_empty() && !self.inside && self.split == SplitState::default()
    }
}

impl StreamState {
    /// Bytes that are kept of the text: not yet encoded.
    #[must_use]
    pub fn carry_len(&self) -> usize {
        let carried = match &self.mode {
            State::Bpe(pieces) => pieces.carry.len(),
            State::Greedy(stream) => stream.carry_len(),
        };
        carried + self.held.as_ref().map_or(0, |held| held.len())
    }

    /// Whether the stream is at the start of a text, or could be.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let piece = matches!(&self.mode, State::Bpe(pieces) if !pieces.is_empty());
        self.carry_len() == 0 && !piece
    }
}
