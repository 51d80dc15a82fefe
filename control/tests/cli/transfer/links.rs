//! Frames past the kernel's UDP, at either end.

use pfs_dataplane::netns::ip;

use super::{Places, Receiver, make_tree};
use crate::common::{has_af_xdp, run, with_veth};
use crate::live::is_bare;

/// Gives both ends addresses, in the namespace that they share: what is to one comes over the link.
fn with_addresses(test: impl FnOnce() + Send) {
    with_veth(|| {
        for (knob, value) in
            [("all/rp_filter", "0"), ("rx0/rp_filter", "0"), ("rx0/accept_local", "1")]
        {
            std::fs::write(format!("/proc/sys/net/ipv4/conf/{knob}"), value).expect("sets");
        }
        ip("addr add 198.18.7.1/24 dev tx0").expect("adds");
        ip("addr add 198.18.7.2/24 dev rx0").expect("adds");
        test();
    });
}

/// Sends over tx0 by `via`, receives from rx0 by `from`.
fn over(via: &str, from: &str) {
    let places = Places::new();
    make_tree(&places.from);
    let (to, key) = (places.to.display(), places.key.display());
    let receiver = Receiver::start(&format!(
        "{to} --key {key} --listen 198.18.7.2:0 --from {from} --once --no-fsync"
    ));
    let next = pfs_dataplane::link::Link::find("rx0").expect("is there").mac;
    let next = next.map(|byte| format!("{byte:02x}")).join(":");
    let faults = "loss=0.03,dup=0.02,reorder=0.02,seed=3";
    run(&places.words(&receiver.at, &format!("--via {via},to={next} --faults {faults}"))).ok();
    receiver.end().ok();
    places.hold();
}

#[test]
fn packet_sockets_bring_a_tree() {
    with_addresses(|| over("af_packet:tx0", "af_packet:rx0"));
}

#[test]
fn af_xdp_brings_a_tree() {
    if !has_af_xdp() {
        return;
    }
    with_addresses(|| {
        for mode in ["native", "generic"] {
            over("af_xdp:tx0", &format!("af_xdp:rx0,mode={mode}"));
            assert!(is_bare());
        }
    });
}

#[test]
fn a_link_that_is_not_there_is_named() {
    let places = Places::new();
    make_tree(&places.from);
    let receiver = places.receiver("--once --from af_packet:none0");
    run(&places.words(&receiver.at, "")).fails(1, &["the other end", "none0"]);
    receiver.end().fails(1, &["receiving from af_packet", "none0"]);
}
