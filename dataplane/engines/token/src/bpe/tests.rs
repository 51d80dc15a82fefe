use proptest::prelude::*;

use crate::words::Key;

use super::*;
use crate::formats::sections::{SectionReader, SectionWriter, Stored};
use crate::naive;
use crate::split::Level;
use crate::vocab::{Grammar, Mode, Ranks, Unknown, VocabSource};

/// A vocabulary of all bytes and `words`; ids in that order.
pub(crate) fn source(words: &[Vec<u8>], ranks: Ranks, whole_piece_first: bool) -> VocabSource {
    let mut tokens: Vec<Vec<u8>> = (0..=255u8).map(|byte| vec![byte]).collect();
    for word in words {
        if !tokens.contains(word) {
            tokens.push(word.clone());
        }
    }
    VocabSource {
        name: "test".into(),
        mode: Mode::Bpe,
        tokens: (0..).zip(tokens).collect(),
        ranks,
        whole_piece_first,
        grammar: Grammar::Whole,
        specials: vec![],
        unknown: Unknown::AddBytes,
    }
}

/// Words over few letters, so that they overlap in every way.
fn words() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let letter = prop::sample::select(b"abc".to_vec());
    prop::collection::vec(prop::collection::vec(letter, 2..7), 1..40)
}

fn text(longest: usize) -> impl Strategy<Value = Vec<u8>> {
    let letter = prop::sample::select(b"aaabbcd".to_vec());
    prop::collection::vec(letter, 1..longest)
}

/// The ids of `piece` by all ways that there are.
fn all_ways(bpe: &Bpe, piece: &[u8]) -> Vec<Vec<u32>> {
    let ids = |numbers: &[u32]| numbers.iter().map(|&n| bpe.id(n)).collect::<Vec<_>>();
    let mut ways = vec![ids(&merge::merge_any(bpe, piece))];
    for level in Level::ALL.into_iter().filter(|level| level.is_available()) {
        let bpe = Bpe { level, ..bpe.clone() };
        if piece.len() <= WINDOW {
            ways.push(ids(&bpe.short(piece).iter().collect::<Vec<_>>()));
        }
        let words: Vec<&[u8]> = (1..=15).flat_map(|len| piece.chunks(len)).take(200).collect();
        let keys: Vec<Key> = words.iter().map(|word| Key::of(word)).collect();
        let which: Vec<u8> = (0..words.len() as u8).collect();
        let mut few = vec![Few::default(); words.len()];
        bpe.few(&keys, &which, &mut few);
        for (few, word) in few.iter().zip(words) {
            let expected = ids(&merge::merge_any(&bpe, word));
            assert_eq!(few.ids[..few.count as usize], expected, "{level:?}");
        }
        let mut scratch = Scratch::default();
        assert_eq!(bpe.settle(piece, false, &mut scratch), piece.len());
        ways.push(ids(&scratch.numbers));
        let mut numbers = vec![];
        if bpe.whole(piece, &mut scratch, &mut |some| numbers.extend_from_slice(some)) {
            ways.push(ids(&numbers));
        }
    }
    let mut prefixes = Prefixes::default();
    prefixes.fill(bpe, None, piece);
    let mut numbers = vec![];
    prefixes.tokens(bpe, piece.len(), &mut numbers);
    ways.push(ids(&numbers));
    ways
}

fn same_as_naive(source: &VocabSource, piece: &[u8]) {
    let bpe = Bpe::build(source).expect("a sound vocabulary");
    let mut merged_only = source.clone();
    merged_only.whole_piece_first = false;
    let expected = naive::bpe_piece(&merged_only, piece);
    for (way, ids) in all_ways(&bpe, piece).into_iter().enumerate() {
        assert_eq!(ids, expected, "way {way} of {:?}", piece.escape_ascii().to_string());
    }
}

proptest! {
    #[test]
    fn ranks_by_id(words in words(), text in text(150)) {
        same_as_naive(&source(&words, Ranks::ById, true), &text);
    }

    #[test]
    fn ranks_by_a_list_of_merges(words in words(), text in text(150), picks in any::<u64>()) {
        let plain = source(&words, Ranks::ById, true);
        let has = |bytes: &[u8]| plain.tokens.iter().find(|(_, b)| b == bytes).map(|(id, _)| *id);
        let mut list = vec![];
        for (at, (_, bytes)) in plain.tokens.iter().enumerate().filter(|(_, (_, b))| b.len() > 1) {
            for cut in 1..bytes.len() {
                let halves = has(&bytes[..cut]).zip(has(&bytes[cut..]));
                list.extend(halves.filter(|_| picks >> ((at + cut) % 64) & 1 == 0));
            }
        }
        list.sort_by_key(|&(l, r)| (u64::from(l) << 32 | u64::from(r)).wrapping_mul(picks | 1));
        same_as_naive(&source(&words, Ranks::Merges(list), false), &text);
    }

    #[test]
    fn what_is_settled_does_not_change(words in words(), text in text(1500), at in 0.0..1.0) {
        let bpe = Bpe::build(&source(&words, Ranks::ById, true)).expect("a sound vocabulary");
        let mut scratch = Scratch::default();
        let cut = (text.len() as f64 * at) as usize;
        let settled = bpe.settle(&text[..cut], true, &mut scratch);
        let mut numbers = scratch.numbers.clone();
        prop_assert_eq!(bpe.settle(&text[settled..], false, &mut scratch), text.len() - settled);
        numbers.extend(&scratch.numbers);
        prop_assert_eq!(numbers, merge::merge_any(&bpe, &text));
    }
}

#[test]
fn a_token_that_only_a_later_rank_leads_to() {
    // "abc" has a lower id than "ab", which it is made from.
    let words = [&b"abc"[..], b"ab", b"abcabc"].map(<[u8]>::to_vec);
    let source = source(&words, Ranks::ById, true);
    assert!(!Bpe::build(&source).unwrap().rising);
    same_as_naive(&source, b"abcababcabcabc");
    same_as_naive(&source, &b"abcabcab".repeat(30));
}

#[test]
fn a_whole_piece_is_handed_over_as_it_is_encoded() {
    let words: Vec<Vec<u8>> = (1..8).map(|n| vec![b'a'; 1 << n]).collect();
    let bpe = Bpe::build(&source(&words, Ranks::ById, true)).unwrap();
    let mut scratch = Scratch::default();
    let mut parts = vec![];
    let text = b"qz".repeat(3000);
    assert!(bpe.whole(&text, &mut scratch, &mut |some| parts.push(some.to_vec())));
    assert!(parts.len() > 2 && parts.iter().all(|part| part.len() <= 2200), "{}", parts.len());
    assert_eq!(parts.concat(), merge::merge_any(&bpe, &text));
    // Tokens of 128 letters fit into no window.
    let text = [text, vec![b'a'; 1000]].concat();
    assert!(!bpe.whole(&text, &mut scratch, &mut |_| {}));
}

#[test]
fn text_of_one_letter_settles_soon() {
    let words: Vec<Vec<u8>> = [2, 3, 4, 8, 16].map(|n| vec![b'a'; n]).to_vec();
    let bpe = Bpe::build(&source(&words, Ranks::ById, true)).unwrap();
    let mut scratch = Scratch::default();
    let settled = bpe.settle(&[b'a'; 4096], true, &mut scratch);
    assert!(settled > 3500, "{settled}");
}

#[test]
fn it_comes_back_from_its_file() {
    let words = [&b"ab"[..], b"abc", b"bc", b"abcd"].map(<[u8]>::to_vec);
    let bpe = Bpe::build(&source(&words, Ranks::ById, true)).unwrap();
    let mut writer = SectionWriter::new();
    bpe.write(&mut writer);
    let file = writer.finish().unwrap();
    let back = Bpe::read(&mut SectionReader::from_bytes(&file).unwrap()).unwrap();
    assert_eq!(all_ways(&back, b"abcdabcbc"), all_ways(&bpe, b"abcdabcbc"));
    for damage in [Damage::Half, Damage::Length, Damage::Shorter, Damage::Bytes] {
        let mut writer = SectionWriter::new();
        damaged(&bpe, damage).write(&mut writer);
        let file = writer.finish().unwrap();
        let read = Bpe::read(&mut SectionReader::from_bytes(&file).unwrap());
        assert!(read.is_err(), "{damage:?}");
    }
}

#[derive(Clone, Copy, Debug)]
enum Damage {
    Half,
    Length,
    Shorter,
    Bytes,
}

fn damaged(bpe: &Bpe, damage: Damage) -> Bpe {
    let mut bpe = bpe.clone();
    let change = |table: &Table<u32>, at: usize, value: u32| {
        let mut values = table.to_vec();
        values[at] = value;
        Table::from(values)
    };
    match damage {
        Damage::Half => {
            let mut halves = bpe.halves.to_vec();
            halves[256] = [u32::MAX, 0];
            bpe.halves = halves.into();
        }
        Damage::Length => bpe.lengths = change(&bpe.lengths, 257, 9),
        Damage::Shorter => bpe.shorter = change(&bpe.shorter, 257, 257),
        Damage::Bytes => bpe.bytes = change(&bpe.bytes, 5, 1 << 20),
    }
    bpe
}
