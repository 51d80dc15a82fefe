//! Starting a run's threads, watching them, and closing the account.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{self, Sender};
use std::thread::{self, JoinHandle};

use pfs_rings::lane::LaneWorker;
use pfs_rings::{RegionGranted, WaitStrategy};

use super::executor::{Executor, Source, Work};
use super::kit::WorkerKit;
use super::lanes::{LaneMemory, Lanes, Marked};
use super::latency::Waits;
use super::ledger::Ledger;
use super::outlet::Outlet;
use super::receiver::{ReceiverEnd, ReceiverLoop, Settings};
use super::report::{RunReport, Snapshot};
use super::watch::{LaneWatch, Watch, WorkerWatch};
use super::worker::WorkerLoop;
use crate::counters::WorkerCells;
use crate::packet::RuleSet;
use crate::pcpu::{Isa, Optimized};
use crate::pin::{self, PinError};
use crate::privilege;
use crate::receivers::{Granted, Receive, Receiver};

/// Everything a run is started from.
#[derive(Debug)]
pub struct RunSpec {
    /// Opened sources and where their threads go.
    pub receivers: Vec<ReceiverSlot>,
    /// Compiled rules; `names` and `programs` have one entry for each.
    pub rules: RuleSet,
    /// Rules' names.
    pub names: Vec<String>,
    /// Rules' programs, as they are to run.
    pub programs: Vec<Optimized>,
    /// Where programs run.
    pub workers: Workers,
    /// Engines and sinks, an entry for each worker; may be empty where no program has an engine
    /// op and no rule keeps anything.
    pub kits: Vec<WorkerKit>,
    /// How idle threads wait.
    pub wait: WaitStrategy,
    /// Kernels to use.
    pub isa: Isa,
    /// Memory of the lanes.
    pub memory: LaneMemory,
    /// Share of flows to deliver, as a part of `u32::MAX`; the rest is counted as filtered.
    pub sampled: u32,
    /// Whether threads count the cycles of their stages, and workers look at how long packets
    /// have waited: a few cycles for each batch.
    pub stage_cycles: bool,
}

/// One opened source.
#[derive(Debug)]
pub struct ReceiverSlot {
    /// Name in reports.
    pub name: String,
    /// Core for its thread, by the kernel's id.
    pub core: u32,
    /// The source.
    pub source: Receiver,
}

/// Where programs run.
#[derive(Clone, Debug)]
pub enum Workers {
    /// In a thread on each of these cores, with a lane from each receiver.
    Pipeline {
        /// Cores by the kernel's ids.
        cores: Vec<u32>,
        /// Slots of each forward ring; a power of two.
        ring_slots: u32,
    },
    /// In the receivers' own threads.
    RunToCompletion,
}

/// A run that cannot be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// A thread cannot be pinned.
    #[error("starting {thread}: {source}")]
    Pin {
        /// Which thread.
        thread: String,
        /// Why.
        source: PinError,
    },
    /// A thread cannot be made, or cannot give its capabilities up.
    #[error("starting {thread}: {source}")]
    Thread {
        /// Which thread.
        thread: String,
        /// The kernel's answer.
        source: std::io::Error,
    },
    /// Two threads on one core.
    #[error(
        "core {core} is given to both {first} and {second}; give each its own core, or use run_to_completion"
    )]
    SharedCore {
        /// The core.
        core: u32,
        /// The thread that has it.
        first: String,
        /// The thread that wants it too.
        second: String,
    },
    /// A lane cannot be so large.
    #[error("{slots} slots in a lane: must be a power of two, 64 to 2^30")]
    RingSlots {
        /// Slots asked for.
        slots: usize,
    },
    /// The lanes' memory cannot be had.
    #[error("making the lanes: {0}")]
    Memory(#[from] pfs_rings::RegionError),
    /// The lanes' rings cannot be made.
    #[error("making the lanes: {0}")]
    Ring(#[from] pfs_rings::spsc::RingError),
}

type Ready = Sender<Result<(), RunError>>;

/// A run under way.
#[derive(Debug)]
pub struct Running {
    stop: Arc<AtomicBool>,
    watch: Watch,
    receivers: Vec<ReceiverThread>,
    workers: Vec<WorkerThread>,
    granted: Option<RegionGranted>,
}

#[derive(Debug)]
pub(super) struct ReceiverThread {
    pub(super) name: String,
    pub(super) core: u32,
    pub(super) granted: Granted,
    pub(super) thread: JoinHandle<Option<ReceiverEnd>>,
}

#[derive(Debug)]
pub(super) struct WorkerThread {
    pub(super) core: u32,
    pub(super) thread: JoinHandle<Option<Work>>,
}

/// Starts a run's threads and returns once each is pinned, without capabilities, and running.
///
/// # Errors
/// [`RunError`]; what was started is stopped again and the sources are closed.
pub fn start(spec: RunSpec) -> Result<Running, RunError> {
    check_cores(&spec)?;
    let source = |slot: &ReceiverSlot| Source {
        region: slot.source.region(),
        framing: slot.source.framing(),
    };
    let regions: Vec<Source> = spec.receivers.iter().map(source).collect();
    let (ready, answers) = mpsc::channel();
    let mut running = Running {
        stop: Arc::default(),
        watch: Watch::begin(spec.names.clone()),
        receivers: Vec::new(),
        workers: Vec::new(),
        granted: None,
    };
    let started = running.spawn(spec, &regions, &ready);
    drop(ready);
    match started.and_then(|()| answers.iter().collect()) {
        Ok(()) => Ok(running),
        Err(error) => {
            running.stop();
            drop(running.join());
            Err(error)
        }
    }
}

/// No two threads may want one core: they would take turns, and neither keep its rate.
fn check_cores(spec: &RunSpec) -> Result<(), RunError> {
    let mut taken: Vec<(u32, String)> = Vec::new();
    let receivers =
        spec.receivers.iter().map(|slot| (slot.core, format!("receiver {}", slot.name)));
    let workers = match &spec.workers {
        Workers::Pipeline { cores, .. } => cores.as_slice(),
        Workers::RunToCompletion => &[],
    };
    let workers = workers.iter().enumerate().map(|(at, &core)| (core, format!("worker {at}")));
    for (core, second) in receivers.chain(workers) {
        if let Some((_, first)) = taken.iter().find(|(other, _)| *other == core) {
            return Err(RunError::SharedCore { core, first: first.clone(), second });
        }
        pin::check(core).map_err(|source| RunError::Pin { thread: second.clone(), source })?;
        taken.push((core, second));
    }
    Ok(())
}

impl Running {
    fn spawn(&mut self, spec: RunSpec, regions: &[Source], ready: &Ready) -> Result<(), RunError> {
        let mut kits = spec.kits.into_iter();
        let mut executor = || {
            let kit = kits.next().unwrap_or_default();
            Executor::new(&spec.programs, regions.to_vec(), spec.isa, kit)
        };
        let lanes = match &spec.workers {
            Workers::Pipeline { cores, ring_slots } => {
                Lanes::create(spec.receivers.len(), cores.len(), *ring_slots, spec.memory)?
            }
            Workers::RunToCompletion => Lanes::none(spec.receivers.len()),
        };
        self.granted = lanes.granted;
        if let Workers::Pipeline { cores, .. } = &spec.workers {
            for (&core, ends) in cores.iter().zip(lanes.workers) {
                self.spawn_worker(core, ends, executor(), spec.wait, spec.stage_cycles, ready)?;
            }
        }
        for (at, (slot, lanes)) in spec.receivers.into_iter().zip(lanes.receivers).enumerate() {
            let outlet = match &spec.workers {
                Workers::Pipeline { .. } => Outlet::lanes(lanes),
                Workers::RunToCompletion => {
                    let executor = executor();
                    let (cells, waits) = self.watch_worker(&executor);
                    Outlet::inline(executor, cells, waits)
                }
            };
            let settings = Settings {
                region: at as u16,
                rules: spec.rules.clone(),
                sampled: spec.sampled,
                wait: spec.wait,
                stop: Arc::clone(&self.stop),
                cells: Arc::default(),
                source_cells: Arc::default(),
                stage_cycles: spec.stage_cycles,
            };
            self.spawn_receiver(slot, outlet, settings, ready)?;
        }
        Ok(())
    }

    /// Cells for a worker that runs `executor`, which are watched from now on.
    fn watch_worker(&mut self, executor: &Executor) -> (Arc<WorkerCells>, Waits) {
        let (cells, waits) = (Arc::<WorkerCells>::default(), Waits::default());
        self.watch.workers.push(WorkerWatch {
            cells: Arc::clone(&cells),
            waits: waits.cells(),
            steps: executor.step_rows(),
            engines: executor.engine_rows(),
        });
        (cells, waits)
    }

    fn spawn_worker(
        &mut self,
        core: u32,
        lanes: Vec<Marked<LaneWorker>>,
        executor: Executor,
        wait: WaitStrategy,
        stage_cycles: bool,
        ready: &Ready,
    ) -> Result<(), RunError> {
        let (cells, waits) = self.watch_worker(&executor);
        let worker = WorkerLoop::new(lanes, executor, cells, waits, wait, stage_cycles);
        let name = format!("pfs-worker-{}", self.workers.len());
        let thread = spawn(name, core, ready.clone(), move || worker.run())?;
        self.workers.push(WorkerThread { core, thread });
        Ok(())
    }

    fn spawn_receiver(
        &mut self,
        slot: ReceiverSlot,
        outlet: Outlet,
        settings: Settings,
        ready: &Ready,
    ) -> Result<(), RunError> {
        let ReceiverSlot { name, core, source } = slot;
        let granted = source.granted();
        let place = self.receivers.len();
        let cells = (Arc::clone(&settings.source_cells), Arc::clone(&settings.cells));
        self.watch.receivers.push(cells);
        let lanes = outlet.lane_cells().into_iter().enumerate();
        self.watch.lanes.extend(lanes.map(|(worker, (cells, high_water, slots))| LaneWatch {
            receiver: place,
            worker,
            slots,
            cells,
            high_water,
        }));
        let receiver = ReceiverLoop::new(source, outlet, settings);
        let thread = spawn(format!("pfs-rx-{place}"), core, ready.clone(), move || receiver.run())?;
        self.receivers.push(ReceiverThread { name, core, granted, thread });
        Ok(())
    }

    /// Tells all sources to stop. Returns at once; [`Self::is_finished`] tells when all is drained.
    pub fn stop(&self) {
        self.stop.store(true, Relaxed);
    }

    /// Whether every receiver has ended, because its source did or the run was stopped.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.receivers.iter().all(|receiver| receiver.thread.is_finished())
    }

    /// Totals as last published, at most some 20 ms old.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.watch.snapshot()
    }

    /// A way to watch the run from elsewhere, which also tells the last totals once it is over.
    #[must_use]
    pub const fn watch(&self) -> &Watch {
        &self.watch
    }

    /// The memory that the lanes were given; `None` where there is no lane.
    #[must_use]
    pub const fn lanes_granted(&self) -> Option<&RegionGranted> {
        self.granted.as_ref()
    }

    /// Waits for all threads and closes the account. Does not stop sources: a live one is
    /// waited for until [`Self::stop`] is called.
    #[must_use]
    pub fn join(self) -> RunReport {
        let mut ledger = Ledger::open(self.watch.names, self.granted);
        self.receivers.into_iter().for_each(|receiver| ledger.receiver(receiver));
        self.workers.into_iter().for_each(|worker| ledger.worker(worker));
        ledger.close(self.watch.began.elapsed().as_secs_f64())
    }
}

/// Spawns a thread that pins itself, gives its capabilities up, answers, and then works. The
/// thread ends with `None` when it could not begin.
fn spawn<T: Send + 'static>(
    name: String,
    core: u32,
    ready: Ready,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<Option<T>>, RunError> {
    let thread = name.clone();
    let begin = move || {
        let begun = pin::pin(core)
            .map_err(|source| RunError::Pin { thread: thread.clone(), source })
            .and_then(|()| {
                privilege::drop_all().map_err(|source| RunError::Thread { thread, source })
            });
        let may_work = begun.is_ok();
        // The receiver is gone only when another thread's failure has ended the run already.
        let heard = ready.send(begun).is_ok();
        drop(ready);
        (may_work && heard).then(work)
    };
    thread::Builder::new()
        .name(name.clone())
        .spawn(begin)
        .map_err(|source| RunError::Thread { thread: name, source })
}
