//! Sleeping and waking by `futex(2)`, fencing from afar by `membarrier(2)`.

use std::sync::OnceLock;
use std::sync::atomic::AtomicU32;
use std::time::{Duration, Instant};

use super::LONGEST_SLEEP;

// linux/membarrier.h
const GLOBAL_EXPEDITED: libc::c_int = 1 << 1;
const REGISTER_GLOBAL_EXPEDITED: libc::c_int = 1 << 2;
const PRIVATE_EXPEDITED: libc::c_int = 1 << 3;
const REGISTER_PRIVATE_EXPEDITED: libc::c_int = 1 << 4;

fn membarrier(command: libc::c_int) -> bool {
    // SAFETY: membarrier takes plain numbers and touches no memory of ours.
    unsafe { libc::syscall(libc::SYS_membarrier, command, 0, 0) == 0 }
}

/// Whether the other side can make this process's cores fence; registers for it, once.
pub(super) fn can_fence_others(between_processes: bool) -> bool {
    static PRIVATE: OnceLock<bool> = OnceLock::new();
    static GLOBAL: OnceLock<bool> = OnceLock::new();
    if between_processes {
        *GLOBAL.get_or_init(|| membarrier(REGISTER_GLOBAL_EXPEDITED))
    } else {
        *PRIVATE.get_or_init(|| membarrier(REGISTER_PRIVATE_EXPEDITED))
    }
}

/// Makes every core that runs the other side pass a full fence. Refused: the other side, on the
/// same kernel, was refused as well and fences by itself.
pub(super) fn fence_others(between_processes: bool) {
    membarrier(if between_processes { GLOBAL_EXPEDITED } else { PRIVATE_EXPEDITED });
}

/// Sleeps while `word` is 1, for at most `left` and [`LONGEST_SLEEP`].
pub(super) fn sleep(word: &AtomicU32, left: Duration) {
    let left = left.min(LONGEST_SLEEP);
    let time = libc::timespec { tv_sec: 0, tv_nsec: libc::c_long::from(left.subsec_nanos()) };
    // SAFETY: the word is a live atomic and the time a live `timespec`; every way the call can
    // end (woken, timed out, value changed, interrupted) means: look again. The word may lie
    // in shared memory, hence no FUTEX_PRIVATE_FLAG.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAIT, 1, &raw const time) };
}

/// Wakes the one that sleeps on `word`.
pub(super) fn wake(word: &AtomicU32) {
    // SAFETY: the word is a live atomic; its content is not looked at.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAKE, 1) };
}

/// What is left of a time-out.
pub(super) struct Clock(Option<Instant>);

impl Clock {
    /// A time-out beyond the clock's range never passes.
    pub(super) fn new(timeout: Duration) -> Self {
        Self(Instant::now().checked_add(timeout))
    }

    /// `None` once it has passed.
    pub(super) fn left(&self) -> Option<Duration> {
        let Some(end) = self.0 else { return Some(Duration::MAX) };
        end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
    }
}
