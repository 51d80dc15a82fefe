//! Any bytes as an archive of syntax trees that share chunks.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pfs_cst::fuzzing::cst_archive(data));
