//! A team: pinned threads, or processes forked for one measurement, that begin together.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork, pipe};
use pfs_dataplane::pin;
use pfs_rings::{PageSize, PageWish, Region, RegionRequest, RegionView};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Longest that a member waits for the others to be ready.
const PATIENCE: Duration = Duration::from_secs(60);

/// What members are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Threads of this process.
    #[default]
    Threads,
    /// Processes of their own, forked from this one; regions are shared with them.
    Processes,
}

/// What the scheduler says of one member's measured time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scheduled {
    /// Nanoseconds on a core.
    pub ran_ns: u64,
    /// Nanoseconds ready to run, with the core another's.
    pub waited_ns: u64,
}

impl Scheduled {
    /// The calling thread's so far; zeros where the kernel keeps none.
    #[must_use]
    pub fn now() -> Self {
        let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
        let mut fields = text.split_whitespace().map(|field| field.parse().unwrap_or(0));
        let mut next = || fields.next().unwrap_or(0);
        Self { ran_ns: next(), waited_ns: next() }
    }

    /// What was added since `earlier`.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Self {
        Self {
            ran_ns: self.ran_ns.saturating_sub(earlier.ran_ns),
            waited_ns: self.waited_ns.saturating_sub(earlier.waited_ns),
        }
    }
}

/// Where members wait for each other: a word that all of them map.
#[derive(Debug)]
pub struct Gate {
    view: RegionView,
    members: u32,
}

impl Gate {
    fn new(members: usize) -> Result<Self, String> {
        let pages = PageWish::Exact(PageSize::Base4K);
        let region = Region::create(&RegionRequest::new(4096).with_pages(pages))
            .map_err(|error| error.to_string())?;
        Ok(Self { view: region.view(), members: members as u32 })
    }

    fn word(&self, at: usize) -> &AtomicU32 {
        assert!(at < 2, "the gate has two words");
        // SAFETY: the region is mapped for as long as `self`, its base is a page's border, and
        // nobody uses these words but as atomics.
        unsafe { &*self.view.base().as_ptr().cast::<AtomicU32>().add(at) }
    }

    /// Says that this member is ready, and waits until all are.
    ///
    /// # Errors
    /// When another member has failed, or does not come.
    pub fn pass(&self) -> Result<(), String> {
        self.word(0).fetch_add(1, Ordering::AcqRel);
        let since = Instant::now();
        let mut turns = 0u32;
        while self.word(0).load(Ordering::Acquire) < self.members {
            if self.word(1).load(Ordering::Acquire) != 0 {
                return Err("another member of the team failed".into());
            }
            turns = turns.wrapping_add(1);
            if turns.is_multiple_of(1024) {
                std::thread::yield_now();
                if since.elapsed() > PATIENCE {
                    return Err("the other members of the team did not come".into());
                }
            }
            std::hint::spin_loop();
        }
        Ok(())
    }

    fn fail(&self) {
        self.word(1).store(1, Ordering::Release);
    }
}

/// Runs `job` once for each core, each pinned to its own, as `kind` says; gives what each has
/// returned, in the order of `cores`. `job` gets its index and the gate, which every member must
/// pass exactly once.
///
/// # Errors
/// The first member's error: a core that cannot be pinned to, a job's, or a process that died.
pub fn run<T: Serialize + DeserializeOwned + Send>(
    kind: Kind,
    cores: &[u32],
    job: impl Fn(usize, &Gate) -> Result<T, String> + Sync,
) -> Result<Vec<T>, String> {
    let gate = Gate::new(cores.len())?;
    let member = |index: usize| {
        let done = pin::pin(cores[index])
            .map_err(|error| error.to_string())
            .and_then(|()| job(index, &gate));
        if done.is_err() {
            gate.fail();
        }
        done
    };
    let done = match kind {
        Kind::Threads => threads(cores.len(), &member),
        Kind::Processes => processes(cores.len(), &member),
    };
    // A member that stopped because of another says less than that other.
    let told = |error: &&&String| {
        !error.starts_with("another member") && !error.starts_with("the other members")
    };
    let errors: Vec<&String> = done.iter().filter_map(|one| one.as_ref().err()).collect();
    match errors.iter().find(told).or(errors.first()) {
        Some(error) => Err((**error).clone()),
        None => Ok(done.into_iter().flatten().collect()),
    }
}

fn threads<T: Send>(
    members: usize,
    member: &(impl Fn(usize) -> Result<T, String> + Sync),
) -> Vec<Result<T, String>> {
    std::thread::scope(|scope| {
        let started: Vec<_> = (0..members).map(|at| scope.spawn(move || member(at))).collect();
        let joined = started.into_iter().enumerate();
        let ended = joined
            .map(|(at, one)| one.join().unwrap_or_else(|_| Err(format!("member {at} panicked"))));
        ended.collect()
    })
}

fn processes<T: Serialize + DeserializeOwned>(
    members: usize,
    member: &impl Fn(usize) -> Result<T, String>,
) -> Vec<Result<T, String>> {
    let started: Vec<_> = (0..members).map(|at| start(at, member)).collect();
    started.into_iter().enumerate().map(|(at, one)| one.and_then(|one| end(at, one))).collect()
}

/// Forks one member, which writes its outcome into a pipe and ends.
fn start<T: Serialize>(
    at: usize,
    member: &impl Fn(usize) -> Result<T, String>,
) -> Result<(Pid, OwnedFd), String> {
    let (read, write) = pipe().map_err(|error| format!("making a pipe: {error}"))?;
    // SAFETY: the child runs the job, writes its outcome and leaves by `_exit`; the C library
    // keeps its allocator usable in a child of a process with several threads, and the child
    // takes no other lock that a thread of the parent may hold.
    match unsafe { fork() }.map_err(|error| format!("forking a member: {error}"))? {
        ForkResult::Parent { child } => Ok((child, read)),
        ForkResult::Child => {
            drop(read);
            let done = catch_unwind(AssertUnwindSafe(|| member(at)))
                .unwrap_or_else(|_| Err(format!("member {at} panicked")));
            let text = serde_json::to_vec(&done).unwrap_or_default();
            let written = File::from(write).write_all(&text).is_ok();
            // SAFETY: ends the process without running the parent's exit handlers a second time.
            unsafe { libc::_exit(i32::from(!written)) }
        }
    }
}

fn end<T: DeserializeOwned>(at: usize, (child, pipe): (Pid, OwnedFd)) -> Result<T, String> {
    let mut text = Vec::new();
    let read = File::from(pipe).read_to_end(&mut text);
    let status = waitpid(child, None);
    read.map_err(|error| format!("reading what member {at} found: {error}"))?;
    match status {
        Ok(WaitStatus::Exited(_, 0)) => {
            let done: Result<T, String> = serde_json::from_slice(&text)
                .map_err(|error| format!("what member {at} found makes no sense: {error}"))?;
            done
        }
        Ok(status) => Err(format!("member {at} ended with {status:?}")),
        Err(error) => Err(format!("waiting for member {at}: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first_core() -> u32 {
        pin::allowed_cores().unwrap()[0]
    }

    #[test]
    fn members_of_both_kinds_give_back_what_they_found() {
        for kind in [Kind::Threads, Kind::Processes] {
            let cores = [first_core(); 2];
            let found = run(kind, &cores, |at, gate| gate.pass().map(|()| at * 10)).unwrap();
            assert_eq!(found, [0, 10], "{kind:?}");
        }
    }

    #[test]
    fn one_failing_member_ends_all_and_is_the_one_named() {
        for kind in [Kind::Threads, Kind::Processes] {
            let cores = [first_core(); 2];
            let fails = |at, gate: &Gate| {
                if at == 1 { Err("no luck".to_owned()) } else { gate.pass() }
            };
            assert_eq!(run(kind, &cores, fails), Err("no luck".into()), "{kind:?}");
        }
    }

    #[test]
    fn a_process_that_is_killed_is_named() {
        let dies = |at: usize, gate: &Gate| {
            if at == 1 {
                gate.fail();
                // SAFETY: ends this forked process.
                unsafe { libc::_exit(9) };
            }
            gate.pass()
        };
        let error = run(Kind::Processes, &[first_core(); 2], dies).unwrap_err();
        assert!(error.contains("member 1 ended with Exited"), "{error}");
    }

    #[test]
    fn a_core_that_does_not_exist_is_named() {
        let error = run(Kind::Threads, &[1020], |_, gate| gate.pass()).unwrap_err();
        assert!(error.contains("core 1020 does not exist"), "{error}");
    }
}
