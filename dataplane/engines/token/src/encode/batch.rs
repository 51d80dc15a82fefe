//! Many short texts at once.

use super::round::{Round, Segment};
use super::sink::{Ids, Sink};
use super::{CHUNK, EncodeError, Encoder, SpecialPolicy};
use crate::greedy::Greedy;
use crate::split::SplitState;
use crate::vocabulary::{Engine, Vocabulary};
use std::sync::Arc;

/// Texts that are cut into pieces before the first is looked up.
const TEXTS: usize = 16;

impl Encoder {
    /// Appends the ids of each of `texts` to `ids`, and to `ends` the number of ids in `ids` after
    /// each text: the fetches of one text's words overlap with the work on others.
    ///
    /// # Errors
    /// As [`Encoder::encode_into`], at the first text that is refused; the ids of those before it
    /// have been appended, and `ends` says how many texts those are.
    pub fn encode_batch(
        &mut self,
        texts: &[&[u8]],
        ids: &mut Vec<u32>,
        ends: &mut Vec<u32>,
    ) -> Result<(), EncodeError> {
        let vocab = Arc::clone(&self.vocab);
        if self.options.specials != SpecialPolicy::AsText {
            return self.one_by_one(texts, ids, ends);
        }
        let bpe = match &vocab.engine {
            Engine::Bpe(bpe) => bpe,
            Engine::Greedy(greedy) => return self.batch_greedy(&vocab, greedy, texts, ids, ends),
        };
        let mut texts = texts;
        while !texts.is_empty() {
            let mut room = CHUNK;
            let fits = |text: &&&[u8]| {
                let fits = text.len() <= room;
                room = room.saturating_sub(text.len());
                fits
            };
            let short = texts.iter().take(TEXTS).take_while(fits).count();
            if short == 0 {
                let (long, rest) = texts.split_at(1);
                self.one_by_one(long, ids, ends)?;
                texts = rest;
                continue;
            }
            let (now, rest) = texts.split_at(short);
            texts = rest;
            self.ends.clear();
            let mut bounds = [0; TEXTS];
            for (text, bound) in now.iter().zip(&mut bounds) {
                self.splitter.resume(&mut SplitState::default(), text, false, &mut self.ends);
                *bound = self.ends.len();
            }
            let mut segments = [Segment { text: &[], start: 0, ends: &[] }; TEXTS];
            let mut first = 0;
            for ((text, bound), segment) in now.iter().zip(bounds).zip(&mut segments) {
                *segment = Segment { text, start: 0, ends: &self.ends[first..bound] };
                first = bound;
            }
            let mut round =
                Round { vocab: &vocab, bpe, keys: &mut self.keys, scratch: &mut self.scratch };
            let sink = &mut Ids(ids);
            round.run(&segments[..short], sink, |sink| ends.push(sink.len() as u32));
        }
        Ok(())
    }

    /// As [`Encoder::encode_batch`] by longest match; special tokens' texts are text.
    fn batch_greedy(
        &mut self,
        vocab: &Vocabulary,
        greedy: &Greedy,
        texts: &[&[u8]],
        ids: &mut Vec<u32>,
        ends: &mut Vec<u32>,
    ) -> Result<(), EncodeError> {
        let admitted = texts.iter().take_while(|text| self.admit(text).is_ok()).count();
        let (now, refused) = texts.split_at(admitted);
        greedy.encode_batch(Some(&vocab.words), &mut self.greedy, now, ids, ends);
        refused.first().map_or(Ok(()), |text| self.admit(text))
    }

    fn one_by_one(
        &mut self,
        texts: &[&[u8]],
        ids: &mut Vec<u32>,
        ends: &mut Vec<u32>,
    ) -> Result<(), EncodeError> {
        for text in texts {
            self.encode_into(text, ids)?;
            ends.push(ids.len() as u32);
        }
        Ok(())
    }
}
