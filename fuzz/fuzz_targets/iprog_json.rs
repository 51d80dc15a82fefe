//! Any bytes as IPROG or a blueprint in JSON.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pfs_pvrt::formats::fuzzing::iprog_json(data));
