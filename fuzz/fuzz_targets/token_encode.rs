//! A small vocabulary and a text: ids, offsets and bytes as the plain encoder has them.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pfs_token::fuzzing::encode_naive(data));
