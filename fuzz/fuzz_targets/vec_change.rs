//! Any bytes as changes in a collection's log.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pfs_vec::fuzzing::vec_change(data));
