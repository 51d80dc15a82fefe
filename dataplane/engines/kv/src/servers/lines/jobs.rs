//! Reductions that run between the bursts of clients, a piece at a time.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::walk::Walk;
use crate::grammar::ReplyLine;
use crate::servers::engine::Engine;

/// Jobs that are kept, done or not.
const MOST: usize = 64;
/// Bytes of rows that a job keeps.
pub(super) const ROW_BYTES: usize = 16 << 20;
/// Rows of one piece.
const PIECE: usize = 2048;

/// All jobs of a server.
#[derive(Debug, Default)]
pub(in crate::servers) struct Table {
    jobs: BTreeMap<u64, Job>,
    last: u64,
}

/// The jobs that the loops of a server share: any connection may ask for any job.
pub(in crate::servers) type SharedJobs = Arc<Mutex<Table>>;

/// The jobs of a server, and those that this loop works at.
#[derive(Debug)]
pub(in crate::servers) struct Jobs {
    all: SharedJobs,
    /// Those that are not done, oldest first.
    queue: VecDeque<u64>,
}

#[derive(Debug)]
struct Job {
    /// `None` while a piece of it is being done.
    walk: Option<Box<Walk>>,
    /// Rows taken, and to be taken.
    taken: u64,
    total: u64,
    /// The mode's name, as the client wrote it.
    name: String,
    top: usize,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Queued,
    Running,
    Completed,
}

impl State {
    fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Completed => "completed",
        }
    }
}

impl Jobs {
    pub(in crate::servers) fn new(all: &SharedJobs) -> Self {
        Self { all: Arc::clone(all), queue: VecDeque::new() }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        // A job is put in and taken out as a whole.
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a job and answers with its number.
    pub(super) fn begin(
        &mut self,
        walk: Walk,
        name: String,
        top: usize,
        engine: &mut Engine,
        out: &mut Vec<u8>,
    ) {
        let total = walk.total(engine);
        let mut table = self.table();
        if table.jobs.len() >= MOST {
            // A result that nobody has fetched makes room.
            let done = table.jobs.iter().find(|(_, job)| job.state == State::Completed);
            if let Some((&number, _)) = done {
                table.jobs.remove(&number);
            }
        }
        if table.jobs.len() >= MOST {
            return ReplyLine::error(out, "too_many_jobs (fetch or cancel some)");
        }
        table.last += 1;
        let number = table.last;
        ReplyLine::success(out)
            .text("reducer", &name)
            .text("job", format_args!("reduce_{number}"))
            .text("state", State::Queued.name());
        let walk = Some(Box::new(walk));
        let job = Job { walk, taken: 0, total, name, top, state: State::Queued };
        table.jobs.insert(number, job);
        drop(table);
        self.queue.push_back(number);
    }

    /// Whether there is no job to work at.
    pub(in crate::servers) fn is_idle(&self) -> bool {
        self.queue.is_empty()
    }

    /// Does a piece of the oldest job; whether there is more to do.
    pub(in crate::servers) fn work(&mut self, engine: &mut Engine) -> bool {
        let Some(&number) = self.queue.front() else { return false };
        // The table is not held meanwhile: other loops, which this one may ask, look into it.
        let walk = self.table().jobs.get_mut(&number).and_then(|job| job.walk.take());
        let done = match walk {
            // It was cancelled.
            None => true,
            Some(mut walk) => {
                let done = walk.step(engine, PIECE);
                if let Some(job) = self.table().jobs.get_mut(&number) {
                    job.state = if done { State::Completed } else { State::Running };
                    job.taken = walk.taken;
                    job.walk = Some(walk);
                }
                done
            }
        };
        if done {
            self.queue.pop_front();
        }
        !self.queue.is_empty()
    }

    fn number(name: &[u8]) -> Option<u64> {
        std::str::from_utf8(name.strip_prefix(b"reduce_")?).ok()?.parse().ok()
    }

    /// `PAIR_REDUCE_STATUS`.
    pub(super) fn status(&self, name: &[u8], out: &mut Vec<u8>) {
        let (table, number) = (self.table(), Self::number(name).unwrap_or(0));
        let Some(job) = table.jobs.get(&number) else {
            return ReplyLine::error(out, "reduce_job_not_found");
        };
        ReplyLine::success(out)
            .text("job", format_args!("reduce_{number}"))
            .text("state", job.state.name())
            .text("progress", format_args!("{:.2}", job.progress()));
    }

    /// `PAIR_REDUCE_FETCH`: the result, and the job is gone; or how far it is.
    pub(super) fn fetch(&self, name: &[u8], out: &mut Vec<u8>) {
        let (mut table, number) = (self.table(), Self::number(name).unwrap_or(0));
        match table.jobs.get(&number) {
            None => ReplyLine::error(out, "reduce_job_not_found"),
            Some(job) if job.state == State::Completed => {
                if let Some(walk) = &job.walk {
                    walk.write_reduction(&job.name, job.top, out);
                }
                table.jobs.remove(&number);
            }
            Some(job) => {
                ReplyLine::pending(out)
                    .text("job", format_args!("reduce_{number}"))
                    .text("reducer", &job.name)
                    .text("state", job.state.name())
                    .text("progress", format_args!("{:.2}", job.progress()))
                    .number("completed", job.taken)
                    .number("total", job.total.max(job.taken));
            }
        }
    }

    /// `PAIR_REDUCE_CANCEL`.
    pub(super) fn cancel(&self, name: &[u8], out: &mut Vec<u8>) {
        let number = Self::number(name).unwrap_or(0);
        match self.table().jobs.remove(&number) {
            None => ReplyLine::error(out, "reduce_job_not_found"),
            Some(_) => {
                ReplyLine::success(out)
                    .text("job", format_args!("reduce_{number}"))
                    .text("state", "cancelled");
            }
        }
    }
}

impl Job {
    /// From 0 to 1; 1 only when it is done.
    fn progress(&self) -> f64 {
        match (self.state, self.total) {
            (State::Completed, _) => 1.0,
            (_, 0) => 0.0,
            (_, total) => (self.taken as f64 / total as f64).min(0.99),
        }
    }
}
