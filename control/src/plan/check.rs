//! Holding a plan against itself and against this host, before anything is opened.

use std::collections::HashSet;
use std::fmt;

use pfs_dataplane::ops::ids::IdSinkSpec;
use pfs_dataplane::ops::{EngineOp, Engines};
use pfs_dataplane::packet::{Action, RuleSet};
use pfs_dataplane::pcpu::Program;
use pfs_dataplane::pin;
use pfs_dataplane::receivers::SourceSpec;

use super::{LaneMode, Plan, SCHEMA_VERSION, Source, cost, replies, servers};

/// Fewest and most descriptors that a lane may hold.
const RING_SLOTS: std::ops::RangeInclusive<u32> = 64..=1 << 22;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The plan cannot run.
    Error,
    /// It can, though not as somebody may expect.
    Warning,
}

/// One thing that the check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// Where in the plan: `rules[2].program`.
    pub place: String,
    /// What is wrong, and what mends it.
    pub message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        write!(f, "{severity}: {}: {}", self.place, self.message)
    }
}

/// A checked plan: cores filled in where they were open, and what was found.
#[derive(Clone, Debug)]
pub struct Checked {
    /// The plan with every core named.
    pub plan: Plan,
    /// Findings, errors first.
    pub findings: Vec<Finding>,
    /// Share of the flows to deliver, as a part of `u32::MAX`.
    pub sampled: u32,
}

impl Checked {
    fn error(&mut self, place: impl Into<String>, message: impl Into<String>) {
        self.add(Severity::Error, place, message);
    }

    fn add(&mut self, severity: Severity, place: impl Into<String>, message: impl Into<String>) {
        self.findings.push(Finding { severity, place: place.into(), message: message.into() });
    }

    /// The errors in one line each, or `None`.
    #[must_use]
    pub fn errors(&self) -> Option<String> {
        let errors: Vec<String> = self
            .findings
            .iter()
            .filter(|finding| finding.severity == Severity::Error)
            .map(|finding| format!("{}: {}", finding.place, finding.message))
            .collect();
        (!errors.is_empty()).then(|| errors.join("\n     "))
    }
}

/// Checks `plan` against itself and this host. Opens and changes nothing.
#[must_use]
pub fn check(plan: &Plan) -> Checked {
    let mut checked = Checked { plan: plan.clone(), findings: Vec::new(), sampled: u32::MAX };
    if plan.schema_version != SCHEMA_VERSION {
        checked.error("schema_version", format!("{} is not {SCHEMA_VERSION}", plan.schema_version));
    }
    check_sources(&mut checked);
    check_rules(&mut checked);
    check_sinks(&mut checked);
    check_ids(&mut checked);
    replies::check(&mut checked);
    servers::check(&mut checked);
    check_lanes(&mut checked);
    check_restore(&mut checked);
    check_limits(&mut checked);
    if checked.errors().is_none() {
        cost::check(&mut checked);
    }
    checked.findings.sort_by_key(|finding| finding.severity != Severity::Error);
    checked
}

pub(super) fn report(checked: &mut Checked, severity: Severity, place: &str, message: String) {
    checked.add(severity, place, message);
}

fn check_sources(checked: &mut Checked) {
    let sources = checked.plan.sources.clone();
    if sources.is_empty() {
        checked.error("sources", "a plan needs a source");
    }
    let mut names = HashSet::new();
    for (at, source) in sources.iter().enumerate() {
        let place = format!("sources[{at}]");
        if !names.insert(source.name.as_str()) {
            checked.error(&place, format!("two sources are called {}", source.name));
        }
        let threads = match source.cores.len() {
            0 => source.from.threads(),
            cores => Ok(cores),
        };
        if let Err(error) = threads.and_then(|threads| source.from.check(threads)) {
            checked.error(&place, error.to_string());
        }
    }
}

fn check_rules(checked: &mut Checked) {
    let rules = checked.plan.rules.clone();
    if rules.is_empty() {
        checked.error("rules", "a plan needs a rule; an empty match takes every packet");
    }
    if let Err(error) = RuleSet::compile(&rules) {
        checked.error("rules", error.to_string());
    }
    let mut names = HashSet::new();
    let sinks: HashSet<String> =
        checked.plan.sinks.payload.iter().map(|sink| sink.name.clone()).collect();
    for (at, rule) in rules.iter().enumerate() {
        let place = format!("rules[{at}]");
        if !names.insert(rule.name.as_str()) {
            checked.error(&place, format!("two rules are called {}", rule.name));
        }
        if let Some(sink) = rule.sink.as_ref().filter(|sink| !sinks.contains(*sink)) {
            checked.error(&place, format!("no sink is called {sink}; name it in sinks.payload"));
        }
        if rule.action == Action::Redirect {
            match Program::parse(&rule.program) {
                Ok(program) => check_engines(checked, &place, &program),
                Err(error) => checked.error(format!("{place}.program"), error.to_string()),
            }
        }
    }
}

/// What a program's engines need must be there.
fn check_engines(checked: &mut Checked, place: &str, program: &Program) {
    if let Err(error) = Engines::trial([program]) {
        checked.error(format!("{place}.program"), error.to_string());
    }
}

/// Each id sink needs a name and a place of its own, and a rule that finds ids for it.
fn check_ids(checked: &mut Checked) {
    let (sinks, rules) = (checked.plan.sinks.clone(), checked.plan.rules.clone());
    let (mut names, mut paths) = (HashSet::new(), HashSet::new());
    paths.extend(sinks.payload.iter().map(|sink| &sink.path));
    for (at, sink) in sinks.ids.iter().enumerate() {
        let place = format!("sinks.ids[{at}]");
        if !names.insert(sink.name.as_str()) {
            checked.error(&place, format!("two id sinks are called {}", sink.name));
        }
        if !paths.insert(sink.to.path()) {
            checked.error(&place, format!("two sinks write {}", sink.to.path().display()));
        }
        if let IdSinkSpec::Ring { words, .. } = sink.to
            && !(words.is_power_of_two() && IdSinkSpec::RING_WORDS.contains(&words))
        {
            let (least, most) = (IdSinkSpec::RING_WORDS.start(), IdSinkSpec::RING_WORDS.end());
            let message = format!("{words} words are no power of two from {least} to {most}");
            checked.error(&place, message);
        }
        if rules.iter().all(|rule| rule.ids.as_ref() != Some(&sink.name)) {
            let message = format!("no rule keeps its ids in {}", sink.name);
            checked.add(Severity::Warning, &place, message);
        }
    }
    for (at, rule) in rules.iter().enumerate() {
        let place = format!("rules[{at}]");
        let Some(sink) = &rule.ids else { continue };
        if !names.contains(sink.as_str()) {
            checked.error(&place, format!("no id sink is called {sink}; name it in sinks.ids"));
        }
        let program = Program::parse(&rule.program);
        if program.is_ok_and(|program| !program.engines().any(EngineOp::gives_ids)) {
            let message = format!("its program has no token op, so {sink} gets no ids");
            checked.add(Severity::Warning, &place, message);
        }
    }
}

/// Each payload sink needs a name and a file of its own, and a rule that uses it.
fn check_sinks(checked: &mut Checked) {
    let (sinks, rules) = (checked.plan.sinks.payload.clone(), checked.plan.rules.clone());
    let (mut names, mut paths) = (HashSet::new(), HashSet::new());
    for (at, sink) in sinks.iter().enumerate() {
        let place = format!("sinks.payload[{at}]");
        if !names.insert(&sink.name) {
            checked.error(&place, format!("two sinks are called {}", sink.name));
        }
        if !paths.insert(&sink.path) {
            checked.error(&place, format!("two sinks write {}", sink.path.display()));
        }
        if rules.iter().all(|rule| rule.sink.as_ref() != Some(&sink.name)) {
            let message = format!("no rule keeps its payload in {}", sink.name);
            checked.add(Severity::Warning, &place, message);
        }
    }
}

fn check_lanes(checked: &mut Checked) {
    let slots = checked.plan.lanes.ring_slots;
    if !slots.is_power_of_two() || !RING_SLOTS.contains(&slots) {
        checked.error(
            "lanes.ring_slots",
            format!(
                "{slots} is not a power of two from {} to {}",
                RING_SLOTS.start(),
                RING_SLOTS.end()
            ),
        );
    }
    let mut taken: Vec<(u32, String)> = Vec::new();
    for (at, source) in checked.plan.sources.clone().iter().enumerate() {
        for &core in &source.cores {
            claim(checked, &mut taken, core, format!("sources[{at}].cores"));
        }
    }
    if checked.plan.lanes.mode == LaneMode::Pipeline {
        for core in checked.plan.lanes.worker_cores.clone() {
            claim(checked, &mut taken, core, "lanes.worker_cores".to_owned());
        }
    }
    for (at, server) in checked.plan.servers.clone().iter().enumerate() {
        if let Some(core) = server.core {
            claim(checked, &mut taken, core, format!("servers[{at}].core"));
        }
    }
    if checked.errors().is_none() {
        choose_cores(checked, &taken);
    }
}

/// Notes that `place` wants `core`; an error where it does not exist or is taken.
fn claim(checked: &mut Checked, taken: &mut Vec<(u32, String)>, core: u32, place: String) {
    if let Err(error) = pin::check(core) {
        checked.error(place, error.to_string());
    } else if let Some((_, first)) = taken.iter().find(|(other, _)| *other == core) {
        let message = format!("core {core} is taken by {first}; give each thread its own");
        checked.error(place, message);
    } else {
        taken.push((core, place));
    }
}

/// Names a core for each thread that has none, in the kernel's order.
fn choose_cores(checked: &mut Checked, taken: &[(u32, String)]) {
    let allowed = pin::allowed_cores().unwrap_or_default();
    let mut free: Vec<u32> = allowed
        .iter()
        .copied()
        .filter(|core| taken.iter().all(|(other, _)| other != core))
        .collect();
    free.reverse();
    let mut wanted = Vec::new();
    for (at, source) in checked.plan.sources.iter().enumerate() {
        if source.cores.is_empty() {
            let threads = source.from.threads().unwrap_or(1);
            wanted.extend(std::iter::repeat_n(Some(at), threads));
        }
    }
    let pipeline = checked.plan.lanes.mode == LaneMode::Pipeline;
    if pipeline && checked.plan.lanes.worker_cores.is_empty() {
        wanted.push(None);
    }
    if wanted.len() > free.len() {
        let message = format!(
            "{} more threads need a core each and {} of the {} allowed are free; use run_to_completion, or fewer sources",
            wanted.len(),
            free.len(),
            allowed.len()
        );
        return checked.error("lanes", message);
    }
    for thread in wanted {
        let Some(core) = free.pop() else { return };
        match thread {
            Some(source) => checked.plan.sources[source].cores.push(core),
            None => checked.plan.lanes.worker_cores.push(core),
        }
    }
}

/// A program that writes payload finds its own output when a source comes round.
fn check_restore(checked: &mut Checked) {
    let writes = checked
        .plan
        .rules
        .iter()
        .any(|rule| Program::parse(&rule.program).is_ok_and(|program| program.transforms()));
    for (at, source) in checked.plan.sources.clone().iter().enumerate() {
        if writes && source.from.repeats_as_left() {
            checked.add(
                Severity::Warning,
                format!("sources[{at}]"),
                "a program writes payload and this source comes round: later rounds find what it wrote; set restore to true",
            );
        }
    }
}

fn check_limits(checked: &mut Checked) {
    let limits = checked.plan.limits.clone();
    if limits.seconds.is_some_and(|seconds| !seconds.is_finite() || seconds <= 0.0) {
        checked.error("limits.seconds", "must be above 0");
    }
    let endless = checked.plan.sources.iter().any(|source| source.from.is_endless());
    if endless && limits.seconds.is_none() && limits.packets.is_none() {
        checked.add(
            Severity::Warning,
            "limits",
            "the run ends only by SIGINT or SIGTERM; set limits.seconds or limits.packets to bound it",
        );
    }
    let af_xdp = |source: &Source| matches!(source.from, SourceSpec::AfXdp(_));
    if checked.plan.sources.iter().any(af_xdp) && !cfg!(feature = "af-xdp") {
        checked.error("sources", "this build has no af_xdp; build it with --features af-xdp (`just build` does where clang, libclang, libelf, zlib and m4 are installed)");
    }
}
