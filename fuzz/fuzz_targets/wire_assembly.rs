//! Any bytes as calls of two lanes over two transfers.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pfs_pvrt::wire::fuzzing::assembly(data));
