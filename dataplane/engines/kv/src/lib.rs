//! Durable, ordered key/value store.

pub mod grammar;
pub mod resp;
