//! Replays the fuzz corpora of the blob's targets.

include!("../../../../fuzz/replay.rs");

#[test]
fn blob_journal() {
    replay("blob_journal", pfs_pvrt::blob::fuzzing::blob_journal);
}
