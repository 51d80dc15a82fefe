//! What a vocabulary and an encoder take of memory, and how long compiling takes.

use serde::{Deserialize, Serialize};

use crate::stats::Spread;

/// The memory of one vocabulary.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Memory {
    /// Bytes of the vocabulary's v3 file: what is mapped, read-only, by all cores together.
    pub shared_bytes: u64,
    /// Bytes that an encoder has allocated after a pass over English packets.
    pub private_bytes: u64,
    /// Milliseconds to compile the vocabulary.
    pub compile_ms: Spread,
}
