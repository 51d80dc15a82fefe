//! Any bytes as a source, the first one naming the language.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pfs_cst::fuzzing::cst_source(data));
