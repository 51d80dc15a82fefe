//! Longest match over a text that comes in pieces.

use super::{Greedy, Scratch};
use crate::trie::Walk;
use crate::words::WordTable;

/// Where a stream stands: the bytes of the token that is not decided yet, and the walk over them.
///
/// Everything else has been given out. The carried bytes are fewer than those of the longest token.
#[derive(Clone, Debug, Default)]
pub struct GreedyStream {
    /// `None` exactly while no bytes are carried.
    walk: Option<Walk>,
    carry: Vec<u8>,
}

const _: () = assert!(size_of::<GreedyStream>() <= 64);

impl GreedyStream {
    /// Bytes of the token that is not decided yet.
    #[must_use]
    pub fn carry_len(&self) -> usize {
        self.carry.len()
    }
}

impl Greedy {
    /// Appends the ids that are decided by the stream so far and `text`, which follows it.
    ///
    /// All ids of a stream are those of the whole text, however it is cut.
    pub(crate) fn push(
        &self,
        words: Option<&WordTable>,
        scratch: &mut Scratch,
        stream: &mut GreedyStream,
        text: &[u8],
        ids: &mut Vec<u32>,
    ) {
        let Some(rest) = self.settle(stream, text, ids) else { return };
        // What follows the last certain boundary may grow; what precedes it cannot.
        let decided = self.pairs.last(rest).unwrap_or(0);
        self.encode_into(words, scratch, &rest[..decided], ids);
        self.open(stream, &rest[decided..], ids);
    }

    /// Appends the ids of what the stream still carries, as its text ends here. The stream can
    /// then take another text.
    pub(crate) fn finish(&self, stream: &mut GreedyStream, ids: &mut Vec<u32>) {
        self.each(&stream.carry, |id, _| ids.push(id));
        stream.carry.clear();
        stream.walk = None;
    }

    /// Takes the carried bytes on into `text` until a token ends in it. Gives what of `text` lies
    /// behind that token; `None` where all of it has been carried.
    fn settle<'t>(
        &self,
        stream: &mut GreedyStream,
        text: &'t [u8],
        ids: &mut Vec<u32>,
    ) -> Option<&'t [u8]> {
        let GreedyStream { walk, carry } = stream;
        let Some(mut now) = walk.take() else { return Some(text) };
        // Bytes of the carry that have been given out.
        let mut given = 0;
        let mut ended = self.trie.advance(&mut now, text);
        loop {
            if !ended {
                carry.drain(..given);
                carry.extend_from_slice(text);
                *walk = Some(now);
                return None;
            }
            ids.push(now.id);
            given += now.len.max(1) as usize;
            if given >= carry.len() {
                let rest = &text[given - carry.len()..];
                carry.clear();
                return Some(rest);
            }
            now = self.trie.start();
            ended = self.trie.advance(&mut now, &carry[given..]);
            ended = ended || self.trie.advance(&mut now, text);
        }
    }

    /// Appends the ids of `text`, as far as it decides them, and carries the rest.
    fn open(&self, stream: &mut GreedyStream, text: &[u8], ids: &mut Vec<u32>) {
        let mut at = 0;
        while at < text.len() {
            let mut walk = self.trie.start();
            if !self.trie.advance(&mut walk, &text[at..]) {
                stream.carry.extend_from_slice(&text[at..]);
                stream.walk = Some(walk);
                return;
            }
            ids.push(walk.id);
            at += walk.len.max(1) as usize;
        }
    }
}
