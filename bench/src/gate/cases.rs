//! What is counted: kernels at each level, rings, lanes, and the way of a packet to its lane. Each
//! case does the same instructions in every run: no clock decides, no memory is allocated.

use std::hint::black_box;

use pfs_dataplane::packet::{Frame, Parsed, Rule, RuleSet, flow_hash, lane_of, parse_into};
use pfs_dataplane::pcpu::{BATCH, Compiled, Isa, Options, Program, SpanBatch, oracle};
use pfs_dataplane::receivers::Framing;
use pfs_dataplane::transmitters::frames::GenerateSpec;
use pfs_rings::Desc;
use pfs_rings::lane::{BURST, lane};

use crate::memory::word_at;

/// Bytes of each of the 64 spans.
const SPAN: usize = 1400;
/// Descriptors that go through a ring.
const THROUGH: usize = 4096;

const PROGRAMS: [&str; 7] =
    ["crc32c", "fnv64", "counteq:0", "xor:255", "add:7", "hist8", "xor:255,add:7,counteq:0,crc32c"];

/// One case: a name, and work that tells whether its answer was right.
pub(super) struct Case {
    pub(super) name: String,
    pub(super) work: Box<dyn FnMut() -> bool>,
}

/// All cases that this processor can run.
pub(super) fn all() -> Vec<Case> {
    let mut cases = Vec::new();
    for isa in Isa::all_available() {
        cases.extend(PROGRAMS.map(|text| kernel(text, isa)));
    }
    cases.extend([ring_items(), ring_bursts(), lane_turns(), packets()]);
    cases
}

fn payload() -> Vec<u8> {
    (0..BATCH * SPAN / 8).flat_map(word_at).collect()
}

/// A program over 64 spans, with the kernels of `isa`; prefetch is off, since a clock decides it.
fn kernel(text: &'static str, isa: Isa) -> Case {
    let program = Program::parse(text).expect("written above");
    let mut messages: Vec<Vec<u8>> = payload().chunks(SPAN).map(<[u8]>::to_vec).collect();
    let options = Options { prefetch_spans: Some(0), ..Options::default() };
    let mut bytes = payload();
    let mut right = oracle::run(&program, &mut messages);
    let mut passes = 0;
    let work = move || {
        let mut compiled = Compiled::with(&program, isa, options);
        let mut spans: Vec<&mut [u8]> = bytes.chunks_mut(SPAN).collect();
        let mut batch = SpanBatch::of_messages(&mut spans);
        super::pfs_gate_measured(&mut || compiled.run(black_box(&mut batch)));
        if passes > 0 {
            right = oracle::run(&program, &mut messages);
        }
        passes += 1;
        let results = compiled.results();
        results.r == right.r && results.hist.as_deref() == right.hist.as_ref().map(|h| &h[..])
    };
    Case { name: format!("{text} {isa}, {BATCH} × {SPAN} B"), work: Box::new(work) }
}

fn desc(number: usize) -> Desc {
    Desc { offset: number as u64, frame: number as u32, ..whole() }
}

fn whole() -> Desc {
    Desc { flags: Desc::SOM | Desc::EOM, ..Desc::default() }
}

fn ring_items() -> Case {
    let work = || {
        let (mut input, mut output) = pfs_rings::spsc::ring::<Desc>(BURST);
        let mut sum = 0;
        super::pfs_gate_measured(&mut || {
            for number in 0..THROUGH {
                let pushed = input.try_push(desc(number)).is_ok();
                let popped = output.pop().map_or(0, |desc| desc.offset);
                sum += u64::from(pushed) * popped;
            }
        });
        sum == (THROUGH * (THROUGH - 1) / 2) as u64
    };
    Case { name: format!("ring, {THROUGH} descriptors one by one"), work: Box::new(work) }
}

fn ring_bursts() -> Case {
    let work = || {
        let (mut input, mut output) = pfs_rings::spsc::ring::<Desc>(4 * BURST);
        let burst: Vec<Desc> = (0..BURST).map(desc).collect();
        let mut out = vec![Desc::default(); BURST];
        let mut through = 0;
        super::pfs_gate_measured(&mut || {
            for _ in 0..THROUGH / BURST {
                let pushed = input.push_slice(black_box(&burst));
                through += pushed.min(output.pop_into(black_box(&mut out)));
            }
        });
        through == THROUGH && out == burst
    };
    Case { name: format!("ring, {THROUGH} descriptors in bursts of {BURST}"), work: Box::new(work) }
}

fn lane_turns() -> Case {
    let work = || {
        let (mut receiver, mut worker) = lane(4 * BURST);
        let burst: Vec<Desc> = (0..BURST).map(desc).collect();
        let mut returned = 0;
        super::pfs_gate_measured(&mut || {
            let mut out = [Desc::default(); BURST];
            let mut tokens = [0; BURST];
            for _ in 0..THROUGH / BURST {
                let pushed = receiver.push(black_box(&burst));
                let found = worker.peek(&mut out);
                for (token, desc) in tokens.iter_mut().zip(&out) {
                    *token = desc.frame;
                }
                worker.release(found);
                worker.give_back(&tokens[..found]);
                returned += usize::from(pushed) * receiver.drain(black_box(&mut tokens));
            }
        });
        returned == THROUGH
    };
    Case { name: format!("lane, {THROUGH} descriptors there and back"), work: Box::new(work) }
}

/// Parse, match, hash and choice of a lane for 256 UDP frames of 64 bytes.
fn packets() -> Case {
    const FRAMES: u64 = 256;
    let work = || {
        let size = "64".parse().expect("a size");
        let generate = GenerateSpec { frames: FRAMES as u32, ..GenerateSpec::of_size(size) };
        let frame = |index| {
            let mut bytes = vec![0; generate.frame_size.len_of(index)];
            generate.write(index, &mut bytes);
            bytes
        };
        let mut frames: Vec<Vec<u8>> = (0..FRAMES).map(frame).collect();
        let rules = RuleSet::compile(&[Rule::all("all")]).expect("a good rule");
        let (mut matched, mut lanes, mut parsed) = (0, 0, Parsed::default());
        super::pfs_gate_measured(&mut || {
            for bytes in &mut frames {
                let len = bytes.len() as u32;
                let sound = parse_into(Framing::Ethernet, Frame::new(bytes, len, len), &mut parsed);
                matched += u64::from(sound.is_ok() && rules.find(&parsed) == Some(0));
                lanes += u64::from(lane_of(flow_hash(&parsed), 7) < 7);
            }
        });
        (matched, lanes) == (FRAMES, FRAMES)
    };
    Case { name: format!("parse, match, hash, lane: {FRAMES} frames"), work: Box::new(work) }
}
