//! Measuring what a program costs.

use std::time::{Duration, Instant};

use pfs_kv::frame::{Builder, HEADER, OPERATION, Operation};

use crate::ops::kv::KvGrammar;
use crate::ops::{EngineOp, Engines, OpError, pvrt, vec};
use crate::pcpu::{BATCH, Compiled, Isa, Options, Program, SpanBatch, cycles};

/// How long one program is measured.
const TRIAL: Duration = Duration::from_millis(20);
/// Payload that a trial goes through in turn: more than the caches nearest to a core hold, since
/// packets come from memory that somebody else has written.
const FOOTPRINT: usize = 8 << 20;

/// What engines that work on text are measured on: our own licence's words are as good as any.
const SAMPLE: &str = include_str!("../../../LICENSE-APACHE");

/// What the op `cst` parses, by language; where there is none, JSON, of which every grammar makes
/// something.
const SOURCES: [(&str, &str); 12] = [
    ("rust", include_str!("trial.rs")),
    ("c", include_str!("../../../ebpf/src/bpf/pfs_xdp.bpf.c")),
    ("cpp", include_str!("../../engines/cst/tests/samples/shapes.cpp")),
    ("python", include_str!("../../engines/cst/tests/samples/shapes.py")),
    ("javascript", include_str!("../../engines/cst/tests/samples/shapes.js")),
    ("typescript", include_str!("../../engines/cst/tests/samples/shapes.ts")),
    ("tsx", include_str!("../../engines/cst/tests/samples/shapes.ts")),
    ("go", include_str!("../../engines/cst/tests/samples/shapes.go")),
    ("java", include_str!("../../engines/cst/tests/samples/shapes.java")),
    ("bash", include_str!("../../engines/cst/tests/samples/shapes.sh")),
    ("html", include_str!("../../engines/cst/tests/samples/shapes.html")),
    ("css", include_str!("../../engines/cst/tests/samples/shapes.css")),
];
const JSON: &str = r#"[{"id": 1, "name": "first", "tags": ["a", "b"], "size": 2.5, "ok": true}, null]
"#;

/// Keys that a store is measured with, and bytes of each.
const KEYS: u64 = 100_000;
const KEY: usize = 8;

/// What one packet costs a worker.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CostClass {
    /// Nanoseconds for each packet, payload included.
    pub ns_per_packet: f64,
    /// Ticks of the time-stamp counter for each packet; 0 where user space has none.
    pub ticks_per_packet: f64,
}

/// Measures `program` on payloads of `payload_bytes`, with the kernels of `isa`.
/// An engine gets text, one stream for all packets, and no sink; a store puts in its
/// grammar; `pvrt` windows that come as they are; `cst` a file a payload;
/// `vec` vectors of 384 bf16 components.
///
/// # Errors
/// When an engine of the program cannot be made ready.
pub fn measure(program: &Program, payload_bytes: u32, isa: Isa) -> Result<CostClass, OpError> {
    let engines = Engines::trial([program])?.make(program);
    let fill = filler(program);
    let text = !engines.is_empty();
    let mut compiled = Compiled::with_engines(program, isa, Options::default(), engines);
    let span = (payload_bytes as usize).max(1);
    let spans = (FOOTPRINT / span).clamp(BATCH, 1 << 16);
    // Written before it is read: untouched pages would all be the one page of zeroes.
    let mut memory: Vec<u8> = if text {
        SAMPLE.bytes().cycle().take(spans * span).collect()
    } else {
        (0..spans * span).map(|at| ((at * 31) >> 3) as u8).collect()
    };
    let (mut spent, mut ticks, mut packets) = (Duration::ZERO, 0_u64, 0_u64);
    'trial: loop {
        for block in memory.chunks_mut(BATCH * span) {
            let mut parts: Vec<&mut [u8]> = block.chunks_mut(span).collect();
            if let Some(fill) = &fill {
                (packets..).zip(&mut parts).for_each(|(number, part)| fill(number, part));
            }
            packets += parts.len() as u64;
            let (began, before) = (Instant::now(), cycles());
            compiled.run(&mut SpanBatch::of_messages(&mut parts));
            spent += began.elapsed();
            ticks += cycles().wrapping_sub(before);
            if spent >= TRIAL {
                break 'trial;
            }
        }
    }
    Ok(CostClass {
        ns_per_packet: spent.as_nanos() as f64 / packets as f64,
        ticks_per_packet: ticks as f64 / packets as f64,
    })
}

/// Fills the payload of a number.
type Fill = Box<dyn Fn(u64, &mut [u8])>;

/// What the payload of an engine that does not take any text is filled with.
fn filler(program: &Program) -> Option<Fill> {
    program.engines().find_map(|op| -> Option<Fill> {
        match op {
            EngineOp::Token(_) => None,
            // A frame of a number that came before would not be executed again.
            EngineOp::Kv(kv) => Some(match kv.grammar {
                KvGrammar::Frame => Box::new(|number, payload| puts(number + 1, payload)),
                KvGrammar::Cheetah => {
                    Box::new(|number, payload| lines("PAIR_SET ", " 1\n", number, payload))
                }
                KvGrammar::Resp => {
                    Box::new(|number, payload| lines("SET ", " value\r\n", number, payload))
                }
            }),
            EngineOp::Pvrt(_) => Some(Box::new(pvrt::trial_frame)),
            EngineOp::Vec(_) => Some(Box::new(vec::trial_frame)),
            EngineOp::Cst(op) => {
                let mine = SOURCES.iter().find(|(lang, _)| op.lang.as_deref() == Some(lang));
                let source = mine.map_or(JSON, |(_, source)| source);
                Some(Box::new(|_, payload| repeat(source, payload)))
            }
        }
    })
}

/// Fills a payload with a text, again and again.
fn repeat(text: &str, payload: &mut [u8]) {
    payload.iter_mut().zip(text.bytes().cycle()).for_each(|(to, byte)| *to = byte);
}

/// Fills a payload with commands for keys between `before` and `behind`, then with blank lines.
fn lines(before: &str, behind: &str, sequence: u64, payload: &mut [u8]) {
    payload.fill(b'\n');
    let mut rest = payload;
    for at in 0.. {
        let key = (sequence << 8 | at).wrapping_mul(0x9e37_79b9_7f4a_7c15) % KEYS;
        let line = format!("{before}key:{key:05}{behind}");
        let Some((front, left)) = rest.split_at_mut_checked(line.len()) else { return };
        front.copy_from_slice(line.as_bytes());
        rest = left;
    }
}

/// Fills a payload with a frame of puts of some 100 bytes each, as far as one fits.
fn puts(sequence: u64, payload: &mut [u8]) {
    const PUT: usize = 100;
    let mut builder = Builder::new(payload.len());
    let mut room = payload.len().saturating_sub(HEADER);
    while room > OPERATION + KEY {
        // The last one takes what is left, so that the frame fills the payload.
        let take = if room < 2 * PUT { room } else { PUT };
        let mixed = (sequence << 8 | room as u64 & 0xff).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let key = (mixed % KEYS).to_le_bytes();
        let value = [0x76; 2 * PUT];
        let value = &value[..take - OPERATION - KEY];
        if !builder.push(&Operation::Put { key: &key, value, expires: None }) {
            return;
        }
        room -= take;
    }
    if builder.count() > 0 {
        let frame = builder.finish(1, sequence, 0, false);
        if let Some(front) = payload.get_mut(..frame.len()) {
            front.copy_from_slice(frame);
        }
    }
}

#[cfg(test)]
mod tests {
    use pfs_kv::frame::Frame;

    use super::*;

    #[test]
    fn payloads_for_a_store_are_whole_commands() {
        for length in [49, 64, 100, 148, 256, 1400, 9000] {
            let mut payload = vec![0; length];
            puts(3, &mut payload);
            let frame = Frame::parse(&payload).unwrap();
            assert_eq!(frame.operations().count(), usize::from(frame.count()), "{length}");
            lines("SET ", " value\r\n", 3, &mut payload);
            assert!(payload.ends_with(b"\n") && payload.starts_with(b"SET key:"));
        }
        puts(3, &mut []);
        lines("SET ", " value\r\n", 3, &mut [0; 5]);
    }

    #[test]
    fn collections_are_measured_without_their_folder() {
        let program = Program::parse("vec:/nonexistent/x").unwrap();
        for payload_bytes in [1, 200, 1400, 9000] {
            let cost = measure(&program, payload_bytes, Isa::detect()).unwrap();
            assert!(cost.ns_per_packet > 0.0, "{cost:?}");
        }
    }

    #[test]
    fn a_store_is_measured_without_its_folder() {
        let program = Program::parse("kv,dir=/nonexistent/x").unwrap();
        let cost = measure(&program, 500, Isa::detect()).unwrap();
        assert!(cost.ns_per_packet > 0.0, "{cost:?}");
    }
}
