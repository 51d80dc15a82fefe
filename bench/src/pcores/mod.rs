//! Throughput of pinned workers over lanes, beside plain threads and the memory's own bounds.
//!
//! Workers run what dataplane workers run (an executor behind a lane) over spans of memory that
//! was written before, on 1 to N cores; every trial's answer is checked against another
//! implementation's. Contenders and bounds take turns within a round.

mod ask;
mod feed;
mod ground;
mod member;
mod oracle;
mod recipe;
mod report;
mod spans;
mod watch;

use pfs_dataplane::pcpu::{Program, optimize};
use pfs_rings::Desc;
use serde::Serialize;

pub use ask::Settings;
use ask::{Cores, node_of};
use ground::{Contender, Ground, Load, Trial};
use member::Touch;
use oracle::Expected;
pub use recipe::original;
pub use spans::Mode;
use spans::{SEED, Shape};

use crate::interrupt;
use crate::quiet::Disturbance;
use crate::report::{Grants, PlanHash, Report};
use crate::stats::{Shuffle, Spread};

/// One combination of what is swept.
#[derive(Clone, Debug, Serialize)]
struct Point {
    workers: usize,
    program: String,
    shape: Shape,
    range: u64,
    ring_slots: usize,
    burst: usize,
}

/// One contender at one point, or one bound, over all rounds.
#[derive(Clone, Debug, Serialize)]
struct Row {
    /// `None`: a bound, which has no program.
    point: Option<Point>,
    workers: usize,
    range: u64,
    contender: Contender,
    gb_per_s: Spread,
    spans_per_s: Spread,
    ticks_per_byte: Spread,
    gb_per_cpu_s: Spread,
    /// The worst of the trials that count.
    disturbance: Disturbance,
    /// Trials that count though they were disturbed, and trials thrown away for it.
    disturbed: usize,
    repeated: usize,
    right: bool,
}

/// A row before it is summed up.
struct Job {
    point: Option<usize>,
    workers: usize,
    contender: Contender,
    trials: Vec<Trial>,
    disturbed: usize,
    repeated: usize,
}

const CONTENDERS: [Contender; 4] =
    [Contender::Rings, Contender::Plain, Contender::PlainAhead, Contender::OneCore];
/// Beside those, over scattered spans.
const LINES: [Contender; 2] = [Contender::Lines(false), Contender::Lines(true)];
const BOUNDS: [Contender; 5] = [
    Contender::Bound(Touch::Read, false),
    Contender::Bound(Touch::Read, true),
    Contender::Bound(Touch::Write, false),
    Contender::Bound(Touch::ReadWrite, false),
    Contender::Bound(Touch::ReadWrite, true),
];

/// Whether something that was asked for cannot be, or something went wrong.
#[derive(Debug)]
pub enum PcoresError {
    /// What was asked makes no sense on this host.
    Asked(String),
    /// It was tried and failed.
    Failed(String),
}

impl std::fmt::Display for PcoresError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (Self::Asked(why) | Self::Failed(why)) = self;
        f.write_str(why)
    }
}

/// Measures every combination that `settings` lists.
///
/// # Errors
/// [`PcoresError`].
pub fn run(settings: &Settings) -> Result<Report, PcoresError> {
    let cores = settings.check().map_err(PcoresError::Asked)?;
    interrupt::watch();
    let (rows, grants) = rows(settings, &cores).map_err(PcoresError::Failed)?;
    let mut report = report::report(settings, &rows);
    report.grants = grants;
    report.plans.push(PlanHash::of("points", &points_of(&rows)));
    Ok(report)
}

fn points_of(rows: &[Row]) -> Vec<&Point> {
    rows.iter().filter_map(|row| row.point.as_ref()).collect()
}

fn rows(settings: &Settings, cores: &Cores) -> Result<(Vec<Row>, Grants), String> {
    let mut grants = Grants::default();
    for (what, cores) in [("producer", &cores.producers), ("worker", &cores.workers)] {
        for &core in cores {
            let node = node_of(core).map_or(String::new(), |node| format!(", node {node}"));
            grants.pinned(&format!("{what}{node}"), core);
        }
    }
    let mut rows = Vec::new();
    let ranges = if settings.places.is_empty() { &settings.ranges[..] } else { &[0] };
    for &range in ranges {
        if interrupt::asked() {
            break;
        }
        let mut ground = Ground::new(settings, range, cores)?;
        ground.grants(range, &mut grants);
        rows.extend(over(settings, cores, range, &mut ground, &mut grants)?);
    }
    Ok((rows, grants))
}

/// All points over one range, in turns.
fn over(
    settings: &Settings,
    cores: &Cores,
    range: u64,
    ground: &mut Ground,
    grants: &mut Grants,
) -> Result<Vec<Row>, String> {
    let points = points(settings, range);
    let loads =
        points.iter().map(|point| load(point, ground)).collect::<Result<Vec<Load>, String>>()?;
    let mut jobs = jobs(settings, &points);
    let mut order: Vec<usize> = (0..jobs.len()).collect();
    let mut shuffle = Shuffle::default();
    for _ in 0..settings.rounds {
        shuffle.shuffle(&mut order);
        for &at in &order {
            if interrupt::asked() {
                break;
            }
            let job = &mut jobs[at];
            let (point, workers, contender) = (job.point, job.workers, job.contender);
            job.measure(settings.retries, || match (contender, point) {
                (Contender::Bound(touch, ahead), _) => {
                    ground.bound(&cores.workers[..workers], touch, ahead, settings.trial)
                }
                (_, Some(point)) => ground.load(settings, cores, &loads[point], contender, grants),
                (_, None) => Err("a contender has a point".into()),
            })?;
        }
    }
    let row = |job: Job| job.sum_up(range, &points);
    Ok(jobs.into_iter().filter(|job| !job.trials.is_empty()).map(row).collect())
}

fn points(settings: &Settings, range: u64) -> Vec<Point> {
    let mut points = Vec::new();
    for &workers in &settings.workers {
        for program in &settings.programs {
            for shape in settings.shapes() {
                for &ring_slots in &settings.ring_slots {
                    for &burst in &settings.bursts {
                        let program = program.clone();
                        points.push(Point { workers, program, shape, range, ring_slots, burst });
                    }
                }
            }
        }
    }
    points
}

fn jobs(settings: &Settings, points: &[Point]) -> Vec<Job> {
    let job = |point, workers, contender| Job {
        point,
        workers,
        contender,
        trials: Vec::new(),
        disturbed: 0,
        repeated: 0,
    };
    let mut jobs = Vec::new();
    for &workers in &settings.workers {
        jobs.extend(BOUNDS.map(|bound| job(None, workers, bound)));
    }
    for (at, point) in points.iter().enumerate() {
        let lines = if point.shape.mode == Mode::Scattered { &LINES[..] } else { &[] };
        let contenders = CONTENDERS.iter().chain(lines);
        jobs.extend(contenders.map(|&contender| job(Some(at), point.workers, contender)));
    }
    jobs
}

/// Lists and answers of one point.
fn load(point: &Point, ground: &Ground) -> Result<Load, String> {
    let program = Program::parse(&point.program).map_err(|error| error.to_string())?;
    let list = |worker: usize| {
        let part = ground.part(worker);
        point.shape.list(part.from, part.len, SEED ^ (worker as u32).wrapping_mul(0x9e37_79b9))
    };
    let lists: Vec<Vec<Desc>> = (0..point.workers).map(list).collect::<Result<_, _>>()?;
    let expected = lists.iter().enumerate();
    let expected = expected
        .map(|(worker, list)| Expected::of(&program, ground.buffer(worker), list))
        .collect::<Result<_, _>>()?;
    let Point { workers, ring_slots, burst, .. } = *point;
    Ok(Load { program: optimize(&program, true), workers, ring_slots, burst, lists, expected })
}

impl Job {
    /// Makes one trial, and makes it again while it is disturbed, `retries` times at most.
    fn measure(
        &mut self,
        retries: usize,
        mut trial: impl FnMut() -> Result<Trial, String>,
    ) -> Result<(), String> {
        for left in (0..=retries).rev() {
            let made = trial()?;
            let disturbs = made.disturbance.disturbs();
            if made.right && disturbs && left > 0 && !interrupt::asked() {
                self.repeated += 1;
                continue;
            }
            self.disturbed += usize::from(disturbs);
            self.trials.push(made);
            return Ok(());
        }
        Ok(())
    }

    fn sum_up(self, range: u64, points: &[Point]) -> Row {
        let spread = |of: fn(&Trial) -> f64| Spread::of(self.trials.iter().map(of).collect());
        let worst = self.trials.iter().map(|trial| trial.disturbance);
        Row {
            point: self.point.map(|at| points[at].clone()),
            workers: self.workers,
            range,
            contender: self.contender,
            gb_per_s: spread(|trial| trial.gb_per_s),
            spans_per_s: spread(|trial| trial.spans_per_s),
            ticks_per_byte: spread(|trial| trial.ticks_per_byte),
            gb_per_cpu_s: spread(|trial| trial.gb_per_cpu_s),
            disturbance: worst.fold(Disturbance::default(), Disturbance::worse),
            disturbed: self.disturbed,
            repeated: self.repeated,
            right: self.trials.iter().all(|trial| trial.right),
        }
    }
}
