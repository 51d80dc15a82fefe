//! The trie against a map of its tokens.

use std::collections::HashMap;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

type Map = HashMap<Vec<u8>, u32>;

fn numbered(words: &[Vec<u8>]) -> impl Iterator<Item = (u32, &[u8])> {
    (0..).zip(words.iter().map(Vec::as_slice))
}

/// Words that share prefixes, of few letters or of all bytes.
fn words() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let few = vec(vec(prop_oneof![Just(b'a'), Just(b'b'), Just(0), Just(255)], 1..9), 0..60);
    let any = vec(vec(any::<u8>(), 1..5), 0..200);
    prop_oneof![few, any]
}

fn oracle(map: &Map, text: &[u8]) -> Option<(u32, usize)> {
    (1..=text.len()).rev().find_map(|n| Some((*map.get(&text[..n])?, n)))
}

proptest! {
    #[test]
    fn longest_match_is_the_maps(words in words(), text in vec(prop_oneof![Just(b'a'), Just(b'b'), Just(0), any::<u8>()], 0..40)) {
        let map: Map = words.iter().cloned().zip(0..).collect();
        let trie = Trie::build(numbered(&words)).unwrap();
        let mut texts = words.clone();
        texts.push(text);
        for text in texts.iter().flat_map(|t| (0..=t.len()).map(|at| &t[at..])) {
            prop_assert_eq!(trie.longest(text), oracle(&map, text));
            prop_assert_eq!(trie.get(text), map.get(text).copied());
        }
    }

    #[test]
    fn all_tokens_come_back_in_order(words in words()) {
        let mut map: Vec<(Vec<u8>, u32)> = words.iter().cloned().zip(0..).collect::<Map>().into_iter().collect();
        map.sort();
        let trie = Trie::build(numbered(&words)).unwrap();
        prop_assert_eq!(trie.len(), map.len());
        prop_assert_eq!(trie.longest_token(), words.iter().map(Vec::len).max().unwrap_or(0));
        prop_assert!(trie.tokens().eq(map.into_iter().map(|(bytes, id)| (id, bytes))));
    }

    #[test]
    fn a_walk_goes_on_where_it_was_cut(words in words(), text in vec(prop_oneof![Just(b'a'), Just(b'b')], 0..20), cut in 0usize..20) {
        let trie = Trie::build(numbered(&words)).unwrap();
        let (head, tail) = text.split_at(cut.min(text.len()));
        let mut walk = trie.start();
        if !trie.advance(&mut walk, head) {
            trie.advance(&mut walk, tail);
        }
        let found = (walk.len > 0).then_some((walk.id, walk.len as usize));
        prop_assert_eq!(found, trie.longest(&text));
    }

    #[test]
    fn version_2_arrays_hold_the_same_tokens(words in words()) {
        let arrays = v2::arrays(numbered(&words)).unwrap();
        let map: Map = words.iter().cloned().zip(0..).collect();
        prop_assert_eq!(arrays.values.iter().filter(|&&id| id >= 0).count(), map.len());
        prop_assert!(arrays.base.iter().all(|&base| base >= 1));
        for (word, id) in &map {
            let mut at = 0usize;
            for &byte in word {
                let next = arrays.base[at] as usize + usize::from(byte);
                prop_assert_eq!(arrays.check[next] as usize, at);
                at = next;
            }
            prop_assert_eq!(arrays.values[at], *id as i32);
        }
    }
}

/// Distinct words of a fixed pseudo-random sequence: letters, lengths 2 to 12.
fn many(count: usize) -> Vec<Vec<u8>> {
    let mut x = 0x9e37_79b9_7f4a_7c15u64;
    let mut next = move || {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        x
    };
    (0..count)
        .map(|_| {
            let len = 2 + next() % 6 + next() % 6;
            (0..len).map(|_| b'a' + (next() % 26 * (next() % 26) / 26) as u8).collect()
        })
        .collect()
}

#[test]
fn a_large_vocabulary_fills_its_cells_and_is_built_the_same_each_time() {
    let words = many(20_000);
    let trie = Trie::build(numbered(&words)).unwrap();
    let used = trie.cells.iter().skip(256).zip(256usize..).filter(|&(&c, at)| label(c) != at as u8);
    let fill = used.count() as f64 / (trie.cells.len() - 256) as f64;
    assert!(fill >= 0.9, "fill {fill}");
    let mut shuffled: Vec<_> = numbered(&words).collect();
    shuffled.reverse();
    shuffled.sort_by_key(|(id, _)| *id);
    assert_eq!(*Trie::build(shuffled).unwrap().cells, *trie.cells);
    let arrays = v2::arrays(numbered(&words)).unwrap();
    let used = arrays.check.iter().filter(|&&check| check >= 0).count();
    assert!(used as f64 / arrays.check.len() as f64 >= 0.8, "{used} of {}", arrays.check.len());
}

#[test]
fn a_trie_without_tokens_matches_nothing() {
    let trie = Trie::build([]).unwrap();
    assert!(trie.is_empty());
    assert_eq!(trie.longest_token(), 0);
    for text in [&b""[..], b"a", b"ab", b"\0\0\0"] {
        assert_eq!(trie.longest(text), None);
    }
    assert_eq!(trie.tokens().count(), 0);
}

#[test]
fn what_cannot_be_a_token_is_refused() {
    assert_eq!(Trie::build([(3, &b""[..])]).unwrap_err(), TrieError::EmptyToken { id: 3 });
    assert_eq!(Trie::build([(NO_ID, &b"a"[..])]).unwrap_err(), TrieError::ReservedId);
    let big = v2::arrays([(1 << 31, &b"a"[..])]).unwrap_err();
    assert_eq!(big, TrieError::IdTooLarge { id: 1 << 31 });
}

#[test]
fn of_equal_tokens_the_last_stays() {
    let trie = Trie::build([(1, &b"aa"[..]), (2, b"b"), (3, b"aa")]).unwrap();
    assert_eq!(trie.get(b"aa"), Some(3));
    assert_eq!(trie.len(), 2);
}
