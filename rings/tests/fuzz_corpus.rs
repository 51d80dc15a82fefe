//! Replays the fuzz corpora of this crate's targets.
#![cfg(not(loom))]

use pfs_rings::fuzzing;

include!("../../fuzz/replay.rs");

#[test]
fn ring_header() {
    replay("ring_header", fuzzing::ring_header);
}

#[test]
fn return_ring() {
    replay("return_ring", fuzzing::return_ring);
}
