//! Replays the fuzz corpora of this crate's targets.

include!("../../../../fuzz/replay.rs");

#[test]
fn cst_cold() {
    replay("cst_cold", pfs_cst::fuzzing::cst_cold);
}

#[test]
fn cst_source() {
    replay("cst_source", pfs_cst::fuzzing::cst_source);
}
