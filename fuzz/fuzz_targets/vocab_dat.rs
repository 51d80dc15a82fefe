//! Any bytes as a Crayon `.dat` file.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pfs_token::formats::fuzzing::vocab_dat(data));
