//! Any bytes as a datagram of operations.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pfs_kv::frame::fuzzing::kv_frame(data));
