//! Streams: text that comes in parts, cut anywhere.

use std::sync::Arc;

use super::round::{Round, Segment};
use super::sink::{Ids, Sink};
use super::special::special_id;
use super::{CHUNK, EncodeError, Encoder, SpecialPolicy};
use crate::bpe::Bpe;
use crate::split::SplitState;
use crate::stream::StreamState;
use crate::vocabulary::{Engine, Vocabulary};

/// Bytes of a part that are added to the unfinished piece at once: enough to finish most.
const FEED: usize = 256;

impl Encoder {
    /// Takes the next part of the stream of `state`, and appends the ids that are decided to `ids`.
    /// The ids of all parts and of [`Encoder::finish`] are those of the whole text, however it is
    /// cut. Gives the number of times that the text was taken for ended because more than
    /// [`max_carry`](super::EncodeOptions::max_carry) bytes were undecided.
    ///
    /// # Errors
    /// The text contains a special token's text and the policy is [`SpecialPolicy::Deny`]. What
    /// precedes it has been encoded; the stream goes on behind it with the next push.
    pub fn push(
        &mut self,
        state: &mut StreamState,
        part: &[u8],
        ids: &mut Vec<u32>,
    ) -> Result<usize, EncodeError> {
        let sink = &mut Ids(ids);
        if self.options.specials == SpecialPolicy::AsText || self.vocab.specials.is_empty() {
            return Ok(self.feed(state, part, sink));
        }
        self.push_with_specials(state, part, sink)
    }

    /// Ends the stream: appends the ids of what is kept, and leaves `state` ready for another text.
    pub fn finish(&mut self, state: &mut StreamState, ids: &mut Vec<u32>) {
        let sink = &mut Ids(ids);
        let held = std::mem::take(&mut state.held);
        self.feed(state, &held, sink);
        self.end(state, sink);
    }

    /// As [`Encoder::push`], where texts of special tokens are looked for.
    fn push_with_specials<S: Sink>(
        &mut self,
        state: &mut StreamState,
        part: &[u8],
        sink: &mut S,
    ) -> Result<usize, EncodeError> {
        let vocab = Arc::clone(&self.vocab);
        let Some(finder) = vocab.finder() else { return Ok(self.feed(state, part, sink)) };
        let before = state.held.len() as i64;
        let mut joined = std::mem::take(&mut state.held);
        let text = if joined.is_empty() {
            part
        } else {
            joined.extend_from_slice(part);
            &joined
        };
        let sure = text.len() - beginning_of_special(&vocab, text);
        let (mut start, mut flushes) = (0, 0);
        // A match that begins behind `sure` may yet become a longer one.
        for found in finder.find_iter(text).take_while(|found| found.start() < sure) {
            flushes += self.feed(state, &text[start..found.start()], sink);
            self.end(state, sink);
            if self.options.specials == SpecialPolicy::Deny {
                let special = &vocab.specials[found.pattern().as_usize()];
                let offset = found.start() as i64 - before;
                return Err(EncodeError::Special { text: special.text.clone(), offset });
            }
            sink.one(special_id(&vocab, found.pattern()), found.len() as u32);
            start = found.end();
        }
        let sure = sure.max(start);
        flushes += self.feed(state, &text[start..sure], sink);
        state.held.extend_from_slice(&text[sure..]);
        Ok(flushes)
    }

    /// Encodes what is kept as the end of the text.
    fn end<S: Sink>(&mut self, state: &mut StreamState, sink: &mut S) {
        let vocab = Arc::clone(&self.vocab);
        let Engine::Bpe(bpe) = &vocab.engine else { return };
        self.cut(&vocab, bpe, state, false, sink);
        state.carry.clear();
        state.doublings = 0;
    }

    /// Takes text without special tokens. Gives the number of forced ends.
    fn feed<S: Sink>(&mut self, state: &mut StreamState, part: &[u8], sink: &mut S) -> usize {
        let vocab = Arc::clone(&self.vocab);
        let Engine::Bpe(bpe) = &vocab.engine else { return 0 };
        let mut flushes = 0;
        let mut part = part;
        while !part.is_empty() {
            let kept = state.carry.len();
            if state.is_empty() {
                let (start, seen) = self.direct(&vocab, bpe, &mut state.split, part, sink);
                state.carry.extend_from_slice(&part[start..seen]);
                part = &part[seen..];
            } else {
                let (now, rest) = part.split_at(part.len().min(FEED));
                state.carry.extend_from_slice(now);
                let consumed = self.cut(&vocab, bpe, state, true, sink);
                if consumed > 0 && consumed >= kept {
                    // What is left begins in this part: take it from there.
                    part = &part[consumed - kept..];
                    state.carry.clear();
                    state.split = SplitState::default();
                    continue;
                }
                state.carry.drain(..consumed);
                part = rest;
            }
            self.settle(bpe, state, sink);
            if self.options.max_carry.is_some_and(|most| state.carry.len() > most) {
                self.end(state, sink);
                flushes += 1;
            }
        }
        flushes
    }

    /// Encodes the decided pieces at the front of `part`, where the stream keeps nothing. Gives the
    /// bytes consumed and those looked at; `split` speaks of what is between.
    fn direct<S: Sink>(
        &mut self,
        vocab: &Vocabulary,
        bpe: &Bpe,
        split: &mut SplitState,
        part: &[u8],
        sink: &mut S,
    ) -> (usize, usize) {
        let (mut start, mut seen) = (0, 0);
        // A piece that goes on for long is carried, to be encoded as it comes.
        while seen < part.len() && seen - start < bpe.block() {
            seen = part.len().min(seen + CHUNK);
            self.ends.clear();
            let consumed = self.splitter.resume(split, &part[start..seen], true, &mut self.ends);
            let segment = Segment { text: part, start, ends: &self.ends };
            let (keys, scratch) = (&mut *self.keys, &mut self.scratch);
            Round { vocab, bpe, keys, scratch }.run(&[segment], sink, |_| {});
            start += consumed;
        }
        (start, seen)
    }

    /// Encodes the decided pieces of the carry. Gives the bytes consumed, which are still there.
    fn cut<S: Sink>(
        &mut self,
        vocab: &Vocabulary,
        bpe: &Bpe,
        state: &mut StreamState,
        more: bool,
        sink: &mut S,
    ) -> usize {
        self.ends.clear();
        let text = &state.carry;
        let consumed = self.splitter.resume(&mut state.split, text, more, &mut self.ends);
        let (keys, scratch) = (&mut *self.keys, &mut self.scratch);
        let mut round = Round { vocab, bpe, keys, scratch };
        let (mut start, mut ends) = (0, &mut self.ends[..]);
        if state.inside
            && let Some((first, others)) = std::mem::take(&mut ends).split_first_mut()
        {
            // The end of a piece whose beginning is encoded: no whole piece to look up.
            state.inside = false;
            round.merged(&text[..*first as usize], sink);
            others.iter_mut().for_each(|end| *end -= *first);
            (start, ends) = (*first as usize, others);
        }
        round.run(&[Segment { text, start, ends }], sink, |_| {});
        consumed
    }

    /// Encodes what is decided of a long unfinished piece.
    fn settle<S: Sink>(&mut self, bpe: &Bpe, state: &mut StreamState, sink: &mut S) {
        let firm = state.split.settled();
        if firm < bpe.block() << state.doublings {
            return;
        }
        let settled = bpe.settle(&state.carry[..firm], true, &mut self.scratch);
        if settled == 0 {
            state.doublings += 1;
            return;
        }
        for &number in &self.scratch.numbers {
            sink.one(bpe.id(number), bpe.length(number) as u32);
        }
        state.carry.drain(..settled);
        state.split.forget(settled);
        (state.inside, state.doublings) = (true, 0);
    }
}

/// Bytes at the end of `text` that the text of a special token begins with and goes on from.
fn beginning_of_special(vocab: &Vocabulary, text: &[u8]) -> usize {
    let specials = vocab.specials.iter().map(|special| special.text.as_bytes());
    let begins = |special: &[u8]| {
        let most = text.len().min(special.len() - 1);
        (1..=most).rev().find(|&len| text.ends_with(&special[..len])).unwrap_or(0)
    };
    specials.map(begins).max().unwrap_or(0)
}
