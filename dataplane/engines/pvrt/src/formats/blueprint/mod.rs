//! Blueprints: a file as one list of segments, or by a formula; as JSON, and packed.

mod formula;
mod packed;
mod pieces;
mod segments;
#[cfg(test)]
mod tests;

pub use formula::{Formula, FormulaSource};
pub use packed::Packed;
pub use pieces::{MissingRaw, join, windows};
pub use segments::Blueprint;
