//! What a worker runs on descriptors, in its own thread or inside a receiver's.

use std::sync::Arc;
use std::time::SystemTime;

use pfs_rings::{Desc, RegionView};

use super::kit::WorkerKit;
use super::latency::{Latency, Waits};
use super::watch::{EngineRow, StepRow};
use crate::counters::{StepCells, WorkerCounters};
use crate::packet::Alike;
use crate::pcpu::{
    Compiled, EngineReport, Isa, Optimized, Results, SpanBatch, SpanMeta, StepStats,
};
use crate::receivers::{BATCH, Framing};

/// What one rule's program has found, what its steps have cost, what its engines have counted.
pub(super) type Found = (Results, Vec<StepStats>, Vec<EngineReport>);

/// What an executor has done, when no more comes.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) counters: WorkerCounters,
    /// One entry for each rule.
    pub(super) found: Vec<Found>,
    /// How long packets waited, where it was measured.
    pub(super) latency: Option<Latency>,
    /// Its sinks are not yet closed.
    pub(super) kit: WorkerKit,
}

/// The programs of all rules, their results so far, and the memory that spans lie in.
///
/// One per worker: nothing in it is shared, so nothing in it is locked.
#[derive(Debug)]
pub struct Executor {
    regions: Vec<Source>,
    programs: Vec<Compiled>,
    spans: SpanBatch<'static>,
    /// What engines want to know of each of `spans`; empty for programs without any.
    metas: Vec<SpanMeta>,
    kit: WorkerKit,
    /// Of each program, what its steps' costs are published through.
    steps: Vec<Vec<Arc<StepCells>>>,
    /// What was consumed, and what it cost.
    pub counters: WorkerCounters,
}

/// The memory of a source, and what its frames begin with.
#[derive(Clone, Debug)]
pub struct Source {
    /// Where its frames lie.
    pub region: RegionView,
    /// What the first byte of a frame is.
    pub framing: Framing,
}

impl Executor {
    /// An executor of one program per rule over `regions`, which `Desc::region` indexes, with the
    /// engines and sinks of `kit`.
    ///
    /// # Panics
    /// When a program has engine ops and `kit` not its engines.
    #[must_use]
    pub fn new(programs: &[Optimized], regions: Vec<Source>, isa: Isa, mut kit: WorkerKit) -> Self {
        let mut engines = std::mem::take(&mut kit.engines).into_iter();
        let compile =
            |program: &Optimized| program.compile_with(isa, engines.next().unwrap_or_default());
        let programs: Vec<_> = programs.iter().map(compile).collect();
        let cells = |program: &Compiled| program.stats().map(|_| Arc::default()).collect();
        Self {
            regions,
            steps: programs.iter().map(cells).collect(),
            programs,
            spans: SpanBatch::default(),
            metas: Vec::with_capacity(BATCH),
            kit,
            counters: WorkerCounters::default(),
        }
    }

    /// What each rule's program has found so far.
    pub fn results(&self) -> impl Iterator<Item = Results> + '_ {
        self.programs.iter().map(Compiled::results)
    }

    /// Ends the work: totals, what each rule's program has found, what its steps have cost.
    #[must_use]
    pub(super) fn end(mut self, waits: &Waits) -> Work {
        let now = time_ns();
        for (rule, program) in (0..).zip(&mut self.programs) {
            program.finish(now, self.kit.ids.of_rule(rule));
        }
        self.publish_steps();
        let found = self.programs.iter().map(|program| {
            (program.results(), program.stats().cloned().collect(), program.engine_reports())
        });
        let (found, latency) = (found.collect(), waits.summary());
        Work { counters: self.counters, found, latency, kit: self.kit }
    }

    /// Lets engines do what time alone brings, and publishes what engines have counted and steps
    /// have cost; some fifty times a second.
    pub(super) fn tick(&mut self) {
        let mut now = 0;
        for (rule, program) in (0..).zip(&mut self.programs) {
            if program.has_engines() {
                now = if now == 0 { time_ns() } else { now };
                program.tick(now, self.kit.ids.of_rule(rule));
            }
        }
        self.publish_steps();
    }

    fn publish_steps(&self) {
        for (program, cells) in self.programs.iter().zip(&self.steps) {
            for (stats, cells) in program.stats().zip(cells) {
                cells.publish(&stats.counters());
            }
        }
    }

    /// Through which the costs of steps are published.
    pub(super) fn step_rows(&self) -> Vec<StepRow> {
        let of = |(rule, (program, cells)): (usize, (&Compiled, &Vec<Arc<StepCells>>))| {
            let row = |(stats, cells): (&StepStats, &Arc<StepCells>)| StepRow {
                rule,
                ops: stats.ops.clone(),
                cells: Arc::clone(cells),
            };
            program.stats().zip(cells).map(row).collect::<Vec<_>>()
        };
        self.programs.iter().zip(&self.steps).enumerate().flat_map(of).collect()
    }

    /// Through which engines publish what they count.
    pub(super) fn engine_rows(&self) -> Vec<EngineRow> {
        let of = |(rule, program): (usize, &Compiled)| {
            program.cells().into_iter().map(move |(op, cells)| EngineRow { rule, op, cells })
        };
        self.programs.iter().enumerate().flat_map(of).collect()
    }

    /// Runs each descriptor's program on its span.
    ///
    /// `descs` are at most [`BATCH`], in whole SOM..EOM chains, and owned by the caller: it has
    /// them from a lane or a batch and has not given their frames back.
    pub fn run(&mut self, descs: &[Desc]) {
        self.run_before(descs, &[]);
    }

    /// Whether [`Self::run_before`] makes use of what comes next.
    #[inline]
    #[must_use]
    pub fn fetches(&self) -> bool {
        self.programs.iter().any(Compiled::fetches)
    }

    /// As [`Self::run`]. Of the descriptors in `next`, which come after these, the payload is fetched
    /// meanwhile.
    pub fn run_before(&mut self, descs: &[Desc], next: &[Desc]) {
        self.run_burst(descs, Burst::of(descs), next);
    }

    /// As [`Self::run`], of a batch of one source that is known to be `alike`.
    #[inline]
    pub(super) fn run_alike(&mut self, descs: &[Desc], alike: Alike) {
        let Alike { rule, end, .. } = alike;
        let region = descs.first().map_or(0, |first| first.region);
        self.run_burst(descs, Burst::Whole { rule, region, end }, &[]);
    }

    #[inline]
    fn run_burst(&mut self, descs: &[Desc], burst: Burst, next: &[Desc]) {
        debug_assert!(descs.len() <= BATCH);
        match burst {
            Burst::Nothing => return,
            Burst::Whole { rule, region, end }
                if self.run_whole(rule, (region, end), descs, next) => {}
            Burst::Whole { rule, .. } | Burst::Alike { rule } => self.run_rule(rule, descs.iter()),
            Burst::Mixed => self.run_mixed(descs),
        }
        self.counters.batches += 1;
    }

    /// The short way of whole packets for one program without engines, in one region: nothing is
    /// asked of each. `false`, with nothing done, where it is not so simple.
    #[inline]
    fn run_whole(
        &mut self,
        rule: u16,
        (region, end): (u16, u64),
        descs: &[Desc],
        next: &[Desc],
    ) -> bool {
        let Some(source) = self.regions.get(usize::from(region)) else { return false };
        let Some(program) = self.programs.get_mut(usize::from(rule)) else { return false };
        if program.has_engines() || end > source.region.len() as u64 {
            return false;
        }
        self.spans.clear();
        let base = source.region.base();
        let spans = descs.iter().map(|desc| {
            // SAFETY: no span ends behind `end`, which is in the region.
            let start = unsafe { base.add(desc.offset as usize) };
            (start.as_ptr(), desc.len, true, true)
        });
        // SAFETY: the spans lie in the region, which `regions` keeps mapped for longer than the batch
        // lives; they are ours and do not overlap, as in `push_span`.
        unsafe { self.spans.extend(spans) };
        for desc in next.iter().filter(|desc| desc.region == region) {
            self.spans.hint(base.as_ptr().wrapping_add(desc.offset as usize), desc.len);
        }
        program.run(&mut self.spans);
        self.kit.payload.keep(rule, &self.spans);
        self.counters.consumed += self.spans.messages();
        self.counters.consumed_bytes += self.spans.bytes();
        true
    }

    /// Rules are taken in the order of their first packet; within a rule the order is kept.
    fn run_mixed(&mut self, descs: &[Desc]) {
        let mut left: u64 = if descs.len() == 64 { u64::MAX } else { (1 << descs.len()) - 1 };
        while left != 0 {
            let rule = descs[left.trailing_zeros() as usize].rule;
            let mut mine = 0;
            for (at, desc) in descs.iter().enumerate() {
                mine |= u64::from(desc.rule == rule) << at;
            }
            left &= !mine;
            let chosen = descs.iter().enumerate().filter(|(at, _)| mine >> at & 1 == 1);
            self.run_rule(rule, chosen.map(|(_, desc)| desc));
        }
    }

    fn run_rule<'a>(&mut self, rule: u16, descs: impl Iterator<Item = &'a Desc>) {
        self.spans.clear();
        self.metas.clear();
        let program = self.programs.get_mut(usize::from(rule));
        let (known, engines) = (program.is_some(), program.is_some_and(|p| p.has_engines()));
        let (mut messages, mut bytes, mut bad) = (0, 0, 0);
        // Length of the batch before the message that is being added.
        let mut start = 0;
        let mut whole = known;
        for desc in descs {
            if desc.is_som() {
                start = self.spans.len();
                whole = known;
            }
            whole = whole && push_span(&mut self.spans, &self.regions, desc);
            if engines && whole {
                self.metas.push(meta(&self.regions, desc));
            }
            if desc.is_eom() {
                if whole {
                    messages += 1;
                } else {
                    bad += 1;
                    self.spans.truncate(start);
                    self.metas.truncate(start);
                }
            }
        }
        if let Some(program) = self.programs.get_mut(usize::from(rule)) {
            bytes += self.spans.bytes();
            if engines {
                let outlet = self.kit.ids.of_rule(rule);
                program.run_with(&mut self.spans, &self.metas, time_ns(), outlet);
            } else {
                program.run(&mut self.spans);
            }
            self.kit.payload.keep(rule, &self.spans);
        }
        self.counters.consumed += messages;
        self.counters.consumed_bytes += bytes;
        self.counters.bad_spans += bad;
    }
}

/// What descriptors have in common.
enum Burst {
    Nothing,
    /// One rule, one region, and each a whole packet; the last of their spans ends at `end`.
    Whole {
        rule: u16,
        region: u16,
        end: u64,
    },
    /// One rule.
    Alike {
        rule: u16,
    },
    Mixed,
}

impl Burst {
    #[inline]
    fn of(descs: &[Desc]) -> Self {
        let Some(first) = descs.first() else { return Self::Nothing };
        let (mut rules, mut regions, mut flags, mut end) = (0, 0, u16::MAX, 0);
        for desc in descs {
            rules |= desc.rule ^ first.rule;
            regions |= desc.region ^ first.region;
            flags &= desc.flags;
            end = end.max(desc.offset.saturating_add(u64::from(desc.len)));
        }
        let whole = Desc::SOM | Desc::EOM;
        match (rules, regions, flags & whole == whole) {
            (0, 0, true) => Self::Whole { rule: first.rule, region: first.region, end },
            (0, ..) => Self::Alike { rule: first.rule },
            _ => Self::Mixed,
        }
    }
}

#[inline]
fn push_span(spans: &mut SpanBatch<'_>, regions: &[Source], desc: &Desc) -> bool {
    let Some(source) = regions.get(usize::from(desc.region)) else { return false };
    let Some(start) = source.region.span(desc.offset, desc.len) else { return false };
    // SAFETY: `span` checked that the bytes lie in the region, which `regions` keeps mapped for
    // longer than the batch lives; they are exclusively ours because the descriptor is (see
    // `Executor::run`), and no two descriptors on loan name overlapping spans.
    unsafe { spans.push(start.as_ptr(), desc.len, desc.is_som(), desc.is_eom()) };
    true
}

/// What engines are told of a span that was pushed.
fn meta(regions: &[Source], desc: &Desc) -> SpanMeta {
    let Some(source) = regions.get(usize::from(desc.region)) else { return SpanMeta::default() };
    let meta = SpanMeta::of(desc, source.framing);
    let before = desc.offset.checked_sub(u64::from(desc.head));
    match before.and_then(|offset| source.region.span(offset, u32::from(desc.head))) {
        // SAFETY: `span` checked that the headers lie in the region, right before the payload;
        // they are of the frame that the descriptor lends, so that nobody writes them meanwhile.
        Some(_) => unsafe { meta.with_head(desc.head) },
        None => meta,
    }
}

/// Nanoseconds since 1970.
fn time_ns() -> u64 {
    SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_nanos() as u64)
}
