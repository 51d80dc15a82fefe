//! Any bytes as lines of cheetah-db's grammar.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pfs_kv::grammar::fuzzing::cheetah_lines(data));
