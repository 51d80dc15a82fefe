//! Both directions of each flow, and all fragments of each datagram, go to one lane.

mod common;

use std::collections::HashMap;

use common::captures;
use common::oracle::{self, Key};
use pfs_dataplane::packet::{Classifier, Rule, RuleSet, Verdict, lane_of};
use pfs_dataplane::receivers::pcap::{PcapReceiver, PcapSpec};
use pfs_dataplane::receivers::{Batch, Receive};

/// The flow hash of each packet of a capture, in order.
fn hashes(path: &std::path::Path) -> Vec<u32> {
    let mut reader = PcapReceiver::open(&PcapSpec::new(path)).expect("opens");
    let view = reader.region();
    let rules = RuleSet::compile(&[Rule::all("all")]).expect("a rule");
    let mut classifier = Classifier::new(reader.framing(), rules);
    let (mut batch, mut flows) = (Batch::default(), Vec::new());
    while !reader.finished() {
        batch.clear();
        reader.poll(&mut batch).expect("sound");
        // SAFETY: every descriptor was just polled and is not passed on; nobody else has `view`.
        let verdicts = unsafe { classifier.classify(&mut batch, &view) };
        assert!(verdicts.iter().all(|verdict| *verdict == Verdict::Deliver));
        flows.extend(batch.descs().iter().map(|desc| desc.flow));
        let tokens: Vec<_> = batch.descs().iter().map(|desc| desc.frame).collect();
        reader.recycle(&tokens);
    }
    flows
}

/// Flows and datagrams, by their addresses, ports and identification.
fn by_key() -> HashMap<(bool, Key), Vec<u32>> {
    let mut found: HashMap<_, Vec<u32>> = HashMap::new();
    for path in captures() {
        let frames = oracle::frames(&path);
        let hashes = hashes(&path);
        assert_eq!(frames.len(), hashes.len());
        for (frame, hash) in frames.iter().zip(hashes) {
            let parsed = oracle::parse(frame);
            found.entry((parsed.fragment, parsed.key)).or_default().push(hash);
        }
    }
    found
}

#[test]
fn a_flow_and_a_datagram_have_one_lane() {
    let found = by_key();
    let fragments = found.keys().filter(|(fragment, _)| *fragment).count();
    assert!(fragments > 20 && found.len() - fragments > 50, "the captures hold enough of both");
    for ((fragment, key), hashes) in &found {
        for lanes in 2..=8 {
            let first = lane_of(hashes[0], lanes);
            assert!(first < lanes);
            let same = hashes.iter().all(|hash| lane_of(*hash, lanes) == first);
            assert!(same, "fragment {fragment}, {lanes} lanes: {key:?}");
        }
    }
}

#[test]
fn flows_spread_over_the_lanes() {
    let found = by_key();
    for lanes in 2..=8 {
        let mut of_lane = vec![0; lanes as usize];
        for hashes in found.values() {
            of_lane[lane_of(hashes[0], lanes) as usize] += 1;
        }
        let fair = found.len() / lanes as usize;
        assert!(of_lane.iter().all(|flows| *flows > fair / 3), "{of_lane:?}");
    }
}
