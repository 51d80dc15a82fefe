//! Which process is at the other end, and whether it still lives.

use std::fs;

/// A process by its id and start time, so that a reused id is not taken for the old process.
///
/// Packs into one word of shared memory: both processes must see the same `/proc`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process {
    /// Process id, below 2^22 (the kernel's limit).
    pub pid: u32,
    /// Start time in clock ticks since boot, modulo 2^42 (1,394 years at 100 ticks a second).
    pub start: u64,
}

const START_BITS: u32 = 42;

impl Process {
    /// This process.
    #[must_use]
    pub fn current() -> Self {
        let pid = std::process::id();
        let start = stat(pid).map_or(0, |(_, start)| start);
        Self { pid, start }
    }

    /// Whether it still runs. A zombie does not: it will touch no memory any more.
    #[must_use]
    pub fn is_alive(self) -> bool {
        stat(self.pid).is_some_and(|(state, start)| {
            start == self.start && !matches!(state, b'Z' | b'X' | b'x')
        })
    }

    pub(crate) const fn pack(self) -> u64 {
        (self.pid as u64) << START_BITS | self.start & ((1 << START_BITS) - 1)
    }

    /// `None` for 0, the word that names nobody.
    pub(crate) const fn unpack(word: u64) -> Option<Self> {
        if word == 0 {
            return None;
        }
        let start = word & ((1 << START_BITS) - 1);
        Some(Self { pid: (word >> START_BITS) as u32, start })
    }
}

/// State letter and start time from `/proc/PID/stat`; `None` when there is no such process.
fn stat(pid: u32) -> Option<(u8, u64)> {
    let text = fs::read(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the program's name in parentheses; it may hold spaces and parentheses.
    let rest = &text[text.iter().rposition(|&byte| byte == b')')? + 2..];
    let mut fields = rest.split(|&byte| byte == b' ');
    let state = *fields.next()?.first()?;
    // Field 22 of the line; `state` was field 3.
    let start: u64 = std::str::from_utf8(fields.nth(18)?).ok()?.parse().ok()?;
    Some((state, start & ((1 << START_BITS) - 1)))
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_known_by_its_start_time() {
        let me = Process::current();
        assert!(me.is_alive() && me.start > 0);
        assert_eq!(Process::unpack(me.pack()), Some(me));
        assert!(!Process { start: me.start + 1, ..me }.is_alive());
        assert_eq!(Process::unpack(0), None);
    }

    #[test]
    fn a_zombie_is_dead() {
        let mut child = std::process::Command::new("sleep").arg("10").spawn().expect("spawn");
        let start = stat(child.id()).expect("just started").1;
        let process = Process { pid: child.id(), start };
        assert!(process.is_alive());
        child.kill().expect("kill");
        while stat(child.id()).is_some_and(|(state, _)| state != b'Z') {
            std::thread::yield_now();
        }
        assert!(!process.is_alive());
        child.wait().expect("wait");
        assert!(!process.is_alive());
    }
}
