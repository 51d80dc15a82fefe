//! Any bytes as a frame.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pfs_pvrt::wire::fuzzing::frame(data));
