//! A tree as a stream of opcodes: one row of bytes to send, keep elsewhere, compare or walk through.
//!
//! Where the cold form has columns for zstd, this has a node's numbers beside each other, so that a
//! reader needs no more than the stream. A tree has one encoding: equal trees are equal bytes, and a
//! stream that says something in another way than the encoder is refused.
//!
//! # Format
//!
//! Little endian; numbers without a width are LEB128 of at most 32 bits, texts their length and bytes.
//!
//! | part | bytes |
//! |---|---|
//! | magic, version | `PFSCSTB` and the version, 1 |
//! | head | the grammar's name, ABI version, hash of its tables (16 bytes); nodes; length of the source; nodes between checkpoints |
//! | symbols | count, then of each kind, field, flags ([`Flags`](crate::languages::Flags)); in the order in which the stream first has them |
//! | checkpoints | of each node whose number is a multiple of the interval, but the first: bytes of code, and of source up to the end of the last leaf, since the checkpoint before; depth; its number less that of its parent |
//! | code | its length, then operations as below |
//! | lines | count, then of each line but the first its start less that of the one before |
//! | check | CRC-32C of all before, 4 |
//!
//! | operation | bytes | meaning |
//! |---|---|---|
//! | node | `00`..=`bf` | a node of the symbol of this number |
//! | | `c0` n | of a higher number |
//! | gap | `c1` | the leaf that comes starts one byte behind the end of the leaf before |
//! | | `c2` n | n > 1 bytes behind it |
//! | exit | `c3`..=`df` | 1 to 29 inner nodes end with the leaf before |
//! | | `e0` n | 30 or more |
//! | long | `e1` nodes children start bytes | what the inner node that comes has in all, which are no fewer nodes than lie between checkpoints; so that no reader has to go through them for its end |
//! | end | `ff` | after the root has ended |
//!
//! A node whose symbol says *measured* has its numbers behind it: a leaf its length, an inner node the
//! bytes before its first leaf and behind its last one. Leaves that are not have the length of their
//! kind's text. A gap stands before the leaf's node, long before its inner node.

mod encode;
mod navigate;
mod op;
mod validate;

use std::ops::Range;
use std::sync::Arc;

use crate::languages::{Grammar, Identity, Symbol};

pub use op::{Long, Op};
pub use validate::BytecodeError;
pub(crate) use validate::mend;

const MAGIC: &[u8; 7] = b"PFSCSTB";
/// Version of the format that this build writes and reads.
pub const VERSION: u8 = 1;
/// Nodes between checkpoints when nothing else is asked for.
pub const INTERVAL: u32 = 1024;
/// Least nodes between checkpoints.
const INTERVAL_MIN: u32 = 16;

/// Where a reader may begin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Checkpoint {
    /// Byte of the code.
    at: u32,
    /// End of the last leaf before.
    end: u32,
    /// Depth of its node.
    depth: u32,
    /// Number of its node's parent.
    parent: u32,
}

/// A tree as bytecode, whole and valid.
#[derive(Clone)]
pub struct Bytecode {
    grammar: Arc<Grammar>,
    bytes: Box<[u8]>,
    /// With the bytes of a leaf of it that is not measured.
    symbols: Vec<(Symbol, u32)>,
    /// The first is at node 0.
    checkpoints: Vec<Checkpoint>,
    interval: u32,
    nodes: u32,
    source_len: u32,
    code: Range<usize>,
    lines: Vec<u32>,
}

impl std::fmt::Debug for Bytecode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bytecode")
            .field("grammar", self.grammar.identity())
            .field("nodes", &self.nodes)
            .field("bytes", &self.bytes.len())
            .finish_non_exhaustive()
    }
}

impl Bytecode {
    /// The whole of it, as it is sent or written.
    pub const fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The grammar.
    pub const fn grammar(&self) -> &Arc<Grammar> {
        &self.grammar
    }

    /// Nodes.
    pub const fn len(&self) -> usize {
        self.nodes as usize
    }

    /// Never: there is always a root.
    pub const fn is_empty(&self) -> bool {
        self.nodes == 0
    }

    /// Length of the source in bytes.
    pub const fn source_len(&self) -> usize {
        self.source_len as usize
    }

    /// Nodes between checkpoints.
    pub const fn interval(&self) -> u32 {
        self.interval
    }

    /// Where lines start, but for the first.
    pub fn line_starts(&self) -> &[u32] {
        &self.lines
    }

    /// Bytes of the operations alone.
    pub const fn code_len(&self) -> usize {
        self.code.end - self.code.start
    }
}

/// Two grammars as they are told in an error.
fn other(stored: Identity, at_hand: Option<&Identity>) -> BytecodeError {
    let none = || Identity { name: "none".into(), abi: 0, tables: [0; 16] };
    let at_hand = at_hand.cloned().unwrap_or_else(none);
    BytecodeError::Grammar { stored: Box::new(stored), at_hand: Box::new(at_hand) }
}
