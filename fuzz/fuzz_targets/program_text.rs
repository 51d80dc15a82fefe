//! Any text as a program: no panic, an error with its place, the same findings when optimized.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pfs_dataplane::fuzzing::program_text(data));
