//! Any bytes as a log segment.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pfs_kv::fuzzing::log_recovery(data));
