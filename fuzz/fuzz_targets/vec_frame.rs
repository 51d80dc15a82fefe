//! Any bytes as datagrams of operations on collections.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pfs_vec::frame::fuzzing::vec_frame(data));
