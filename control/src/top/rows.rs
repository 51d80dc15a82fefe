//! The table of lanes: a row for each pair of rings, or for each worker where there are none.

use std::cmp::Ordering;

use crate::view::Live;

/// What rows are sorted by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Sort {
    /// Receiver, then worker.
    #[default]
    Place,
    /// Packets a second, most first.
    Rate,
    /// How full the ring is, fullest first.
    Ring,
    /// Cycles for a packet, most first.
    Cycles,
    /// The 99th percentile of waits, longest first.
    Wait,
}

impl Sort {
    /// The one after it, round and round.
    pub(super) const fn next(self) -> Self {
        match self {
            Self::Place => Self::Rate,
            Self::Rate => Self::Ring,
            Self::Ring => Self::Cycles,
            Self::Cycles => Self::Wait,
            Self::Wait => Self::Place,
        }
    }

    /// Its name on the screen.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Place => "place",
            Self::Rate => "rate",
            Self::Ring => "ring",
            Self::Cycles => "cycles",
            Self::Wait => "wait",
        }
    }
}

/// One row.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Row {
    pub(super) label: String,
    /// The worker's place.
    pub(super) worker: usize,
    pub(super) core: u32,
    /// Spans a second through the lane, or packets a second of the worker.
    pub(super) rate: f64,
    /// Spans in the ring, and its slots.
    pub(super) ring: Option<(u64, u64)>,
    /// The ring's high-water mark, as a share of its slots.
    pub(super) peak: Option<f64>,
    pub(super) cycles: Option<f64>,
    pub(super) p50_ns: Option<u64>,
    pub(super) p99_ns: Option<u64>,
    pub(super) p999_ns: Option<u64>,
    pub(super) max_ns: Option<u64>,
    pub(super) busy: Option<f64>,
    pub(super) steal: Option<f64>,
}

impl Row {
    fn of(live: &Live, worker: usize) -> Option<Self> {
        let of = live.workers.get(worker)?;
        let core = live.cores.iter().find(|core| core.core == of.core);
        let latency = of.latency.as_ref();
        Some(Self {
            label: format!("worker {worker}"),
            worker,
            core: of.core,
            rate: of.consumed_pps,
            ring: None,
            peak: None,
            cycles: of.program_cycles,
            p50_ns: latency.map(|waits| waits.p50_ns),
            p99_ns: latency.map(|waits| waits.p99_ns),
            p999_ns: latency.map(|waits| waits.p999_ns),
            max_ns: latency.map(|waits| waits.max_ns),
            busy: core.map(|core| core.busy),
            steal: core.map(|core| core.steal),
        })
    }

    fn by(&self, other: &Self, sort: Sort) -> Ordering {
        let full = |row: &Self| row.ring.map(|(queued, slots)| queued as f64 / slots.max(1) as f64);
        let number = |of: Option<f64>| of.unwrap_or(-1.0);
        match sort {
            Sort::Place => Ordering::Equal,
            Sort::Rate => other.rate.total_cmp(&self.rate),
            Sort::Ring => number(full(other)).total_cmp(&number(full(self))),
            Sort::Cycles => number(other.cycles).total_cmp(&number(self.cycles)),
            Sort::Wait => other.p99_ns.cmp(&self.p99_ns),
        }
    }
}

/// The rows of `live`, sorted; ties keep their places.
pub(super) fn rows(live: &Live, sort: Sort, reverse: bool) -> Vec<Row> {
    let mut rows: Vec<Row> = if live.lanes.is_empty() {
        (0..live.workers.len()).filter_map(|at| Row::of(live, at)).collect()
    } else {
        let lane = |lane: &crate::view::LaneLive| {
            let source = live.receivers.get(lane.receiver).map_or("?", |of| of.source.as_str());
            let row = Row::of(live, lane.worker)?;
            Some(Row {
                label: format!("{source} → {}", lane.worker),
                rate: lane.spans_per_s,
                ring: Some((lane.queued, lane.slots)),
                peak: Some(lane.high_water as f64 / lane.slots.max(1) as f64),
                ..row
            })
        };
        live.lanes.iter().filter_map(lane).collect()
    };
    rows.sort_by(|one, other| one.by(other, sort));
    if reverse {
        rows.reverse();
    }
    rows
}
