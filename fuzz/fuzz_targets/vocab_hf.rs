//! Any bytes as a `tokenizer.json`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pfs_token::formats::fuzzing::vocab_hf(data));
