//! What a worker runs on descriptors, in its own thread or inside a receiver's.

use pfs_rings::{Desc, RegionView};

use super::keep::PayloadSinks;
use super::latency::{Latency, Waits};
use crate::counters::WorkerCounters;
use crate::pcpu::{Compiled, Isa, Optimized, Results, SpanBatch, StepStats};
use crate::receivers::BATCH;

/// For each rule, what its program has found and what its steps have cost.
pub(super) type Found = Vec<(Results, Vec<StepStats>)>;

/// What an executor has done, when no more comes.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) counters: WorkerCounters,
    pub(super) found: Found,
    /// How long packets waited, where it was measured.
    pub(super) latency: Option<Latency>,
    /// Not yet closed.
    pub(super) sinks: PayloadSinks,
}

/// The programs of all rules, their results so far, and the memory that spans lie in.
///
/// One per worker: nothing in it is shared, so nothing in it is locked.
#[derive(Debug)]
pub struct Executor {
    regions: Vec<RegionView>,
    programs: Vec<Compiled>,
    spans: SpanBatch<'static>,
    sinks: PayloadSinks,
    /// What was consumed, and what it cost.
    pub counters: WorkerCounters,
}

impl Executor {
    /// An executor of one program per rule over `regions`, which `Desc::region` indexes; payload
    /// goes to `sinks` afterwards.
    #[must_use]
    pub fn new(
        programs: &[Optimized],
        regions: Vec<RegionView>,
        isa: Isa,
        sinks: PayloadSinks,
    ) -> Self {
        Self {
            regions,
            programs: programs.iter().map(|program| program.compile(isa)).collect(),
            spans: SpanBatch::default(),
            sinks,
            counters: WorkerCounters::default(),
        }
    }

    /// Ends the work: totals, what each rule's program has found, what its steps have cost.
    #[must_use]
    pub(super) fn end(self, waits: &Waits) -> Work {
        let steps = |program: &Compiled| program.stats().cloned().collect();
        let found = self.programs.iter().map(|program| (program.results(), steps(program)));
        let (found, latency) = (found.collect(), waits.summary());
        Work { counters: self.counters, found, latency, sinks: self.sinks }
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
        let known = usize::from(rule) < self.programs.len();
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
            if desc.is_eom() {
                if whole {
                    messages += 1;
                } else {
                    bad += 1;
                    self.spans.truncate(start);
                }
            }
        }
        if let Some(program) = self.programs.get_mut(usize::from(rule)) {
            bytes += self.spans.bytes();
            program.run(&mut self.spans);
            self.sinks.keep(rule, &self.spans);
        }
        self.counters.consumed += messages;
        self.counters.consumed_bytes += bytes;
        self.counters.bad_spans += bad;
    }
}

#[inline]
fn push_span(spans: &mut SpanBatch<'_>, regions: &[RegionView], desc: &Desc) -> bool {
    let Some(region) = regions.get(usize::from(desc.region)) else { return false };
    let Some(start) = region.span(desc.offset, desc.len) else { return false };
    // SAFETY: `span` checked that the bytes lie in the region, which `regions` keeps mapped for
    // longer than the batch lives; they are exclusively ours because the descriptor is (see
    // `Executor::run`), and no two descriptors on loan name overlapping spans.
    unsafe { spans.push(start.as_ptr(), desc.len, desc.is_som(), desc.is_eom()) };
    true
}
