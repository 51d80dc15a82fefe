//! Any bytes as a RESP reply.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pfs_kv::resp::fuzzing::resp_reply(data));
