//! What the members of a team do: feed and run lanes, or go over the same spans without any.

use std::time::Duration;

use pfs_dataplane::pcpu::{AHEAD, BATCH, Compiled, Isa, Optimized, Options, Results, SpanBatch};
use pfs_dataplane::receivers::Framing;
use pfs_dataplane::run::{Executor, Source, WorkerKit};
use pfs_rings::lane::{BURST, LaneWorker, MappedLane};
use pfs_rings::spsc::PeerState;
use pfs_rings::{Desc, RegionView, WaitStrategy};
use serde::{Deserialize, Serialize};

use super::feed::Feed;
use super::watch::{Done, Watch};
use crate::roofline;
use crate::team::Gate;

/// What a member found.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Found {
    pub(super) done: Done,
    /// Passes over the whole list, the unmeasured first one included.
    pub(super) passes: u64,
    /// After the first pass, and after the last.
    pub(super) first: Option<Results>,
    pub(super) last: Option<Results>,
    /// Whether every descriptor that was pushed came back.
    pub(super) settled: bool,
}

/// What a member works with.
#[derive(Clone, Copy)]
pub(super) struct Share<'a> {
    pub(super) list: &'a [Desc],
    pub(super) view: &'a RegionView,
    pub(super) program: &'a Optimized,
    pub(super) isa: Isa,
    /// Descriptors pushed, and run, at a time.
    pub(super) burst: usize,
    pub(super) length: Duration,
}

/// Descriptors that a worker which feeds itself pushes before it takes them: as many as a consumer
/// counts as a good find, so that it never waits for more.
const WINDOW: usize = 256;

/// A worker that feeds its own lane: producer and consumer of the rings are one thread.
pub(super) fn both(share: Share<'_>, lane: &MappedLane, gate: &Gate) -> Result<Found, String> {
    let mut feed = Feed::new(lane.receiver().map_err(text)?, share.list, share.burst);
    let mut worker = Worker::new(share, lane)?;
    let mut warm = Watch::start(Duration::ZERO);
    while !(feed.is_at_end() && feed.is_settled()) {
        turn(&mut feed, &mut worker, true, &mut warm);
    }
    let first = worker.results();
    gate.pass()?;
    let mut watch = Watch::start(share.length);
    while !(watch.is_over() && feed.is_at_end() && feed.is_settled()) {
        let last_pass = watch.is_over();
        turn(&mut feed, &mut worker, last_pass, &mut watch);
    }
    feed.hang_up();
    let (passes, last) = (feed.passes(), worker.results());
    Ok(Found { done: watch.finish(), passes, first, last, settled: true })
}

#[inline]
fn turn(feed: &mut Feed<'_>, worker: &mut Worker, last_pass: bool, watch: &mut Watch) {
    feed.fill(WINDOW, last_pass);
    while worker.round(watch) > 0 {}
    feed.drain();
}

/// A worker whose lane another member feeds.
pub(super) fn worker(share: Share<'_>, lane: &MappedLane, gate: &Gate) -> Result<Found, String> {
    let mut worker = Worker::new(share, lane)?;
    let mut warm = Watch::start(Duration::ZERO);
    while worker.spans < share.list.len() as u64 {
        if worker.round(&mut warm) == 0 {
            worker.idle();
        }
    }
    let first = worker.results();
    gate.pass()?;
    let mut watch = Watch::start(share.length);
    loop {
        if worker.round(&mut watch) > 0 {
            continue;
        }
        watch.look();
        // Looked at before the lane: what was pushed before closing is then seen.
        if worker.lane.peer() != PeerState::Open && worker.round(&mut watch) == 0 {
            break;
        }
        worker.idle();
    }
    let (passes, last) = (worker.spans / share.list.len() as u64, worker.results());
    Ok(Found { done: watch.finish(), passes, first, last, settled: true })
}

/// Feeds the lanes of several workers.
pub(super) fn producer<'a>(
    lists: &[(&'a [Desc], &MappedLane)],
    burst: usize,
    length: Duration,
    gate: &Gate,
) -> Result<Found, String> {
    let mut feeds: Vec<Feed<'a>> = Vec::with_capacity(lists.len());
    for (list, lane) in lists {
        feeds.push(Feed::new(lane.receiver().map_err(text)?, list, burst));
    }
    let push = |feeds: &mut Vec<Feed<'_>>, last_pass: bool| {
        for feed in feeds {
            feed.drain();
            feed.push(last_pass);
        }
    };
    while !feeds.iter().all(|feed| feed.is_at_end() && feed.is_settled()) {
        push(&mut feeds, true);
    }
    gate.pass()?;
    let mut watch = Watch::start(length);
    while !watch.is_over() {
        push(&mut feeds, false);
        watch.count(burst as u64, 0);
    }
    while !feeds.iter().all(|feed| feed.is_at_end() && feed.is_settled()) {
        push(&mut feeds, true);
    }
    feeds.iter_mut().for_each(Feed::hang_up);
    Ok(Found { done: watch.finish(), settled: true, ..Found::default() })
}

/// A dataplane worker's turn: its executor and its end of a lane.
struct Worker {
    executor: Executor,
    lane: LaneWorker,
    descs: [Desc; BURST],
    /// Descriptors run at a time: never a span twice.
    burst: usize,
    spans: u64,
}

impl Worker {
    fn new(share: Share<'_>, lane: &MappedLane) -> Result<Self, String> {
        let source = Source { region: share.view.clone(), framing: Framing::Payload };
        let programs = std::slice::from_ref(share.program);
        let executor = Executor::new(programs, vec![source], share.isa, WorkerKit::default());
        let lane = lane.worker().map_err(text)?;
        let burst = share.burst.min(share.list.len());
        Ok(Self { executor, lane, descs: [Desc::default(); BURST], burst, spans: 0 })
    }

    /// Takes, runs and returns a burst of descriptors; tells how many.
    #[inline]
    fn round(&mut self, watch: &mut Watch) -> usize {
        let found = self.lane.peek(&mut self.descs).min(self.burst);
        if found == 0 {
            return 0;
        }
        let descs = &self.descs[..found];
        let before = self.executor.counters.consumed_bytes;
        let mut next = [Desc::default(); AHEAD];
        let fetched = if self.executor.fetches() { self.lane.behind(found, &mut next) } else { 0 };
        self.executor.run_before(descs, &next[..fetched]);
        let mut tokens = [0; BURST];
        for (token, desc) in tokens.iter_mut().zip(descs) {
            *token = desc.frame;
        }
        self.lane.release(found);
        self.lane.give_back(&tokens[..found]);
        self.spans += found as u64;
        watch.count(found as u64, self.executor.counters.consumed_bytes - before);
        found
    }

    fn idle(&mut self) {
        self.lane.wait(WaitStrategy::Adaptive, Duration::from_millis(20), None);
    }

    fn results(&self) -> Option<Results> {
        self.executor.results().next()
    }
}

/// The same spans by the same kernels in the same batches, called directly; `ahead` says whether
/// spans are prefetched, within a batch and of the next.
pub(super) fn plain(share: Share<'_>, ahead: bool, gate: &Gate) -> Result<Found, String> {
    let prefetch_spans = if ahead { None } else { Some(0) };
    let options = Options { prefetch_spans, ..Options::default() };
    let mut compiled = Compiled::with(&share.program.program, share.isa, options);
    let mut batch = SpanBatch::default();
    let mut warm = Watch::start(Duration::ZERO);
    pass(share, ahead, &mut compiled, &mut batch, &mut warm)?;
    let first = Some(compiled.results());
    gate.pass()?;
    let (mut watch, mut passes) = (Watch::start(share.length), 1);
    while !watch.is_over() {
        pass(share, ahead, &mut compiled, &mut batch, &mut watch)?;
        passes += 1;
    }
    let last = Some(compiled.results());
    Ok(Found { done: watch.finish(), passes, first, last, settled: true })
}

fn pass(
    share: Share<'_>,
    ahead: bool,
    compiled: &mut Compiled,
    batch: &mut SpanBatch<'_>,
    watch: &mut Watch,
) -> Result<(), String> {
    let mut rest = share.list;
    let size = share.burst.min(BATCH);
    while !rest.is_empty() {
        let (now, later) = rest.split_at(size.min(rest.len()));
        rest = later;
        batch.clear();
        for desc in now {
            let start = share.view.span(desc.offset, desc.len).ok_or("a span is outside")?;
            // SAFETY: `span` has checked that the bytes are in the region, which the view keeps
            // mapped; the list is this member's alone while the team runs, and no two of its
            // spans overlap.
            unsafe { batch.push(start.as_ptr(), desc.len, desc.is_som(), desc.is_eom()) };
        }
        if ahead {
            for desc in later.iter().take(AHEAD) {
                let start = share.view.span(desc.offset, desc.len).ok_or("a span is outside")?;
                batch.hint(start.as_ptr(), desc.len);
            }
        }
        compiled.run(batch);
        watch.count(now.len() as u64, batch.bytes());
    }
    batch.clear();
    Ok(())
}

/// Loads a word of each line of the same spans in their order, and does nothing else: what memory
/// gives of them at most. The faster of with and without prefetch is for the caller to choose.
pub(super) fn lines(share: Share<'_>, ahead: bool, gate: &Gate) -> Result<Found, String> {
    /// Spans that are fetched ahead.
    const DISTANCE: usize = 8;
    let start = |desc: &Desc| {
        let start = share.view.span(desc.offset, desc.len).ok_or("a span is outside")?;
        Ok::<_, String>((start.as_ptr().cast_const(), desc.len as usize))
    };
    let spans = share.list.iter().map(start).collect::<Result<Vec<_>, _>>()?;
    let mut sum = 0;
    let mut once = |watch: &mut Watch| {
        for (at, burst) in spans.chunks(BATCH).enumerate() {
            for (within, &(start, len)) in burst.iter().enumerate() {
                if let Some(&(next, len)) = spans.get(at * BATCH + within + DISTANCE)
                    && ahead
                {
                    (0..len)
                        .step_by(64)
                        .for_each(|line| roofline::fetch_line(next.wrapping_add(line)));
                }
                for line in (0..len).step_by(64) {
                    // SAFETY: the byte is in the span, which `span` has checked to be in the region, which
                    // the view keeps mapped; nobody writes there while the team runs.
                    sum ^= u64::from(unsafe { start.add(line).read() });
                }
            }
            watch.count(burst.len() as u64, burst.iter().map(|span| span.1 as u64).sum());
        }
    };
    once(&mut Watch::start(Duration::MAX));
    gate.pass()?;
    let mut watch = Watch::start(share.length);
    while !watch.is_over() {
        once(&mut watch);
    }
    std::hint::black_box(sum);
    Ok(Found { done: watch.finish(), settled: true, ..Found::default() })
}

/// A way to go over memory that does nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Touch {
    /// Every word loaded.
    Read,
    /// Every word stored.
    Write,
    /// Every word loaded and stored.
    ReadWrite,
}

/// Touches `len` bytes from `from` on, again and again, as fast as it goes; the faster of with and
/// without prefetch is for the caller to choose.
pub(super) fn touch(
    view: &RegionView,
    (from, len): (u64, u64),
    touch: Touch,
    ahead: bool,
    length: Duration,
    gate: &Gate,
) -> Result<Found, String> {
    const STEP: u64 = 64 << 10;
    let mut sum = 0;
    let mut once = |watch: &mut Watch| -> Result<(), String> {
        let mut at = 0;
        while at < len && !watch.is_over() {
            let step = STEP.min(len - at);
            let start = view.span(from + at, step as u32).ok_or("a range is outside")?;
            // SAFETY: in the region, which the view keeps mapped; the range is this member's alone
            // while the team runs.
            let bytes = unsafe { std::slice::from_raw_parts_mut(start.as_ptr(), step as usize) };
            match touch {
                Touch::Read => sum ^= roofline::read(bytes, ahead),
                Touch::Write => roofline::write(bytes, at),
                Touch::ReadWrite => roofline::rewrite(bytes, ahead),
            }
            watch.count(1, step);
            at += step;
        }
        Ok(())
    };
    once(&mut Watch::start(Duration::MAX))?;
    gate.pass()?;
    let mut watch = Watch::start(length);
    while !watch.is_over() {
        once(&mut watch)?;
    }
    std::hint::black_box(sum);
    Ok(Found { done: watch.finish(), settled: true, ..Found::default() })
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
