//! Any bytes as a packed blueprint.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pfs_pvrt::formats::fuzzing::pbb2(data));
