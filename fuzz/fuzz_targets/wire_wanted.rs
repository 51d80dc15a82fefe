//! Any bytes as a list of what is wanted again.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pfs_pvrt::wire::fuzzing::wanted_list(data));
