//! Any bytes as a `.tiktoken` file.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pfs_token::formats::fuzzing::vocab_tiktoken(data));
