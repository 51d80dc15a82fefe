//! Any bytes as a frame: no panic, and a span within what was captured.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pfs_dataplane::fuzzing::frame_parse(data));
