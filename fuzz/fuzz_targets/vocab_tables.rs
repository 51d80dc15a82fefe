//! A compiled vocabulary with bytes changed, tables included.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pfs_token::fuzzing::vocab_tables(data));
