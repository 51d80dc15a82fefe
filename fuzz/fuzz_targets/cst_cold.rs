//! Any bytes as a file of cold syntax trees.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pfs_cst::fuzzing::cst_cold(data));
