//! Runs of one rule and one program, as benchmarks make them.

use pfs_dataplane::packet::{Rule, RuleSet};
use pfs_dataplane::pcpu::{Isa, Program, optimize};
use pfs_dataplane::run::{LaneMemory, ReceiverSlot, RunSpec, Workers};
use pfs_rings::WaitStrategy;

/// A run of `program` over what `rule` takes from `receivers`: adaptive waits, no payload kept,
/// no clock read between stages.
///
/// # Errors
/// When the rule or the program is wrong.
pub fn spec(
    receivers: Vec<ReceiverSlot>,
    rule: Rule,
    program: &str,
    workers: Workers,
) -> Result<RunSpec, String> {
    let program = Program::parse(program).map_err(|error| error.to_string())?;
    Ok(RunSpec {
        receivers,
        rules: RuleSet::compile(std::slice::from_ref(&rule)).map_err(|error| error.to_string())?,
        names: vec![rule.name],
        programs: vec![optimize(&program, false)],
        workers,
        kits: Vec::new(),
        wait: WaitStrategy::Adaptive,
        isa: Isa::detect(),
        sampled: u32::MAX,
        stage_cycles: false,
        memory: LaneMemory::default(),
    })
}
