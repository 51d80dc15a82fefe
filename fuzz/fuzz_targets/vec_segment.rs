//! Any bytes as a segment of a collection.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pfs_vec::fuzzing::vec_segment(data));
