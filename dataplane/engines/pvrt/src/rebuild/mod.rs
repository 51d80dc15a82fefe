//! Makes bytes from pieces: windows, and whole files.

mod file;
mod kernels;
mod output;
mod source;

use thiserror::Error;

use crate::program::{Piece, Transform};
use crate::space::Space;

pub use file::{FileError, FileOptions, Rebuilt, file, hex};
pub use kernels::{Kernels, Level, Stores};
pub use source::{Head, Held, Parts, Scratch, Source, WINDOW_MAX};

/// Pieces that make no window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum RebuildError {
    /// A reference to bytes that are not in the space.
    #[error("a reference to {len} bytes at {offset} points outside the blob and the older files")]
    Outside {
        /// Where it points.
        offset: u64,
        /// How many bytes.
        len: u32,
    },
    /// The pieces make more or fewer bytes than the window has.
    #[error("the pieces make {made} bytes or more, the window has {want}")]
    Length {
        /// Made when it was noticed.
        made: u64,
        /// The window's.
        want: usize,
    },
    /// The raw pieces take more or fewer raw bytes than there are.
    #[error("the raw pieces take {taken} bytes or more of {have}")]
    Raw {
        /// Taken when it was noticed.
        taken: u64,
        /// Raw bytes that are there.
        have: usize,
    },
}

/// Writes into `out`, which is the window's whole length, what `pieces` make of `space` and `raw`,
/// by the fastest kernels of this processor and through the caches.
///
/// # Errors
/// When a reference points outside, or lengths do not agree. `out` may then be partly written.
pub fn window(
    space: &Space<'_>,
    pieces: &[Piece],
    raw: &[u8],
    out: &mut [u8],
) -> Result<(), RebuildError> {
    Kernels::default().window(space, pieces, raw, out, Stores::Cached)
}

/// Writes `from`, transformed, into `into`.
///
/// # Panics
/// When they are not equally long.
#[inline]
pub fn apply(transform: Transform, from: &[u8], into: &mut [u8]) {
    Kernels::default().apply(transform, from, into);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::program::Ref;

    fn at(offset: u64, len: u32, transform: Transform) -> Piece {
        Piece::Ref(Ref { offset, len, transform })
    }

    #[test]
    fn pieces_make_the_window() {
        let blob: Vec<u8> = (0..=255).collect();
        let space = Space::blob(&blob);
        let pieces = [
            at(250, 6, Transform::Identity),
            Piece::Raw(2),
            at(0, 3, Transform::Xor(255)),
            at(254, 2, Transform::Add(7)),
        ];
        let mut out = [0; 13];
        window(&space, &pieces, b"hi", &mut out).expect("fits");
        assert_eq!(out, *b"\xfa\xfb\xfc\xfd\xfe\xffhi\xff\xfe\xfd\x05\x06");
    }

    #[test]
    fn lengths_that_lie_are_refused() {
        let space = Space::blob(&[0; 10]);
        let mut out = [0; 10];
        let mut run = |pieces: &[Piece], raw: &[u8]| window(&space, pieces, raw, &mut out);
        let outside = RebuildError::Outside { offset: 1, len: 10 };
        assert_eq!(run(&[at(1, 10, Transform::Identity)], b""), Err(outside));
        assert_eq!(run(&[Piece::Raw(9)], &[0; 9]), Err(RebuildError::Length { made: 9, want: 10 }));
        let long = Err(RebuildError::Length { made: 11, want: 10 });
        assert_eq!(run(&[Piece::Raw(11)], &[0; 11]), long);
        let raw = |taken, have| Err(RebuildError::Raw { taken, have });
        assert_eq!(run(&[Piece::Raw(10)], &[0; 9]), raw(10, 9));
        assert_eq!(run(&[Piece::Raw(10)], &[0; 11]), raw(10, 11));
    }
}
