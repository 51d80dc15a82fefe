//! `mode=flow`: the payloads of one direction of a flow are a text.

use pfs_token::StreamState;

use super::{Desk, Digest};
use crate::ops::flows::{Ended, FlowTable, Message, StreamKey, TcpAdvance, TcpTrack, locate};
use crate::ops::ids::IdRecord;
use crate::pcpu::{EngineBatch, EngineSpan};

/// All streams of a worker.
#[derive(Debug)]
pub(super) struct Streams {
    table: FlowTable<Stream>,
    idle_ns: u64,
    /// Number of the last stream that began.
    last: u64,
    /// The message whose spans are coming.
    message: Message,
}

/// One stream: 64 bytes of the engine's state and its carried bytes, and what we keep of it.
#[derive(Debug, Default)]
struct Stream {
    state: StreamState,
    digest: Digest,
    track: TcpTrack,
    /// 0 between the end of one text and the first byte of the next.
    number: u64,
    flow: u32,
    rule: u16,
    /// Whether a record of it was handed over.
    told: bool,
}

impl Streams {
    pub(super) fn new(most: u32, idle_s: u32) -> Self {
        Self {
            table: FlowTable::new(most),
            idle_ns: u64::from(idle_s) * 1_000_000_000,
            last: 0,
            message: Message::default(),
        }
    }

    pub(super) fn run(&mut self, batch: &EngineBatch<'_>, desk: &mut Desk) {
        for (at, span) in batch.spans().enumerate() {
            if span.som {
                self.message = self.begin(batch, at, &span, desk);
            }
            self.span(batch, &span, desk);
        }
    }

    /// Ends streams that nothing came for.
    pub(super) fn expire(&mut self, time_ns: u64, desk: &mut Desk) {
        self.message = Message::default();
        let Self { table, idle_ns, .. } = self;
        table.expire(time_ns, *idle_ns, |key, stream, why| stream.leave(key, why, time_ns, desk));
    }

    /// Ends all streams.
    pub(super) fn drain(&mut self, time_ns: u64, desk: &mut Desk) {
        self.table.drain(|key, stream, why| stream.leave(key, why, time_ns, desk));
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
        let now = batch.time_ns;
        let evict = |key: &StreamKey, stream: &mut Stream, why| stream.leave(key, why, now, desk);
        let (place, _) = self.table.enter(&located.key, now, evict);
        let (key, stream) = self.table.at(place);
        (stream.flow, stream.rule) = (span.meta.flow, span.meta.rule);
        let Some(header) = located.tcp else {
            let ends = span.cut();
            desk.counters.cut += u64::from(ends);
            return Message::new(place, 0, ends);
        };
        // No IP packet has 4 GiB.
        let step = stream.track.advance(&header, batch.message_bytes(at) as u32);
        count(&step, desk);
        if step.cut {
            stream.end(key, batch.time_of(&span.meta), desk);
        }
        Message::new(place, step.repeated as usize, step.ends)
    }

    fn span(&mut self, batch: &EngineBatch<'_>, span: &EngineSpan<'_>, desk: &mut Desk) {
        let Some((place, bytes, ends)) = self.message.next(span) else { return };
        let (key, stream) = self.table.at(place);
        let time_ns = batch.time_of(&span.meta);
        if !bytes.is_empty() {
            if stream.number == 0 {
                self.last += 1;
                stream.number = self.last;
                desk.counters.streams += 1;
            }
            stream.push(key, bytes, time_ns, desk);
        }
        if ends {
            stream.end(key, time_ns, desk);
        }
    }
}

fn count(step: &TcpAdvance, desk: &mut Desk) {
    let counters = &mut desk.counters;
    counters.repeated_bytes += u64::from(step.repeated);
    counters.closed += u64::from(step.ends);
    match step.gap {
        Some(bytes) => {
            counters.gaps += 1;
            counters.gap_bytes += u64::from(bytes);
        }
        None => counters.restarted += u64::from(step.cut),
    }
}

impl Stream {
    fn push(&mut self, key: &StreamKey, bytes: &[u8], time_ns: u64, desk: &mut Desk) {
        let before = desk.ids.len();
        desk.push(&mut self.state, bytes);
        self.found(key, before, time_ns, 0, desk);
    }

    /// Ends the text; the stream may go on with another.
    fn end(&mut self, key: &StreamKey, time_ns: u64, desk: &mut Desk) {
        if self.number == 0 {
            return;
        }
        let before = desk.ids.len();
        desk.finish(&mut self.state);
        self.found(key, before, time_ns, IdRecord::END, desk);
        desk.ended(&self.digest);
        (self.digest, self.number, self.told) = (Digest::default(), 0, false);
    }

    /// Leaves the table, as a new stream's state.
    fn leave(&mut self, key: &StreamKey, why: Ended, time_ns: u64, desk: &mut Desk) {
        if self.number != 0 {
            match why {
                Ended::Evicted => desk.counters.evicted += 1,
                Ended::TimedOut => desk.counters.timed_out += 1,
                Ended::Over => {}
            }
        }
        self.end(key, time_ns, desk);
        self.track.reset();
    }

    /// Books the ids from `before` on.
    fn found(&mut self, key: &StreamKey, before: usize, time_ns: u64, flags: u16, desk: &mut Desk) {
        let ids = &desk.ids[before..];
        self.digest.push(ids);
        if !desk.keeps || (ids.is_empty() && flags == 0) {
            return;
        }
        let start = if self.told { 0 } else { IdRecord::START };
        self.told = true;
        desk.records.push(IdRecord {
            time_ns,
            stream: self.number,
            ends: key.ends,
            count: ids.len() as u32,
            flow: self.flow,
            rule: self.rule,
            flags: flags | start,
        });
    }
}
