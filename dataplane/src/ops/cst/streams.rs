//! `mode=flow`: the payloads of one direction of a flow are a file.

use super::CstOp;
use super::desk::Desk;
use crate::ops::flows::{Ended, FlowTable, Message, StreamKey, TcpTrack, locate};
use crate::pcpu::{EngineBatch, EngineSpan};

/// All streams of a worker.
#[derive(Debug)]
pub(super) struct Streams {
    table: FlowTable<Stream>,
    idle_ns: u64,
    limits: Limits,
    message: Message,
}

/// What streams may take, and have taken.
#[derive(Debug)]
struct Limits {
    max_bytes: u64,
    memory: u64,
    held: u64,
}

/// One stream.
#[derive(Debug, Default)]
struct Stream {
    bytes: Vec<u8>,
    track: TcpTrack,
    /// It has an end of its own, without which it is incomplete.
    tcp: bool,
    /// Bytes of the file are missing, or it is too long: what comes up to its end is of no use.
    spoilt: bool,
}

impl Streams {
    pub(super) fn new(op: &CstOp) -> Self {
        Self {
            table: FlowTable::new(op.flows),
            idle_ns: u64::from(op.idle_s) * 1_000_000_000,
            limits: Limits { max_bytes: op.max_bytes, memory: op.memory, held: 0 },
            message: Message::default(),
        }
    }

    pub(super) fn run(&mut self, batch: &EngineBatch<'_>, desk: &mut Desk) {
        for (at, span) in batch.spans().enumerate() {
            if span.som {
                self.message = self.begin(batch, at, &span, desk);
            }
            self.span(&span, desk);
        }
    }

    /// Ends streams that nothing came for.
    pub(super) fn expire(&mut self, time_ns: u64, desk: &mut Desk) {
        self.message = Message::default();
        let Self { table, idle_ns, limits, .. } = self;
        table.expire(time_ns, *idle_ns, |_, stream, why| stream.leave(why, limits, desk));
    }

    /// Ends all streams.
    pub(super) fn drain(&mut self, desk: &mut Desk) {
        let Self { table, limits, .. } = self;
        table.drain(|_, stream, why| stream.leave(why, limits, desk));
    }

    /// Finds the stream of the message that begins at `at`, and how it continues it.
    fn begin(
        &mut self,
        batch: &EngineBatch<'_>,
        at: usize,
        span: &EngineSpan<'_>,
        desk: &mut Desk,
    ) -> Message {
        let Ok(located) = locate(span) else {
            desk.counters.no_stream += 1;
            return Message::default();
        };
        let Self { table, limits, .. } = self;
        let evict = |_: &StreamKey, stream: &mut Stream, why| stream.leave(why, limits, desk);
        let (place, _) = table.enter(&located.key, batch.time_ns, evict);
        let (_, stream) = table.at(place);
        if span.cut() {
            stream.spoil(limits);
        }
        let Some(header) = located.tcp else {
            return Message::new(place, 0, false);
        };
        stream.tcp = true;
        // No IP packet has 4 GiB.
        let step = stream.track.advance(&header, batch.message_bytes(at) as u32);
        desk.counters.repeated_bytes += u64::from(step.repeated);
        if step.gap.is_some() {
            stream.spoil(limits);
        } else if step.cut {
            // Another connection of the same ends: the one before never ended.
            stream.end(true, limits, desk);
        }
        Message::new(place, step.repeated as usize, step.ends)
    }

    fn span(&mut self, span: &EngineSpan<'_>, desk: &mut Desk) {
        let Some((place, bytes, ends)) = self.message.next(span) else { return };
        let (_, stream) = self.table.at(place);
        stream.push(bytes, &mut self.limits, desk);
        if ends {
            stream.end(false, &mut self.limits, desk);
        }
    }
}

impl Stream {
    fn push(&mut self, bytes: &[u8], limits: &mut Limits, desk: &mut Desk) {
        if self.spoilt || bytes.is_empty() {
            return;
        }
        let more = bytes.len() as u64;
        if self.bytes.len() as u64 + more > limits.max_bytes {
            desk.counters.too_long += 1;
            self.spoil(limits);
        } else if limits.held + more > limits.memory {
            desk.counters.no_memory += 1;
            self.spoil(limits);
        } else {
            limits.held += more;
            self.bytes.extend_from_slice(bytes);
        }
    }

    /// Forgets the bytes, and those up to the end.
    fn spoil(&mut self, limits: &mut Limits) {
        limits.held -= self.bytes.len() as u64;
        (self.bytes, self.spoilt) = (Vec::new(), true);
    }

    /// Ends the file; the stream may go on with another.
    fn end(&mut self, cut: bool, limits: &mut Limits, desk: &mut Desk) {
        if self.spoilt || cut && !self.bytes.is_empty() {
            desk.counters.incomplete += 1;
        } else if !self.bytes.is_empty() {
            desk.file(None, &self.bytes);
        }
        limits.held -= self.bytes.len() as u64;
        (self.bytes, self.spoilt) = (Vec::new(), false);
    }

    /// Leaves the table, as a new stream's state.
    fn leave(&mut self, why: Ended, limits: &mut Limits, desk: &mut Desk) {
        self.end(why == Ended::Evicted || self.tcp, limits, desk);
        *self = Self::default();
    }
}
