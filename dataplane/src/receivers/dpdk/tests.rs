//! Against real virtual devices. EAL starts once for all of them, without huge pages, so that any
//! user can run them; the mbufs lie in what pages there are.

use std::collections::BTreeMap;
use std::path::Path;

use super::*;
use crate::dpdk::DevArg;
use crate::receivers::pcap::{PcapReceiver, PcapSpec};
use crate::testing::{NetNs, VethOptions, bytes_of, frame, ip};
use crate::transmitters::af_packet::{AfPacketTransmitter, AfPacketTxSpec};
use crate::transmitters::dpdk::DpdkTransmitter;
use crate::transmitters::{Transmit, TransmitError};

const PATIENCE: Duration = Duration::from_secs(5);

fn spec(devargs: &str) -> DpdkSpec {
    DpdkSpec {
        eal: Some("--no-huge -m 64".into()),
        frames: 1024,
        rx_slots: 128,
        tx_slots: 128,
        ..DpdkSpec::from_devargs(devargs)
    }
}

fn open(spec: &DpdkSpec) -> DpdkReceiver {
    let mut receivers = DpdkReceiver::open(spec).unwrap();
    assert_eq!(receivers.len(), usize::from(spec.queues));
    receivers.remove(0)
}

fn send(sink: &mut impl Transmit, frames: &[Vec<u8>]) {
    for burst in frames.chunks(16) {
        let frames: Vec<&[u8]> = burst.iter().map(Vec::as_slice).collect();
        let mut rest = frames.as_slice();
        while !rest.is_empty() {
            let taken = sink.send(rest).unwrap();
            rest = &rest[taken..];
        }
        sink.flush().unwrap();
    }
}

/// Polls until `count` packets have come; gives their bytes, and their tokens back at once.
fn take(receiver: &mut DpdkReceiver, count: usize) -> Vec<Vec<u8>> {
    let (mut taken, mut batch) = (Vec::new(), Batch::default());
    let deadline = Instant::now() + PATIENCE;
    while taken.len() < count {
        assert!(Instant::now() < deadline, "{} of {count} packets came", taken.len());
        batch.clear();
        receiver.poll(&mut batch).unwrap();
        add(receiver, &batch, &mut taken);
        let tokens: Vec<u32> = batch.descs().iter().map(|desc| desc.frame).collect();
        receiver.recycle(&tokens);
    }
    taken
}

/// Chains joined to packets.
fn add(receiver: &DpdkReceiver, batch: &Batch, taken: &mut Vec<Vec<u8>>) {
    for (desc, &wire) in batch.descs().iter().zip(batch.wire_lens()) {
        if desc.flags & Desc::SOM != 0 {
            taken.push(Vec::with_capacity(wire as usize));
        }
        let packet = taken.last_mut().expect("a chain begins with SOM");
        packet.extend(bytes_of(receiver, desc));
        if desc.is_eom() {
            assert_eq!(packet.len(), packet.capacity(), "the length on the wire");
        }
    }
}

fn close(mut receiver: DpdkReceiver) -> SourceCounters {
    receiver.detach();
    let (mut batch, deadline) = (Batch::default(), Instant::now() + PATIENCE);
    while !receiver.finished() {
        assert!(Instant::now() < deadline, "it does not end");
        batch.clear();
        receiver.poll(&mut batch).unwrap();
        let tokens: Vec<u32> = batch.descs().iter().map(|desc| desc.frame).collect();
        receiver.recycle(&tokens);
    }
    receiver.counters()
}

fn account_closes(counters: &SourceCounters) {
    let lost = counters.dropped_nic + counters.dropped_no_frame + counters.dropped_malformed;
    assert_eq!(counters.offered, counters.polled + lost, "{counters:?}");
}

#[test]
fn what_a_ring_takes_comes_out_whole_chains_included() {
    let spec = DpdkSpec { mtu: Some(9200), ..spec("net_ring0") };
    let mut receiver = open(&spec);
    let mut transmitter = DpdkTransmitter::open(&spec).unwrap();
    // Of one segment, of exactly one, of two, of five.
    let lens = [14, 60, 1514, 2048, 2049, 4000, 9000];
    let frames: Vec<Vec<u8>> =
        (0..300).map(|at| frame(lens[at as usize % lens.len()], at)).collect();
    let mut got = Vec::new();
    for burst in frames.chunks(60) {
        send(&mut transmitter, burst);
        got.extend(take(&mut receiver, burst.len()));
    }
    assert_eq!(got, frames);
    assert_eq!(transmitter.counters().sent, 300);
    let pool = receiver.queue.port().pool();
    assert_eq!(pool.available(), pool.mbufs(), "every mbuf is back");
    let granted = receiver.granted();
    assert_eq!((granted.backend.as_str(), granted.mode.as_str()), ("dpdk", "net_ring"));
    let counters = close(receiver);
    assert_eq!(counters.polled, 300);
    account_closes(&counters);
}

#[test]
fn a_token_is_good_once() {
    let spec = spec("net_ring1");
    let mut receiver = open(&spec);
    let mut transmitter = DpdkTransmitter::open(&spec).unwrap();
    send(&mut transmitter, &[frame(60, 1), frame(60, 2)]);
    let mut batch = Batch::default();
    while batch.len() < 2 {
        receiver.poll(&mut batch).unwrap();
    }
    let tokens: Vec<u32> = batch.descs().iter().map(|desc| desc.frame).collect();
    receiver.recycle(&[tokens[0], tokens[0], tokens[1] + 1, u32::MAX]);
    assert_eq!(receiver.counters().refused_tokens, 3);
    // The second one is still out when the receiver goes: it is taken back then.
    let pool = receiver.queue.port().pool();
    assert_eq!(pool.available(), pool.mbufs() - 1);
}

#[test]
fn an_empty_pool_is_counted_and_recovers() {
    let spec = DpdkSpec { framing: Framing::Payload, ..spec("net_null0,size=64") };
    let mut receiver = open(&spec);
    let (mut tokens, mut batch) = (Vec::new(), Batch::default());
    loop {
        batch.clear();
        if receiver.poll(&mut batch).unwrap() == 0 {
            break;
        }
        assert!(batch.descs().iter().all(|desc| desc.len == 64));
        tokens.extend(batch.descs().iter().map(|desc| desc.frame));
    }
    // All that the pool has, but what a burst could not get whole.
    assert!(tokens.len() > 1024 - 2 * BATCH, "{} lent", tokens.len());
    receiver.recycle(&tokens);
    batch.clear();
    assert!(receiver.poll(&mut batch).unwrap() > 0, "it goes on");
    receiver.recycle(&batch.descs().iter().map(|desc| desc.frame).collect::<Vec<_>>());
    // A device that never runs dry ends all the same.
    account_closes(&close(receiver));
}

#[test]
fn a_capture_comes_as_the_pcap_source_reads_it() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/dns.pcap");
    let mut source = PcapReceiver::open(&PcapSpec::new(&path)).unwrap();
    let (mut want, mut batch) = (Vec::new(), Batch::default());
    while !source.finished() {
        batch.clear();
        source.poll(&mut batch).unwrap();
        want.extend(batch.descs().iter().map(|desc| bytes_of(&source, desc)));
        source.recycle(&batch.descs().iter().map(|desc| desc.frame).collect::<Vec<_>>());
    }
    let mut spec = spec("net_pcap0");
    spec.args.insert("rx_pcap".into(), DevArg::Text(path.display().to_string()));
    let mut receiver = open(&spec);
    assert_eq!(take(&mut receiver, want.len()), want);
    let counters = close(receiver);
    assert_eq!(counters.offered, want.len() as u64);
    account_closes(&counters);
}

#[test]
fn a_veth_pair_brings_what_the_other_end_sends() {
    let Some(ns) = NetNs::enter() else { return };
    ns.veth_pair("a", "b", VethOptions { queues: 1, mtu: 1500 });
    let mut receiver = open(&spec("net_af_packet0,iface=b,blocksz=65536,framecnt=128"));
    let frames: Vec<Vec<u8>> = (0..200).map(|at| frame(60 + at as usize * 7, at)).collect();
    let mut sender = AfPacketTransmitter::open(&AfPacketTxSpec::new("a")).unwrap();
    let mut got = Vec::new();
    for burst in frames.chunks(20) {
        send(&mut sender, burst);
        got.extend(take(&mut receiver, burst.len()));
    }
    assert_eq!(got, frames);
    assert!(receiver.detail().ipackets == 200 && receiver.xstats().values().any(|n| *n == 200));
    account_closes(&close(receiver));
}

#[test]
fn what_cannot_be_is_said() {
    let refused = |spec: &DpdkSpec| DpdkReceiver::open(spec).unwrap_err().to_string();
    let queues = refused(&DpdkSpec { queues: 17, frames: 8192, ..spec("net_ring3") });
    assert!(queues.contains("17 receive queues") && queues.contains("queues="), "{queues}");
    let missing = refused(&spec("net_nothing0"));
    assert!(
        missing.contains("attaching net_nothing0") && missing.contains("net_ring0"),
        "{missing}"
    );
    let iface = refused(&spec("net_af_packet7,iface=nosuchif"));
    assert!(iface.contains("nosuchif"), "{iface}");
    let pci = DpdkSpec { pages: pfs_rings::PageWish::Auto, ..spec("0000:7f:1f.7") };
    let pci = refused(&pci);
    assert!(pci.contains("0000:7f:1f.7"), "{pci}");
    let mut good = spec("net_ring4");
    let receiver = open(&good);
    assert!(refused(&good).contains("read by another source"));
    good.frames = 2000;
    assert!(refused(&good).contains("other settings"));
    good.eal = Some("-l 0".into());
    assert!(refused(&good).contains("EAL arguments"));
    drop(receiver);
    let args = BTreeMap::from([("a".to_owned(), DevArg::Text("x,y".into()))]);
    assert!(refused(&DpdkSpec { args, ..spec("net_ring5") }).contains("args.a"));
}

#[test]
fn a_sender_takes_queues_until_there_are_no_more() {
    let spec = spec("net_ring6");
    let mut first = DpdkTransmitter::open(&spec).unwrap();
    let error = DpdkTransmitter::open(&spec).unwrap_err().to_string();
    assert!(error.contains("transmit queues of net_ring6"), "{error}");
    let short = first.send(&[&[0; 13]]);
    assert!(matches!(short, Err(TransmitError::Unsupported { .. })));
    assert_eq!(first.counters(), crate::transmitters::TransmitCounters::default());
}

#[test]
fn frames_come_back_together_in_part_or_late() {
    let spec = spec("net_ring8");
    let mut receiver = open(&spec);
    let mut transmitter = DpdkTransmitter::open(&spec).unwrap();
    let mut poll = |receiver: &mut DpdkReceiver, count: usize| {
        send(&mut transmitter, &(0..count as u32).map(|at| frame(60, at)).collect::<Vec<_>>());
        let mut batch = Batch::default();
        while batch.len() < count {
            receiver.poll(&mut batch).unwrap();
        }
        batch.descs().to_vec()
    };
    let tokens = |descs: Vec<Desc>| descs.iter().map(|desc| desc.frame).collect::<Vec<u32>>();
    let all = poll(&mut receiver, 16);
    receiver.recycle_all(&all);
    assert_eq!(receiver.counters().refused_tokens, 0);
    receiver.recycle(&tokens(all));
    assert_eq!(receiver.counters().refused_tokens, 16, "none of them is good twice");
    let rest = poll(&mut receiver, 16);
    receiver.recycle(&tokens(rest[..9].to_vec()));
    receiver.recycle_all(&rest[9..]);
    receiver.recycle(&tokens(rest));
    assert_eq!(receiver.counters().refused_tokens, 32);
    let part = tokens(poll(&mut receiver, 16));
    receiver.recycle(&part[..5]);
    let late = tokens(poll(&mut receiver, 16));
    receiver.recycle(&part[5..]);
    let mut turned = late;
    turned.reverse();
    receiver.recycle(&turned);
    assert_eq!(receiver.counters().refused_tokens, 32);
    let pool = receiver.queue.port().pool();
    assert_eq!(pool.available(), pool.mbufs(), "every mbuf is back");
}

#[test]
fn an_interface_that_goes_down_and_comes_back_is_waited_for() {
    let Some(ns) = NetNs::enter() else { return };
    ns.veth_pair("a", "b", VethOptions { queues: 1, mtu: 1500 });
    let mut receiver = open(&spec("net_af_packet9,iface=b,blocksz=65536,framecnt=128"));
    let mut sender = AfPacketTransmitter::open(&AfPacketTxSpec::new("a")).unwrap();
    let frames: Vec<Vec<u8>> = (0..20).map(|at| frame(60, at)).collect();
    send(&mut sender, &frames[..10]);
    let mut got = take(&mut receiver, 10);
    drop(sender);
    ip("link set dev b down");
    let mut batch = Batch::default();
    for _ in 0..100 {
        assert_eq!(receiver.poll(&mut batch).unwrap(), 0, "nothing comes while it is down");
    }
    ip("link set dev b up");
    let deadline = Instant::now() + PATIENCE;
    while !crate::link::Link::find("a").unwrap().running && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(1));
    }
    let mut sender = AfPacketTransmitter::open(&AfPacketTxSpec::new("a")).unwrap();
    send(&mut sender, &frames[10..]);
    got.extend(take(&mut receiver, 10));
    assert_eq!(got, frames);
    account_closes(&close(receiver));
}

#[test]
fn a_forked_worker_reads_and_writes_payload_in_place() {
    let spec = spec("net_ring9");
    let mut receiver = open(&spec);
    let mut transmitter = DpdkTransmitter::open(&spec).unwrap();
    let sent = frame(1000, 77);
    send(&mut transmitter, std::slice::from_ref(&sent));
    let mut batch = Batch::default();
    while batch.is_empty() {
        receiver.poll(&mut batch).unwrap();
    }
    let desc = batch.descs()[0];
    let view = receiver.region();
    // SAFETY: on loan to this test; the child is its only user until it has ended.
    let bytes = unsafe { view.bytes_mut(&desc) }.unwrap();
    // SAFETY: the child compares and writes bytes and ends: it allocates and locks nothing.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let same = *bytes == *sent;
        bytes[999] ^= 0xff;
        // SAFETY: ends the child without what the parent registered for its own end.
        unsafe { libc::_exit(if same { 0 } else { 1 }) };
    }
    let mut status = -1;
    // SAFETY: waits for the child that was just made.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    assert!(libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0, "it read what was sent");
    let after = bytes_of(&receiver, &desc);
    assert_eq!((&after[..999], after[999]), (&sent[..999], sent[999] ^ 0xff), "and wrote");
    receiver.recycle(&[desc.frame]);
    account_closes(&close(receiver));
}
