//! Any bytes as frames of PacketFS: PFSX, grams, messages, controls.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pfs_pvrt::formats::fuzzing::pfsx(data));
