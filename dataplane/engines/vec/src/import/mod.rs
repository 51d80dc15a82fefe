//! Vectors in files that other programs write: `.npy`, `.fvecs` and `.bvecs`.
//!
//! | format | what | source |
//! |---|---|---|
//! | `.npy` | a head, then rows of little-endian f32 | NumPy, "NEP 1 – A simple file format for NumPy arrays" |
//! | `.fvecs` | for each vector its dimension as little-endian i32, then as many f32 | TEXMEX corpora, <http://corpus-texmex.irisa.fr> |
//! | `.bvecs` | the same with a byte, 0 to 255, for each component | as above |
//!
//! Files are read as a stream: memory for one row is all that they take, whatever their head says.

mod npy;
mod vectors;

use std::io;

use thiserror::Error;

pub use npy::npy_head;
pub use vectors::{Format, Vectors};

/// A file of vectors that cannot be read, or not to its end.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ImportError {
    /// The operating system refused.
    #[error("reading it: {0}")]
    Io(#[from] io::Error),
    /// It does not begin as files of its format do.
    #[error("its head is not that of a .npy file: {0}")]
    Head(&'static str),
    /// It is of another type than what is read.
    #[error("{what} is {got}; save the array with numpy.ascontiguousarray(a, dtype='<f4')")]
    Type {
        /// Which part of the head.
        what: &'static str,
        /// What it says.
        got: String,
    },
    /// A dimension that no collection can have.
    #[error("vector {row} has {got} components; vectors have 2 to 4096")]
    Dimension {
        /// Which vector, from 0 on.
        row: u64,
        /// Its components.
        got: i64,
    },
    /// Vectors of several dimensions.
    #[error("vector {row} has {got} components, those before it {want}")]
    Mixed {
        /// Which vector, from 0 on.
        row: u64,
        /// Its components.
        got: i64,
        /// Those of the vectors before.
        want: usize,
    },
    /// It ends within a vector, or before the last one that its head promises.
    #[error("it ends within or before vector {row}; it was not copied whole")]
    Truncated {
        /// Which vector, from 0 on.
        row: u64,
    },
    /// It goes on behind its last vector.
    #[error("it goes on behind the {rows} vectors that its head tells of")]
    Trailing {
        /// Vectors by its head.
        rows: u64,
    },
}
