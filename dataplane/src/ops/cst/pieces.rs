//! `mode=pieces`: files cut into datagrams that say of which file they are.

use super::CstOp;
use super::desk::Desk;
use super::piece::{Added, Assembly, Piece};
use crate::ops::flows::{FlowTable, StreamKey, locate};
use crate::pcpu::EngineSpan;

/// Files half arrived.
#[derive(Debug)]
pub(super) struct Pieces {
    table: FlowTable<Assembly>,
    idle_ns: u64,
    max_bytes: u64,
    memory: u64,
    /// Bytes of all files half arrived.
    held: u64,
}

impl Pieces {
    pub(super) fn new(op: &CstOp) -> Self {
        Self {
            table: FlowTable::new(op.flows),
            idle_ns: u64::from(op.idle_s) * 1_000_000_000,
            max_bytes: op.max_bytes,
            memory: op.memory,
            held: 0,
        }
    }

    /// Takes a payload. `span` is its last: it says who sent it.
    pub(super) fn payload(
        &mut self,
        span: &EngineSpan<'_>,
        time_ns: u64,
        bytes: &[u8],
        desk: &mut Desk,
    ) {
        let Some(piece) = Piece::read(bytes) else {
            desk.counters.foreign += 1;
            return;
        };
        if u64::from(piece.total) > self.max_bytes {
            desk.counters.too_long += u64::from(piece.offset == 0);
            return;
        }
        // A fragment has no ports: then senders are told apart by files' numbers alone.
        let located = locate(span).map_or_else(|_| StreamKey::default(), |located| located.key);
        let folded = (piece.file ^ piece.file >> 32) as u32;
        let key = StreamKey { sender: located.sender ^ folded, ..located };
        let Self { table, held, memory, .. } = self;
        let (place, _) = table.enter(&key, time_ns, |_, assembly, _| leave(assembly, held, desk));
        let (_, assembly) = table.at(place);
        if !assembly.is_of(&piece) {
            leave(assembly, held, desk);
            assembly.begin(&piece);
        }
        if !assembly.open {
            desk.counters.repeated_bytes += piece.bytes.len() as u64;
            return;
        }
        let growth = assembly.growth(&piece);
        if *held + growth > *memory {
            desk.counters.no_memory += 1;
            leave(assembly, held, desk);
            return;
        }
        *held += growth;
        match assembly.add(&piece) {
            Added::Part(again) => desk.counters.repeated_bytes += u64::from(again),
            Added::Scattered => leave(assembly, held, desk),
            Added::Whole => {
                if assembly.is_right() {
                    desk.file(Some(&assembly.name), &assembly.bytes);
                } else {
                    desk.counters.damaged += 1;
                }
                *held -= assembly.bytes.len() as u64;
                assembly.close();
            }
        }
    }

    /// Gives up files that nothing came for.
    pub(super) fn expire(&mut self, time_ns: u64, desk: &mut Desk) {
        let Self { table, idle_ns, held, .. } = self;
        table.expire(time_ns, *idle_ns, |_, assembly, _| leave(assembly, held, desk));
    }

    /// Gives up all files.
    pub(super) fn drain(&mut self, desk: &mut Desk) {
        let Self { table, held, .. } = self;
        table.drain(|_, assembly, _| leave(assembly, held, desk));
    }
}

/// Forgets a file; one that was open is incomplete.
fn leave(assembly: &mut Assembly, held: &mut u64, desk: &mut Desk) {
    desk.counters.incomplete += u64::from(assembly.open);
    *held -= assembly.bytes.len() as u64;
    assembly.clear();
}
