//! `mode=packet`: each payload is a text.

use pfs_token::StreamState;

use super::{Desk, Digest};
use crate::ops::flows::Endpoints;
use crate::ops::ids::IdRecord;
use crate::pcpu::{BATCH, EngineBatch, EngineSpan};

/// What is kept from one batch to the next: a message that goes on.
#[derive(Debug, Default)]
pub(super) struct Packets {
    ends: Vec<u32>,
    state: StreamState,
    /// The message that is open, if one is.
    open: Option<(IdRecord, Digest)>,
}

impl Packets {
    pub(super) fn run(&mut self, batch: &EngineBatch<'_>, desk: &mut Desk) {
        if self.open.is_none() && batch.is_whole() {
            self.whole(batch, desk);
        } else {
            for span in batch.spans() {
                self.part(batch, &span, desk);
            }
        }
    }

    /// All messages in one call, so that the engine looks ahead from one to the next.
    fn whole(&mut self, batch: &EngineBatch<'_>, desk: &mut Desk) {
        let mut texts: [&[u8]; BATCH] = [&[]; BATCH];
        let spans = batch.spans();
        let len = spans.len();
        for (text, span) in texts.iter_mut().zip(spans) {
            *text = span.bytes;
            desk.counters.bytes += span.bytes.len() as u64;
        }
        self.ends.clear();
        let encoded = desk.encoder.encode_batch(&texts[..len], &mut desk.ids, &mut self.ends);
        // Texts are refused by `SpecialPolicy::Deny`, which the op does not have, and above 2 GiB.
        debug_assert!(encoded.is_ok() && self.ends.len() == len);
        let mut from = 0;
        let mut sum = 0_u64;
        for &end in &self.ends {
            let ids = desk.ids.get(from..end as usize).unwrap_or_default();
            sum = sum.wrapping_add(Digest::of(ids));
            from = end as usize;
        }
        desk.results[1] = desk.results[1].wrapping_add(sum);
        desk.counters.texts += len as u64;
        if desk.keeps {
            let mut from = 0;
            for (span, &end) in batch.spans().zip(&self.ends) {
                desk.records.push(IdRecord { count: end - from, ..record(batch, &span) });
                from = end;
            }
        }
    }

    /// A span of a message that may have others.
    fn part(&mut self, batch: &EngineBatch<'_>, span: &EngineSpan<'_>, desk: &mut Desk) {
        if span.som {
            // A message that never ended is abandoned.
            let before = desk.ids.len();
            desk.finish(&mut self.state);
            desk.ids.truncate(before);
            self.open = None;
        }
        let (mut open, mut digest) =
            self.open.take().unwrap_or_else(|| (record(batch, span), Digest::default()));
        let before = desk.ids.len();
        desk.push(&mut self.state, span.bytes);
        if span.eom {
            desk.finish(&mut self.state);
        }
        let ids = &desk.ids[before..];
        digest.push(ids);
        open.count += ids.len() as u32;
        if !span.eom {
            self.open = Some((open, digest));
            return;
        }
        desk.ended(&digest);
        if desk.keeps {
            desk.records.push(open);
        }
    }
}

/// What a sink is told of the packet that `span` begins.
fn record(batch: &EngineBatch<'_>, span: &EngineSpan<'_>) -> IdRecord {
    IdRecord {
        time_ns: batch.time_of(&span.meta),
        ends: Endpoints::of_span(span),
        flow: span.meta.flow,
        rule: span.meta.rule,
        ..IdRecord::default()
    }
}
