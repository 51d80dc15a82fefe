//! Any bytes as what readers of token ids are given: no panic, no record beyond its ids.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pfs_dataplane::fuzzing::id_records(data));
