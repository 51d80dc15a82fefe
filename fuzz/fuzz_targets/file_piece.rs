//! Any bytes as a piece of a file in a datagram.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pfs_dataplane::fuzzing::file_piece(data));
