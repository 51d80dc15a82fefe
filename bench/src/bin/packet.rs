//! Cycles per packet of parse, match, hash and classify, over small and cold memory.
//!
//! Every row checks its answer: payload bytes found, rules matched, and flows seen.
//! Cycles are those of the time stamp counter, the best of several rounds.

use std::hint::black_box;
use std::ptr::NonNull;
use std::sync::Arc;

use pfs_dataplane::packet::{
    Action, Classifier, Frame, Parsed, Rule, RuleMatch, RuleSet, flow_hash, lane_of, parse,
    parse_into,
};
use pfs_dataplane::receivers::{BATCH, Batch, Framing};
use pfs_ebpf::rules::PortRange;
use pfs_rings::{Desc, RegionView};

const ROUNDS: usize = 15;
const PAYLOAD: usize = 18;

#[cfg(target_arch = "x86_64")]
fn now() -> u64 {
    // SAFETY: every x86-64 has the time stamp counter, and Linux lets user space read it.
    unsafe { std::arch::x86_64::_rdtsc() }
}

#[cfg(not(target_arch = "x86_64"))]
fn now() -> u64 {
    // Nanoseconds stand in for cycles.
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a live timespec.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// A kind of frame; the payload is always [`PAYLOAD`] bytes.
#[derive(Clone, Copy)]
struct Kind {
    name: &'static str,
    v6: bool,
    tcp: bool,
    tagged: bool,
}

const KINDS: [Kind; 5] = [
    Kind { name: "ipv4/udp", v6: false, tcp: false, tagged: false },
    Kind { name: "ipv4/tcp", v6: false, tcp: true, tagged: false },
    Kind { name: "ipv6/udp", v6: true, tcp: false, tagged: false },
    Kind { name: "ipv6/tcp", v6: true, tcp: true, tagged: false },
    Kind { name: "vlan/ipv4/udp", v6: false, tcp: false, tagged: true },
];

fn frame(kind: Kind, flow: u32) -> Vec<u8> {
    let transport = if kind.tcp { 20 } else { 8 };
    let inner = (transport + PAYLOAD) as u16;
    let mut bytes = vec![2; 12];
    if kind.tagged {
        bytes.extend([0x81, 0, 0, 7]);
    }
    let protocol = if kind.tcp { 6 } else { 17 };
    if kind.v6 {
        bytes.extend([0x86, 0xdd, 0x60, 0, 0, 0]);
        bytes.extend(inner.to_be_bytes());
        bytes.extend([protocol, 64]);
        bytes.extend((0xfd_u128 << 120 | u128::from(flow)).to_be_bytes());
        bytes.extend((0xfd_u128 << 120 | 0xffff_ffff).to_be_bytes());
    } else {
        bytes.extend([8, 0, 0x45, 0]);
        bytes.extend((inner + 20).to_be_bytes());
        bytes.extend([0, 0, 0x40, 0, 64, protocol, 0, 0]);
        bytes.extend((0x0a00_0000 | (flow & 0xffff)).to_be_bytes());
        bytes.extend([192, 0, 2, 1]);
    }
    bytes.extend(((flow % 60_000) as u16 + 1024).to_be_bytes());
    bytes.extend(53u16.to_be_bytes());
    if kind.tcp {
        bytes.extend([0, 0, 0, 0, 0, 0, 0, 0, 0x50, 0, 0, 0, 0, 0, 0, 0]);
    } else {
        bytes.extend((inner).to_be_bytes());
        bytes.extend([0, 0]);
    }
    bytes.extend([0xaa; PAYLOAD]);
    bytes
}

/// Frames `stride` bytes apart in a region of their own.
struct Memory {
    view: RegionView,
    descs: Vec<Desc>,
}

impl Memory {
    fn new(kinds: &[Kind], count: usize, stride: usize) -> Self {
        let mut bytes = vec![0u8; count * stride];
        let mut descs = Vec::with_capacity(count);
        for (index, slot) in bytes.chunks_exact_mut(stride).enumerate() {
            let frame = frame(kinds[index % kinds.len()], index as u32);
            slot[..frame.len()].copy_from_slice(&frame);
            descs.push(Desc {
                offset: (index * stride) as u64,
                len: frame.len() as u32,
                flags: Desc::SOM | Desc::EOM,
                ..Desc::default()
            });
        }
        let base = NonNull::new(bytes.as_mut_ptr()).expect("a vector's pointer");
        let len = bytes.len();
        // SAFETY: the heap block stays in place while the vector lives, which the view holds.
        let view = unsafe { RegionView::new(base, len, Arc::new(bytes)) };
        Self { view, descs }
    }

    fn frame(&self, desc: &Desc) -> Frame<'_> {
        // SAFETY: nobody else has the region, and frames do not overlap.
        let bytes = unsafe { self.view.bytes_mut(desc) }.expect("inside the region");
        Frame::new(bytes, desc.len, desc.len)
    }

    /// Best cycles per frame over the rounds of `work`, which returns its answer.
    fn measure(&self, expected: u64, mut work: impl FnMut(&[Desc]) -> u64) -> f64 {
        let mut best = u64::MAX;
        for _ in 0..ROUNDS {
            let start = now();
            let answer = work(&self.descs);
            best = best.min(now() - start);
            assert_eq!(answer, expected, "wrong answer");
        }
        best as f64 / self.descs.len() as f64
    }

    fn parse(&self) -> f64 {
        self.measure((self.descs.len() * PAYLOAD) as u64, |descs| {
            let mut parsed = Parsed::default();
            let one = |desc: &Desc| {
                let result = parse_into(Framing::Ethernet, self.frame(desc), &mut parsed);
                u64::from(black_box(&parsed).payload.len) * u64::from(result.is_ok())
            };
            descs.iter().map(one).sum()
        })
    }

    fn classify(&self, rules: &[Rule]) -> f64 {
        let rules = RuleSet::compile(rules).expect("good rules");
        let mut classifier = Classifier::new(Framing::Ethernet, rules);
        let mut batch = Batch::default();
        self.measure((self.descs.len() * PAYLOAD) as u64, |descs| {
            let mut payload = 0;
            for chunk in descs.chunks(BATCH) {
                batch.clear();
                chunk.iter().for_each(|desc| batch.push(*desc, desc.len));
                // SAFETY: the descriptors are of this region, apart, and passed to nobody.
                black_box(unsafe { classifier.classify(&mut batch, &self.view) });
                payload += batch.descs().iter().map(|desc| u64::from(desc.len)).sum::<u64>();
            }
            payload
        })
    }

    /// Filling and summing a batch: what `classify` is measured with and does not do itself.
    fn batch_alone(&self) -> f64 {
        let mut batch = Batch::default();
        let total = self.descs.iter().map(|desc| u64::from(desc.len)).sum();
        self.measure(total, |descs| {
            let mut bytes = 0;
            for chunk in descs.chunks(BATCH) {
                batch.clear();
                chunk.iter().for_each(|desc| batch.push(*desc, desc.len));
                black_box(&mut batch);
                bytes += batch.descs().iter().map(|desc| u64::from(desc.len)).sum::<u64>();
            }
            bytes
        })
    }
}

/// `others` rules that do not match, then one that does.
fn behind(others: u16) -> Vec<Rule> {
    let rule = |port| Rule {
        matches: RuleMatch {
            protocol: Some(17),
            destination_ports: Some(PortRange::one(port)),
            ..RuleMatch::default()
        },
        action: Action::Redirect,
        ..Rule::all(format!("port {port}"))
    };
    (0..others).map(|index| rule(5000 + index)).chain([rule(53)]).collect()
}

/// Cycles of one operation over parsed frames that are in cache.
fn over_parsed(parsed: &[Parsed], work: impl Fn(&Parsed) -> u64) -> f64 {
    let best = (0..ROUNDS).map(|_| {
        let start = now();
        black_box(parsed.iter().map(|parsed| work(black_box(parsed))).sum::<u64>());
        now() - start
    });
    best.min().unwrap_or(0) as f64 / parsed.len() as f64
}

fn main() {
    println!("{:<44}{:>14}", "TSC cycles per packet", "best of rounds");
    let row = |what: &str, cycles: f64| println!("{what:<44}{cycles:>14.1}");
    for kind in KINDS {
        row(&format!("parse {}, in cache", kind.name), Memory::new(&[kind], 512, 128).parse());
    }
    row("parse all kinds in turn, in cache", Memory::new(&KINDS, 510, 128).parse());

    let near = Memory::new(&KINDS[..1], 512, 128);
    let parsed: Vec<Parsed> = near
        .descs
        .iter()
        .map(|desc| parse(Framing::Ethernet, near.frame(desc)).expect("well-formed"))
        .collect();
    for (name, rules) in [
        ("all", vec![Rule::all("all")]),
        ("1st", behind(0)),
        ("4th", behind(3)),
        ("64th", behind(63)),
    ] {
        let set = RuleSet::compile(&rules).expect("good rules");
        assert!(parsed.iter().all(|p| set.find(p) == Some(rules.len() as u16 - 1)));
        row(
            &format!("match, rule {name}"),
            over_parsed(&parsed, |p| set.find(p).map_or(0, u64::from)),
        );
    }
    row("flow hash and lane, IPv4", over_parsed(&parsed, |p| u64::from(lane_of(flow_hash(p), 7))));
    let six = Memory::new(&KINDS[2..3], 512, 128);
    let parsed: Vec<Parsed> = six
        .descs
        .iter()
        .map(|desc| parse(Framing::Ethernet, six.frame(desc)).expect("well-formed"))
        .collect();
    row("flow hash and lane, IPv6", over_parsed(&parsed, |p| u64::from(lane_of(flow_hash(p), 7))));

    row("batch filled and summed alone", near.batch_alone());
    row("classify ipv4/udp, match all, in cache", near.classify(&[Rule::all("all")]));
    row("classify ipv4/udp, 4th rule, in cache", near.classify(&behind(3)));
    let far = Memory::new(&KINDS[..1], 1 << 17, 2048);
    row("parse ipv4/udp, 256 MiB, no prefetch", far.parse());
    row("batch alone, 256 MiB", far.batch_alone());
    row("classify ipv4/udp, match all, 256 MiB", far.classify(&[Rule::all("all")]));
}
