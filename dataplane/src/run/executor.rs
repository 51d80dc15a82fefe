//! What a worker runs on descriptors, in its own thread or inside a receiver's.

use std::sync::Arc;
use std::time::SystemTime;

use pfs_rings::{Desc, RegionView};

use super::kit::WorkerKit;
use super::latency::{Latency, Waits};
use crate::counters::WorkerCounters;
use crate::pcpu::{
    Compiled, EngineCells, EngineReport, Isa, Optimized, Results, SpanBatch, SpanMeta, StepStats,
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
        Self {
            regions,
            programs: programs.iter().map(compile).collect(),
            spans: SpanBatch::default(),
            metas: Vec::with_capacity(BATCH),
            kit,
            counters: WorkerCounters::default(),
        }
    }

    /// Ends the work: totals, what each rule's program has found, what its steps have cost.
    #[must_use]
    pub(super) fn end(mut self, waits: &Waits) -> Work {
        let now = time_ns();
        for (rule, program) in (0..).zip(&mut self.programs) {
            program.finish(now, self.kit.ids.of_rule(rule));
        }
        let found = self.programs.iter().map(|program| {
            (program.results(), program.stats().cloned().collect(), program.engine_reports())
        });
        let (found, latency) = (found.collect(), waits.summary());
        Work { counters: self.counters, found, latency, kit: self.kit }
    }

    /// Lets engines do what time alone brings, and publish their counters; some fifty times a
    /// second.
    pub(super) fn tick(&mut self) {
        let mut now = 0;
        for (rule, program) in (0..).zip(&mut self.programs) {
            if program.has_engines() {
                now = if now == 0 { time_ns() } else { now };
                program.tick(now, self.kit.ids.of_rule(rule));
            }
        }
    }

    /// Counters of all engines: the rule's place, the op, its cells.
    pub(super) fn engine_cells(&self) -> Vec<(usize, String, Arc<EngineCells>)> {
        let of = |(rule, program): (usize, &Compiled)| {
            program.cells().into_iter().map(move |(op, cells)| (rule, op, cells))
        };
        self.programs.iter().enumerate().flat_map(of).collect()
    }

    /// Runs each descriptor's program on its span.
    ///
    /// `descs` are at most [`BATCH`], in whole SOM..EOM chains, and owned by the caller: it has
    /// them from a lane or a batch and has not given their frames back.
    pub fn run(&mut self, descs: &[Desc]) {
        debug_assert!(descs.len() <= BATCH);
        let Some(first) = descs.first() else { return };
        if descs.iter().all(|desc| desc.rule == first.rule) {
            self.run_rule(first.rule, descs.iter());
        } else {
            self.run_mixed(descs);
        }
        self.counters.batches += 1;
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
