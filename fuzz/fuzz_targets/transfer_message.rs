//! Any bytes as a control message and as a manifest.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pfs_pvrt::transfer::fuzzing::transfer_message(data));
