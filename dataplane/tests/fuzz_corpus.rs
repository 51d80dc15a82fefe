//! Replays the fuzz corpora of this crate's targets.

use pfs_dataplane::fuzzing;

include!("../../fuzz/replay.rs");

#[test]
fn frame_parse() {
    replay("frame_parse", fuzzing::frame_parse);
}

#[test]
fn pcap_read() {
    replay("pcap_read", fuzzing::pcap_read);
}

#[test]
fn id_records() {
    replay("id_records", fuzzing::id_records);
}

#[test]
fn program_text() {
    replay("program_text", fuzzing::program_text);
}

#[test]
fn file_piece() {
    replay("file_piece", fuzzing::file_piece);
}
