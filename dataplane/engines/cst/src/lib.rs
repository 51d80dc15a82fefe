//! x

pub mod cold;
pub mod flat;
pub mod hot;
pub mod languages;
pub mod parse;
