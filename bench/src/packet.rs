//! Cycles per packet of parse, match, hash and classify, over small and cold memory.
//!
//! Every row checks its answer: payload bytes found, rules matched, and flows seen.
//! Ticks are those of the time-stamp counter, the best of several rounds.

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
use serde::Serialize;

use crate::host::cycles;
use crate::interrupt;
use crate::report::{Axis, Figure, Plot, Point, Report, Series, Shape, Table};
use crate::stats::Spread;

const PAYLOAD: usize = 18;

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

    /// Ticks per frame in each round of `work`, which returns its answer.
    fn measure(&self, rounds: usize, expected: u64, mut work: impl FnMut(&[Desc]) -> u64) -> Row {
        let mut right = true;
        let round = |_| {
            let start = cycles();
            right &= work(&self.descs) == expected;
            cycles().wrapping_sub(start) as f64 / self.descs.len() as f64
        };
        let ticks = Spread::of((0..rounds).map(round).collect());
        Row { what: String::new(), ticks, right }
    }

    fn parse(&self, rounds: usize) -> Row {
        self.measure(rounds, (self.descs.len() * PAYLOAD) as u64, |descs| {
            let mut parsed = Parsed::default();
            let one = |desc: &Desc| {
                let result = parse_into(Framing::Ethernet, self.frame(desc), &mut parsed);
                u64::from(black_box(&parsed).payload.len) * u64::from(result.is_ok())
            };
            descs.iter().map(one).sum()
        })
    }

    fn classify(&self, rounds: usize, rules: &[Rule]) -> Row {
        let rules = RuleSet::compile(rules).expect("good rules");
        let mut classifier = Classifier::new(Framing::Ethernet, rules);
        let mut batch = Batch::default();
        self.measure(rounds, (self.descs.len() * PAYLOAD) as u64, |descs| {
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
    fn batch_alone(&self, rounds: usize) -> Row {
        let mut batch = Batch::default();
        let total = self.descs.iter().map(|desc| u64::from(desc.len)).sum();
        self.measure(rounds, total, |descs| {
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

/// One measured step.
#[derive(Clone, Debug, Serialize)]
struct Row {
    what: String,
    /// Ticks per packet.
    ticks: Spread,
    right: bool,
}

impl Row {
    fn named(mut self, what: impl Into<String>) -> Self {
        self.what = what.into();
        self
    }
}

/// One operation over parsed frames that are in cache; each must give what `expected` gives.
fn over_parsed(rounds: usize, parsed: &[Parsed], work: impl Fn(&Parsed) -> u64, each: u64) -> Row {
    let mut right = true;
    let round = |_| {
        let start = cycles();
        let sum = parsed.iter().map(|parsed| work(black_box(parsed))).sum::<u64>();
        let ticks = cycles().wrapping_sub(start);
        right &= black_box(sum) == each * parsed.len() as u64;
        ticks as f64 / parsed.len() as f64
    };
    let ticks = Spread::of((0..rounds).map(round).collect());
    Row { what: String::new(), ticks, right }
}

/// The frames of `memory`, parsed.
fn parsed(memory: &Memory) -> Vec<Parsed> {
    let one = |desc: &Desc| parse(Framing::Ethernet, memory.frame(desc)).expect("well-formed");
    memory.descs.iter().map(one).collect()
}

/// Measures all steps.
#[must_use]
pub fn run(rounds: usize) -> Report {
    interrupt::watch();
    let mut rows = Vec::new();
    for kind in KINDS {
        let row = Memory::new(&[kind], 512, 128).parse(rounds);
        rows.push(row.named(format!("parse {}, in cache", kind.name)));
    }
    let all = Memory::new(&KINDS, 510, 128);
    rows.push(all.parse(rounds).named("parse all kinds in turn, in cache"));
    near(rounds, &mut rows);
    if !interrupt::asked() {
        far(rounds, &mut rows);
    }
    report(&rows)
}

fn near(rounds: usize, rows: &mut Vec<Row>) {
    let near = Memory::new(&KINDS[..1], 512, 128);
    let four = parsed(&near);
    for (name, rules) in [
        ("all", vec![Rule::all("all")]),
        ("1st", behind(0)),
        ("4th", behind(3)),
        ("64th", behind(63)),
    ] {
        let set = RuleSet::compile(&rules).expect("good rules");
        let last = rules.len() as u64 - 1;
        let find = |p: &Parsed| set.find(p).map_or(u64::MAX >> 32, u64::from);
        rows.push(over_parsed(rounds, &four, find, last).named(format!("match, rule {name}")));
    }
    let lane = |p: &Parsed| u64::from(lane_of(flow_hash(p), 7) < 7);
    rows.push(over_parsed(rounds, &four, lane, 1).named("flow hash and lane, IPv4"));
    let six = parsed(&Memory::new(&KINDS[2..3], 512, 128));
    rows.push(over_parsed(rounds, &six, lane, 1).named("flow hash and lane, IPv6"));
    rows.push(near.batch_alone(rounds).named("batch filled and summed alone"));
    let classify = near.classify(rounds, &[Rule::all("all")]);
    rows.push(classify.named("classify ipv4/udp, match all, in cache"));
    let classify = near.classify(rounds, &behind(3));
    rows.push(classify.named("classify ipv4/udp, 4th rule, in cache"));
}

fn far(rounds: usize, rows: &mut Vec<Row>) {
    let far = Memory::new(&KINDS[..1], 1 << 17, 2048);
    rows.push(far.parse(rounds).named("parse ipv4/udp, 256 MiB, no prefetch"));
    rows.push(far.batch_alone(rounds).named("batch alone, 256 MiB"));
    let classify = far.classify(rounds, &[Rule::all("all")]);
    rows.push(classify.named("classify ipv4/udp, match all, 256 MiB"));
}

fn report(rows: &[Row]) -> Report {
    let mut report = Report::new("packet");
    let title = "Ticks of the time-stamp counter a packet, best of rounds, and the median:";
    let mut table = Table::new(title, &["what", "best", "median"]);
    for Row { what, ticks, .. } in rows {
        let (best, median) = (ticks.least, ticks.median);
        table.row(vec![what.clone(), format!("{best:.1}"), format!("{median:.1}")]);
    }
    let bar = |(index, row): (usize, &Row)| Point::named(&row.what, index, &row.ticks);
    report.plots = vec![Plot {
        id: "packet-ticks".into(),
        title: "Cost of each step of a packet's way to its lane".into(),
        x: Axis::linear("step", ""),
        y: Axis::linear("cost", "ticks/packet"),
        shape: Shape::Bars,
        series: vec![Series {
            name: "pfs".into(),
            points: rows.iter().enumerate().map(bar).collect(),
        }],
        ..Plot::default()
    }];
    let figure = |row: &Row| Figure::cost(row.what.clone(), "ticks/packet", &row.ticks);
    report.figures = rows.iter().map(figure).collect();
    report.tables = vec![table];
    report.right = rows.iter().all(|row| row.right);
    report.raw = serde_json::to_value(rows).unwrap_or_default();
    report
}
