//! The plainest correct encoders: quadratic, and what every fast path is held against.

use std::collections::HashMap;

use crate::vocab::{Ranks, Unknown, VocabSource};

/// Byte-pair encoding of one piece by repeated search for the lowest-ranked pair, leftmost first.
///
/// Bytes without a token of their own are left out: BPE vocabularies have all 256.
#[must_use]
pub fn bpe_piece(source: &VocabSource, piece: &[u8]) -> Vec<u32> {
    let ids: HashMap<&[u8], u32> =
        source.tokens.iter().map(|(id, bytes)| (bytes.as_slice(), *id)).collect();
    if source.whole_piece_first
        && let Some(&id) = ids.get(piece)
    {
        return vec![id];
    }
    let bytes_of: HashMap<u32, &[u8]> =
        source.tokens.iter().map(|(id, bytes)| (*id, bytes.as_slice())).collect();
    let order: Option<HashMap<(u32, u32), usize>> = match &source.ranks {
        Ranks::ById => None,
        Ranks::Merges(list) => Some(list.iter().enumerate().map(|(i, &p)| (p, i)).rev().collect()),
    };
    let join = |left: u32, right: u32| -> Option<(usize, u32)> {
        let joined = [bytes_of[&left], bytes_of[&right]].concat();
        let id = *ids.get(joined.as_slice())?;
        match &order {
            None => Some((id as usize, id)),
            Some(order) => order.get(&(left, right)).map(|&rank| (rank, id)),
        }
    };
    let mut parts: Vec<u32> =
        piece.iter().filter_map(|b| ids.get(std::slice::from_ref(b)).copied()).collect();
    loop {
        let best = parts
            .windows(2)
            .enumerate()
            .filter_map(|(at, pair)| join(pair[0], pair[1]).map(|(rank, id)| (rank, at, id)))
            .min();
        let Some((_, at, id)) = best else { return parts };
        parts.splice(at..at + 2, [id]);
    }
}

/// Longest match from left to right over the whole text.
#[must_use]
pub fn greedy(source: &VocabSource, text: &[u8]) -> Vec<u32> {
    let ids: HashMap<&[u8], u32> =
        source.tokens.iter().map(|(id, bytes)| (bytes.as_slice(), *id)).collect();
    let longest = source.tokens.iter().map(|(_, bytes)| bytes.len()).max().unwrap_or(0);
    let added = added_bytes(source, &ids);
    let mut out = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        let hit =
            (1..=longest.min(rest.len())).rev().find_map(|n| Some((*ids.get(&rest[..n])?, n)));
        let (id, n) = hit.unwrap_or_else(|| match source.unknown {
            Unknown::AddBytes => (added[&rest[0]], 1),
            Unknown::Id(id) => (id, 1),
            Unknown::Crayon => (1, 1),
        });
        out.push(id);
        at += n;
    }
    out
}

/// The ids that [`Unknown::AddBytes`] gives: from the first free id above all others, in the order
/// of the bytes that lack a token.
fn added_bytes(source: &VocabSource, ids: &HashMap<&[u8], u32>) -> HashMap<u8, u32> {
    let ordinary = source.tokens.iter().map(|(id, _)| *id);
    let first = ordinary.chain(source.specials.iter().map(|s| s.id)).max().map_or(0, |id| id + 1);
    let lacking = (0..=255u8).filter(|b| !ids.contains_key(std::slice::from_ref(b)));
    lacking.zip(first..).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vocab::{Grammar, Mode};

    fn source(mode: Mode, unknown: Unknown, words: &[&str]) -> VocabSource {
        VocabSource {
            name: "test".into(),
            mode,
            tokens: (0..).zip(words.iter().map(|w| w.as_bytes().to_vec())).collect(),
            ranks: Ranks::ById,
            whole_piece_first: true,
            grammar: Grammar::Whole,
            specials: vec![],
            unknown,
        }
    }

    #[test]
    fn bpe_joins_the_lowest_rank_first_and_the_leftmost_of_equals() {
        let vocab = source(Mode::Bpe, Unknown::AddBytes, &["a", "b", "c", "bc", "ab", "aa"]);
        assert_eq!(bpe_piece(&vocab, b"abc"), [0, 3], "bc ranks before ab");
        assert_eq!(bpe_piece(&vocab, b"aaa"), [5, 0], "leftmost");
        assert_eq!(bpe_piece(&vocab, b"ab"), [4]);
    }

    #[test]
    fn greedy_takes_the_longest_and_marks_unknown_bytes() {
        let words = ["a", "ab", "abcd", "d"];
        let crayon = source(Mode::Greedy, Unknown::Crayon, &words);
        assert_eq!(greedy(&crayon, b"abcabcd"), [1, 1, 2]);
        let lossless = source(Mode::Greedy, Unknown::AddBytes, &words);
        assert_eq!(greedy(&lossless, &[b'a', 0, b'd', b'b']), [0, 4, 3, 4 + 97]);
    }
}
