//! A small vocabulary and a text in pieces: ids as of the whole.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pfs_token::fuzzing::encode_stream(data));
