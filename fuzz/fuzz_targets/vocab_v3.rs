//! Any bytes as a compiled vocabulary.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pfs_token::formats::fuzzing::vocab_v3(data));
