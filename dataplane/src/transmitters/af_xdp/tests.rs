//! Frames sent by AF_XDP and what the other end of the veth pair sees of them.

use super::*;
use crate::link::LinkError;
use crate::receivers::af_xdp::ZeroCopy;
use crate::receivers::af_xdp::rig::{PacketSocket, frame};
use crate::testing::{NetNs, VethOptions, ip};

fn send_all(tx: &mut AfXdpTransmitter, frames: &[Vec<u8>]) {
    let slices: Vec<&[u8]> = frames.iter().map(Vec::as_slice).collect();
    let mut rest = &slices[..];
    while !rest.is_empty() {
        let taken = tx.send(rest).unwrap();
        rest = &rest[taken..];
    }
    tx.flush().unwrap();
}

#[test]
fn frames_arrive_as_they_were_sent() {
    let Some(ns) = NetNs::enter() else { return };
    ns.veth_pair("a", "b", VethOptions::default());
    let peer = PacketSocket::open("b");
    let mut tx = AfXdpTransmitter::open(&AfXdpTxSpec::new("a")).unwrap();
    let sizes = [18, 60, 64, 1399, 1514];
    let frames: Vec<_> = (0..300).map(|n| frame(n, sizes[n as usize % sizes.len()])).collect();
    send_all(&mut tx, &frames);
    for sent in &frames {
        assert_eq!(peer.receive().as_ref(), Some(sent));
    }
    let bytes: usize = frames.iter().map(Vec::len).sum();
    let counts = tx.counters();
    assert_eq!((counts.accepted, counts.sent, counts.failed), (300, 300, 0));
    assert_eq!(counts.sent_bytes, bytes as u64);
    assert!(!tx.granted().0, "veth has no zero-copy");
    assert!(tx.granted().1.iter().any(|note| note.contains("veth")), "{:?}", tx.granted());
}

#[test]
fn a_jumbo_frame_goes_out_in_several_buffers() {
    let Some(ns) = NetNs::enter() else { return };
    ns.veth_pair("a", "b", VethOptions { queues: 2, mtu: 9000 });
    let peer = PacketSocket::open("b");
    let spec = AfXdpTxSpec { queue: 1, tx_slots: 32, ..AfXdpTxSpec::new("a") };
    let mut tx = AfXdpTransmitter::open(&spec).unwrap();
    let frames: Vec<_> =
        (0..50).map(|n| frame(n, [9014, 1792, 1793, 64][n as usize % 4])).collect();
    send_all(&mut tx, &frames);
    for sent in &frames {
        assert!(peer.receive().as_ref() == Some(sent));
    }
    assert_eq!(tx.counters().sent, 50);
}

#[test]
fn frames_that_cannot_go_are_refused_and_the_others_go() {
    let Some(ns) = NetNs::enter() else { return };
    ns.veth_pair("a", "b", VethOptions::default());
    let mut tx = AfXdpTransmitter::open(&AfXdpTxSpec::new("a")).unwrap();
    let (good, long) = (frame(1, 1514), frame(2, 1515));
    let error = tx.send(&[&good, &long, &good]).unwrap_err().to_string();
    assert!(error.contains("1515 bytes") && error.contains("mtu 1501"), "{error}");
    let error = tx.send(&[&good[..13]]).unwrap_err().to_string();
    assert!(error.contains("13 bytes") && error.contains("Ethernet header"), "{error}");
    let mut tagged = frame(3, 1518);
    tagged[12..16].copy_from_slice(&[0x81, 0, 0, 5]);
    assert_eq!(tx.send(&[&tagged]).unwrap(), 1);
    tx.flush().unwrap();
    assert_eq!(tx.counters().accepted, 2);
    assert_eq!(tx.counters().sent, 2);
}

#[test]
fn what_the_link_drops_is_counted_as_failed() {
    let Some(ns) = NetNs::enter() else { return };
    ns.veth_pair("a", "b", VethOptions::default());
    let mut tx = AfXdpTransmitter::open(&AfXdpTxSpec::new("a")).unwrap();
    let frames: Vec<_> = (0..40).map(|n| frame(n, 100 + n as usize)).collect();
    send_all(&mut tx, &frames);
    let before = tx.counters();
    ip("link set dev b down");
    send_all(&mut tx, &frames);
    let after = tx.counters();
    assert_eq!((after.sent, after.sent_bytes), (before.sent, before.sent_bytes));
    assert_eq!((after.failed, after.accepted), (40, 80));
}

#[test]
fn an_interface_that_goes_away_is_named() {
    let Some(ns) = NetNs::enter() else { return };
    ns.veth_pair("a", "b", VethOptions::default());
    let mut tx = AfXdpTransmitter::open(&AfXdpTxSpec::new("a")).unwrap();
    ip("link del dev a");
    let error = tx.send(&[&frame(1, 64)]).unwrap_err().to_string();
    assert!(error.contains("sending by AF_XDP to a") && error.contains("removed"), "{error}");
}

#[test]
fn what_cannot_be_opened_says_why() {
    let Some(ns) = NetNs::enter() else { return };
    ns.veth_pair("a", "b", VethOptions::default());
    let refused = |spec: &AfXdpTxSpec| AfXdpTransmitter::open(spec).unwrap_err();
    let missing = refused(&AfXdpTxSpec::new("nowhere"));
    assert!(matches!(missing, TransmitError::Link(LinkError::Missing(_))), "{missing}");
    let queue = refused(&AfXdpTxSpec { queue: 1, ..AfXdpTxSpec::new("a") }).to_string();
    assert!(queue.contains("no transmit queue 1: it has 1"), "{queue}");
    let zero_copy = ZeroCopy::Require;
    let copied = refused(&AfXdpTxSpec { zero_copy, ..AfXdpTxSpec::new("a") }).to_string();
    assert!(copied.contains("\"veth\"") && copied.contains("zero-copy"), "{copied}");
    let first = AfXdpTransmitter::open(&AfXdpTxSpec::new("a")).unwrap();
    let busy = refused(&AfXdpTxSpec::new("a")).to_string();
    assert!(busy.contains("holds queue 0"), "{busy}");
    drop(first);
    AfXdpTransmitter::open(&AfXdpTxSpec::new("a")).unwrap();
    ip("link set dev a down");
    let down = refused(&AfXdpTxSpec::new("a")).to_string();
    assert!(down.contains("ip link set dev a up"), "{down}");
}
