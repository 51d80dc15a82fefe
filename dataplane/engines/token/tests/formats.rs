//! Readers against files that other programs wrote, or that are written as they would.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use pfs_token::formats::{self, FormatError, Loaded, dat, hf};
use pfs_token::naive;
use pfs_token::vocab::{Mode, Ranks, VocabSource, shipped};
use serde_json::json;

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vocabularies").join(name)
}

fn source(path: &Path) -> VocabSource {
    match formats::read(path).expect("a file of another program") {
        Loaded::Source(source) => source,
        Loaded::Compiled(_) => panic!("{} is no v3 file", path.display()),
    }
}

#[test]
fn crayons_two_formats_hold_the_same_tokens() {
    let from_json = source(&file("crayon-science.json"));
    let from_dat = source(&file("crayon-science.dat"));
    assert_eq!(from_json.tokens.len(), 367);
    assert_eq!(from_json, from_dat);
    let written = dat::write(&from_dat).unwrap();
    assert_eq!(dat::read(&written, &from_dat.name, from_dat.unknown).unwrap(), from_dat);
    let text = b"the function f(x) = e^x, its derivative and its area.";
    assert_eq!(naive::greedy(&from_json, text), naive::greedy(&from_dat, text));
}

/// GPT-2's `tokenizer.json`, made from the ranks: a token's merge is the pair that is left when its
/// bytes are merged by the ranks below its own.
fn gpt2_json(ranks: &VocabSource) -> serde_json::Value {
    let ids: HashMap<&[u8], u32> = ranks.tokens.iter().map(|(i, b)| (b.as_slice(), *i)).collect();
    let printable = |b: &u8| matches!(b, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF);
    let others: Vec<u8> = (0..=255).filter(|b| !printable(b)).collect();
    let char_of = |b: &u8| match others.iter().position(|other| other == b) {
        Some(at) => char::from_u32(256 + at as u32).expect("below the surrogates"),
        None => char::from(*b),
    };
    let text = |bytes: &[u8]| bytes.iter().map(char_of).collect::<String>();
    let mut merges = Vec::new();
    for (id, bytes) in ranks.tokens.iter().filter(|(_, bytes)| bytes.len() > 1) {
        let mut ends: Vec<usize> = (0..=bytes.len()).collect();
        while ends.len() > 3 {
            let pair = |at: &usize| ids.get(&bytes[ends[*at - 1]..ends[*at + 1]]).copied();
            let joined = (1..ends.len() - 1).filter_map(|at| Some((pair(&at)?, at))).min();
            let (_, at) = joined.filter(|(rank, _)| rank < id).expect("a token is a merge of two");
            ends.remove(at);
        }
        merges.push(format!("{} {}", text(&bytes[..ends[1]]), text(&bytes[ends[1]..])));
    }
    let vocab: serde_json::Map<_, _> =
        ranks.tokens.iter().map(|(id, bytes)| (text(bytes), json!(id))).collect();
    json!({
        "added_tokens": [{"id": 50256, "content": "<|endoftext|>", "special": true}],
        "normalizer": null,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true},
        "post_processor": {"type": "ByteLevel", "add_prefix_space": true},
        "decoder": {"type": "ByteLevel"},
        "model": {"type": "BPE", "vocab": vocab, "merges": merges},
    })
}

#[test]
fn gpt2_by_merges_is_gpt2_by_ranks() {
    let ranks = shipped("r50k_base").unwrap();
    let text = serde_json::to_vec(&gpt2_json(&ranks)).unwrap();
    let merges = hf::read(&text, "gpt2").unwrap();
    assert_eq!(merges.tokens, ranks.tokens);
    assert_eq!((merges.grammar, &merges.specials), (ranks.grammar, &ranks.specials));
    assert!(matches!(&merges.ranks, Ranks::Merges(list) if list.len() == 50_000));
    for piece in ["antidisestablishmentarianism", " 語彙\u{0}"] {
        let piece = piece.as_bytes();
        assert_eq!(naive::bpe_piece(&merges, piece), naive::bpe_piece(&ranks, piece));
    }
}

#[test]
fn a_v3_file_is_opened_mapped_and_refused_when_cut() {
    use pfs_token::formats::sections::{SectionWriter, Stored};
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lite.v3");
    let lite = shipped("lite").unwrap();
    assert_eq!(lite.mode, Mode::Greedy);
    let mut writer = SectionWriter::new();
    lite.write(&mut writer);
    writer.write_to(&path).unwrap();
    let Loaded::Compiled(mut reader) = formats::read(&path).unwrap() else { panic!("a v3 file") };
    assert_eq!(VocabSource::read(&mut reader).unwrap(), lite);
    drop(reader);
    let len = std::fs::metadata(&path).unwrap().len();
    std::fs::File::options().write(true).open(&path).unwrap().set_len(len - 64).unwrap();
    assert!(matches!(formats::read(&path), Err(FormatError::Truncated { .. })));
}
