//! Bodies of the fuzz targets of the encoder, shared with the tests that replay their corpora.
//!
//! Each takes bytes as the fuzzer makes them and panics when a promise is broken. Those of the
//! vocabulary files that hold no tables are in [`crate::formats::fuzzing`].

use std::sync::{Arc, OnceLock};

use crate::formats::sections::{self, SectionReader};
use crate::naive;
use crate::split::Splitter;
use crate::vocab::{Grammar, Mode, Ranks, Special, Unknown, VocabSource};
use crate::{EncodeOptions, Encoder, SpecialPolicy, StreamState, Vocabulary};

/// The vocabulary that the first bytes of `data` make, and the rest of them.
///
/// Byte 0: mode, grammar and ranks; byte 1: number of words, up to 63; then each word as a length
/// byte and its bytes, up to 31.
fn vocabulary(data: &[u8]) -> Option<(VocabSource, &[u8])> {
    let (&[kind, count], mut rest) = data.split_first_chunk::<2>()?;
    let mut tokens: Vec<Vec<u8>> = (0..=255u8).map(|byte| vec![byte]).collect();
    for _ in 0..count % 64 {
        let (&len, others) = rest.split_first()?;
        let (word, others) = others.split_at_checked(usize::from(len % 32))?;
        rest = others;
        if !word.is_empty() && !tokens.iter().any(|token| token == word) {
            tokens.push(word.to_vec());
        }
    }
    let grammars = [Grammar::Whole, Grammar::R50k, Grammar::Cl100k { digits: 3 }, Grammar::O200k];
    let source = VocabSource {
        name: "fuzz".into(),
        mode: if kind & 1 == 0 { Mode::Bpe } else { Mode::Greedy },
        tokens: (0..).zip(tokens).collect(),
        ranks: Ranks::ById,
        whole_piece_first: kind & 2 == 0,
        grammar: grammars[usize::from(kind >> 2 & 3)],
        specials: vec![Special { id: 1000, text: "<|x|>".into() }],
        unknown: Unknown::AddBytes,
    };
    Some((source, rest))
}

/// A small vocabulary and a text: the encoder gives what the plain one gives, with offsets that
/// are those of the tokens, and decoding gives the text back.
pub fn encode_naive(data: &[u8]) {
    let Some((source, text)) = vocabulary(data) else { return };
    let text = &text[..text.len().min(2048)];
    let vocab = Arc::new(Vocabulary::compile_with_words(&source, [&b"ab"[..]]).expect("sound"));
    let mut encoder = Encoder::new(Arc::clone(&vocab));
    let (mut ids, mut ends) = (vec![], vec![]);
    encoder.encode_with_offsets(text, &mut ids, &mut ends).expect("specials are text");
    assert_eq!(ids, plainly(&source, text));
    assert_eq!(encoder.count(text), Ok(ids.len()));
    let mut start = 0;
    for (&id, &end) in ids.iter().zip(&ends) {
        assert_eq!(vocab.token(id), Some(&text[start as usize..end as usize]));
        start = end;
    }
    let mut back = vec![];
    vocab.decode_into(&ids, &mut back).expect("its own ids");
    assert_eq!(back, text);
}

/// A small vocabulary, then a byte for the policy and the lengths of parts, then a text: pushed in
/// those parts it gives the ids of the whole.
pub fn encode_stream(data: &[u8]) {
    let Some((source, rest)) = vocabulary(data) else { return };
    let Some((&[policy, count], rest)) = rest.split_first_chunk::<2>() else { return };
    let Some((lengths, text)) = rest.split_at_checked(usize::from(count)) else { return };
    let vocab = Arc::new(Vocabulary::compile_with_words(&source, []).expect("sound"));
    let specials = if policy & 1 == 0 { SpecialPolicy::AsText } else { SpecialPolicy::Allow };
    let options = EncodeOptions { specials, ..EncodeOptions::default() };
    let mut encoder = Encoder::with(vocab, options);
    let mut whole = vec![];
    encoder.encode_into(text, &mut whole).expect("specials are not denied");
    let (mut state, mut ids, mut rest) = (StreamState::default(), vec![], text);
    for &len in lengths {
        let (part, others) = rest.split_at(rest.len().min(usize::from(len)));
        encoder.push(&mut state, part, &mut ids).expect("specials are not denied");
        rest = others;
    }
    encoder.push(&mut state, rest, &mut ids).expect("specials are not denied");
    encoder.finish(&mut state, &mut ids);
    assert!(state.is_empty());
    assert_eq!(ids, whole);
}

/// Piece by piece with the plain encoder.
fn plainly(source: &VocabSource, text: &[u8]) -> Vec<u32> {
    if source.mode == Mode::Greedy {
        return naive::greedy(source, text);
    }
    let (mut ends, mut start) = (vec![], 0);
    Splitter::new(source.grammar).split(text, false, &mut ends);
    let mut pieces = ends.into_iter().map(|end| {
        let piece = &text[start..end as usize];
        start = end as usize;
        piece
    });
    pieces.by_ref().flat_map(|piece| naive::bpe_piece(source, piece)).collect()
}

/// A compiled vocabulary with bytes changed and the hash made right again: one that is accepted
/// encodes any text within its tables.
///
/// Byte 0: which vocabulary; then changes of five bytes each: an offset, modulo the file's length,
/// and the new byte; what is left over is text.
pub fn vocab_tables(data: &[u8]) {
    static FILES: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    let files = FILES.get_or_init(compiled);
    let Some((&which, rest)) = data.split_first() else { return };
    let mut bytes = files[usize::from(which) % files.len()].clone();
    let (changes, text) = rest.as_chunks::<5>();
    for &[a, b, c, d, value] in changes {
        let at = u32::from_le_bytes([a, b, c, d]) as usize % bytes.len();
        bytes[at] = value;
    }
    sections::rehash(&mut bytes);
    let Ok(mut reader) = SectionReader::from_bytes(&bytes) else { return };
    let Ok(vocab) = Vocabulary::from_sections(&mut reader) else { return };
    let vocab = Arc::new(vocab);
    let mut encoder = Encoder::new(Arc::clone(&vocab));
    let mut ids = vec![];
    let known = b"the quick thing aaaaaaaaaaaaaaaaaaaaaaaaaaaaa\xff\0 12345  \n\n x";
    for text in [rest, text, known] {
        encoder.encode_into(text, &mut ids).expect("specials are text");
    }
    // Bytes that became unknown have an id without text.
    assert!(vocab.decode_into(&ids, &mut vec![]).is_ok() || vocab.mode() == Mode::Greedy);
}

/// The files of small vocabularies: by pairs with each grammar, and longest matches.
fn compiled() -> Vec<Vec<u8>> {
    let joined =
        b"\x00\x0c\x02th\x02he\x03the\x02 t\x04 the\x02in\x03ing\x02aa\x04aaaa\x0212\x02\n\n\x02  ";
    let kinds = [0u8, 4, 8, 12, 1];
    let files = kinds.map(|kind| {
        let mut data = joined.to_vec();
        data[0] = kind;
        let (source, _) = vocabulary(&data).expect("a head of two bytes");
        let words = [&b"thing"[..], b" thin", b"aathe"];
        let vocab = Vocabulary::compile_with_words(&source, words).expect("sound");
        vocab.sections().finish().expect("all sections fit")
    });
    files.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bodies_take_what_a_fuzzer_makes() {
        let mut state = 3u64;
        for round in 0..300usize {
            let mut data = vec![(round % 16) as u8, 9];
            data.extend((0..round * 3).map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(99);
                b"\x02\x03ab a\xc3\xa9 1<|x|>\n"[(state >> 40) as usize % 16]
            }));
            encode_naive(&data);
            encode_stream(&data);
        }
    }
}
