//! Replays the fuzz corpora of transfers.

include!("../../../../fuzz/replay.rs");

#[test]
fn corpora_still_hold() {
    use pfs_pvrt::transfer::fuzzing;
    replay("transfer_message", fuzzing::transfer_message);
    replay("staging_journal", fuzzing::staging_journal);
    replay("sync_messages", fuzzing::sync_messages);
}
