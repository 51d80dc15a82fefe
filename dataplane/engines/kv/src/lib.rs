//! Durable, ordered key/value store.

pub mod resp;
