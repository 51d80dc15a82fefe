//! Replays the fuzz corpora of this crate's targets.

use pfs_control::fuzzing;

include!("../../fuzz/replay.rs");

#[test]
fn plan_json() {
    replay("plan_json", fuzzing::plan_json);
}
