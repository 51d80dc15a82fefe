//! Replays the fuzz corpora of the wire's targets.

use pfs_pvrt::wire::fuzzing;

include!("../../../../fuzz/replay.rs");

#[test]
fn wire_frame() {
    replay("wire_frame", fuzzing::frame);
}

#[test]
fn wire_body() {
    replay("wire_body", fuzzing::body);
}

#[test]
fn wire_assembly() {
    replay("wire_assembly", fuzzing::assembly);
}

#[test]
fn wire_wanted() {
    replay("wire_wanted", fuzzing::wanted_list);
}
