//! Any bytes as a Crayon JSON vocabulary.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pfs_token::formats::fuzzing::vocab_crayon(data));
