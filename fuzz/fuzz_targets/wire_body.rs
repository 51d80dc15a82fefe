//! Any bytes as a window's body, and as a pack of bodies.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pfs_pvrt::wire::fuzzing::body(data));
