//! Replays the fuzz corpora of the formats.

include!("../../../../fuzz/replay.rs");

#[test]
fn pox1() {
    replay("pox1", pfs_pvrt::formats::fuzzing::pox1);
}

#[test]
fn pbb2() {
    replay("pbb2", pfs_pvrt::formats::fuzzing::pbb2);
}

#[test]
fn iprog_json() {
    replay("iprog_json", pfs_pvrt::formats::fuzzing::iprog_json);
}

#[test]
fn iprog_binary() {
    replay("iprog_binary", pfs_pvrt::formats::fuzzing::iprog_binary);
}

#[test]
fn pfsx() {
    replay("pfsx", pfs_pvrt::formats::fuzzing::pfsx);
}

#[test]
fn pvrt_varint() {
    replay("pvrt_varint", pfs_pvrt::formats::fuzzing::pvrt_varint);
}
