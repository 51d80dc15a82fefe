//! Files as references into bytes that the other side already has.
//!
//! # The data's way
//!
//! ```text
//! file ─► plan ─► Program ─► formats (POX1, IPROG, PBB2, …) ─► file on disk
//!          ▲         │
//!        Space       └─────► wire: frames ─► assembly ─► rebuild ─► file
//!          ▲
//! blob (deterministic and stored parts), older files
//! ```
//!
//! A [`Program`] is windows of pieces; a piece is a [`Ref`] into a [`Space`] or raw bytes. A
//! [`Space`] is what both sides agree to hold: a blob, beside it older files.

pub mod blob;
pub mod formats;
pub mod plan;
mod program;
pub mod rebuild;
mod space;
pub mod sync;
pub mod transfer;
pub mod wire;

pub use program::{Identity, Piece, Profile, Program, Ref, Transform, Window};
pub use space::{OutOfSpace, Space};
