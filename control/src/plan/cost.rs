//! Cost classes: what a program costs on this host, held against the load a plan declares.

use std::time::{Duration, Instant};

use pfs_dataplane::ops::kv::KvGrammar;
use pfs_dataplane::ops::pvrt::trial_frame;
use pfs_dataplane::ops::{EngineOp, Engines, OpError};
use pfs_dataplane::packet::Action;
use pfs_dataplane::pcpu::{BATCH, Compiled, Isa, Options, Program, SpanBatch, optimize};
use pfs_kv::frame::{Builder, HEADER, OPERATION, Operation};

use super::Overload;
use super::check::{Checked, Severity, report};

/// How long one program is measured.
const TRIAL: Duration = Duration::from_millis(20);
/// Payload that a trial goes through in turn: more than the caches nearest to a core hold, since
/// packets come from memory that somebody else has written.
const FOOTPRINT: usize = 8 << 20;
/// Most payload of one packet: that of the longest IP packet.
const MOST_PAYLOAD: u32 = 65_535;
/// Part of a worker's time that programs may take; the rest is for lanes and for peaks.
const USABLE: f64 = 0.8;

/// What engines that work on text are measured on: our own licence's words are as good as any.
const SAMPLE: &str = include_str!("../../../LICENSE-APACHE");

/// Keys that a store is measured with, and bytes of each.
const KEYS: u64 = 100_000;
const KEY: usize = 8;

/// What one packet costs a worker.
#[derive(Clone, Copy, Debug)]
pub(super) struct CostClass {
    /// Nanoseconds for each packet, payload included.
    pub(super) ns_per_packet: f64,
}

/// Measures `program` on payloads of `payload_bytes`, with the kernels that a run would choose.
/// An engine gets text, one stream for all packets, and no sink; a store puts in its
/// grammar; `pvrt` windows that come as they are.
///
/// # Errors
/// When an engine of the program cannot be made ready.
pub(super) fn measure(program: &Program, payload_bytes: u32) -> Result<CostClass, OpError> {
    let engines = Engines::trial([program])?.make(program);
    let grammar = program.engines().find_map(|op| match op {
        EngineOp::Kv(kv) => Some(kv.grammar),
        _ => None,
    });
    let frames = program.engines().any(|op| matches!(op, EngineOp::Pvrt(_)));
    let text = !engines.is_empty();
    let mut compiled = Compiled::with_engines(program, Isa::detect(), Options::default(), engines);
    let span = (payload_bytes as usize).max(1);
    let spans = (FOOTPRINT / span).clamp(BATCH, 1 << 16);
    // Written before it is read: untouched pages would all be the one page of zeroes.
    let mut memory: Vec<u8> = if text {
        SAMPLE.bytes().cycle().take(spans * span).collect()
    } else {
        (0..spans * span).map(|at| ((at * 31) >> 3) as u8).collect()
    };
    let (mut spent, mut packets) = (Duration::ZERO, 0_u64);
    while spent < TRIAL {
        for block in memory.chunks_mut(BATCH * span) {
            let mut parts: Vec<&mut [u8]> = block.chunks_mut(span).collect();
            if let Some(grammar) = grammar {
                // A frame that came before would not be executed again.
                for (sequence, part) in (packets + 1..).zip(&mut parts) {
                    match grammar {
                        KvGrammar::Frame => puts(sequence, part),
                        KvGrammar::Cheetah => lines("PAIR_SET ", " 1\n", sequence, part),
                        KvGrammar::Resp => lines("SET ", " value\r\n", sequence, part),
                    }
                }
            }
            if frames {
                (packets..).zip(&mut parts).for_each(|(number, part)| trial_frame(number, part));
            }
            packets += parts.len() as u64;
            let began = Instant::now();
            compiled.run(&mut SpanBatch::of_messages(&mut parts));
            spent += began.elapsed();
        }
    }
    Ok(CostClass { ns_per_packet: spent.as_nanos() as f64 / packets as f64 })
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

/// Refuses or samples a plan whose dearest program cannot keep up with its declared load.
pub(super) fn check(checked: &mut Checked) {
    let Some(declared) = checked.plan.limits.declared.clone() else { return };
    if !declared.packets_per_second.is_finite() || declared.packets_per_second <= 0.0 {
        let message = "packets_per_second must be above 0".to_owned();
        return report(checked, Severity::Error, "limits.declared", message);
    }
    if declared.payload_bytes > MOST_PAYLOAD {
        let message = format!("payload_bytes {} is above {MOST_PAYLOAD}", declared.payload_bytes);
        return report(checked, Severity::Error, "limits.declared", message);
    }
    let dearest = checked
        .plan
        .rules
        .iter()
        .filter(|rule| rule.action == Action::Redirect)
        .filter_map(|rule| {
            let program = Program::parse(&rule.program).ok()?;
            let program = optimize(&program, rule.sink.is_some()).program;
            let cost = measure(&program, declared.payload_bytes).ok()?;
            Some((cost.ns_per_packet, rule.name.clone()))
        })
        .max_by(|a, b| a.0.total_cmp(&b.0));
    let Some((ns_per_packet, rule)) = dearest else { return };
    let workers = checked.plan.workers();
    let capacity = workers as f64 * USABLE * 1e9 / ns_per_packet;
    if capacity >= declared.packets_per_second {
        return;
    }
    let share = capacity / declared.packets_per_second;
    let finding = format!(
        "rule {rule} costs {ns_per_packet:.0} ns for {} B of payload: {workers} workers carry {capacity:.0} packets/s of the {:.0} declared",
        declared.payload_bytes, declared.packets_per_second
    );
    match declared.overload {
        Overload::Refuse => {
            let message = format!(
                "{finding}; give it more worker cores, a cheaper program, or overload: sample"
            );
            report(checked, Severity::Error, "limits.declared", message);
        }
        Overload::Sample => {
            checked.sampled = (share * f64::from(u32::MAX)) as u32;
            let message = format!("{finding}; {:.1} % of the flows are delivered", share * 100.0);
            report(checked, Severity::Warning, "limits.declared", message);
        }
    }
}

#[cfg(test)]
mod tests {
    use pfs_kv::frame::Frame;

    use super::*;
    use crate::plan::{check, parse};

    #[test]
    fn a_payload_that_no_packet_has_is_refused_before_it_is_made() {
        let text = r#"{"schema_version": 1,
            "sources": [{"name": "m", "from": {"memory": {"content": {"generated": {}}}}}],
            "rules": [{"name": "all", "program": "len"}],
            "lanes": {"mode": "run_to_completion"},
            "limits": {"declared":
                {"packets_per_second": 1, "payload_bytes": 4294967295, "overload": "refuse"}}}"#;
        let checked = check(&parse(text).expect("of sound form"));
        let errors = checked.errors().expect("refused");
        assert!(errors.contains("payload_bytes 4294967295 is above 65535"), "{errors}");
    }

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
    fn a_store_is_measured_without_its_folder() {
        let program = Program::parse("kv,dir=/nonexistent/x").unwrap();
        let cost = measure(&program, 500).unwrap();
        assert!(cost.ns_per_packet > 0.0, "{cost:?}");
    }
}
