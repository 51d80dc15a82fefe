//! Any bytes as a sequence of PVRT frames by varint.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pfs_pvrt::formats::fuzzing::pvrt_varint(data));
