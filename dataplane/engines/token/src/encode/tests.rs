use std::sync::{Arc, LazyLock};

use proptest::prelude::*;

use super::*;
use crate::naive;
use crate::split::Splitter;
use crate::vocab::{Grammar, Mode, Ranks, Special, Unknown, VocabSource, shipped};
use crate::{StreamState, Vocabulary};

static CL100K: LazyLock<Arc<Vocabulary>> = LazyLock::new(|| open("cl100k_base"));

fn open(name: &str) -> Arc<Vocabulary> {
    Arc::new(Vocabulary::open(name).expect("it is shipped"))
}

/// A vocabulary over few letters, blanks and digits.
fn small(words: &[Vec<u8>], grammar: Grammar, mode: Mode) -> VocabSource {
    let mut tokens: Vec<Vec<u8>> = (0..=255u8).map(|byte| vec![byte]).collect();
    words.iter().for_each(|word| {
        if !tokens.contains(word) {
            tokens.push(word.clone());
        }
    });
    let specials = [(9000, "<|end|>"), (9001, "<|end|>x"), (9002, "ab<")];
    VocabSource {
        name: "test".into(),
        mode,
        tokens: (0..).map(|n| n * 3 + 1).zip(tokens).collect(),
        ranks: Ranks::ById,
        whole_piece_first: true,
        grammar,
        specials: specials.map(|(id, text)| Special { id, text: text.into() }).to_vec(),
        unknown: Unknown::AddBytes,
    }
}

fn compiled(source: &VocabSource) -> Arc<Vocabulary> {
    let words: [&[u8]; 3] = [b" abab", b"ba", b"aabbaabb"];
    Arc::new(Vocabulary::compile_with_words(source, words).expect("a sound source"))
}

/// Piece by piece with the plain encoder.
fn plainly(source: &VocabSource, text: &[u8]) -> Vec<u32> {
    if source.mode == Mode::Greedy {
        return naive::greedy(source, text);
    }
    let mut ends = vec![];
    Splitter::new(source.grammar).split(text, false, &mut ends);
    let mut ids = vec![];
    let mut start = 0;
    for end in ends {
        ids.extend(naive::bpe_piece(source, &text[start..end as usize]));
        start = end as usize;
    }
    ids
}

fn encoded(vocab: &Arc<Vocabulary>, text: &[u8]) -> Vec<u32> {
    let mut ids = vec![];
    Encoder::new(Arc::clone(vocab)).encode_into(text, &mut ids).expect("text is text");
    ids
}

/// `text` in parts that end at `cuts`.
fn streamed(encoder: &mut Encoder, text: &[u8], cuts: &[usize]) -> Vec<u32> {
    let (mut state, mut ids, mut start) = (StreamState::default(), vec![], 0);
    for &cut in cuts {
        let cut = cut.clamp(start, text.len());
        encoder.push(&mut state, &text[start..cut], &mut ids).expect("allowed");
        start = cut;
    }
    encoder.push(&mut state, &text[start..], &mut ids).expect("allowed");
    encoder.finish(&mut state, &mut ids);
    assert!(state.is_empty());
    ids
}

fn words() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let letter = prop::sample::select(b"aab 1\n".to_vec());
    prop::collection::vec(prop::collection::vec(letter, 2..7), 1..30)
}

fn text(longest: usize) -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        8 => prop::sample::select(vec!["a", "b", "ab", " ", "a", "1", "\n", "é", "<|end|>", "x"])
            .prop_map(|part| part.as_bytes().to_vec()),
        1 => any::<u8>().prop_map(|byte| vec![byte]),
    ];
    prop::collection::vec(part, 0..longest).prop_map(|parts| parts.concat())
}

fn any_source() -> impl Strategy<Value = VocabSource> {
    let grammar = prop::sample::select(vec![
        Grammar::Whole,
        Grammar::R50k,
        Grammar::Cl100k { digits: 3 },
        Grammar::O200k,
    ]);
    let mode = prop::sample::select(vec![Mode::Bpe, Mode::Bpe, Mode::Greedy]);
    (words(), grammar, mode).prop_map(|(words, grammar, mode)| small(&words, grammar, mode))
}

proptest! {
    #[test]
    fn all_ways_of_encoding_agree_with_the_plain_one(source in any_source(), text in text(200)) {
        let vocab = compiled(&source);
        let expected = plainly(&source, &text);
        let mut encoder = Encoder::new(Arc::clone(&vocab));
        let (mut ids, mut ends) = (vec![], vec![]);
        encoder.encode_with_offsets(&text, &mut ids, &mut ends).unwrap();
        prop_assert_eq!(&ids, &expected);
        prop_assert_eq!(encoded(&vocab, &text), &expected[..]);
        prop_assert_eq!(encoder.count(&text).unwrap(), expected.len());
        let mut start = 0;
        for (&id, &end) in ids.iter().zip(&ends) {
            prop_assert_eq!(vocab.token(id), Some(&text[start as usize..end as usize]));
            start = end;
        }
        prop_assert_eq!(start as usize, text.len());
        let mut back = vec![];
        vocab.decode_into(&ids, &mut back).unwrap();
        prop_assert_eq!(back, text);
    }

    #[test]
    fn streams_agree_with_whole_texts(
        source in any_source(), text in text(400), mut cuts in prop::collection::vec(0..900usize, 0..9),
    ) {
        let vocab = compiled(&source);
        cuts.sort_unstable();
        for specials in [SpecialPolicy::AsText, SpecialPolicy::Allow] {
            let options = EncodeOptions { specials, ..EncodeOptions::default() };
            let mut encoder = Encoder::with(Arc::clone(&vocab), options);
            let mut whole = vec![];
            encoder.encode_into(&text, &mut whole).unwrap();
            prop_assert_eq!(streamed(&mut encoder, &text, &cuts), &whole[..]);
            let every: Vec<usize> = (0..text.len()).collect();
            prop_assert_eq!(streamed(&mut encoder, &text, &every), whole);
        }
    }

    #[test]
    fn batches_agree_with_single_texts(
        source in any_source(), texts in prop::collection::vec(text(60), 0..40),
    ) {
        let vocab = compiled(&source);
        let slices: Vec<&[u8]> = texts.iter().map(Vec::as_slice).collect();
        let (mut ids, mut ends) = (vec![], vec![]);
        let mut encoder = Encoder::new(Arc::clone(&vocab));
        encoder.encode_batch(&slices, &mut ids, &mut ends).unwrap();
        prop_assert_eq!(ends.len(), texts.len());
        let mut start = 0;
        for (text, &end) in texts.iter().zip(&ends) {
            prop_assert_eq!(&ids[start..end as usize], encoded(&vocab, text));
            start = end as usize;
        }
        prop_assert_eq!(start, ids.len());
    }

    #[test]
    fn any_bytes_round_trip(text in prop::collection::vec(any::<u8>(), 0..3000)) {
        let ids = encoded(&CL100K, &text);
        let mut back = vec![];
        CL100K.decode_into(&ids, &mut back).unwrap();
        prop_assert_eq!(&back, &text);
        let mut encoder = Encoder::new(Arc::clone(&CL100K));
        prop_assert_eq!(streamed(&mut encoder, &text, &[7, 8, 500, 1000]), ids);
    }
}

#[test]
fn known_ids() {
    let long = format!("{}\n", "=".repeat(200));
    let texts = ["Hello, world!", " tokenizer", "naïve café — 世界\n\n  x=12345;", &long];
    let source = shipped("cl100k_base").unwrap();
    assert_eq!(encoded(&CL100K, b"Hello, world!"), [9906, 11, 1917, 0]);
    for text in texts {
        assert_eq!(encoded(&CL100K, text.as_bytes()), plainly(&source, text.as_bytes()), "{text}");
    }
}

#[test]
fn special_tokens_by_policy() {
    let mut ids = vec![];
    let text = b"a<|endoftext|>b";
    let with = |specials| {
        let options = EncodeOptions { specials, ..EncodeOptions::default() };
        Encoder::with(Arc::clone(&CL100K), options)
    };
    with(SpecialPolicy::Allow).encode_into(text, &mut ids).unwrap();
    assert_eq!(ids, [64, 100_257, 65]);
    let error = with(SpecialPolicy::Deny).encode_into(text, &mut ids).unwrap_err();
    assert!(matches!(error, EncodeError::Special { offset: 1, .. }));
    assert_eq!(ids.len(), 3, "nothing was appended");
    let mut state = StreamState::default();
    let mut deny = with(SpecialPolicy::Deny);
    assert_eq!(deny.push(&mut state, &text[..6], &mut ids), Ok(0));
    let error = deny.push(&mut state, &text[6..], &mut ids).unwrap_err();
    assert!(matches!(error, EncodeError::Special { offset: -5, .. }), "{error:?}");
    assert!(encoded(&CL100K, text).len() > 3, "text by default");

    let source = small(&[], Grammar::Whole, Mode::Bpe);
    let options = EncodeOptions { specials: SpecialPolicy::Deny, ..EncodeOptions::default() };
    let mut deny = Encoder::with(compiled(&source), options);
    let whole = deny.push(&mut StreamState::default(), b"<|end|>", &mut ids);
    assert!(whole.is_err(), "though it might become a longer one");
}

/// Long pieces without a certain boundary, and what they must not cost: these sizes would take
/// hours in quadratic time with an unoptimized build.
#[test]
fn long_pieces_are_linear_and_exact() {
    let mut state = 1u32;
    let mut letter = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        b'a' + (state >> 24) as u8 % 26
    };
    let random: Vec<u8> = (0..65_536).map(|_| letter()).collect();
    for text in [vec![b'a'; 1 << 20], random, b"ab".repeat(40_000), b"=".repeat(100_000)] {
        let ids = encoded(&CL100K, &text);
        let mut back = vec![];
        CL100K.decode_into(&ids, &mut back).unwrap();
        assert_eq!(back, text);
        let mut encoder = Encoder::new(Arc::clone(&CL100K));
        let cuts: Vec<usize> = (0..text.len()).step_by(97).collect();
        assert_eq!(streamed(&mut encoder, &text, &cuts), ids);
    }
}

/// Tokens of more than a window come right by no windows, which shows only when many tokens before
/// them have been handed over.
#[test]
fn what_went_astray_is_taken_back() {
    let words: Vec<Vec<u8>> = (1..8).map(|n| vec![b'x'; 1 << n]).collect();
    let source = small(&words, Grammar::Whole, Mode::Bpe);
    let text = [b"qz".repeat(3000), vec![b'x'; 1000], b"q".repeat(9)].concat();
    let expected = naive::bpe_piece(&source, &text);
    let mut encoder = Encoder::new(compiled(&source));
    let (mut ids, mut ends) = (vec![5, 6], vec![1, 2]);
    encoder.encode_with_offsets(&text, &mut ids, &mut ends).unwrap();
    assert_eq!(ids[..2], [5, 6]);
    assert_eq!(ids[2..], expected);
    assert_eq!((ends.len(), ends.last()), (ids.len(), Some(&(text.len() as u32))));
    assert!(ends[2..].is_sorted());
    assert_eq!(encoder.count(&text), Ok(expected.len()));
    assert_eq!(encoded(encoder.vocabulary(), &text), expected);
}

#[test]
fn a_limited_carry_is_kept_and_told() {
    let options = EncodeOptions { max_carry: Some(100), ..EncodeOptions::default() };
    let mut encoder = Encoder::with(Arc::clone(&CL100K), options);
    let (mut state, mut ids, mut flushes) = (StreamState::default(), vec![], 0);
    for _ in 0..1000 {
        flushes += encoder.push(&mut state, b"abcdefg", &mut ids).unwrap();
        assert!(state.carry_len() <= 100);
    }
    encoder.finish(&mut state, &mut ids);
    assert_eq!(flushes, 66);
    let mut back = vec![];
    CL100K.decode_into(&ids, &mut back).unwrap();
    assert_eq!(back, b"abcdefg".repeat(1000));
}

#[test]
fn steady_state_keeps_its_buffers() {
    let mut encoder = Encoder::new(Arc::clone(&CL100K));
    let text = b"The quick brown fox, 12 times.\n".repeat(300);
    let mut ids = vec![];
    encoder.encode_into(&text, &mut ids).unwrap();
    let before = (ids.capacity(), encoder.ends.capacity());
    for _ in 0..3 {
        ids.clear();
        encoder.encode_into(&text, &mut ids).unwrap();
    }
    assert_eq!((ids.capacity(), encoder.ends.capacity()), before);
}

#[test]
fn what_is_learned_changes_no_ids() {
    let mut state = 7u32;
    let mut any = |below: u32| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 16) % below
    };
    let mut text = vec![];
    for _ in 0..20_000 {
        text.push(b' ');
        let letters = 1 + any(9);
        text.extend((0..letters).map(|_| b"etaoinzq"[any(8) as usize]));
    }
    let expected = encoded(&CL100K, &text);
    for bytes in [0, 32, 1000, EncodeOptions::LEARN] {
        let options = EncodeOptions { learn: Some(bytes), ..EncodeOptions::default() };
        let mut learning = Encoder::with(Arc::clone(&CL100K), options);
        let before = learning.memory();
        for _ in 0..2 {
            let mut ids = vec![];
            learning.encode_into(&text, &mut ids).unwrap();
            assert_eq!(ids, expected, "{bytes} bytes");
            assert_eq!(streamed(&mut learning, &text, &[5000, 5001]), expected);
        }
        assert!(learning.memory() <= before + 1024, "no more than at the beginning");
        assert!(bytes == 0 || learning.keys.has_learned());
    }
    let mut plain = Encoder::new(Arc::clone(&CL100K));
    assert_eq!(plain.count(&text), Ok(expected.len()));
    assert!(!plain.keys.has_learned(), "nothing by default");
}

#[test]
fn an_encoder_keeps_to_64_kib() {
    let mut state = 1u32;
    let mut letter = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        b'a' + (state >> 24) as u8 % 26
    };
    let random: Vec<u8> = (0..65_536).map(|_| letter()).collect();
    let texts =
        [vec![b'a'; 1 << 16], random, b"!a ".repeat(20_000), "\u{4e16}".repeat(9000).into()];
    let mut encoder = Encoder::new(Arc::clone(&CL100K));
    let (mut ids, mut ends) = (vec![], vec![]);
    for text in &texts {
        let packets: Vec<&[u8]> = text.chunks(100).collect();
        encoder.encode_into(text, &mut ids).unwrap();
        encoder.encode_batch(&packets, &mut ids, &mut ends).unwrap();
        streamed(&mut encoder, text, &[3, 20_000]);
        assert!(encoder.memory() <= 64 << 10, "{}", encoder.memory());
    }
}
