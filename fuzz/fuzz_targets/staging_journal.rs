//! Any bytes as the journal of what has arrived of a file.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pfs_pvrt::transfer::fuzzing::staging_journal(data));
