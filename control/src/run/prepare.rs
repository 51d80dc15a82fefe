//! The privileged half of a run: checks, opens sources, compiles, and says what was granted.

use std::path::{Path, PathBuf};

use nix::sys::mman::{MlockAllFlags, mlockall};
use pfs_dataplane::ops::ids::{IdSinkError, IdSinks, NamedIdSink};
use pfs_dataplane::ops::{Engines, OpError};
use pfs_dataplane::packet::{Rule, RuleSet, RuleSetError};
use pfs_dataplane::pcpu::{Isa, Optimized, Program, ProgramError, optimize};
use pfs_dataplane::receivers::{Receive, ReceiveError};
use pfs_dataplane::run::{LaneMemory, PayloadSinks, ReceiverSlot, RunSpec, WorkerKit, Workers};
use pfs_dataplane::transmitters::TransmitError;
use pfs_dataplane::transmitters::replies::{ReplySink, ReplySpec};

use super::servers::Servers;
use crate::plan::{self, Environment, LaneMode, Plan, PlanGranted, ReceiverGranted, RuleRewrites};

/// A plan whose sources are open: nothing that needs privilege is left to do.
#[derive(Debug)]
pub(crate) struct Prepared {
    /// The plan as asked, with what was granted beside it.
    pub(crate) plan: Plan,
    /// What the threads are started from.
    pub(crate) spec: RunSpec,
    /// Servers, which serve already.
    pub(crate) servers: Servers,
}

/// A plan that cannot be started.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PrepareError {
    /// It cannot run on this host, or not at all.
    #[error("the plan cannot run:\n     {0}")]
    Check(String),
    /// A rule cannot be compiled.
    #[error(transparent)]
    Rules(#[from] RuleSetError),
    /// A program cannot be compiled.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// A source cannot be opened.
    #[error("source {name}: {source}")]
    Source { name: String, source: ReceiveError },
    /// Memory cannot be locked.
    #[error(
        "locking memory: {0}; raise the limit (ulimit -l unlimited), give CAP_IPC_LOCK (setcap cap_ipc_lock+ep \"$(command -v pfs)\"), or leave memory.lock out"
    )]
    Lock(nix::Error),
    /// A payload sink's file cannot be made.
    #[error("payload sinks: {0}")]
    Sink(#[from] TransmitError),
    /// A way back to senders cannot be opened.
    #[error("replies: {0}")]
    Replies(TransmitError),
    /// A server cannot be started.
    #[error("the server of rule {rule}: {why}")]
    Server { rule: String, why: String },
    /// An engine cannot be made ready.
    #[error(transparent)]
    Engine(#[from] OpError),
    /// An id sink cannot be made.
    #[error("id sinks: {0}")]
    Ids(#[from] IdSinkError),
}

/// Checks `plan`, opens its sources and compiles its programs.
///
/// # Errors
/// [`PrepareError`]; what was opened is closed again.
pub(crate) fn prepare(plan: &Plan) -> Result<Prepared, PrepareError> {
    let checked = plan::check(plan);
    if let Some(errors) = checked.errors() {
        return Err(PrepareError::Check(errors));
    }
    for finding in &checked.findings {
        tracing::warn!("{finding}");
    }
    let mut plan = checked.plan;
    let pages = plan.memory.pages;
    plan.sources.iter_mut().for_each(|source| source.from.wish_pages(pages));
    let optimized = programs(&plan)?;
    // Before packets can come: a vocabulary takes its time.
    let engines = Engines::load(optimized.iter().map(|optimized| &optimized.program))?;
    let receivers = open(&plan)?;
    let kits = kits(&plan, &optimized, &engines, &receivers)?;
    if plan.memory.lock {
        mlockall(MlockAllFlags::MCL_CURRENT).map_err(PrepareError::Lock)?;
    }
    let isa = Isa::detect();
    let rules = RuleSet::compile(&plan.rules)?;
    let servers = Servers::start(&plan, &optimized, &engines)?;
    plan.granted = Some(granted(&plan, &receivers, &servers, isa));
    plan.optimizer = optimized
        .iter()
        .zip(&plan.rules)
        .map(|(optimized, rule)| RuleRewrites {
            rule: rule.name.clone(),
            program: optimized.program.clone(),
            rewrites: optimized.rewrites.clone(),
        })
        .collect();
    plan.environment = Some(Environment::read());
    let spec = RunSpec {
        receivers,
        rules,
        names: plan.rules.iter().map(|rule| rule.name.clone()).collect(),
        programs: optimized,
        workers: match plan.lanes.mode {
            LaneMode::RunToCompletion => Workers::RunToCompletion,
            LaneMode::Pipeline => Workers::Pipeline {
                cores: plan.lanes.worker_cores.clone(),
                ring_slots: plan.lanes.ring_slots,
            },
        },
        kits,
        wait: plan.lanes.wait,
        isa,
        sampled: checked.sampled,
        stage_cycles: true,
        memory: LaneMemory { pages: plan.memory.pages, lock: plan.memory.lock },
    };
    Ok(Prepared { plan, spec, servers })
}

/// Each rule's program as it will run; `len` for a rule that redirects nothing, so never runs.
fn programs(plan: &Plan) -> Result<Vec<Optimized>, PrepareError> {
    plan.rules
        .iter()
        .map(|rule| {
            let text = if rule.program.is_empty() { "len" } else { &rule.program };
            Ok(optimize(&Program::parse(text)?, rule.sink.is_some()))
        })
        .collect()
}

fn open(plan: &Plan) -> Result<Vec<ReceiverSlot>, PrepareError> {
    let mut slots = Vec::new();
    let rules: Vec<_> = plan.rules.iter().map(|rule| rule.to_xdp()).collect();
    for source in &plan.sources {
        let opened = source
            .from
            .open(source.cores.len(), &rules)
            .map_err(|error| PrepareError::Source { name: source.name.clone(), source: error })?;
        for (receiver, &core) in opened.into_iter().zip(&source.cores) {
            slots.push(ReceiverSlot { name: source.name.clone(), core, source: receiver });
        }
    }
    Ok(slots)
}

/// What each worker is given: engines, and sinks of its own.
fn kits(
    plan: &Plan,
    programs: &[Optimized],
    engines: &Engines,
    receivers: &[ReceiverSlot],
) -> Result<Vec<WorkerKit>, PrepareError> {
    let kit = |worker: usize| {
        let engines = plan.rules.iter().zip(programs).map(|(rule, optimized)| {
            let replies = replies(plan, rule, worker, receivers)?;
            Ok(engines.make_answering(&optimized.program, replies))
        });
        Ok(WorkerKit {
            engines: engines.collect::<Result<_, PrepareError>>()?,
            payload: payload(plan, worker)?,
            ids: ids(plan, worker)?,
        })
    };
    (0..plan.workers()).map(kit).collect()
}

/// A worker's way back to the senders of what `rule` takes.
fn replies(
    plan: &Plan,
    rule: &Rule,
    worker: usize,
    receivers: &[ReceiverSlot],
) -> Result<Option<ReplySink>, PrepareError> {
    let named = |name: &String| plan.sinks.replies.iter().find(|sink| sink.name == *name);
    let Some(sink) = rule.replies.as_ref().and_then(named) else { return Ok(None) };
    let sockets = receivers.iter().map(|slot| {
        let failed = |source| PrepareError::Source { name: slot.name.clone(), source };
        slot.source.reply_socket().map_err(failed)
    });
    let sockets = sockets.collect::<Result<_, _>>()?;
    let mut to = sink.to.clone();
    if let ReplySpec::Pcap(file) = &mut to {
        file.path = own(plan, &file.path, worker);
    }
    ReplySink::open(&to, worker as u32, sockets).map(Some).map_err(PrepareError::Replies)
}

/// A worker's own file: with more than one worker, its number is appended.
fn own(plan: &Plan, path: &Path, worker: usize) -> PathBuf {
    let mut path = path.to_owned().into_os_string();
    if plan.workers() > 1 {
        path.push(format!(".{worker}"));
    }
    path.into()
}

/// A worker's files for payload.
fn payload(plan: &Plan, worker: usize) -> Result<PayloadSinks, TransmitError> {
    let sinks = &plan.sinks.payload;
    let place = |name: &String| sinks.iter().position(|sink| sink.name == *name);
    let of_rule = plan.rules.iter().map(|rule| rule.sink.as_ref().and_then(place)).collect();
    let paths: Vec<PathBuf> = sinks.iter().map(|sink| own(plan, &sink.path, worker)).collect();
    let named = sinks.iter().zip(&paths).map(|(sink, path)| (sink.name.as_str(), path.as_path()));
    PayloadSinks::open(named, of_rule)
}

/// A worker's id sinks, likewise.
fn ids(plan: &Plan, worker: usize) -> Result<IdSinks, IdSinkError> {
    let sinks = &plan.sinks.ids;
    let place = |name: &String| sinks.iter().position(|sink| sink.name == *name);
    let of_rule = plan.rules.iter().map(|rule| rule.ids.as_ref().and_then(place)).collect();
    let named = sinks.iter().map(|sink| NamedIdSink {
        name: sink.name.clone(),
        to: if plan.workers() > 1 { sink.to.of_worker(worker) } else { sink.to.clone() },
    });
    IdSinks::open(&named.collect::<Vec<_>>(), of_rule)
}

fn granted(plan: &Plan, receivers: &[ReceiverSlot], servers: &Servers, isa: Isa) -> PlanGranted {
    PlanGranted {
        receivers: receivers
            .iter()
            .map(|slot| ReceiverGranted {
                source: slot.name.clone(),
                core: slot.core,
                backend: slot.source.granted(),
            })
            .collect(),
        worker_cores: match plan.lanes.mode {
            LaneMode::Pipeline => plan.lanes.worker_cores.clone(),
            LaneMode::RunToCompletion => Vec::new(),
        },
        lanes: None,
        isa: isa.name().to_owned(),
        servers: servers.granted(),
    }
}
