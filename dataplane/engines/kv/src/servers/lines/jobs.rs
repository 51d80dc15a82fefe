//! Reductions that run between the bursts of clients, a piece at a time.

use std::collections::{BTreeMap, VecDeque};

use super::pairs::Walk;
use crate::grammar::ReplyLine;
use crate::servers::engine::Engine;

/// Jobs that are kept, done or not.
const MOST: usize = 64;
/// Bytes of rows that a job keeps.
pub(super) const ROW_BYTES: usize = 16 << 20;
/// Rows of one piece.
const PIECE: u64 = 2048;

/// All jobs of a server.
#[derive(Debug, Default)]
pub(in crate::servers) struct Jobs {
    all: BTreeMap<u64, Job>,
    /// Those that are not done, oldest first.
    queue: VecDeque<u64>,
    last: u64,
}

#[derive(Debug)]
struct Job {
    walk: Walk,
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
    /// Begins a job and answers with its number.
    pub(super) fn begin(&mut self, walk: Walk, name: String, top: usize, out: &mut Vec<u8>) {
        if self.all.len() >= MOST {
            // A result that nobody has fetched makes room.
            let done = self.all.iter().find(|(_, job)| job.state == State::Completed);
            if let Some((&number, _)) = done {
                self.all.remove(&number);
            }
        }
        if self.all.len() >= MOST {
            return ReplyLine::error(out, "too_many_jobs (fetch or cancel some)");
        }
        self.last += 1;
        ReplyLine::success(out)
            .text("reducer", &name)
            .text("job", format_args!("reduce_{}", self.last))
            .text("state", State::Queued.name());
        self.all.insert(self.last, Job { walk, name, top, state: State::Queued });
        self.queue.push_back(self.last);
    }

    /// Does a piece of the oldest job; whether there is more to do.
    pub(in crate::servers) fn work(&mut self, engine: &Engine) -> bool {
        let Some(&number) = self.queue.front() else { return false };
        let done = match self.all.get_mut(&number) {
            // It was cancelled.
            None => true,
            Some(job) => {
                let done = job.walk.step(engine, PIECE);
                job.state = if done { State::Completed } else { State::Running };
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
    pub(super) fn status(&self, name: &[u8], engine: &Engine, out: &mut Vec<u8>) {
        let number = Self::number(name).filter(|number| self.all.contains_key(number));
        let Some((number, job)) = number.and_then(|number| Some((number, self.all.get(&number)?)))
        else {
            return ReplyLine::error(out, "reduce_job_not_found");
        };
        ReplyLine::success(out)
            .text("job", format_args!("reduce_{number}"))
            .text("state", job.state.name())
            .text("progress", format_args!("{:.2}", job.progress(engine)));
    }

    /// `PAIR_REDUCE_FETCH`: the result, and the job is gone; or how far it is.
    pub(super) fn fetch(&mut self, name: &[u8], engine: &Engine, out: &mut Vec<u8>) {
        let number = Self::number(name).unwrap_or(0);
        match self.all.get(&number) {
            None => ReplyLine::error(out, "reduce_job_not_found"),
            Some(job) if job.state == State::Completed => {
                job.walk.write_reduction(&job.name, job.top, out);
                self.all.remove(&number);
            }
            Some(job) => {
                ReplyLine::pending(out)
                    .text("job", format_args!("reduce_{number}"))
                    .text("reducer", &job.name)
                    .text("state", job.state.name())
                    .text("progress", format_args!("{:.2}", job.progress(engine)))
                    .number("completed", job.walk.taken)
                    .number("total", job.walk.total(engine));
            }
        }
    }

    /// `PAIR_REDUCE_CANCEL`.
    pub(super) fn cancel(&mut self, name: &[u8], out: &mut Vec<u8>) {
        let number = Self::number(name).unwrap_or(0);
        match self.all.remove(&number) {
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
    fn progress(&self, engine: &Engine) -> f64 {
        match (self.state, self.walk.total(engine)) {
            (State::Completed, _) => 1.0,
            (_, 0) => 0.0,
            (_, total) => (self.walk.taken as f64 / total as f64).min(0.99),
        }
    }
}
