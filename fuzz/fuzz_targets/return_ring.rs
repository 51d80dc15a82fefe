//! Any tokens on a return ring: no frame is lost, lent twice or taken back without being on loan.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pfs_rings::fuzzing::return_ring(data));
