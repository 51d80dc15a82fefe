//! Segmenting the text by longest match, and counting, on several threads.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use foldhash::fast::FixedState;

use crate::trie::Trie;

/// Bytes that one thread takes at a time. No token reaches over the end of such a chunk, so that
/// counts do not depend on which thread took it.
const CHUNK: usize = 1 << 20;

/// Bytes of a stretch. A string that one stretch is full of says little of other texts.
const STRETCH: usize = 1 << 15;

/// How often two tokens stand side by side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Pair {
    /// Times that they do.
    pub(super) count: u32,
    /// Stretches in which they do.
    pub(super) spread: u32,
    /// The last stretch that counted, from 1; of no meaning once threads are summed up.
    last: u32,
}

/// Pairs of neighbours by both ids: left in the upper half.
pub(super) type Pairs = HashMap<u64, Pair, FixedState>;

/// What a segmentation counts.
#[derive(Debug, Default)]
pub(super) struct Counts {
    /// Times that each token is taken, by its index.
    pub(super) tokens: Vec<u64>,
    /// Empty unless asked for.
    pub(super) pairs: Pairs,
}

/// The text, cut into chunks: at a line break where one is in the second half of a chunk.
pub(super) fn chunks<'a>(texts: &[&'a [u8]]) -> Vec<&'a [u8]> {
    let mut chunks = Vec::new();
    for text in texts {
        let mut rest = *text;
        while rest.len() > CHUNK {
            let half = &rest[CHUNK / 2..CHUNK];
            let cut = memchr::memrchr(b'\n', half).map_or(CHUNK, |at| CHUNK / 2 + at + 1);
            let (chunk, after) = rest.split_at(cut);
            chunks.push(chunk);
            rest = after;
        }
        chunks.extend(Some(rest).filter(|rest| !rest.is_empty()));
    }
    chunks
}

/// Segments all chunks by longest match in `trie`, whose ids are below `len`.
///
/// Bytes without a token are left out, and no pair reaches over them.
pub(super) fn count(
    trie: &Trie,
    len: usize,
    chunks: &[&[u8]],
    pairs: bool,
    threads: usize,
) -> Counts {
    let next = AtomicUsize::new(0);
    let sum = Mutex::new(Counts { tokens: vec![0; len], pairs: Pairs::default() });
    std::thread::scope(|scope| {
        for _ in 0..threads.min(chunks.len()).max(1) {
            scope.spawn(|| {
                let mut own = Counts { tokens: vec![0; len], pairs: Pairs::default() };
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(chunk) = chunks.get(at) else { break };
                    one(trie, at, chunk, pairs, &mut own);
                }
                add(&mut sum.lock().unwrap_or_else(|poisoned| poisoned.into_inner()), own);
            });
        }
    });
    sum.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Counts a chunk. `chunk_at`: its index.
fn one(trie: &Trie, chunk_at: usize, chunk: &[u8], pairs: bool, counts: &mut Counts) {
    let mut at = 0;
    let mut last = None;
    while let Some(rest) = chunk.get(at..).filter(|rest| !rest.is_empty()) {
        let Some((id, len)) = trie.longest(rest) else {
            at += 1;
            last = None;
            continue;
        };
        at += len;
        counts.tokens[id as usize] += 1;
        if pairs {
            // Three equal tokens in a row have one pair to join, not two.
            let key = last.map(|left: u32| u64::from(left) << 32 | u64::from(id));
            if let Some(key) = key {
                // Chunks are shorter than this many stretches, so that no two share a number.
                let stretch = (chunk_at * (CHUNK / STRETCH + 1) + at / STRETCH + 1) as u32;
                let pair = counts.pairs.entry(key).or_default();
                pair.count += 1;
                pair.spread += u32::from(pair.last != stretch);
                pair.last = stretch;
            }
            let taken = last == Some(id) && key.is_some();
            last = if taken { None } else { Some(id) };
        }
    }
}

fn add(sum: &mut Counts, own: Counts) {
    for (total, count) in sum.tokens.iter_mut().zip(own.tokens) {
        *total += count;
    }
    if sum.pairs.is_empty() {
        sum.pairs = own.pairs;
        return;
    }
    for (key, pair) in own.pairs {
        let total = sum.pairs.entry(key).or_default();
        total.count = total.count.saturating_add(pair.count);
        total.spread = total.spread.saturating_add(pair.spread);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_and_pairs_are_counted_alike_by_any_number_of_threads() {
        let words: [&[u8]; 3] = [b"a", b"b", b"ab"];
        let trie = Trie::build((0..).zip(words)).unwrap();
        let text = b"abaaab\n".repeat(400_000);
        let chunks = chunks(&[&text, b"", b"b"]);
        assert!(chunks.len() > 3 && chunks.iter().all(|c| c.len() <= CHUNK));
        assert_eq!(chunks.concat().len(), text.len() + 1);
        let one = count(&trie, 3, &chunks, true, 1);
        // Each line is ab, a, a, ab, and a byte without a token.
        assert_eq!(one.tokens, [800_000, 1, 800_000]);
        assert_eq!(one.pairs[&(2 << 32)].count, 400_000, "ab a");
        assert_eq!(one.pairs[&0].count, 400_000, "a a");
        assert!(!one.pairs.contains_key(&(2 << 32 | 2)));
        for threads in [2, 7] {
            let many = count(&trie, 3, &chunks, true, threads);
            assert_eq!(many.tokens, one.tokens);
            let of = |pairs: &Pairs| -> std::collections::BTreeMap<u64, (u32, u32)> {
                pairs.iter().map(|(&key, pair)| (key, (pair.count, pair.spread))).collect()
            };
            assert_eq!(of(&many.pairs), of(&one.pairs));
        }
        assert!(count(&trie, 3, &chunks, false, 2).pairs.is_empty());
    }

    #[test]
    fn a_run_of_equals_is_joined_in_twos() {
        let trie = Trie::build([(0, &b"a"[..])]).unwrap();
        let counts = count(&trie, 1, &[b"aaaaa"], true, 1);
        assert_eq!((counts.pairs[&0].count, counts.pairs[&0].spread), (2, 1));
    }
}
