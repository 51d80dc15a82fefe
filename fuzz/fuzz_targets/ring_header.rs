//! Any bytes over a mapped ring: no crash, no hang, nothing written outside it.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pfs_rings::fuzzing::ring_header(data));
