//! Replays the fuzz corpora of transfers.

include!("../../../../fuzz/replay.rs");

#[test]
fn corpora_still_hold() {
    replay("transfer_message", pfs_pvrt::transfer::fuzzing::transfer_message);
}
