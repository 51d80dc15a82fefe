//! Any bytes as the frames of a blob's journal.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pfs_pvrt::blob::fuzzing::blob_journal(data));
