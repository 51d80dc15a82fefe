//! Vectors that are searchable as soon as they are stored.
//!
//! # Scores
//!
//! A score is higher for a nearer vector, whatever the [`Metric`]: the cosine, the dot product, or
//! the squared distance with a minus before it.

mod element;
pub mod kernels;
mod metric;
pub mod quantize;
mod rotation;
mod rows;
mod topk;

pub use element::{Element, bf16_of, f32_of_bf16};
pub use metric::{BadVector, Metric};
pub use rotation::Rotation;
pub use rows::{Rows, stride};
pub use topk::{Hit, TopK};
