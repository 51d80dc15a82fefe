//! Any text as a plan: no panic, an error with its reason, the same plan when written and read.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pfs_control::fuzzing::plan_json(data));
