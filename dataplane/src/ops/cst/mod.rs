//! The op `cst`: source files in payload to syntax trees.

mod desk;
mod packets;
mod piece;
mod pieces;
mod spec;
mod streams;

use std::sync::Arc;

use pfs_cst::languages::Grammar;
use pfs_cst::tiers::Store;

/// The engine, for who works on source files without packets.
pub use pfs_cst;

pub use piece::{HEADER, NAME_MAX, Piece};
pub use spec::{CstMode, CstOp};

use self::desk::Desk;
use self::packets::Messages;
use self::pieces::Pieces;
use self::streams::Streams;
use crate::counters::CstCounters;
use crate::pcpu::{Engine, EngineBatch, EngineCells, Outlet};

/// One worker's state of a `cst` op.
#[derive(Debug)]
pub struct CstEngine {
    desk: Desk,
    work: Work,
    cells: Arc<EngineCells>,
}

#[derive(Debug)]
enum Work {
    Packets(Messages),
    Streams(Box<Streams>),
    Pieces(Messages, Box<Pieces>),
}

impl CstEngine {
    /// The state of `op`: files in the language `grammar`, else as each tells; trees go to `store`.
    #[must_use]
    pub fn new(op: &CstOp, grammar: Option<Arc<Grammar>>, store: Option<Arc<Store>>) -> Self {
        let messages = Messages::new(op.max_bytes);
        Self {
            desk: Desk::new(op, grammar, store),
            work: match op.mode {
                CstMode::Packet => Work::Packets(messages),
                CstMode::Flow => Work::Streams(Box::new(Streams::new(op))),
                CstMode::Pieces => Work::Pieces(messages, Box::new(Pieces::new(op))),
            },
            cells: Arc::new(EngineCells::new("cst", CstCounters::TABLE)),
        }
    }

    /// What it has counted.
    #[must_use]
    pub const fn counters(&self) -> &CstCounters {
        &self.desk.counters
    }
}

impl Engine for CstEngine {
    fn run(&mut self, batch: &EngineBatch<'_>, _: Option<&mut dyn Outlet>) {
        let Self { desk, work, .. } = self;
        match work {
            Work::Packets(messages) => messages.run(batch, desk, |desk, span, bytes| {
                if span.cut() {
                    desk.counters.incomplete += 1;
                } else {
                    desk.file(None, bytes);
                }
            }),
            Work::Streams(streams) => streams.run(batch, desk),
            Work::Pieces(messages, pieces) => messages.run(batch, desk, |desk, span, bytes| {
                pieces.payload(span, batch.time_ns, bytes, desk);
            }),
        }
    }

    fn tick(&mut self, time_ns: u64, _: Option<&mut dyn Outlet>) {
        match &mut self.work {
            Work::Packets(_) => {}
            Work::Streams(streams) => streams.expire(time_ns, &mut self.desk),
            Work::Pieces(_, pieces) => pieces.expire(time_ns, &mut self.desk),
        }
    }

    fn finish(&mut self, _: u64, _: Option<&mut dyn Outlet>) {
        match &mut self.work {
            Work::Packets(_) => {}
            Work::Streams(streams) => streams.drain(&mut self.desk),
            Work::Pieces(_, pieces) => pieces.drain(&mut self.desk),
        }
        self.desk.flush();
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
