//! `pfs run`: from a plan to its report.

pub(crate) mod figures;
mod live;
mod prepare;
mod servers;
mod table;
mod views;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use pfs_dataplane::run::{RunReport, Running, Snapshot, start};

pub(crate) use prepare::{PrepareError, Prepared, prepare};
use serde::Serialize;
use servers::ServerReport;
use views::NamedViews;

use crate::cli::RunArgs;
use crate::failure::Failure;
use crate::out;
use crate::plan::{self, Plan};

/// How often a run is looked at.
const TICK: Duration = Duration::from_millis(20);
/// How often the live line is made anew.
const SECOND: Duration = Duration::from_secs(1);

/// Runs a plan, prints its books, and leaves its report.
///
/// # Errors
/// [`Failure`]: the plan is bad, the host lacks something, a source broke, or the books did not
/// close.
pub(crate) fn run(args: &RunArgs) -> Result<(), Failure> {
    let plan = match (&args.plan, &args.flags) {
        (Some(path), _) => plan::load(path)?,
        (None, Some(flags)) => plan::make(flags)?,
        (None, None) => return Err(plan::MakeError::NoSource.into()),
    };
    let stop = stop_flag()?;
    let prepared = prepare(&plan)?;
    let mut effective = prepared.plan.clone();
    tell_servers(&effective);
    let views = views::open(args, &effective)?;
    let mut live = (!args.quiet && !args.json).then(|| live::LiveLine::new(&effective));
    let closing = execute(prepared, views, &stop, |snapshot| {
        if let Some(line) = &mut live {
            line.show(snapshot);
        }
    })?;
    if let Some(line) = live {
        line.end();
    }
    effective.grant_lanes(closing.report.lanes.as_ref());
    let left = leave(args, &effective, &closing);
    // What broke the run matters more than a file that could not be written; both are said.
    match (verdict(&closing.report), left) {
        (Err(broke), Err(unwritten)) => Err(Failure::failed(format!("{broke}; {unwritten}"))),
        (verdict, left) => verdict.and(left),
    }
}

/// What a run and its servers leave.
#[derive(Debug, Serialize)]
pub(crate) struct Closing {
    /// The run's account.
    #[serde(flatten)]
    pub(crate) report: RunReport,
    /// What each server did.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) servers: Vec<ServerReport>,
}

/// Says where servers listen, before the first packet is looked at.
fn tell_servers(plan: &Plan) {
    let granted = plan.granted.as_ref().map_or(&[][..], |granted| &granted.servers);
    if !granted.is_empty() {
        out::complain(&servers::told(granted));
    }
}

/// Starts what was prepared, shows it through `views`, watches it until it ends, and closes its
/// account.
///
/// `each_second` sees the counters as they go. `stop` ends the run early, in order.
///
/// # Errors
/// When a thread cannot be started.
fn execute(
    prepared: Prepared,
    views: NamedViews,
    stop: &AtomicBool,
    mut each_second: impl FnMut(&Snapshot),
) -> Result<Closing, Failure> {
    let Prepared { mut plan, spec, servers } = prepared;
    let limits = plan.limits.clone();
    let running = start(spec)?;
    let began = Instant::now();
    plan.grant_lanes(running.lanes_granted());
    let views = match views.serve(plan, running.watch().clone()) {
        Ok(views) => views,
        Err(failure) => {
            running.stop();
            drop(running.join());
            return Err(failure);
        }
    };
    let mut shown = began;
    let mut told = false;
    each_second(&running.snapshot());
    while !running.is_finished() {
        if !told && (stop.load(Relaxed) || reached(&limits, &running, began)) {
            running.stop();
            told = true;
        }
        if shown.elapsed() >= SECOND {
            each_second(&running.snapshot());
            shown = Instant::now();
        }
        thread::sleep(TICK);
    }
    let mut report = running.join();
    views.end();
    let (servers, errors) = servers.stop();
    report.errors.extend(errors);
    Ok(Closing { report, servers })
}

fn reached(limits: &plan::Limits, running: &Running, began: Instant) -> bool {
    let time = limits.seconds.is_some_and(|seconds| began.elapsed().as_secs_f64() >= seconds);
    time || limits.packets.is_some_and(|packets| running.watch().books().offered >= packets)
}

/// A flag that SIGINT and SIGTERM raise; the second signal ends the process at once.
///
/// # Errors
/// When the handlers cannot be installed.
pub(crate) fn stop_flag() -> Result<Arc<AtomicBool>, Failure> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register_conditional_shutdown(signal, 1, Arc::clone(&stop))
            .and_then(|_| signal_hook::flag::register(signal, Arc::clone(&stop)))
            .map_err(|error| Failure::failed(format!("installing signal handlers: {error}")))?;
    }
    Ok(stop)
}

/// Prints the report, then writes what files were asked for: the books are told though a disk is
/// full.
fn leave(args: &RunArgs, effective: &Plan, report: &Closing) -> Result<(), Failure> {
    let printed = match (args.json, effective.sinks.take_stdout()) {
        (true, false) => out::json(report),
        (false, false) => out::print(&table::render(report)),
        // Standard output holds ids and nothing else.
        (true, true) => {
            out::complain(&serde_json::to_string_pretty(report).unwrap_or_default());
            Ok(())
        }
        (false, true) => {
            out::complain(table::render(report).trim_end());
            Ok(())
        }
    };
    let plan = args.plan_out.as_ref().map_or(Ok(()), |path| plan::save_json(path, effective));
    let sink = effective.sinks.report.as_ref();
    let report = sink.map_or(Ok(()), |path| plan::save_json(path, report));
    printed?;
    plan?;
    Ok(report?)
}

fn verdict(report: &RunReport) -> Result<(), Failure> {
    if !report.errors.is_empty() {
        return Err(Failure::failed(report.errors.join("\n     ")));
    }
    match report.books.residual {
        0 => Ok(()),
        packets => Err(Failure::failed(format!(
            "the books do not close: {packets} packets are unaccounted for; this is a bug in pfs"
        ))),
    }
}
