//! Product quantizers: a vector's components in parts, each part told by the nearest of a few
//! trained ones.
//!
//! After Jégou, Douze and Schmid, "Product Quantization for Nearest Neighbor Search" (TPAMI 2011).
//! A query is not quantized: for each part a table has its score with every trained one, and a
//! code's score is the sum of what its parts look up. With few entries a part, tables of bytes fit
//! registers, after André, Kermarrec and Le Scouarnec, "Cache locality is not enough" (VLDB 2015);
//! with six bits a part a table of 64 bytes is one AVX-512 register.
//!
//! # Padding
//!
//! A part has `dim / parts` components, rounded up. The last parts may have fewer, or none: what a
//! vector lacks counts as 0. Parts are rounded up to a multiple of 8 for [`PqBits::Four`] and of 4
//! otherwise, so that codes are whole words.
//!
//! # Columns
//!
//! A stored quantizer is its [`Pq::book`]; stored codes are [`PqView::lines`]:
//!
//! - [`PqBits::Eight`]: `parts` bytes a vector, one vector after the other.
//! - [`PqBits::Four`]: blocks of 16 vectors; of each block for every eight parts 16 words, one a
//!   vector, the first of the parts in the lowest four bits.
//! - [`PqBits::Six`]: blocks of 64 vectors; of each block for every four parts three lines of 64
//!   bytes, one a vector. Line `k` has part `k` in its low six bits, and in its upper two bits
//!   `2k` and `2k + 1` of the fourth part.

mod book;
mod codes;
mod query;
#[cfg(test)]
mod tests;

pub use book::{BadBook, Pq, PqSettings};
pub use codes::{PqCodes, PqView};
pub use query::PqQuery;

/// Bits of a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PqBits {
    /// Four: 16 entries.
    Four,
    /// Six: 64 entries.
    Six,
    /// Eight: 256 entries.
    Eight,
}

impl PqBits {
    /// Entries of a part.
    #[must_use]
    pub const fn entries(self) -> usize {
        match self {
            Self::Four => 16,
            Self::Six => 64,
            Self::Eight => 256,
        }
    }

    /// What the number of parts is a multiple of.
    #[must_use]
    pub const fn multiple(self) -> usize {
        match self {
            Self::Four => 8,
            Self::Six | Self::Eight => 4,
        }
    }

    /// Vectors that lie together.
    #[must_use]
    pub const fn block(self) -> usize {
        match self {
            Self::Four => 16,
            Self::Six => 64,
            Self::Eight => 1,
        }
    }

    /// 32-bit words of a block of codes with so many parts.
    #[must_use]
    pub const fn block_words(self, parts: usize) -> usize {
        match self {
            Self::Four => parts / 8 * 16,
            Self::Six => parts / 4 * 48,
            Self::Eight => parts / 4,
        }
    }
}
