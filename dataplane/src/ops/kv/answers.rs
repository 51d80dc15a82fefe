//! Answers on their way back: what the store said, written into replies, and held while writes wait
//! for the disk.

use pfs_kv::frame::{Frame, ReplyBuilder};
use pfs_kv::{Replies, Reply, SharedStore, StoreShard, Ticket};

use super::forms::{Ask, Form, Outcome};

use crate::counters::KvCounters;
use crate::ops::held::{Held, HeldReplies};
use crate::pcpu::EngineSpan;
use crate::transmitters::replies::{ReplySink, Route};

/// One worker's answers.
#[derive(Debug)]
pub(super) struct Answers {
    pub(super) sink: ReplySink,
    frames: ReplyBuilder,
    /// A text's reply under way, and the answer that is being written.
    text: Vec<u8>,
    one: Vec<u8>,
    /// What the store said to each step, and its value's place.
    said: Vec<(Reply, usize, usize)>,
    values: Vec<u8>,
    /// Of each shard, the steps that its list has.
    places: Vec<Vec<usize>>,
    /// Writes of the batch in hand that may not be acknowledged yet.
    tickets: Vec<(usize, Ticket)>,
    held: HeldReplies<(usize, Ticket)>,
}

/// The messages of a batch, as far as their senders are answered.
pub(super) struct Asked<'b, 'a> {
    pub(super) spans: &'b [EngineSpan<'a>],
    /// Those that are frames.
    pub(super) frames: &'b [Option<Frame<'a>>],
    /// The way back to the sender of the only message, where its first span was in an earlier batch.
    pub(super) opened: Option<&'b Route>,
}

impl Answers {
    pub(super) fn new(sink: ReplySink, shards: usize) -> Self {
        Self {
            sink,
            frames: ReplyBuilder::new(0),
            text: Vec::new(),
            one: Vec::new(),
            said: Vec::new(),
            values: Vec::new(),
            places: (0..shards).map(|_| Vec::new()).collect(),
            tickets: Vec::new(),
            held: HeldReplies::new(),
        }
    }

    /// Begins a batch of `steps`.
    pub(super) fn begin(&mut self, steps: usize) {
        self.said.clear();
        self.said.resize(steps, (Reply::Missing, 0, 0));
        self.values.clear();
        self.tickets.clear();
        self.places.iter_mut().for_each(Vec::clear);
    }

    /// Step `step` is the next in the list of `shard`.
    pub(super) fn place(&mut self, shard: usize, step: usize) {
        if let Some(places) = self.places.get_mut(shard) {
            places.push(step);
        }
    }

    /// Notes what shard `at` said to its list; `writes` are to be answered when they may be.
    pub(super) fn note(
        &mut self,
        (at, shard): (usize, &mut StoreShard),
        replies: &Replies,
        (ticket, writes): (Ticket, bool),
    ) {
        for (index, &step) in self.places[at].iter().enumerate() {
            let Some(reply) = replies.get(index) else { break };
            let start = self.values.len();
            if let Some(value) = replies.value(shard.shard(), index) {
                self.values.extend_from_slice(value);
            }
            self.said[step] = (reply, start, self.values.len());
        }
        if writes {
            // The end of a turn: what it wrote goes to disk as soon as that is free.
            if let StoreShard::Durable(shard) = shard {
                shard.commit();
            }
            if !shard.acknowledged(ticket) {
                self.tickets.push((at, ticket));
            }
        }
    }

    /// Writes the answers to `asks` and sends those that may go.
    pub(super) fn write(&mut self, asks: &[Ask], asked: &Asked<'_, '_>, counters: &mut KvCounters) {
        let mut held = Held { writes: Vec::new(), replies: Vec::new() };
        for asks in asks.chunk_by(|one, next| one.message == next.message) {
            let Some(Ask { message, .. }) = asks.first() else { continue };
            let span = asked.spans.get(*message);
            let route = match asked.opened {
                Some(route) => Some(*route),
                None => span.and_then(|span| self.sink.route(span)),
            };
            let Some(route) = route else {
                counters.no_way_back += asks.len() as u64;
                continue;
            };
            counters.answers += asks.len() as u64;
            let wait = !self.tickets.is_empty() && asks.iter().any(|ask| ask.form.of_write());
            let waiting = wait.then_some(&mut held.replies);
            match asked.frames.get(*message).copied().flatten() {
                Some(frame) => self.write_frame(asks, &frame, &route, waiting),
                None => self.write_text(asks, &route, waiting),
            }
        }
        if !held.replies.is_empty() {
            held.writes.extend_from_slice(&self.tickets);
            counters.replies_dropped += self.held.push(held);
        }
        self.sink.send();
    }

    fn write_frame(
        &mut self,
        asks: &[Ask],
        frame: &Frame<'_>,
        route: &Route,
        mut held: Option<&mut Vec<(Route, Vec<u8>)>>,
    ) {
        let Self { frames, sink, said, values, .. } = self;
        frames.limit(sink.room(route));
        let mut send = |bytes: &[u8]| emit(sink, route, bytes, held.as_deref_mut());
        for ask in asks {
            let Form::Operation { index, kind } = ask.form else { continue };
            let Some(&(reply, start, end)) = said.get(ask.first) else { continue };
            let outcome = Outcome { reply, value: values.get(start..end).unwrap_or_default() };
            frames.push(frame, (index, kind), (outcome.status(), outcome.value), &mut send);
        }
        frames.finish(frame, send);
    }

    /// Text goes in as few datagrams as whole answers allow.
    fn write_text(
        &mut self,
        asks: &[Ask],
        route: &Route,
        mut held: Option<&mut Vec<(Route, Vec<u8>)>>,
    ) {
        let room = self.sink.room(route);
        self.text.clear();
        for ask in asks {
            let said = self.said.get(ask.first..ask.first + ask.steps).unwrap_or_default();
            let outcomes = said.iter().map(|&(reply, start, end)| {
                let value = self.values.get(start..end).unwrap_or_default();
                Outcome { reply, value }
            });
            self.one.clear();
            ask.form.write(outcomes, &mut self.one);
            if self.one.len() > room {
                self.one.clear();
                ask.form.write_too_large(&mut self.one);
            }
            if self.text.len() + self.one.len() > room {
                emit(&mut self.sink, route, &self.text, held.as_deref_mut());
                self.text.clear();
            }
            self.text.extend_from_slice(&self.one);
        }
        if !self.text.is_empty() {
            emit(&mut self.sink, route, &self.text, held);
        }
    }

    /// Sends replies whose writes have become durable, in order.
    pub(super) fn release(&mut self, store: &SharedStore) {
        let is_durable = |&(at, ticket): &(usize, Ticket)| {
            store.shard(at).is_none_or(|shard| shard.acknowledged(ticket))
        };
        self.held.release(is_durable, &mut self.sink);
    }

    /// Forgets replies whose writes did not become durable; how many.
    pub(super) fn abandon(&mut self) -> u64 {
        self.held.abandon()
    }
}

fn emit(
    sink: &mut ReplySink,
    route: &Route,
    reply: &[u8],
    held: Option<&mut Vec<(Route, Vec<u8>)>>,
) {
    match held {
        Some(held) => held.push((*route, reply.to_vec())),
        None => sink.push(route, reply),
    }
}
