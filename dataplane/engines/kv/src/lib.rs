//! Durable, ordered key/value store.

pub mod frame;
pub mod grammar;
pub mod resp;
