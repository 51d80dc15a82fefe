//! Replays the fuzz corpora of this crate's targets.

include!("../../../../fuzz/replay.rs");

#[test]
fn resp_requests() {
    replay("resp_requests", pfs_kv::resp::fuzzing::resp_requests);
}

#[test]
fn resp_reply() {
    replay("resp_reply", pfs_kv::resp::fuzzing::resp_reply);
}

#[test]
fn cheetah_lines() {
    replay("cheetah_lines", pfs_kv::grammar::fuzzing::cheetah_lines);
}

#[test]
fn kv_frame() {
    replay("kv_frame", pfs_kv::frame::fuzzing::kv_frame);
}

#[test]
fn kv_log() {
    replay("kv_log", pfs_kv::fuzzing::log_recovery);
}

#[test]
fn kv_snapshot() {
    replay("kv_snapshot", pfs_kv::fuzzing::snapshot_read);
}
