//! The memory of all workers, and one trial over it.

use std::time::Duration;

use pfs_dataplane::pcpu::{Isa, Optimized};
use pfs_rings::lane::MappedLane;
use pfs_rings::{Desc, PageSize, PageWish, Region, RegionRequest, RegionView};
use serde::Serialize;

use super::ask::{Cores, Settings, node_of, nodes};
use super::member::{self, Found, Share, Touch};
use super::oracle::Expected;
use crate::memory::Buffer;
use crate::quiet::{Disturbance, Ticks};
use crate::report::Grants;
use crate::team::{self, Kind};

/// Each worker's bytes: parts of one stretch, or on hosts of several nodes a stretch for each on
/// its core's node.
pub(super) struct Ground {
    buffers: Vec<Buffer>,
    parts: Vec<Part>,
}

/// One worker's bytes.
#[derive(Clone, Copy)]
pub(super) struct Part {
    buffer: usize,
    pub(super) from: u64,
    pub(super) len: u64,
}

/// What is compared in one trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Contender {
    /// Lanes, and the executor that dataplane workers run.
    Rings,
    /// Plain threads on the same cores: the same kernels and batches, no ring, no prefetch.
    Plain,
    /// The same with prefetch.
    PlainAhead,
    /// As many plain threads, all on one core: the baseline of the original's CPUpwn.
    OneCore,
    /// A bound of scattered spans: a word of each of their lines loaded, with or without prefetch.
    Lines(bool),
    /// A bound of the memory, with or without prefetch.
    Bound(Touch, bool),
}

/// One trial's figures.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Trial {
    pub(super) gb_per_s: f64,
    pub(super) spans_per_s: f64,
    pub(super) ticks_per_byte: f64,
    /// GB per second of processor time.
    pub(super) gb_per_cpu_s: f64,
    pub(super) disturbance: Disturbance,
    pub(super) right: bool,
}

/// One combination of what is swept, ready to run.
pub(super) struct Load {
    pub(super) program: Optimized,
    pub(super) workers: usize,
    pub(super) ring_slots: usize,
    pub(super) burst: usize,
    pub(super) lists: Vec<Vec<Desc>>,
    pub(super) expected: Vec<Expected>,
}

impl Ground {
    /// Allocates and fills.
    ///
    /// # Errors
    /// When a range makes no sense or the memory is not to be had.
    pub(super) fn new(settings: &Settings, range: u64, cores: &Cores) -> Result<Self, String> {
        let places = settings.places(range, cores.workers.len())?;
        let make = |len, node| {
            Buffer::new(len, settings.pages, node)
                .map_err(|error| format!("memory for ranges: {error}; see --range and --pages"))
        };
        if nodes() > 1 && settings.places.is_empty() {
            let buffers: Result<Vec<_>, _> = places
                .iter()
                .zip(&cores.workers)
                .map(|(&(_, len), &core)| make(len, node_of(core)))
                .collect();
            let part = |(buffer, &(_, len))| Part { buffer, from: 0, len };
            return Ok(Self {
                buffers: buffers?,
                parts: places.iter().enumerate().map(part).collect(),
            });
        }
        let end = places.iter().map(|&(from, len)| from + len).max().unwrap_or(0);
        let part = |&(from, len): &(u64, u64)| Part { buffer: 0, from, len };
        Ok(Self { buffers: vec![make(end, None)?], parts: places.iter().map(part).collect() })
    }

    pub(super) fn grants(&self, range: u64, grants: &mut Grants) {
        for buffer in &self.buffers {
            grants.add(&format!("payload, {range} B for each worker"), buffer.granted());
        }
    }

    pub(super) fn part(&self, worker: usize) -> Part {
        self.parts[worker]
    }

    pub(super) fn buffer(&self, worker: usize) -> &Buffer {
        &self.buffers[self.parts[worker].buffer]
    }

    fn view(&self, worker: usize) -> RegionView {
        self.buffer(worker).view()
    }

    /// Puts a worker's bytes back to what they were.
    fn refill(&mut self, worker: usize) {
        let Part { buffer, from, len } = self.parts[worker];
        let from = from as usize;
        self.buffers[buffer].fill(from..from + len as usize / 8 * 8);
    }

    /// Goes over the parts of `workers` workers as fast as memory goes.
    ///
    /// # Errors
    /// As [`team::run`].
    pub(super) fn bound(
        &mut self,
        cores: &[u32],
        touch: Touch,
        ahead: bool,
        length: Duration,
    ) -> Result<Trial, String> {
        let views: Vec<_> = (0..cores.len()).map(|worker| self.view(worker)).collect();
        let before = Ticks::of(cores);
        let found = team::run(Kind::Threads, cores, |at, gate| {
            let Part { from, len, .. } = self.part(at);
            member::touch(&views[at], (from, len), touch, ahead, length, gate)
        })?;
        if touch == Touch::Write {
            (0..cores.len()).for_each(|worker| self.refill(worker));
        }
        Ok(trial(cores, before, &found, true))
    }

    /// Runs `load` by `contender` for `length`, and checks what it left.
    ///
    /// # Errors
    /// As [`team::run`], and when a lane's memory is not to be had.
    pub(super) fn load(
        &mut self,
        settings: &Settings,
        cores: &Cores,
        load: &Load,
        contender: Contender,
        grants: &mut Grants,
    ) -> Result<Trial, String> {
        let workers = &cores.workers[..load.workers];
        let before = Ticks::of(&[&cores.producers[..], workers].concat());
        let found = match contender {
            Contender::Rings => self.rings(settings, cores, load, grants)?,
            Contender::OneCore => {
                self.plain(settings, &vec![workers[0]; load.workers], load, false)?
            }
            Contender::Lines(ahead) => self.lines(settings, workers, load, ahead)?,
            _ => self.plain(settings, workers, load, contender == Contender::PlainAhead)?,
        };
        // Who only loads has no answer.
        let loads = matches!(contender, Contender::Lines(_));
        let right = loads || self.check(load, &found);
        let mut trial = trial(workers, before, &found, right);
        if contender == Contender::OneCore {
            // Its members share a core: that they wait is what is measured.
            trial.disturbance = Disturbance { waited: 0.0, away: 0.0, ..trial.disturbance };
        }
        Ok(trial)
    }

    fn share<'a>(
        &self,
        settings: &Settings,
        load: &'a Load,
        worker: usize,
        view: &'a RegionView,
    ) -> Share<'a> {
        Share {
            list: &load.lists[worker],
            view,
            program: &load.program,
            isa: Isa::detect(),
            burst: load.burst,
            length: settings.trial,
        }
    }

    fn plain(
        &self,
        settings: &Settings,
        cores: &[u32],
        load: &Load,
        ahead: bool,
    ) -> Result<Vec<Found>, String> {
        let views: Vec<_> = (0..cores.len()).map(|worker| self.view(worker)).collect();
        team::run(Kind::Threads, cores, |at, gate| {
            member::plain(self.share(settings, load, at, &views[at]), ahead, gate)
        })
    }

    fn lines(
        &self,
        settings: &Settings,
        cores: &[u32],
        load: &Load,
        ahead: bool,
    ) -> Result<Vec<Found>, String> {
        let views: Vec<_> = (0..cores.len()).map(|worker| self.view(worker)).collect();
        team::run(Kind::Threads, cores, |at, gate| {
            member::lines(self.share(settings, load, at, &views[at]), ahead, gate)
        })
    }

    fn rings(
        &self,
        settings: &Settings,
        cores: &Cores,
        load: &Load,
        grants: &mut Grants,
    ) -> Result<Vec<Found>, String> {
        let workers = &cores.workers[..load.workers];
        let views: Vec<_> = (0..workers.len()).map(|worker| self.view(worker)).collect();
        let (_regions, lanes) = lanes(workers, load.ring_slots, grants)?;
        let producers = cores.producers.len().min(workers.len());
        let members: Vec<u32> = [&cores.producers[..producers], workers].concat();
        let found = team::run(settings.kind, &members, |at, gate| {
            if let Some(worker) = at.checked_sub(producers) {
                let share = self.share(settings, load, worker, &views[worker]);
                let lane = &lanes[worker];
                return match producers {
                    0 => member::both(share, lane, gate),
                    _ => member::worker(share, lane, gate),
                };
            }
            let mine = (at..workers.len()).step_by(producers);
            let lists: Vec<_> = mine.map(|w| (&load.lists[w][..], &lanes[w])).collect();
            member::producer(&lists, load.burst, settings.trial, gate)
        })?;
        Ok(found.into_iter().skip(producers).collect())
    }

    /// Whether every member's answers and bytes are right; puts changed bytes back.
    fn check(&mut self, load: &Load, found: &[Found]) -> bool {
        let mut right = true;
        for (worker, found) in found.iter().enumerate() {
            let expected = &load.expected[worker];
            right &= found.settled
                && found.first.as_ref().is_some_and(|results| expected.is_first(results))
                && found.last.as_ref().is_some_and(|r| expected.is_after(r, found.passes));
            if expected.changes() {
                let list = &load.lists[worker];
                right &= expected.is_left(self.buffer(worker), list, found.passes);
                self.refill(worker);
            }
        }
        right
    }
}

/// A lane for each worker, on its node, on huge pages where the host has any to give.
fn lanes(
    workers: &[u32],
    slots: usize,
    grants: &mut Grants,
) -> Result<(Vec<Region>, Vec<MappedLane>), String> {
    let bytes = MappedLane::bytes(slots).ok_or("a lane has a power of two of slots")?;
    let several = nodes() > 1;
    let one = |&core: &u32| {
        let pages = PageWish::AtMost(PageSize::Huge2M);
        let node = if several { node_of(core) } else { None };
        let request = RegionRequest { numa_node: node, ..RegionRequest::new(bytes) };
        let region = Region::create(&request.with_pages(pages))
            .map_err(|error| format!("memory for a lane: {error}"))?;
        let lane = MappedLane::create(&region.view(), 0, slots).map_err(|e| e.to_string())?;
        Ok((region, lane))
    };
    let made: Vec<(Region, MappedLane)> = workers.iter().map(one).collect::<Result<_, String>>()?;
    let (regions, lanes): (Vec<_>, Vec<_>) = made.into_iter().unzip();
    for region in &regions {
        grants.add(&format!("a lane of {slots} slots"), region.granted());
    }
    Ok((regions, lanes))
}

fn trial(cores: &[u32], before: Ticks, found: &[Found], right: bool) -> Trial {
    let sum = |of: fn(&Found) -> u64| found.iter().map(of).sum::<u64>() as f64;
    let ns = found.iter().map(|one| one.done.ns).max().unwrap_or(1).max(1) as f64;
    let (bytes, spans) = (sum(|one| one.done.bytes), sum(|one| one.done.spans));
    let members: Vec<_> = found.iter().map(|one| (one.done.scheduled, one.done.ns)).collect();
    Trial {
        gb_per_s: bytes / ns,
        spans_per_s: spans * 1e9 / ns,
        ticks_per_byte: sum(|one| one.done.ticks) / bytes.max(1.0),
        gb_per_cpu_s: bytes / sum(|one| one.done.scheduled.ran_ns).max(1.0),
        disturbance: Disturbance::read(cores, before, &members),
        right,
    }
}
