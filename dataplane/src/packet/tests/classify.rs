//! Batches: verdicts, narrowed descriptors, chains and books.

use std::ptr::NonNull;
use std::sync::Arc;

use pfs_ebpf::rules::PortRange;
use pfs_rings::{Desc, RegionView};

use super::*;
use crate::receivers::Batch;

/// Frames one behind another in a region of their own.
struct Memory {
    bytes: Vec<u8>,
    batch: Batch,
}

impl Memory {
    fn new() -> Self {
        Self { bytes: vec![], batch: Batch::default() }
    }

    /// Adds a frame in buffers of the given sizes; the last takes the rest.
    fn add(&mut self, frame: &[u8], buffers: &[usize], wire: u32) {
        let mut left = frame;
        for (index, size) in buffers.iter().chain([&usize::MAX]).enumerate() {
            let (part, rest) = left.split_at((*size).min(left.len()));
            let mut flags = if index == 0 { Desc::SOM } else { 0 };
            flags |= if index == buffers.len() { Desc::EOM } else { 0 };
            let desc = Desc {
                offset: self.bytes.len() as u64,
                len: part.len() as u32,
                flags,
                ..Desc::default()
            };
            self.batch.push(desc, if index == 0 { wire } else { 0 });
            self.bytes.extend_from_slice(part);
            left = rest;
        }
    }

    fn view(&self) -> RegionView {
        let mut copy = self.bytes.clone();
        let base = NonNull::new(copy.as_mut_ptr()).expect("a vector's pointer");
        let len = copy.len();
        // SAFETY: the vector's heap block stays where it is while its owner, which the view
        // holds, lives; nothing else has it.
        unsafe { RegionView::new(base, len, Arc::new(copy)) }
    }

    fn classify(&mut self, classifier: &mut Classifier) -> Vec<Verdict> {
        let view = self.view();
        // SAFETY: the descriptors were made above, do not overlap, and are passed to nobody.
        unsafe { classifier.classify(&mut self.batch, &view) }.to_vec()
    }

    fn payloads(&self) -> Vec<&[u8]> {
        let span = |desc: &Desc| &self.bytes[desc.offset as usize..][..desc.len as usize];
        self.batch.descs().iter().map(span).collect()
    }
}

fn take_all() -> Classifier {
    Classifier::new(Framing::Ethernet, RuleSet::compile(&[Rule::all("all")]).unwrap())
}

#[test]
fn payload_rule_and_flow_are_set() {
    let frames = [v4(Transport::Udp, b"one"), v6(Transport::Tcp(2), b"second")];
    let mut memory = Memory::new();
    frames.iter().for_each(|build| memory.add(&build.bytes(), &[], 0));
    let mut classifier = take_all();
    assert_eq!(memory.classify(&mut classifier), [Verdict::Deliver; 2]);
    assert_eq!(memory.payloads(), [&b"one"[..], b"second"]);
    for (desc, build) in memory.batch.descs().iter().zip(&frames) {
        assert_eq!(desc.flow, flow_hash(&whole(&build.bytes()).unwrap()));
        assert_eq!((desc.rule, desc.flags), (0, Desc::SOM | Desc::EOM));
    }
}

#[test]
fn verdicts_are_counted_and_close() {
    let mut rules = vec![Rule::all("dns"), Rule::all("tcp"), Rule::all("icmp")];
    rules[0].matches.destination_ports = Some(PortRange::one(53));
    rules[1].matches.protocol = Some(PROTOCOL_TCP);
    rules[2].matches.protocol = Some(1);
    (rules[1].action, rules[2].action) = (Action::Pass, Action::Drop);
    let mut classifier = Classifier::new(Framing::Ethernet, RuleSet::compile(&rules).unwrap());
    let mut other_port = v4(Transport::Tcp(0), b"tcp");
    other_port.ports = (1, 2);
    let frames = [
        v4(Transport::Udp, b"dns").bytes(),
        vec![0; 13],
        other_port.bytes(),
        v4(Transport::Bare(1), b"icmp").bytes(),
        v4(Transport::Bare(47), b"gre").bytes(),
    ];
    let mut memory = Memory::new();
    frames.iter().for_each(|frame| memory.add(frame, &[], 0));
    let before = memory.batch.descs().to_vec();
    let verdicts = memory.classify(&mut classifier);
    let malformed = Verdict::Malformed(Malformed::EthernetShort);
    let filtered = Verdict::Filtered;
    assert_eq!(verdicts, [Verdict::Deliver, malformed, filtered, filtered, filtered]);
    assert_eq!(memory.batch.descs()[1..], before[1..]);
    let counters = classifier.counters();
    assert_eq!((counters.frames, counters.delivered, counters.filtered), (5, 1, 3));
    assert_eq!(counters.malformed[Malformed::EthernetShort as usize], 1);
    assert_eq!(counters.malformed_total(), 1);
    assert_eq!(*counters.matched, [1, 1, 1]);
}

#[test]
fn chains_are_narrowed_over_their_buffers() {
    let body: Vec<u8> = (0..=255).collect();
    let build = Build { padding: 40, ..v4(Transport::Udp, &body) };
    let frame = build.bytes();
    let headers = frame.len() - 40 - body.len();
    let end = headers + body.len();
    for first in headers..=end {
        for second in [0, 1, 50, end + 10 - first] {
            let mut memory = Memory::new();
            memory.add(&v6(Transport::Udp, b"before").bytes(), &[], 0);
            memory.add(&frame, &[first, second], 0);
            memory.add(&v6(Transport::Udp, b"behind").bytes(), &[], 0);
            assert_eq!(memory.classify(&mut take_all()), [Verdict::Deliver; 5]);
            let payloads = memory.payloads();
            assert_eq!(payloads[1..4].concat(), body);
            assert_eq!(payloads[1].len(), first - headers);
            assert_eq!((payloads[0], payloads[4]), (&b"before"[..], &b"behind"[..]));
            let flags: Vec<_> = memory.batch.descs().iter().map(|desc| desc.flags).collect();
            assert_eq!(flags, [3, Desc::SOM, 0, Desc::EOM, 3]);
            let flows = memory.batch.descs()[1..4].iter().map(|desc| desc.flow);
            assert!(flows.clone().all(|flow| Some(flow) == flows.clone().next()));
        }
    }
}

#[test]
fn a_chain_counts_once_and_shares_its_verdict() {
    let mut memory = Memory::new();
    memory.add(&v4(Transport::Udp, &[0; 100]).bytes(), &[20, 30], 0);
    let mut classifier = take_all();
    let split = Verdict::Malformed(Malformed::SplitHeader);
    assert_eq!(memory.classify(&mut classifier), [split; 3]);
    assert_eq!((classifier.counters().frames, classifier.counters().malformed_total()), (1, 1));
}

#[test]
fn cut_frames_are_flagged() {
    let frame = v4(Transport::Udp, &[9; 100]).bytes();
    let mut memory = Memory::new();
    memory.add(&frame[..90], &[60], frame.len() as u32);
    let mut classifier = take_all();
    assert_eq!(memory.classify(&mut classifier), [Verdict::Deliver; 2]);
    assert_eq!(memory.payloads(), [&[9; 18][..], &[9; 30]]);
    assert!(memory.batch.descs().iter().all(|desc| desc.flags & Desc::ERR != 0));
    assert_eq!(classifier.counters().truncated, 1);
}

#[test]
fn a_descriptor_outside_the_region_is_refused() {
    let mut memory = Memory::new();
    memory.add(&v4(Transport::Udp, b"").bytes(), &[], 0);
    memory.batch.descs_mut()[0].offset = u64::MAX;
    let refused = Verdict::Malformed(Malformed::OutsideRegion);
    assert_eq!(memory.classify(&mut take_all()), [refused]);
}

#[test]
fn full_batches_and_broken_chains_end() {
    let frame = v4(Transport::Udp, b"x").bytes();
    let mut memory = Memory::new();
    (0..64).for_each(|_| memory.add(&frame, &[], 0));
    assert_eq!(memory.classify(&mut take_all()), [Verdict::Deliver; 64]);
    // A chain that its receiver did not end.
    let mut memory = Memory::new();
    memory.add(&frame, &[], 0);
    memory.add(&frame, &[], 0);
    memory.batch.descs_mut()[1].flags = Desc::SOM;
    assert_eq!(memory.classify(&mut take_all()), [Verdict::Deliver; 2]);
    assert!(Memory::new().classify(&mut take_all()).is_empty());
}

#[test]
fn bare_payload_is_the_same_alone_and_beside_chains() {
    // A rule with a match takes no bare payload.
    let mut udp = Rule::all("udp");
    udp.matches.protocol = Some(17);
    let rules = || RuleSet::compile(&[udp.clone(), Rule::all("all")]).unwrap();
    let mut alone = Memory::new();
    for (payload, wire) in [(&b""[..], 0), (b"whole", 5), (b"cut", 9)] {
        alone.add(payload, &[], wire);
    }
    let mut beside = Memory::new();
    for (payload, wire) in [(&b""[..], 0), (b"whole", 5), (b"cut", 9)] {
        beside.add(payload, &[], wire);
    }
    beside.add(b"two buffers", &[3], 11);
    let mut quick = Classifier::new(Framing::Payload, rules());
    let mut slow = Classifier::new(Framing::Payload, rules());
    assert_eq!(alone.classify(&mut quick), [Verdict::Deliver; 3]);
    assert_eq!(beside.classify(&mut slow), [Verdict::Deliver; 5]);
    assert_eq!(alone.batch.descs(), &beside.batch.descs()[..3]);
    assert_eq!(alone.batch.descs().iter().filter(|desc| desc.rule == 1).count(), 3);
    assert_eq!(alone.payloads(), beside.payloads()[..3]);
    let counters = quick.counters();
    assert_eq!((counters.frames, counters.delivered, counters.truncated), (3, 3, 1));
    assert_eq!(*counters.matched, [0, 3]);
    assert_eq!(quick.alike(), Some(Alike { rule: 1, bytes: 8, end: 8 }));
    assert_eq!(slow.alike(), None, "a chain is among them");
    // A span outside the region is found all the same.
    let outside = Desc { offset: 1 << 40, len: 1, flags: Desc::SOM | Desc::EOM, ..Desc::default() };
    alone.batch.push(outside, 1);
    let verdicts = alone.classify(&mut quick);
    assert_eq!(verdicts[3], Verdict::Malformed(Malformed::OutsideRegion));
    assert_eq!(quick.alike(), None);
}
