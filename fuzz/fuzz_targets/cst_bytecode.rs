//! Any bytes as the bytecode of a syntax tree.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pfs_cst::fuzzing::cst_bytecode(data));
