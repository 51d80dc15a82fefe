//! x

pub mod flat;
pub mod hot;
pub mod languages;
pub mod parse;
