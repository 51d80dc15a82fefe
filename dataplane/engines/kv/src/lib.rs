//! Durable, ordered key/value store.

mod index;
mod log;
mod memory;
mod record;
