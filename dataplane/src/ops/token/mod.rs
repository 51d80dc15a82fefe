//! The op `token`: payload to token ids.

mod digest;
mod packets;
mod streams;

use std::sync::Arc;

use pfs_token::{EncodeOptions, Encoder, SpecialPolicy, StreamState, Vocabulary};

pub use digest::Digest;
/// The engine, for who works on text without packets.
pub use pfs_token;

use self::packets::Packets;
use self::streams::Streams;
use super::ids::IdRecord;
use super::{Special, TokenMode, TokenOp};
use crate::counters::TokenCounters;
use crate::pcpu::{Engine, EngineBatch, EngineCells, Outlet};

/// Most bytes that a stream keeps of a piece that is not decided. Pieces of text are some ten bytes
/// long; a stream of one letter must not take a worker's memory.
const MAX_CARRY: usize = 4096;

/// One worker's state of a `token` op.
#[derive(Debug)]
pub struct TokenEngine {
    desk: Desk,
    work: Work,
    cells: Arc<EngineCells>,
}

#[derive(Debug)]
enum Work {
    Packets(Packets),
    Streams(Box<Streams>),
}

/// What both modes write to: nothing of it is kept from batch to batch but the sums.
#[derive(Debug)]
struct Desk {
    encoder: Encoder,
    ids: Vec<u32>,
    records: Vec<IdRecord>,
    /// Whether anybody takes records.
    keeps: bool,
    /// Number of ids, sum of digests.
    results: [u64; 2],
    counters: TokenCounters,
}

impl Desk {
    /// Pushes bytes into a text.
    fn push(&mut self, state: &mut StreamState, bytes: &[u8]) {
        self.counters.bytes += bytes.len() as u64;
        // Only `SpecialPolicy::Deny` refuses text, which the op does not have.
        let flushes = self.encoder.push(state, bytes, &mut self.ids).unwrap_or(0);
        self.counters.long_pieces += flushes as u64;
    }

    /// Ends a text that bytes were pushed into.
    fn finish(&mut self, state: &mut StreamState) {
        self.encoder.finish(state, &mut self.ids);
    }

    /// Counts a text of this digest.
    fn ended(&mut self, digest: &Digest) {
        self.results[1] = self.results[1].wrapping_add(digest.value());
        self.counters.texts += 1;
    }

    /// Passes on what was found since the last call.
    fn hand_over(&mut self, outlet: Option<&mut dyn Outlet>) {
        self.counters.tokens += self.ids.len() as u64;
        self.results[0] = self.counters.tokens;
        if let Some(outlet) = outlet
            && !self.records.is_empty()
        {
            outlet.ids(&self.records, &self.ids);
        }
        self.ids.clear();
        self.records.clear();
    }
}

impl TokenEngine {
    /// The state of `op`, over its vocabulary.
    #[must_use]
    pub fn new(op: &TokenOp, vocabulary: Arc<Vocabulary>) -> Self {
        let specials = match op.special {
            Special::Text => SpecialPolicy::AsText,
            Special::Allow => SpecialPolicy::Allow,
        };
        let max_carry = Some(MAX_CARRY);
        let options = EncodeOptions { specials, max_carry, ..EncodeOptions::default() };
        Self {
            desk: Desk {
                encoder: Encoder::with(vocabulary, options),
                ids: Vec::new(),
                records: Vec::with_capacity(crate::pcpu::BATCH),
                keeps: false,
                results: [0; 2],
                counters: TokenCounters::default(),
            },
            work: match op.mode {
                TokenMode::Packet => Work::Packets(Packets::default()),
                TokenMode::Flow => Work::Streams(Box::new(Streams::new(op.flows, op.idle_s))),
            },
            cells: Arc::new(EngineCells::new("token", TokenCounters::TABLE)),
        }
    }

    /// What it has counted.
    #[must_use]
    pub const fn counters(&self) -> &TokenCounters {
        &self.desk.counters
    }
}

impl Engine for TokenEngine {
    fn run(&mut self, batch: &EngineBatch<'_>, outlet: Option<&mut dyn Outlet>) {
        self.desk.keeps = outlet.is_some();
        match &mut self.work {
            Work::Packets(packets) => packets.run(batch, &mut self.desk),
            Work::Streams(streams) => streams.run(batch, &mut self.desk),
        }
        self.desk.hand_over(outlet);
    }

    fn tick(&mut self, time_ns: u64, outlet: Option<&mut dyn Outlet>) {
        if let Work::Streams(streams) = &mut self.work {
            self.desk.keeps = outlet.is_some();
            streams.expire(time_ns, &mut self.desk);
            self.desk.hand_over(outlet);
        }
    }

    fn finish(&mut self, time_ns: u64, outlet: Option<&mut dyn Outlet>) {
        if let Work::Streams(streams) = &mut self.work {
            self.desk.keeps = outlet.is_some();
            streams.drain(time_ns, &mut self.desk);
            self.desk.hand_over(outlet);
        }
    }

    fn results(&self) -> &[u64] {
        &self.desk.results
    }

    fn cells(&self) -> Option<Arc<EngineCells>> {
        Some(Arc::clone(&self.cells))
    }

    fn publish(&mut self) {
        self.cells.publish(&self.desk.counters.values());
    }
}
