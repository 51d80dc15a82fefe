//! Longest match in all ways against the plain one.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::naive;
use crate::vocab::{Grammar, Mode, Ranks, Special};

fn source(words: &[Vec<u8>], unknown: Unknown) -> VocabSource {
    let mut seen = std::collections::HashSet::new();
    let distinct = words.iter().filter(|word| seen.insert(word.as_slice())).cloned();
    VocabSource {
        name: "test".into(),
        mode: Mode::Greedy,
        tokens: (0..).zip(distinct).collect(),
        ranks: Ranks::ById,
        whole_piece_first: true,
        grammar: Grammar::Whole,
        specials: vec![Special { id: 70_000, text: "<|end|>".into() }],
        unknown,
    }
}

fn unknowns() -> impl Strategy<Value = Unknown> {
    prop_oneof![Just(Unknown::AddBytes), Just(Unknown::Crayon), Just(Unknown::Id(90_000))]
}

fn letter() -> impl Strategy<Value = u8> {
    prop_oneof![4 => Just(b'a'), 2 => Just(b'b'), 2 => Just(b' '), 1 => Just(b'.'), 1 => any::<u8>()]
}

/// Vocabularies: few letters, chains of prefixes, all bytes, one byte, none.
fn words() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let chain = (vec(letter(), 1..40), vec(any::<prop::sample::Index>(), 1..8));
    prop_oneof![
        vec(vec(letter(), 1..7), 1..60),
        vec(vec(any::<u8>(), 1..4), 0..200),
        chain.prop_map(|(word, ends)| {
            ends.iter().map(|end| word[..=end.index(word.len())].to_vec()).collect()
        }),
        Just((0..=255u8).map(|byte| vec![byte]).collect()),
        any::<u8>().prop_map(|byte| vec![vec![byte]]),
        Just(vec![]),
    ]
}

/// Texts: letters one by one, words of the vocabulary, runs.
fn text(words: Vec<Vec<u8>>) -> impl Strategy<Value = (Vec<Vec<u8>>, Vec<u8>)> {
    let from = words.clone();
    let parts = vec((any::<prop::sample::Index>(), letter(), 0usize..30, 0u8..4), 0..150);
    let text = parts.prop_map(move |parts| {
        let mut text = Vec::new();
        for (index, letter, run, kind) in parts {
            match kind {
                0 | 1 if !from.is_empty() => text.extend(&from[index.index(from.len())]),
                2 => text.extend(std::iter::repeat_n(letter, run)),
                _ => text.push(letter),
            }
        }
        text
    });
    (Just(words), text)
}

fn cases() -> impl Strategy<Value = (Vec<Vec<u8>>, Vec<u8>)> {
    words().prop_flat_map(text)
}

fn table(greedy: &Greedy, words: &[&[u8]]) -> WordTable {
    let mut builder = Builder::default();
    greedy.words(words.iter().copied(), &mut builder);
    builder.build()
}

/// All encoders of a level, held against `want`.
fn hold(
    greedy: &Greedy,
    words: Option<&WordTable>,
    text: &[u8],
    want: &[u32],
    cuts: &[usize],
) -> Result<(), TestCaseError> {
    let (mut scratch, mut ids) = (Scratch::default(), vec![]);
    greedy.encode_into(words, &mut scratch, text, &mut ids);
    prop_assert_eq!(&ids, want, "encode_into at {:?}", greedy.level);
    prop_assert_eq!(greedy.count(words, &mut scratch, text), want.len());
    ids.clear();
    let mut end = 0;
    greedy.each(text, |id, len| {
        ids.push(id);
        end += len as usize;
    });
    prop_assert_eq!((&ids[..], end), (want, text.len()));
    ids.clear();
    let mut stream = GreedyStream::default();
    let mut at = 0;
    for cut in cuts.iter().copied().chain([text.len()]) {
        let cut = cut.clamp(at, text.len());
        greedy.push(words, &mut scratch, &mut stream, &text[at..cut], &mut ids);
        prop_assert!(stream.carry_len() < greedy.trie.longest_token());
        prop_assert_eq!(&ids[..], &want[..ids.len()]);
        at = cut;
    }
    greedy.finish(&mut stream, &mut ids);
    prop_assert_eq!((&ids[..], stream.carry_len()), (want, 0), "stream at {:?}", greedy.level);
    Ok(())
}

/// How many cases a property is tried with: PFS_TEST_CASES, or few.
fn config() -> ProptestConfig {
    let cases = std::env::var("PFS_TEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(100);
    ProptestConfig { cases, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn every_way_gives_the_plain_ids(
        (words, text) in cases(),
        unknown in unknowns(),
        cuts in vec(0usize..600, 0..20),
    ) {
        let source = source(&words, unknown);
        let want = naive::greedy(&source, &text);
        let mut cuts = cuts;
        cuts.sort_unstable();
        let mut greedy = Greedy::compile(&source).unwrap();
        let table = table(&greedy, &[b"ab ", b"aab", b" b.", b"bab"]);
        for level in Level::available() {
            greedy.level = level;
            hold(&greedy, None, &text, &want, &cuts)?;
            hold(&greedy, Some(&table), &text, &want, &cuts)?;
        }
    }

    #[test]
    fn single_bytes_pushed_give_the_plain_ids((words, text) in cases(), unknown in unknowns()) {
        let source = source(&words, unknown);
        let all: Vec<usize> = (0..text.len()).collect();
        hold(&Greedy::compile(&source).unwrap(), None, &text, &naive::greedy(&source, &text), &all)?;
    }
}

/// Several blocks, and the ends of texts at every distance from a block's.
#[test]
fn long_texts_are_joined_from_their_blocks() {
    let words: Vec<Vec<u8>> =
        [&b" the"[..], b" a", b" cat", b"s", b" sat", b"on", b" on", b".\n", b" th", b" ca", b"t"]
            .map(<[u8]>::to_vec)
            .into();
    let source = source(&words, Unknown::AddBytes);
    let mut text = Vec::new();
    let mut x = 1u32;
    while text.len() < 40_000 {
        x = x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        text.extend_from_slice(&words[(x >> 16) as usize % words.len()]);
        if x >> 24 == 7 {
            text.extend(std::iter::repeat_n(b's', 3000));
        }
    }
    let mut greedy = Greedy::compile(&source).unwrap();
    let table = table(&greedy, &[b" scat", b" cats"]);
    for level in Level::available() {
        greedy.level = level;
        for len in [0, 1, 255, 256, 257, 300, 12_287, 12_288, 12_300, 12_305, 24_600, text.len()] {
            let want = naive::greedy(&source, &text[..len]);
            hold(&greedy, None, &text[..len], &want, &[5, 4000, 4001, 20_000]).unwrap();
            hold(&greedy, Some(&table), &text[..len], &want, &[17, 9000]).unwrap();
        }
    }
}

#[test]
fn runs_of_one_letter_are_exact_at_every_length() {
    let words: Vec<Vec<u8>> = [1, 2, 4, 8, 16, 31].map(|n| vec![b'a'; n]).into();
    let source = source(&words, Unknown::AddBytes);
    let greedy = Greedy::compile(&source).unwrap();
    let table = table(&greedy, &[]);
    for len in (0..300).chain([1023, 1024, 1025, 5000]) {
        let mut text = vec![b'a'; len];
        hold(&greedy, Some(&table), &text, &naive::greedy(&source, &text), &[100]).unwrap();
        text.extend(b"baaaaaaaaaaaaab");
        hold(&greedy, Some(&table), &text, &naive::greedy(&source, &text), &[100]).unwrap();
    }
}

#[test]
fn crayons_unknown_byte_is_id_1_once_per_byte() {
    let words = [b"a".to_vec(), b"ttle".to_vec()];
    let greedy = Greedy::compile(&source(&words, Unknown::Crayon)).unwrap();
    let mut ids = vec![];
    greedy.encode_into(None, &mut Scratch::default(), "a世ttle\n".as_bytes(), &mut ids);
    assert_eq!(ids, [0, 1, 1, 1, 1, 1]);
}

#[test]
fn what_was_written_is_read_again_and_a_byte_without_token_is_refused() {
    let words = [b"ab".to_vec(), b"b".to_vec()];
    let greedy = Greedy::compile(&source(&words, Unknown::AddBytes)).unwrap();
    let store = |greedy: &Greedy| {
        let mut writer = SectionWriter::new();
        greedy.write(&mut writer);
        Greedy::read(&mut SectionReader::from_bytes(&writer.finish().unwrap()).unwrap())
    };
    let again = store(&greedy).unwrap();
    let (mut a, mut b) = (vec![], vec![]);
    greedy.encode_into(None, &mut Scratch::default(), b"abbacab", &mut a);
    again.encode_into(None, &mut Scratch::default(), b"abbacab", &mut b);
    assert_eq!(a, b);
    assert_eq!(again.unknown, None);
    let lacking = Greedy { trie: Trie::build([(0, &b"ab"[..])]).unwrap(), ..greedy.clone() };
    assert!(store(&lacking).unwrap_err().to_string().contains("no token for byte 0"));
    let cut = Greedy { pairs: CertainPairs::from_tokens([]), ..greedy };
    assert!(store(&cut).unwrap_err().to_string().contains("a pair of token 0"));
}

#[test]
fn offsets_are_those_of_the_tokens_whatever_ids_unknown_bytes_share() {
    let words = [b"a".to_vec(), b"ttle".to_vec(), b" a".to_vec(), b"tt".to_vec()];
    for unknown in [Unknown::AddBytes, Unknown::Crayon, Unknown::Id(90_000)] {
        let source = source(&words, unknown);
        let vocab = crate::Vocabulary::compile(&source).unwrap();
        let mut encoder = crate::Encoder::new(std::sync::Arc::new(vocab));
        let greedy = Greedy::compile(&source).unwrap();
        let text = "a ttle tt a世\nttl att".repeat(200);
        let (mut ids, mut ends, mut want, mut end) = (vec![], vec![], vec![], 0);
        encoder.encode_with_offsets(text.as_bytes(), &mut ids, &mut ends).unwrap();
        greedy.each(text.as_bytes(), |id, len| {
            end += len;
            want.push((id, end));
        });
        assert_eq!(ids.into_iter().zip(ends).collect::<Vec<_>>(), want, "{unknown:?}");
        let mut writer = SectionWriter::new();
        greedy.write(&mut writer);
        let file = writer.finish().unwrap();
        let again = Greedy::read(&mut SectionReader::from_bytes(&file).unwrap()).unwrap();
        assert_eq!(again.unknown, greedy.unknown, "{unknown:?}");
    }
}

#[test]
fn a_batch_is_its_texts_one_by_one() {
    let words: Vec<Vec<u8>> =
        [&b" the"[..], b" cat", b"s", b" sa", b"t ", b"on"].map(<[u8]>::to_vec).into();
    let source = source(&words, Unknown::AddBytes);
    let mut greedy = Greedy::compile(&source).unwrap();
    let table = table(&greedy, &[b" cats"]);
    let all = b" the cats sat on  the zzz other cat, on and on;".repeat(900);
    let run = [b'q'; 7000];
    let lens = [0, 1, 15, 16, 17, 1400, 1400, 1399, 0, 60, 5000, 13_000, 2];
    let mut texts: Vec<&[u8]> = lens.iter().map(|&len| &all[..len]).collect();
    texts.insert(5, &run);
    for level in Level::available() {
        greedy.level = level;
        for words in [None, Some(&table)] {
            let (mut ids, mut ends, mut want) = (vec![7], vec![], vec![7]);
            greedy.encode_batch(words, &mut Scratch::default(), &texts, &mut ids, &mut ends);
            for (text, end) in texts.iter().zip(&ends) {
                want.extend(naive::greedy(&source, text));
                assert_eq!(*end as usize, want.len());
            }
            assert_eq!((ids, ends.len()), (want, texts.len()), "{level:?}");
        }
    }
}
