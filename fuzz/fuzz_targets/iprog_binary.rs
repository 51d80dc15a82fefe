//! Any bytes as a program in the binary format.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pfs_pvrt::formats::fuzzing::iprog_binary(data));
