//! Any bytes as RESP requests, whole and in pieces.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pfs_kv::resp::fuzzing::resp_requests(data));
