//! The executor: a compiled program over batch after batch.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::batch::SpanBatch;
use super::engine::{Engine, EngineBatch, EngineCells, Outlet, SpanMeta};
use super::isa::Isa;
use super::kernels::hist::Hist;
use super::kernels::{Ahead, CrcOf, FnvState, Kernels, PassState, Shape, fnv};
use super::lower::{Step, Work, lower};
use super::pace::Pace;
use super::program::Program;
use super::results::{Results, StepStats};
use super::turns::Turns;

/// How a program is compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Whether someone looks at the payload after the program: if not, transformed bytes that no
    /// later op reads are not written back, and the payload's content is then unspecified.
    pub keeps_payload: bool,
    /// Whether neighbouring ops share one pass where one can do both.
    pub fuse: bool,
    /// Spans fetched ahead, 0 for none; `None` chooses by the batch's mean span length, and
    /// whether to fetch at all by trying both now and then.
    pub prefetch_spans: Option<usize>,
}

impl Default for Options {
    fn default() -> Self {
        Self { keeps_payload: true, fuse: true, prefetch_spans: None }
    }
}

/// A program with the kernels chosen, its results so far and what its steps have cost.
///
/// One lane's: it is `Send`, and each lane has its own. Making one allocates, running does not.
pub struct Compiled {
    steps: Vec<(Runner, StepStats)>,
    program: Program,
    isa: Isa,
    kernels: Kernels,
    prefetch_spans: Option<usize>,
    pace: Pace,
    turns: Turns,
    messages: u64,
    bytes: u64,
}

/// A step with its state.
enum Runner {
    Pass { shape: Shape, state: PassState, crc_slot: usize, count_slot: usize },
    Fnv { state: FnvState, slot: usize },
    FnvChain { hash: u64, slot: usize },
    Hist(Box<Hist>),
    Len { slot: usize, bytes: u64 },
    Engine { engine: Box<dyn Engine>, slot: usize },
}

/// What an engine op has counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EngineReport {
    /// The op as it is written.
    pub op: String,
    /// Counts by name, as `docs/COUNTERS.md` explains them.
    pub counters: BTreeMap<String, u64>,
}

impl Compiled {
    /// Compiles `program` as it stands: fused, and the payload kept. On a processor without
    /// `isa` the portable kernels are taken; [`Self::isa`] tells which it became.
    ///
    /// # Panics
    /// As [`Self::with`].
    #[must_use]
    pub fn new(program: &Program, isa: Isa) -> Self {
        Self::with(program, isa, Options::default())
    }

    /// Compiles `program` with `options`.
    ///
    /// # Panics
    /// When the program has an engine op: [`Self::with_engines`] takes those.
    #[must_use]
    pub fn with(program: &Program, isa: Isa, options: Options) -> Self {
        Self::with_engines(program, isa, options, Vec::new())
    }

    /// Compiles `program` with `options`; `engines` has one for each of [`Program::engines`], in
    /// their order, made by [`crate::ops::Engines`].
    ///
    /// # Panics
    /// When there are more or fewer.
    #[must_use]
    pub fn with_engines(
        program: &Program,
        isa: Isa,
        options: Options,
        engines: Vec<Box<dyn Engine>>,
    ) -> Self {
        assert_eq!(program.engines().count(), engines.len(), "an engine for each engine op");
        let mut engines: Vec<_> = engines.into_iter().map(Some).collect();
        let isa = if isa.is_available() { isa } else { Isa::Portable };
        let kernels = Kernels::of(isa).unwrap_or_else(Kernels::portable);
        let steps = lower(program.ops(), options.fuse, options.keeps_payload);
        Self {
            steps: steps.into_iter().map(|step| start(step, &mut engines)).collect(),
            program: program.clone(),
            isa,
            kernels,
            prefetch_spans: options.prefetch_spans,
            pace: Pace::new(),
            turns: Turns::new(),
            messages: 0,
            bytes: 0,
        }
    }

    /// Whether it fetches payload ahead of its work at present, so that hints of the next batch
    /// ([`SpanBatch::hint`]) are of use.
    #[inline]
    #[must_use]
    pub fn fetches(&self) -> bool {
        self.prefetch_spans.map_or(self.pace.fetches(), |spans| spans > 0)
    }

    /// Runs the program over a batch, step by step.
    pub fn run(&mut self, batch: &mut SpanBatch<'_>) {
        self.run_with(batch, &[], 0, None);
    }

    /// As [`Self::run`], with what engine ops look at and where they put what they find: of each
    /// span the entry of `metas` in its place, and when (ns since 1970) the batch was taken.
    pub fn run_with(
        &mut self,
        batch: &mut SpanBatch<'_>,
        metas: &[SpanMeta],
        time_ns: u64,
        mut outlet: Option<&mut dyn Outlet>,
    ) {
        if batch.is_empty() {
            return;
        }
        let (bytes, messages) = (batch.bytes(), batch.messages());
        self.bytes += bytes;
        self.messages += messages;
        let mut distance = match self.prefetch_spans {
            Some(spans) => spans,
            None if self.pace.fetches() => distance(bytes, batch.len()),
            None => 0,
        };
        let weight = self.turns.weight();
        let timed = weight > 0 || self.pace.tries();
        let start = if timed { cycles() } else { 0 };
        let mut before = start;
        for (runner, stats) in &mut self.steps {
            let touched = if let Runner::Engine { engine, .. } = runner {
                engine.run(&EngineBatch::new(batch, metas, time_ns), reborrow(&mut outlet));
                true
            } else {
                let ahead = Ahead { window: batch.window(), distance };
                // SAFETY: the batch owns its spans, and `&mut` makes this its only use.
                unsafe { runner.run(&self.kernels, batch, ahead, bytes) }
            };
            // One step that looks at the payload has fetched it for those after it.
            if touched {
                distance = 0;
            }
            if timed {
                let after = cycles();
                stats.cycles += after.wrapping_sub(before) * weight;
                before = after;
            }
            stats.bytes += bytes;
            stats.messages += messages;
            stats.batches += 1;
        }
        let ticks = before.wrapping_sub(start);
        self.pace.note(ticks, bytes);
        self.turns.next(ticks);
    }

    /// The results so far. Allocates: for the reporting path.
    #[must_use]
    pub fn results(&self) -> Results {
        let mut results = Results::empty(&self.program);
        results.messages = self.messages;
        results.bytes = self.bytes;
        for (runner, _) in &self.steps {
            match runner {
                Runner::Pass { shape, state, crc_slot, count_slot } => {
                    if shape.count {
                        results.r[*count_slot] = state.count;
                    }
                    if shape.crc != CrcOf::Nothing {
                        let chain = u64::from(!state.crc);
                        results.r[*crc_slot] = if state.chain { chain } else { state.crc_sum };
                    }
                }
                Runner::Fnv { state, slot } => results.r[*slot] = state.sum,
                Runner::FnvChain { hash, slot } => results.r[*slot] = *hash,
                Runner::Hist(hist) => results.hist = Some(hist.bins().to_vec()),
                Runner::Len { slot, bytes } => results.r[*slot] = *bytes,
                Runner::Engine { engine, slot } => {
                    for (at, result) in engine.results().iter().enumerate() {
                        results.r[*slot + at] = *result;
                    }
                }
            }
        }
        results
    }

    /// Whether the program has an engine op, which wants more than the payload.
    #[must_use]
    pub fn has_engines(&self) -> bool {
        self.steps.iter().any(|(runner, _)| matches!(runner, Runner::Engine { .. }))
    }

    fn engines(&mut self) -> impl Iterator<Item = &mut Box<dyn Engine>> {
        self.steps.iter_mut().filter_map(|(runner, _)| match runner {
            Runner::Engine { engine, .. } => Some(engine),
            _ => None,
        })
    }

    /// Lets engines do what time alone brings, and publish what they have counted.
    pub fn tick(&mut self, time_ns: u64, mut outlet: Option<&mut dyn Outlet>) {
        for engine in self.engines() {
            engine.tick(time_ns, reborrow(&mut outlet));
            engine.publish();
        }
    }

    /// Ends what engines have open: no more comes.
    pub fn finish(&mut self, time_ns: u64, mut outlet: Option<&mut dyn Outlet>) {
        for engine in self.engines() {
            engine.finish(time_ns, reborrow(&mut outlet));
            engine.publish();
        }
    }

    /// Counters of the engine ops, in order, each with its op as it is written.
    #[must_use]
    pub fn cells(&self) -> Vec<(String, Arc<EngineCells>)> {
        let runners = self.steps.iter().filter_map(|(runner, stats)| match runner {
            Runner::Engine { engine, .. } => Some((stats.ops.clone(), engine.cells()?)),
            _ => None,
        });
        runners.collect()
    }

    /// What the engine ops have counted when they last published. Allocates.
    #[must_use]
    pub fn engine_reports(&self) -> Vec<EngineReport> {
        let report = |(op, cells): (String, Arc<EngineCells>)| {
            let names = cells.table.iter().map(|def| def.name.to_owned());
            EngineReport { op, counters: names.zip(cells.read()).collect() }
        };
        self.cells().into_iter().map(report).collect()
    }

    /// What each step has cost, in order.
    pub fn stats(&self) -> impl ExactSizeIterator<Item = &StepStats> {
        self.steps.iter().map(|(_, stats)| stats)
    }

    /// The program.
    #[must_use]
    pub const fn program(&self) -> &Program {
        &self.program
    }

    /// The level whose kernels run.
    #[must_use]
    pub const fn isa(&self) -> Isa {
        self.isa
    }
}

impl fmt::Debug for Compiled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Compiled")
            .field("program", &self.program.to_string())
            .field("isa", &self.isa)
            .field("steps", &self.stats().map(|stats| &stats.ops).collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

/// The same outlet for a shorter time.
fn reborrow<'a>(outlet: &'a mut Option<&mut dyn Outlet>) -> Option<&'a mut dyn Outlet> {
    match outlet {
        Some(outlet) => Some(&mut **outlet),
        None => None,
    }
}

fn start(step: Step, engines: &mut [Option<Box<dyn Engine>>]) -> (Runner, StepStats) {
    let ops = step.ops.iter().map(ToString::to_string).collect::<Vec<_>>().join("+");
    let runner = match step.work {
        Work::Pass(pass) => Runner::Pass {
            shape: pass.shape,
            state: pass.start,
            crc_slot: pass.crc_slot,
            count_slot: pass.count_slot,
        },
        Work::Fnv { basis, slot } => {
            let basis = basis.value();
            Runner::Fnv { state: FnvState { basis, open: basis, sum: 0 }, slot }
        }
        Work::FnvChain { basis, slot } => Runner::FnvChain { hash: basis.value(), slot },
        Work::Hist => Runner::Hist(Box::new(Hist::new())),
        Work::Len { slot } => Runner::Len { slot, bytes: 0 },
        Work::Engine { engine, slot } => {
            let engine = engines.get_mut(engine).and_then(Option::take);
            Runner::Engine { engine: engine.expect("counted by `with_engines`"), slot }
        }
    };
    (runner, StepStats { ops, ..StepStats::default() })
}

impl Runner {
    /// Runs one step; tells whether it looked at the payload.
    ///
    /// # Safety
    /// The batch's spans must be in nobody else's use.
    #[inline]
    unsafe fn run(
        &mut self,
        kernels: &Kernels,
        batch: &SpanBatch<'_>,
        ahead: Ahead<'_>,
        bytes: u64,
    ) -> bool {
        let segs = batch.segs();
        // SAFETY: the level is available, as `Kernels` proves; the spans are the caller's.
        unsafe {
            match self {
                Self::Pass { shape, state, .. } => kernels.pass(*shape)(segs, ahead, state),
                Self::Fnv { state, .. } => kernels.fnv(segs, ahead, state),
                Self::FnvChain { hash, .. } => *hash = fnv::run_chain(segs, ahead, *hash),
                Self::Hist(hist) => hist.run(segs, ahead),
                Self::Len { bytes: total, .. } => {
                    *total += bytes;
                    return false;
                }
                // Runs by itself, with more than the spans.
                Self::Engine { .. } => return false,
            }
        }
        true
    }
}

/// Bytes that should be under way from memory: what one core can have outstanding, twice.
const AHEAD_BYTES: u64 = 6144;

/// How many spans to fetch ahead for spans of this mean length.
fn distance(bytes: u64, spans: usize) -> usize {
    let mean = (bytes / spans as u64).max(1);
    (AHEAD_BYTES / mean).clamp(1, super::batch::AHEAD as u64) as usize
}

/// The time-stamp counter, or the nearest thing that the architecture has; 0 where it has none.
#[inline(always)]
#[must_use]
pub fn cycles() -> u64 {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: every x86-64 has `rdtsc`.
    return unsafe { std::arch::x86_64::_rdtsc() };
    #[cfg(target_arch = "aarch64")]
    {
        let ticks: u64;
        // SAFETY: Linux lets user space read the virtual counter.
        unsafe { std::arch::asm!("mrs {}, cntvct_el0", out(reg) ticks, options(nomem, nostack)) };
        return ticks;
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    0
}
