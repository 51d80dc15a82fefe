//! Any bytes as a capture: no panic, packets in order, apart and within the file.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pfs_dataplane::receivers::pcap::pcap_read(data));
