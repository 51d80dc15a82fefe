//! Against a real veth pair, each test in a namespace of its own.

use super::*;
use crate::receivers::af_packet::{AfPacketReceiver, AfPacketSpec};
use crate::receivers::{Batch, Receive};
use crate::testing::{NetNs, VethOptions, bytes_of, frame, ip};

/// Receives until `count` frames have come, and checks that no more do.
fn receive(receiver: &mut AfPacketReceiver, count: usize) -> Vec<Vec<u8>> {
    let mut got = Vec::new();
    let deadline = Instant::now() + Duration::from_secs(5);
    while !receiver.finished() {
        assert!(Instant::now() < deadline, "{} of {count} frames came", got.len());
        let mut batch = Batch::default();
        receiver.poll(&mut batch).unwrap();
        for desc in batch.descs() {
            got.push(bytes_of(receiver, desc));
            receiver.recycle(&[desc.frame]);
        }
        if got.len() >= count {
            receiver.detach();
        }
        if batch.is_empty() {
            receiver.wait(Duration::from_millis(5)).unwrap();
        }
    }
    got
}

fn listen(interface: &str) -> AfPacketReceiver {
    let spec = AfPacketSpec { blocks: 8, retire_ms: 2, ..AfPacketSpec::new(interface) };
    AfPacketReceiver::open(&spec).unwrap()
}

fn slices(frames: &[Vec<u8>]) -> Vec<&[u8]> {
    frames.iter().map(Vec::as_slice).collect()
}

#[test]
fn a_small_ring_sends_everything_in_order() {
    let Some(ns) = NetNs::enter() else { return };
    ns.veth_pair("a", "b", VethOptions { mtu: 9000, ..VethOptions::default() });
    for qdisc_bypass in [false, true] {
        let mut receiver = listen("b");
        let spec = AfPacketTxSpec { ring_slots: 4, qdisc_bypass, ..AfPacketTxSpec::new("a") };
        let mut transmitter = AfPacketTransmitter::open(&spec).unwrap();
        let sent: Vec<_> = (0..500).map(|tag| frame(14 + tag as usize * 18, tag)).collect();
        let all = slices(&sent);
        let mut taken = 0;
        while taken < all.len() {
            taken += transmitter.send(&all[taken..]).unwrap();
        }
        transmitter.flush().unwrap();
        let bytes = sent.iter().map(|frame| frame.len() as u64).sum();
        let want = TransmitCounters { accepted: 500, sent: 500, sent_bytes: bytes, failed: 0 };
        assert_eq!(transmitter.counters(), want);
        assert!(receive(&mut receiver, 500) == sent);
    }
}

#[test]
fn frames_of_impossible_size_are_refused_by_name() {
    let Some(ns) = NetNs::enter() else { return };
    ns.veth_pair("a", "b", VethOptions::default());
    let mut receiver = listen("b");
    let mut transmitter = AfPacketTransmitter::open(&AfPacketTxSpec::new("a")).unwrap();
    let mut tagged = frame(1518, 1);
    tagged[12..14].copy_from_slice(&[0x81, 0x00]);
    let (good, jumbo) = (frame(1514, 2), frame(1515, 3));
    let error = transmitter.send(&[&tagged, &good, &jumbo]).unwrap_err().to_string();
    for word in ["1515 bytes", "MTU of 1500", "ip link set dev a mtu 1501"] {
        assert!(error.contains(word), "{error}");
    }
    for len in 0..14 {
        let error = transmitter.send(&[&good[..len]]).unwrap_err().to_string();
        assert!(error.contains(&format!("{len} bytes is shorter")), "{error}");
    }
    transmitter.flush().unwrap();
    let counters = transmitter.counters();
    assert_eq!((counters.accepted, counters.sent, counters.failed), (2, 2, 0));
    assert_eq!(receive(&mut receiver, 2), [tagged, good], "what came before it was sent");
}

#[test]
fn frames_that_the_kernel_refuses_are_counted_and_passed_over() {
    let Some(ns) = NetNs::enter() else { return };
    ns.veth_pair("a", "b", VethOptions { mtu: 9000, ..VethOptions::default() });
    let mut receiver = listen("b");
    let mut transmitter = AfPacketTransmitter::open(&AfPacketTxSpec::new("a")).unwrap();
    // The transmitter knows the MTU from when it was opened.
    ip("link set dev a mtu 1500");
    let sent: Vec<_> =
        [60, 5000, 61, 62, 6000, 7000, 63, 8000].map(|len| frame(len, len as u32)).to_vec();
    assert_eq!(transmitter.send(&slices(&sent)).unwrap(), sent.len());
    transmitter.flush().unwrap();
    let counters = transmitter.counters();
    assert_eq!((counters.accepted, counters.sent, counters.failed), (8, 4, 4));
    assert_eq!(counters.sent_bytes, 60 + 61 + 62 + 63);
    let small: Vec<_> = sent.into_iter().filter(|frame| frame.len() < 1500).collect();
    assert_eq!(receive(&mut receiver, 4), small);
}

#[test]
fn without_carrier_frames_wait_and_flush_says_so() {
    let Some(ns) = NetNs::enter() else { return };
    ns.veth_pair("a", "b", VethOptions::default());
    let mut transmitter = AfPacketTransmitter::open(&AfPacketTxSpec::new("a")).unwrap();
    ip("link set dev b down");
    let sent = [frame(60, 1), frame(61, 2)];
    assert_eq!(transmitter.send(&slices(&sent)).unwrap(), 2);
    let error = transmitter.flush().unwrap_err().to_string();
    assert!(error.contains("ip link show dev a"), "{error}");
    assert_eq!(transmitter.counters().sent, 0);
    ip("link set dev b up");
    let mut receiver = listen("b");
    transmitter.flush().unwrap();
    assert_eq!(receive(&mut receiver, 2), sent);
    assert_eq!(transmitter.counters().sent, 2);
}

#[test]
fn a_link_that_goes_is_an_error_that_names_it() {
    let Some(ns) = NetNs::enter() else { return };
    ns.veth_pair("a", "b", VethOptions::default());
    let mut transmitter = AfPacketTransmitter::open(&AfPacketTxSpec::new("a")).unwrap();
    let one = frame(60, 1);
    ip("link set dev a down");
    let error = transmitter.send(&[&one]).unwrap_err();
    assert!(matches!(&error, TransmitError::Link(LinkError::Down(name)) if name == "a"), "{error}");
    ip("link del dev a");
    let error = transmitter.flush().unwrap_err();
    assert!(matches!(&error, TransmitError::Link(LinkError::Missing(_))), "{error}");
    let error = AfPacketTransmitter::open(&AfPacketTxSpec::new("a")).unwrap_err();
    assert!(matches!(error, TransmitError::Link(LinkError::Missing(_))));
    let error = std::thread::scope(|scope| {
        let open = || {
            crate::privilege::drop_all().unwrap();
            AfPacketTransmitter::open(&AfPacketTxSpec::new("lo")).unwrap_err().to_string()
        };
        scope.spawn(open).join().unwrap()
    });
    assert!(error.contains("sudo setcap cap_net_raw+ep"), "{error}");
}

#[test]
fn rings_fit_their_frames_and_their_limit() {
    let Some(_ns) = NetNs::enter() else { return };
    let lo = Link::find("lo").unwrap();
    for slots in [1u32, 2, 64, 1024, 1 << 16] {
        for mtu in [68, 1500, 2016, 2017, 9000, 65536, u32::MAX] {
            let spec = AfPacketTxSpec { ring_slots: slots, ..AfPacketTxSpec::new("lo") };
            let layout = Layout::of(&spec, &Link { mtu, ..lo.clone() }).unwrap();
            assert!(layout.slots.is_power_of_two() && layout.slot_bytes.is_power_of_two());
            assert!(layout.ring_bytes() <= 64 << 20 && layout.block_bytes.is_multiple_of(4096));
            assert!(layout.ring_bytes().is_multiple_of(layout.block_bytes));
            assert!(layout.slot_bytes >= ring::FRAME_AT + 18 + mtu.min(1 << 20) as usize);
        }
    }
    for ring_slots in [0, 3, 1 << 17] {
        let spec = AfPacketTxSpec { ring_slots, ..AfPacketTxSpec::new("lo") };
        assert!(matches!(AfPacketTransmitter::open(&spec), Err(TransmitError::Unsupported { .. })));
    }
}
