//! Any bytes as messages of a sync, to either end.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pfs_pvrt::transfer::fuzzing::sync_messages(data));
