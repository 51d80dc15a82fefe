//! Any bytes as a language, a query and a source.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pfs_cst::fuzzing::cst_query(data));
