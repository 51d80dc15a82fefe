//! What a stream of text keeps between two pushes.

use crate::split::SplitState;

/// The state of one stream: what is undecided of its text, and how far that has been looked at.
///
/// Up to 64 bytes, and the carried bytes: those of the unfinished piece. With a split grammar these
/// are mostly a word; a piece that goes on for more than 8 KiB is encoded as it comes, all but its
/// last tokens, so that the carry stays below that (or 8 times the longest token), for any text but
/// one made to keep all its tokens undecided. [`EncodeOptions::max_carry`] is a hard limit.
///
/// [`EncodeOptions::max_carry`]: crate::EncodeOptions::max_carry
#[derive(Clone, Debug, Default)]
pub struct StreamState {
    /// The unfinished piece.
    pub(crate) carry: Vec<u8>,
    /// Bytes that may be the beginning of a special token's text.
    pub(crate) held: Vec<u8>,
    /// How far `carry` has been looked at.
    pub(crate) split: SplitState,
    /// Whether the beginning of the unfinished piece is encoded already.
    pub(crate) inside: bool,
    /// What to double the block size of long pieces to, as a power of two.
    pub(crate) doublings: u8,
}

const _: () = assert!(size_of::<StreamState>() <= 64);

impl StreamState {
    /// Bytes that are kept of the text: not yet encoded.
    #[must_use]
    pub fn carry_len(&self) -> usize {
        self.carry.len() + self.held.len()
    }

    /// Bytes of memory that the kept text takes.
    #[must_use]
    pub fn carry_capacity(&self) -> usize {
        self.carry.capacity() + self.held.capacity()
    }

    /// Whether the stream is at its start or as good as: nothing is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.carry_len() == 0 && self.split == SplitState::default()
    }
}
