//! From a run's totals to the live document.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::SystemTime;

use pfs_dataplane::books::Books;
use pfs_dataplane::counters::{ReceiverCounters, WorkerCounters};
use pfs_dataplane::run::{EngineSnapshot, LaneSnapshot, Snapshot, StepSnapshot, Watch};

use super::cores::CoreTimes;
use super::document::{
    CoreLive, DropLive, EngineLive, LIVE_VERSION, LaneLive, Live, OpLive, Rates, ReceiverCycles,
    ReceiverLive, RunId, State, WorkerLive,
};
use crate::plan::{LaneMode, Plan, ReceiverGranted};

/// A run as its views know it: the one state that all of them read.
#[derive(Debug)]
pub(crate) struct Watched {
    pub(crate) id: RunId,
    /// The plan as it runs, with all that was granted.
    pub(crate) plan: Plan,
    watch: Watch,
    ended: AtomicBool,
}

impl Watched {
    pub(crate) fn new(name: String, plan: Plan, watch: Watch) -> Self {
        let id = RunId {
            pid: std::process::id(),
            name,
            started_unix_ms: SystemTime::UNIX_EPOCH
                .elapsed()
                .map_or(0, |since| since.as_millis() as u64),
            pfs_version: env!("CARGO_PKG_VERSION").to_owned(),
            host: nix::unistd::gethostname()
                .map_or_else(|_| String::new(), |name| name.to_string_lossy().into_owned()),
        };
        Self { id, plan, watch, ended: AtomicBool::new(false) }
    }

    /// Totals as last published.
    pub(crate) fn snapshot(&self) -> Snapshot {
        self.watch.snapshot()
    }

    /// What each receiver thread was granted.
    pub(crate) fn receivers(&self) -> &[ReceiverGranted] {
        self.plan.granted.as_ref().map_or(&[], |granted| &granted.receivers)
    }

    /// Core of each worker.
    fn worker_cores(&self) -> Vec<u32> {
        match (&self.plan.lanes.mode, &self.plan.granted) {
            (LaneMode::Pipeline, Some(granted)) => granted.worker_cores.clone(),
            _ => self.receivers().iter().map(|receiver| receiver.core).collect(),
        }
    }

    /// Cores that threads with packets are pinned to.
    pub(crate) fn data_cores(&self) -> Vec<u32> {
        let receivers = self.receivers().iter().map(|receiver| receiver.core);
        receivers.chain(self.worker_cores()).collect()
    }

    /// Notes that all threads have ended: totals are the last.
    pub(crate) fn end(&self) {
        self.ended.store(true, Relaxed);
    }
}

/// Makes one viewer's documents: each has rates since the one before.
#[derive(Debug, Default)]
pub(crate) struct Sampler {
    before: Option<Before>,
    sequence: u64,
}

#[derive(Debug)]
struct Before {
    snapshot: Snapshot,
    cores: CoreTimes,
}

impl Sampler {
    /// The document of this moment.
    pub(crate) fn look(&mut self, run: &Watched) -> Live {
        let state = if run.ended.load(Relaxed) { State::Ended } else { State::Running };
        let now = Before { snapshot: run.snapshot(), cores: CoreTimes::read() };
        let live = Interval { run, now: &now, before: self.before.as_ref() };
        let live = live.document(state, self.sequence);
        self.sequence += 1;
        self.before = Some(now);
        live
    }
}

/// Two looks at a run, the earlier of which may be its beginning.
struct Interval<'a> {
    run: &'a Watched,
    now: &'a Before,
    before: Option<&'a Before>,
}

impl Interval<'_> {
    fn document(&self, state: State, sequence: u64) -> Live {
        let now = &self.now.snapshot;
        let books = now.books();
        let receivers: Vec<_> = (0..now.receivers.len()).map(|at| self.receiver(at)).collect();
        let workers: Vec<_> = (0..now.workers.len()).map(|at| self.worker(at)).collect();
        let latency = self.waits().reduce(|mut sum, more| {
            sum.add(&more);
            sum
        });
        Live {
            schema_version: LIVE_VERSION,
            run: self.run.id.clone(),
            state,
            sequence,
            elapsed_s: now.elapsed.as_secs_f64(),
            interval_s: self.seconds(),
            rates: self.rates(&books, &receivers, &workers),
            drops: self.drops(&books),
            books,
            latency: latency.and_then(|waits| waits.summary()),
            lanes: (0..now.lanes.len()).map(|at| self.lane(at)).collect(),
            ops: self.ops(&workers),
            cores: self.cores(),
            receivers,
            workers,
        }
    }

    fn seconds(&self) -> f64 {
        let then = self.before.map(|before| before.snapshot.elapsed).unwrap_or_default();
        self.now.snapshot.elapsed.saturating_sub(then).as_secs_f64().max(1e-6)
    }

    fn per_second(&self, count: u64) -> f64 {
        count as f64 / self.seconds()
    }

    fn books_before(&self) -> Books {
        self.before.map(|before| before.snapshot.books()).unwrap_or_default()
    }

    fn rates(&self, books: &Books, receivers: &[ReceiverLive], workers: &[WorkerLive]) -> Rates {
        let before = self.books_before();
        let since = |now: u64, then: u64| self.per_second(now.saturating_sub(then));
        Rates {
            offered_pps: since(books.offered, before.offered),
            received_bytes_per_s: receivers.iter().map(|of| of.received_bytes_per_s).sum(),
            filtered_pps: since(books.filtered, before.filtered),
            delivered_pps: since(books.delivered, before.delivered),
            dropped_pps: since(books.dropped(), before.dropped()),
            consumed_pps: since(books.consumed, before.consumed),
            consumed_bytes_per_s: workers.iter().map(|of| of.consumed_bytes_per_s).sum(),
        }
    }

    fn drops(&self, books: &Books) -> Vec<DropLive> {
        let causes = books.drops().into_iter().zip(self.books_before().drops());
        causes
            .map(|((cause, packets), (_, then))| DropLive {
                cause: cause.to_owned(),
                packets,
                pps: self.per_second(packets.saturating_sub(then)),
            })
            .collect()
    }

    fn receiver(&self, at: usize) -> ReceiverLive {
        let (source, own) = self.now.snapshot.receivers[at];
        let earlier = self.before.and_then(|before| before.snapshot.receivers.get(at));
        let (source_then, own_then) = earlier.copied().unwrap_or_default();
        let (of_source, of_own) = (source.since(&source_then), own.since(&own_then));
        let lost = Books::close(&of_source, &of_own, &WorkerCounters::default(), 0);
        let granted = self.run.receivers().get(at);
        let backend = granted.map(|granted| granted.backend.clone()).unwrap_or_default();
        ReceiverLive {
            receiver: at,
            source: granted.map(|granted| granted.source.clone()).unwrap_or_default(),
            core: granted.map(|granted| granted.core).unwrap_or_default(),
            granted: format!("{} {}", backend.backend, backend.mode),
            from: backend.from,
            frames: backend.frames.into(),
            frames_on_loan: own.lent.saturating_sub(own.returned),
            offered_pps: self.per_second(of_source.offered),
            received_bytes_per_s: self.per_second(of_own.bytes),
            delivered_pps: self.per_second(of_own.delivered),
            dropped_pps: self.per_second(lost.dropped()),
            cycles: receiver_cycles(&of_own),
            source_counters: source,
            counters: own,
        }
    }

    fn worker(&self, at: usize) -> WorkerLive {
        let now = self.now.snapshot.workers[at];
        let earlier = self.before.and_then(|before| before.snapshot.workers.get(at));
        let since: WorkerCounters = now.since(&earlier.copied().unwrap_or_default());
        let each = |cycles: u64| quotient(cycles, since.consumed);
        let engines = self.now.snapshot.engines.iter().filter(|engine| engine.worker == at);
        WorkerLive {
            worker: at,
            core: self.run.worker_cores().get(at).copied().unwrap_or_default(),
            counters: now,
            consumed_pps: self.per_second(since.consumed),
            consumed_bytes_per_s: self.per_second(since.consumed_bytes),
            program_cycles: each(since.program_cycles),
            lane_cycles: each(since.lane_cycles),
            latency: self.waits().nth(at).and_then(|waits| waits.summary()),
            latency_total: self.now.snapshot.waits[at].summary(),
            steps: self.steps(at),
            engines: engines.map(engine).collect(),
        }
    }

    /// How long packets waited in the interval, worker by worker.
    fn waits(&self) -> impl Iterator<Item = pfs_dataplane::run::WaitCounts> + '_ {
        self.now.snapshot.waits.iter().enumerate().map(|(at, now)| {
            let earlier = self.before.and_then(|before| before.snapshot.waits.get(at));
            earlier.map_or_else(|| now.clone(), |then| now.since(then))
        })
    }

    fn steps(&self, worker: usize) -> Vec<OpLive> {
        let rows = self.now.snapshot.steps.iter().enumerate();
        rows.filter(|(_, step)| step.worker == worker)
            .map(|(at, step)| {
                let earlier = self.before.and_then(|before| before.snapshot.steps.get(at));
                self.step(step, earlier)
            })
            .collect()
    }

    fn step(&self, now: &StepSnapshot, earlier: Option<&StepSnapshot>) -> OpLive {
        let then = earlier.map(|step| step.counters).unwrap_or_default();
        let since = now.counters.since(&then);
        OpLive {
            rule: now.rule.clone(),
            op: now.ops.clone(),
            counters: now.counters,
            pps: self.per_second(since.messages),
            bytes_per_s: self.per_second(since.bytes),
            cycles_per_packet: quotient(since.cycles, since.messages),
            cycles_per_byte: quotient(since.cycles, since.bytes),
        }
    }

    /// The steps of all workers, each step once.
    fn ops(&self, workers: &[WorkerLive]) -> Vec<OpLive> {
        let mut ops: Vec<OpLive> = Vec::new();
        let mut cycles: Vec<f64> = Vec::new();
        for worker in workers {
            for (at, step) in worker.steps.iter().enumerate() {
                let spent = step.cycles_per_packet.unwrap_or(0.0) * step.pps;
                match ops.get_mut(at) {
                    None => {
                        ops.push(step.clone());
                        cycles.push(spent);
                    }
                    Some(sum) => {
                        sum.counters.add(&step.counters);
                        sum.pps += step.pps;
                        sum.bytes_per_s += step.bytes_per_s;
                        cycles[at] += spent;
                    }
                }
            }
        }
        for (op, cycles) in ops.iter_mut().zip(cycles) {
            op.cycles_per_packet = (op.pps > 0.0).then(|| cycles / op.pps);
            op.cycles_per_byte = (op.bytes_per_s > 0.0).then(|| cycles / op.bytes_per_s);
        }
        ops
    }

    fn lane(&self, at: usize) -> LaneLive {
        let LaneSnapshot { receiver, worker, slots, high_water, totals } =
            self.now.snapshot.lanes[at];
        let earlier = self.before.and_then(|before| before.snapshot.lanes.get(at));
        let then = earlier.map(|lane| lane.totals).unwrap_or_default();
        LaneLive {
            receiver,
            worker,
            slots: slots as u64,
            queued: totals.pushed.saturating_sub(totals.taken),
            high_water,
            in_flight: totals.pushed.saturating_sub(totals.returned),
            spans_per_s: self.per_second(totals.since(&then).pushed),
        }
    }

    fn cores(&self) -> Vec<CoreLive> {
        let Some(before) = self.before else { return Vec::new() };
        let receivers = self.run.receivers().iter();
        let receivers = receivers.map(|of| (of.core, format!("receiver {}", of.source)));
        let workers = match self.run.plan.lanes.mode {
            LaneMode::Pipeline => self.run.worker_cores(),
            LaneMode::RunToCompletion => Vec::new(),
        };
        let workers =
            workers.into_iter().enumerate().map(|(at, core)| (core, format!("worker {at}")));
        receivers
            .chain(workers)
            .filter_map(|(core, thread)| {
                let (busy, steal) = self.now.cores.shares(&before.cores, core)?;
                Some(CoreLive { core, thread, busy, steal })
            })
            .collect()
    }
}

fn engine(of: &EngineSnapshot) -> EngineLive {
    let named = of.table.iter().map(|def| def.name.to_owned()).zip(of.values.iter().copied());
    EngineLive {
        rule: of.rule.clone(),
        op: of.op.clone(),
        group: of.group.to_owned(),
        counters: named.collect::<BTreeMap<_, _>>(),
    }
}

fn receiver_cycles(since: &ReceiverCounters) -> Option<ReceiverCycles> {
    Some(ReceiverCycles {
        poll: quotient(since.poll_cycles, since.packets)?,
        classify: quotient(since.classify_cycles, since.packets)?,
        steer: quotient(since.steer_cycles, since.packets)?,
        recycle: quotient(since.recycle_cycles, since.packets)?,
    })
}

/// `None` by zero.
fn quotient(sum: u64, count: u64) -> Option<f64> {
    (count > 0).then(|| sum as f64 / count as f64)
}
