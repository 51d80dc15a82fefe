//! x
mod bits;
mod sequence;
mod shape;
