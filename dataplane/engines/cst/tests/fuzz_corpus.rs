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

#[test]
fn cst_query() {
    replay("cst_query", pfs_cst::fuzzing::cst_query);
}

#[test]
fn cst_bytecode() {
    replay("cst_bytecode", pfs_cst::fuzzing::cst_bytecode);
}

#[test]
fn cst_archive() {
    replay("cst_archive", pfs_cst::fuzzing::cst_archive);
}

#[test]
fn cst_edit() {
    replay("cst_edit", pfs_cst::fuzzing::cst_edit);
}
