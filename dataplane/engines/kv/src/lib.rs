//! Durable, ordered key/value store.
