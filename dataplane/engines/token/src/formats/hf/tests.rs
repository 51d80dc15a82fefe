use serde_json::{Value, json};

use super::*;

/// All bytes, then `ab`, `abc` and `Ġa`; merges give `ab` and `abc`.
fn sample() -> Value {
    let mut vocab = serde_json::Map::new();
    for byte in 0..=255u8 {
        vocab.insert(alphabet::text(&[byte]), byte.into());
    }
    for (id, text) in (256..).zip(["ab", "abc", "Ġa"]) {
        vocab.insert(text.into(), id.into());
    }
    json!({
        "version": "1.0",
        "truncation": null,
        "added_tokens": [
            {"id": 300, "content": "<|end|>", "single_word": false, "lstrip": false,
             "rstrip": false, "normalized": false, "special": true},
            {"id": 299, "content": "<tool>", "special": false},
        ],
        "normalizer": null,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "use_regex": true},
        "decoder": {"type": "ByteLevel"},
        "model": {"type": "BPE", "dropout": null, "unk_token": null, "byte_fallback": false,
            "continuing_subword_prefix": null, "end_of_word_suffix": null,
            "vocab": vocab, "merges": ["a b", "ab c", "Ġ a"]},
    })
}

fn parse(value: &Value) -> Result<VocabSource, FormatError> {
    read(&serde_json::to_vec(value).expect("JSON"), "test")
}

fn changed(pointer: &str, to: Value) -> Result<VocabSource, FormatError> {
    let mut value = sample();
    let (parent, key) = pointer.rsplit_once('/').expect("a pointer");
    let object = value.pointer_mut(parent).and_then(Value::as_object_mut).expect("an object");
    object.insert(key.into(), to);
    parse(&value)
}

#[test]
fn a_small_file_is_read_whole() {
    let source = parse(&sample()).unwrap();
    assert_eq!(source.mode, Mode::Bpe);
    assert_eq!(source.grammar, Grammar::R50k);
    assert_eq!(source.tokens.len(), 259);
    assert_eq!(source.token(258), Some(&b" a"[..]));
    assert_eq!(source.ranks, Ranks::Merges(vec![(97, 98), (256, 99), (32, 97)]));
    assert!(!source.whole_piece_first);
    let ids: Vec<_> = source.specials.iter().map(|s| (s.id, s.text.as_str())).collect();
    assert_eq!(ids, [(299, "<tool>"), (300, "<|end|>")]);
    assert_eq!(crate::naive::bpe_piece(&source, b"abcab"), [257, 256]);
}

#[test]
fn merges_may_be_pairs_and_be_ignored_for_whole_pieces() {
    let pairs = json!([["a", "b"], ["ab", "c"], ["Ġ", "a"]]);
    let by_pairs = changed("/model/merges", pairs).unwrap();
    assert_eq!(by_pairs, parse(&sample()).unwrap());
    assert!(changed("/model/ignore_merges", json!(true)).unwrap().whole_piece_first);
    for bad in
        [json!(["a"]), json!([["a"]]), json!([["a", "b", "c"]]), json!(["a b c"]), json!([7])]
    {
        let error = changed("/model/merges", bad.clone()).unwrap_err();
        assert!(matches!(error, FormatError::Json { .. }), "{bad}: {error}");
    }
    for bad in [json!(["a zz"]), json!(["a c"])] {
        assert!(changed("/model/merges", bad).is_err());
    }
}

#[test]
fn known_patterns_give_their_grammars() {
    let patterns = [
        (
            r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
            Grammar::R50k,
        ),
        (
            r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
            Grammar::Llama3 { digits: 3 },
        ),
        (
            r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
            Grammar::Llama3 { digits: 1 },
        ),
        (
            r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s",
            Grammar::Cl100k { digits: 3 },
        ),
        (
            r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
            Grammar::O200k,
        ),
    ];
    for (pattern, grammar) in patterns {
        for (behavior, invert) in [("Isolated", false), ("Removed", true)] {
            let split = json!({"type": "Split", "pattern": {"Regex": pattern},
                "behavior": behavior, "invert": invert});
            let last = json!({"type": "ByteLevel", "add_prefix_space": false, "use_regex": false});
            let steps = json!({"type": "Sequence", "pretokenizers": [split, last]});
            assert_eq!(changed("/pre_tokenizer", steps).unwrap().grammar, grammar, "{pattern}");
        }
    }
    let whole = json!({"type": "ByteLevel", "add_prefix_space": false, "use_regex": false});
    assert_eq!(changed("/pre_tokenizer", whole).unwrap().grammar, Grammar::Whole);
}

#[test]
fn what_would_change_ids_is_refused_by_name() {
    let split = |behavior: &str, pattern: &str| {
        json!({"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": pattern}, "behavior": behavior, "invert": false},
            {"type": "ByteLevel", "add_prefix_space": false, "use_regex": false}]})
    };
    let cases = [
        ("/model/type", json!("WordPiece"), "WordPiece"),
        ("/model/type", json!("Unigram"), "Unigram"),
        ("/model/byte_fallback", json!(true), "byte_fallback"),
        ("/model/dropout", json!(0.1), "dropout"),
        ("/model/continuing_subword_prefix", json!("##"), "continuing_subword_prefix"),
        ("/model/end_of_word_suffix", json!("</w>"), "end_of_word_suffix"),
        ("/normalizer", json!({"type": "NFC"}), "NFC"),
        ("/normalizer", json!({"type": "Sequence", "normalizers": [{"type": "NFC"}]}), "Sequence"),
        ("/pre_tokenizer", Value::Null, "no pre-tokenizer"),
        ("/pre_tokenizer", json!({"type": "Metaspace"}), "Metaspace"),
        ("/pre_tokenizer", json!({"type": "ByteLevel"}), "add_prefix_space"),
        ("/pre_tokenizer", split("Isolated", r"\w+"), r"\w+"),
        ("/pre_tokenizer", split("Removed", r"\s+"), "Removed"),
        ("/decoder", json!({"type": "WordPiece"}), "WordPiece"),
        ("/added_tokens", json!([{"id": 300, "content": "<m>", "lstrip": true}]), "lstrip"),
    ];
    for (pointer, to, named) in cases {
        let error = changed(pointer, to).unwrap_err();
        assert!(matches!(error, FormatError::Unsupported { .. }), "{pointer}: {error}");
        assert!(error.to_string().contains(named), "{error}");
    }
}

#[test]
fn a_unigram_file_is_refused_for_its_model_and_not_its_shape() {
    let mut value = sample();
    value["model"] =
        json!({"type": "Unigram", "unk_id": 0, "vocab": [["<unk>", 0.0], ["a", -1.5]]});
    let error = parse(&value).unwrap_err().to_string();
    assert!(error.contains("Unigram"), "{error}");
}

#[test]
fn contradictions_are_told() {
    let twice = serde_json::to_string(&sample()).unwrap().replace("\"abc\":257", "\"ab\":257");
    let error = read(twice.as_bytes(), "test").unwrap_err();
    assert!(error.to_string().contains("`ab` is in the vocabulary twice"), "{error}");
    let other_id = json!([{"id": 300, "content": "ab"}]);
    assert!(changed("/added_tokens", other_id).unwrap_err().to_string().contains("has 256"));
    let mut no_byte = sample();
    no_byte["model"]["vocab"].as_object_mut().unwrap().remove("!");
    assert!(parse(&no_byte).unwrap_err().to_string().contains("0x21"));
    let mut foreign = sample();
    foreign["model"]["vocab"]["世"] = json!(400);
    assert!(matches!(parse(&foreign), Err(FormatError::Unsupported { .. })));
    for id in [json!(-1), json!(1u64 << 32), json!("7"), json!(1.5)] {
        let mut bad = sample();
        bad["model"]["vocab"]["ab"] = id;
        assert!(matches!(parse(&bad), Err(FormatError::Json { .. })));
    }
}

#[test]
fn an_added_token_in_the_vocabulary_stays_ordinary_only_where_merges_need_it() {
    let mut value = sample();
    value["model"]["vocab"]["<|end|>"] = json!(300);
    let source = parse(&value).unwrap();
    assert_eq!(source.token(300), None, "no merge makes it");
    let mut value = sample();
    value["added_tokens"] = json!([{"id": 256, "content": "ab"}, {"id": 258, "content": "Ġa"}]);
    let source = parse(&value).unwrap();
    assert_eq!(source.token(256), Some(&b"ab"[..]), "a merge uses it");
    assert_eq!(source.token(258), Some(&b" a"[..]), "a merge makes it");
}

#[test]
fn truncation_at_every_byte_is_refused() {
    let text = serde_json::to_vec(&sample()).unwrap();
    for len in 0..text.len() {
        assert!(read(&text[..len], "test").is_err(), "{len} bytes");
    }
}
