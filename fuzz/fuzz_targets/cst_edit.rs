//! Edits of a source, whose tree is stored after each.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pfs_cst::fuzzing::cst_edit(data));
