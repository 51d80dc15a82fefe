//! Any bytes as a POX1 container, and as packed references.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pfs_pvrt::formats::fuzzing::pox1(data));
