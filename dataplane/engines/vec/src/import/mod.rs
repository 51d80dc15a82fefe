//! Vectors in files that other programs write: `.npy`, `.fvecs`, `.bvecs` and Arrow IPC.
//!
//! | format | what | source |
//! |---|---|---|
//! | `.npy` | a head, then rows of little-endian f32 | NumPy, "NEP 1 – A simple file format for NumPy arrays" |
//! | `.fvecs` | for each vector its dimension as little-endian i32, then as many f32 | TEXMEX corpora, <http://corpus-texmex.irisa.fr> |
//! | `.bvecs` | the same with a byte, 0 to 255, for each component | as above |
//! | `.arrow`, `.feather` | a footer that tells of batches of columns, uncompressed | <https://arrow.apache.org/docs/format/Columnar.html#ipc-file-format> |
//!
//! All but Arrow files, of which a batch is in memory at a time, are read as a stream: memory for one row is all that they take, whatever their head says.

mod arrow;
mod npy;
mod vectors;

use std::io;

use thiserror::Error;

pub use arrow::{ArrowColumns, ArrowFile, ArrowRow};
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
    /// It is no Arrow IPC file, or one that cannot be read.
    #[error(
        "it is no Arrow IPC file that can be read: {0}; write it uncompressed, e.g. with pyarrow.feather.write_feather(t, f, 'uncompressed')"
    )]
    Arrow(String),
    /// A column of an Arrow file that is not there, or not of a type that is read.
    #[error("column {name}: {why}")]
    Column {
        /// Its name.
        name: String,
        /// What is wrong with it.
        why: String,
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
