//! The XDP program, its committed object and its loader.

pub mod rules;
