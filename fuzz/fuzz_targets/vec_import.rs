//! Any bytes as a file of vectors.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pfs_vec::fuzzing::vec_import(data));
