//! Vectors that are searchable as soon as they are stored.
//!
//! # Scores
//!
//! A score is higher for a nearer vector, whatever the [`Metric`]: the cosine, the dot product, or
//! the squared distance with a minus before it.

// Files are read where they lie.
#[cfg(target_endian = "big")]
compile_error!("files of a collection are little-endian; this processor is not");

mod collection;
mod element;
pub mod frame;
#[doc(hidden)]
pub mod fuzzing;
pub mod import;
pub mod index;
mod indexes;
pub mod kernels;
mod kmeans;
mod manifest;
mod metric;
mod part;
mod pool;
pub mod quantize;
mod record;
mod rotation;
mod rows;
mod segment;
#[cfg(test)]
mod testing;
mod topk;
pub mod wal;

pub use collection::error::{Damage, StoreError};
pub use collection::query::{Answer, Effort, Found, LevelRead, Only, Query};
pub use collection::settings::{DIMENSIONS, Options, Raw, Settings};
pub use collection::state::Written;
pub use collection::{
    Collection, Compacted, LevelStats, Maintenance, Stats, Transaction, Upkept, Verified,
};
pub use element::{Element, bf16_of, f32_of_bf16};
pub use indexes::words::{WORD_BYTES, Words};
pub use metric::{BadVector, Metric};
pub use part::Direction;
pub use record::{Association, Batch, Put, Record, kinds};
pub use rotation::Rotation;
pub use rows::{Rows, stride};
pub use topk::{Hit, TopK};
