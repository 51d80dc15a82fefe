//! Ids equal to OpenAI's tiktoken: frozen by `bench/token/freeze.py`, for texts that are easy to cut
//! wrongly. The long comparison over megabytes of text is `bench/token/exact.py`.

use std::sync::Arc;

use pfs_token::{Encoder, StreamState, Vocabulary};
use serde::Deserialize;

const VOCABULARIES: [&str; 4] = ["r50k_base", "p50k_base", "cl100k_base", "o200k_base"];

#[derive(Deserialize)]
struct Case {
    text: String,
    r50k_base: Vec<u32>,
    p50k_base: Vec<u32>,
    cl100k_base: Vec<u32>,
    o200k_base: Vec<u32>,
}

impl Case {
    fn ids(&self, vocabulary: &str) -> &[u32] {
        match vocabulary {
            "r50k_base" => &self.r50k_base,
            "p50k_base" => &self.p50k_base,
            "cl100k_base" => &self.cl100k_base,
            _ => &self.o200k_base,
        }
    }
}

fn cases() -> Vec<Case> {
    serde_json::from_str(include_str!("exact/tiktoken.json")).expect("the frozen ids are JSON")
}

fn encoder(name: &str) -> Encoder {
    Encoder::new(Arc::new(Vocabulary::open(name).expect("it is shipped")))
}

#[test]
fn ids_are_tiktokens() {
    let cases = cases();
    assert!(cases.len() > 300);
    for name in VOCABULARIES {
        let mut encoder = encoder(name);
        for case in &cases {
            let mut ids = Vec::new();
            encoder.encode_into(case.text.as_bytes(), &mut ids).unwrap();
            assert_eq!(ids, case.ids(name), "{name}: {:?}", case.text);
            assert_eq!(encoder.count(case.text.as_bytes()).unwrap(), ids.len());
        }
    }
}

#[test]
fn ids_of_a_batch_are_tiktokens() {
    let cases = cases();
    let texts: Vec<&[u8]> = cases.iter().map(|case| case.text.as_bytes()).collect();
    for name in VOCABULARIES {
        let (mut ids, mut ends) = (Vec::new(), Vec::new());
        encoder(name).encode_batch(&texts, &mut ids, &mut ends).unwrap();
        assert_eq!(ends.len(), cases.len());
        let mut from = 0;
        for (case, end) in cases.iter().zip(ends) {
            assert_eq!(&ids[from..end as usize], case.ids(name), "{name}: {:?}", case.text);
            from = end as usize;
        }
    }
}

#[test]
fn ids_of_a_text_in_steps_are_tiktokens() {
    for name in VOCABULARIES {
        let mut encoder = encoder(name);
        for case in cases() {
            for step in [1, 2, 7] {
                let (mut state, mut ids) = (StreamState::default(), Vec::new());
                for part in case.text.as_bytes().chunks(step) {
                    encoder.push(&mut state, part, &mut ids).unwrap();
                }
                encoder.finish(&mut state, &mut ids);
                assert_eq!(ids, case.ids(name), "{name}, {step} at a time: {:?}", case.text);
            }
        }
    }
}

#[test]
fn ids_become_the_text_again() {
    for name in VOCABULARIES {
        let vocabulary = Vocabulary::open(name).unwrap();
        for case in cases() {
            let mut bytes = Vec::new();
            vocabulary.decode_into(case.ids(name), &mut bytes).unwrap();
            assert_eq!(bytes, case.text.as_bytes());
        }
    }
}
