//! A plan in words.

use std::fmt::Write as _;

use pfs_dataplane::packet::{Action, Rule};
use pfs_dataplane::pcpu::{Program, optimize};

use super::{LaneMode, Plan};

/// What `plan` does, for a person to read: sources, rules with their rewrites, lanes, limits.
#[must_use]
pub fn explain(plan: &Plan) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = write_sources(&mut text, plan);
    let _ = write_rules(&mut text, plan);
    let _ = write_lanes(&mut text, plan);
    let _ = write_servers(&mut text, plan);
    text
}

fn write_sources(text: &mut String, plan: &Plan) -> std::fmt::Result {
    for source in &plan.sources {
        let cores = match source.cores.as_slice() {
            [] => "cores chosen at start".to_owned(),
            cores => format!("core {}", join(cores)),
        };
        writeln!(text, "source {}: {} on {cores}", source.name, compact(&source.from))?;
    }
    Ok(())
}

fn write_rules(text: &mut String, plan: &Plan) -> std::fmt::Result {
    for rule in &plan.rules {
        write!(text, "rule {}: {} ", rule.name, matches(rule))?;
        match rule.action {
            Action::Pass => writeln!(text, "pass to the kernel, counted")?,
            Action::Drop => writeln!(text, "are dropped, counted")?,
            Action::Redirect => write_program(text, rule)?,
        }
    }
    writeln!(text, "packets that no rule matches: left to the kernel, counted as filtered")
}

fn write_program(text: &mut String, rule: &Rule) -> std::fmt::Result {
    let program = match Program::parse(&rule.program) {
        Ok(program) => program,
        Err(error) => return writeln!(text, "run nothing: {error}"),
    };
    writeln!(text, "run {program}")?;
    let optimized = optimize(&program, rule.sink.is_some());
    for rewrite in &optimized.rewrites {
        writeln!(text, "    {} -> {}: {}", rewrite.before, rewrite.after, rewrite.why)?;
    }
    if let Some(sink) = &rule.sink {
        writeln!(text, "    payload is kept in sink {sink}")?;
    }
    if let Some(sink) = &rule.ids {
        writeln!(text, "    token ids go to sink {sink}")?;
    }
    Ok(())
}

fn write_lanes(text: &mut String, plan: &Plan) -> std::fmt::Result {
    let lanes = &plan.lanes;
    match lanes.mode {
        LaneMode::RunToCompletion => {
            writeln!(text, "lanes: none; programs run in the receivers' threads")?;
        }
        LaneMode::Pipeline => {
            let workers = match lanes.worker_cores.as_slice() {
                [] => "on a core chosen at start".to_owned(),
                cores => format!("on core {}", join(cores)),
            };
            writeln!(
                text,
                "lanes: workers {workers}, {} descriptors each, waiting {}",
                lanes.ring_slots,
                compact(&lanes.wait).trim_matches('"')
            )?;
        }
    }
    if let Some(seconds) = plan.limits.seconds {
        writeln!(text, "ends after {seconds} s")?;
    }
    if let Some(packets) = plan.limits.packets {
        writeln!(text, "ends after {packets} packets")?;
    }
    Ok(())
}

fn write_servers(text: &mut String, plan: &Plan) -> std::fmt::Result {
    for server in &plan.servers {
        write!(text, "the store of rule {} is served:", server.rule)?;
        for (name, address) in [("RESP", server.resp), ("lines", server.cheetah)] {
            if let Some(address) = address {
                write!(text, " {name} on {address}")?;
            }
        }
        writeln!(text, "{}", if server.auth.is_some() { ", with a password" } else { "" })?;
    }
    Ok(())
}

fn matches(rule: &Rule) -> String {
    match compact(&rule.matches).as_str() {
        "{}" => "all packets".to_owned(),
        fields => format!("packets with {fields}"),
    }
}

fn compact(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

fn join(cores: &[u32]) -> String {
    cores.iter().map(u32::to_string).collect::<Vec<_>>().join(",")
}
