//! Streams: text that comes in parts, cut anywhere.

use std::sync::Arc;

use super::round::{Round, Segment};
use super::sink::{Ids, Sink};
use super::special::special_id;
use super::{CHUNK, EncodeError, Encoder, SpecialPolicy};
use crate::bpe::Bpe;
use crate::greedy::GreedyStream;
use crate::split::SplitState;
use crate::stream::{Pieces, State, StreamState};
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
        self.push_with_specials(state, part, false, sink)
    }

    /// Ends the stream: appends the ids of what is kept, and leaves `state` ready for another text.
    pub fn finish(&mut self, state: &mut StreamState, ids: &mut Vec<u32>) {
        let sink = &mut Ids(ids);
        if state.held.is_some() {
            let ended = self.push_with_specials(state, &[], true, sink);
            debug_assert!(ended.is_ok(), "what is denied is told when it is pushed");
        }
        self.end(state, sink);
    }

    /// As [`Encoder::push`], where texts of special tokens are looked for.
    fn push_with_specials(
        &mut self,
        state: &mut StreamState,
        part: &[u8],
        last: bool,
        sink: &mut Ids<'_>,
    ) -> Result<usize, EncodeError> {
        let vocab = Arc::clone(&self.vocab);
        let Some(finder) = vocab.finder() else { return Ok(self.feed(state, part, sink)) };
        let mut joined = state.held.take().map_or_else(Vec::new, |held| *held);
        let before = joined.len() as i64;
        let text = if joined.is_empty() {
            part
        } else {
            joined.extend_from_slice(part);
            &joined
        };
        let open = if last { 0 } else { beginning_of_special(&vocab, text) };
        let sure = text.len() - open;
        let (mut start, mut flushes) = (0, 0);
        let deny = self.options.specials == SpecialPolicy::Deny;
        // A match that begins behind `sure` may yet become a longer one, which is denied alike.
        for found in finder.find_iter(text).take_while(|found| deny || found.start() < sure) {
            flushes += self.feed(state, &text[start..found.start()], sink);
            self.end(state, sink);
            if deny {
                let special = &vocab.specials[found.pattern().as_usize()];
                let offset = found.start() as i64 - before;
                return Err(EncodeError::Special { text: special.text.clone(), offset });
            }
            sink.one(special_id(&vocab, found.pattern()), found.len() as u32);
            start = found.end();
        }
        let sure = sure.max(start);
        flushes += self.feed(state, &text[start..sure], sink);
        state.held =
            Some(&text[sure..]).filter(|held| !held.is_empty()).map(|h| Box::new(h.to_vec()));
        Ok(flushes)
    }

    /// Encodes what is kept as the end of the text.
    fn end(&mut self, state: &mut StreamState, sink: &mut Ids<'_>) {
        let vocab = Arc::clone(&self.vocab);
        match (&vocab.engine, mode(state, &vocab)) {
            (Engine::Bpe(bpe), State::Bpe(pieces)) => self.end_pieces(&vocab, bpe, pieces, sink),
            (Engine::Greedy(greedy), State::Greedy(stream)) => greedy.finish(stream, sink.0),
            _ => {}
        }
    }

    fn end_pieces(
        &mut self,
        vocab: &Vocabulary,
        bpe: &Bpe,
        state: &mut Pieces,
        sink: &mut Ids<'_>,
    ) {
        self.cut(vocab, bpe, state, false, sink);
        state.carry.clear();
        state.doublings = 0;
    }

    /// Takes text without special tokens. Gives the number of forced ends.
    fn feed(&mut self, state: &mut StreamState, part: &[u8], sink: &mut Ids<'_>) -> usize {
        let vocab = Arc::clone(&self.vocab);
        match (&vocab.engine, mode(state, &vocab)) {
            (Engine::Bpe(bpe), State::Bpe(pieces)) => {
                return self.feed_pieces(&vocab, bpe, pieces, part, sink);
            }
            (Engine::Greedy(greedy), State::Greedy(stream)) => {
                let words = Some(&vocab.words);
                greedy.push(words, &mut self.greedy, stream, part, sink.0);
            }
            _ => {}
        }
        0
    }

    fn feed_pieces(
        &mut self,
        vocab: &Vocabulary,
        bpe: &Bpe,
        state: &mut Pieces,
        mut part: &[u8],
        sink: &mut Ids<'_>,
    ) -> usize {
        let mut flushes = 0;
        while !part.is_empty() {
            let kept = state.carry.len();
            if state.is_empty() {
                let (start, seen) = self.direct(vocab, bpe, &mut state.split, part, sink);
                state.carry.extend_from_slice(&part[start..seen]);
                part = &part[seen..];
            } else {
                let (now, rest) = part.split_at(part.len().min(FEED));
                state.carry.extend_from_slice(now);
                let consumed = self.cut(vocab, bpe, state, true, sink);
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
                self.end_pieces(vocab, bpe, state, sink);
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
        state: &mut Pieces,
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
    fn settle<S: Sink>(&mut self, bpe: &Bpe, state: &mut Pieces, sink: &mut S) {
        let firm = state.split.settled();
        if firm < bpe.block() << state.doublings {
            return;
        }
        let settled = bpe.settle(&state.carry[..firm], true, &mut self.scratch);
        if settled == 0 {
            state.doublings += 1;
            self.scratch.trim();
            return;
        }
        for &number in &self.scratch.numbers {
            sink.one(bpe.id(number), bpe.length(number) as u32);
        }
        self.scratch.trim();
        state.carry.drain(..settled);
        state.split.forget(settled);
        (state.inside, state.doublings) = (true, 0);
    }
}

/// The state by mode, which is that of `vocab`: a state that keeps nothing takes on any.
fn mode<'a>(state: &'a mut StreamState, vocab: &Vocabulary) -> &'a mut State {
    match (&vocab.engine, &state.mode) {
        (Engine::Bpe(_), State::Greedy(_)) => state.mode = State::Bpe(Pieces::default()),
        (Engine::Greedy(_), State::Bpe(_)) => state.mode = State::Greedy(GreedyStream::default()),
        _ => {}
    }
    &mut state.mode
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
