//! What the process and its host are doing, for `SYSTEM_STATS` and `INFO`.

use std::fs;
use std::time::Instant;

/// Readings of `/proc` at one moment.
#[derive(Clone, Copy, Debug)]
struct Reading {
    at: Instant,
    /// CPU seconds of this process.
    process: f64,
    /// CPU seconds of the host that were not idle, and all.
    busy: f64,
    total: f64,
    read_bytes: u64,
    write_bytes: u64,
}

/// Rates since the last time they were asked for.
#[derive(Debug)]
pub(super) struct System {
    last: Reading,
}

/// The process and its host, now.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Snapshot {
    /// Cores that the process may use.
    pub(super) cores: usize,
    /// Threads of the process.
    pub(super) threads: u64,
    /// Memory in use, in bytes.
    pub(super) resident_bytes: u64,
    /// Address space, in bytes.
    pub(super) virtual_bytes: u64,
    /// Of one core, in percent.
    pub(super) process_cpu_pct: f64,
    /// Of all cores, in percent.
    pub(super) system_cpu_pct: f64,
    /// Bytes read from disks, since the start.
    pub(super) read_bytes: u64,
    /// Bytes written to disks, since the start.
    pub(super) write_bytes: u64,
    /// Bytes read from disks, a second.
    pub(super) read_rate: f64,
    /// Bytes written to disks, a second.
    pub(super) write_rate: f64,
}

impl System {
    pub(super) fn new() -> Self {
        Self { last: Reading::now() }
    }

    /// The state now, and rates since the last call.
    pub(super) fn snapshot(&mut self) -> Snapshot {
        let now = Reading::now();
        let last = std::mem::replace(&mut self.last, now);
        let seconds = now.at.duration_since(last.at).as_secs_f64().max(1e-3);
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let percent = |part: f64, whole: f64| if whole > 0.0 { part / whole * 100.0 } else { 0.0 };
        Snapshot {
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            threads: field(&status, "Threads:"),
            resident_bytes: field(&status, "VmRSS:") << 10,
            virtual_bytes: field(&status, "VmSize:") << 10,
            process_cpu_pct: percent(now.process - last.process, seconds),
            system_cpu_pct: percent(now.busy - last.busy, now.total - last.total),
            read_bytes: now.read_bytes,
            write_bytes: now.write_bytes,
            read_rate: now.read_bytes.saturating_sub(last.read_bytes) as f64 / seconds,
            write_rate: now.write_bytes.saturating_sub(last.write_bytes) as f64 / seconds,
        }
    }
}

impl Reading {
    fn now() -> Self {
        let io = fs::read_to_string("/proc/self/io").unwrap_or_default();
        let (busy, total) = host_ticks().unwrap_or((0, 0));
        Self {
            at: Instant::now(),
            process: process_seconds().unwrap_or(0.0),
            busy: busy as f64,
            total: total as f64,
            read_bytes: field(&io, "read_bytes:"),
            write_bytes: field(&io, "write_bytes:"),
        }
    }
}

/// CPU seconds that this process has used.
fn process_seconds() -> Option<f64> {
    let usage = nix::sys::resource::getrusage(nix::sys::resource::UsageWho::RUSAGE_SELF).ok()?;
    let seconds =
        |time: nix::sys::time::TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
    Some(seconds(usage.user_time()) + seconds(usage.system_time()))
}

/// Ticks of all cores: not idle, and all.
fn host_ticks() -> Option<(u64, u64)> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    let ticks: Vec<u64> =
        stat.lines().next()?.split_whitespace().skip(1).filter_map(|t| t.parse().ok()).collect();
    // The ticks of guests are also those of users.
    let total: u64 = ticks.iter().take(8).sum();
    let idle: u64 = ticks.iter().skip(3).take(2).sum();
    Some((total.saturating_sub(idle), total))
}

/// The number behind `name` in a file of `/proc`; 0 when there is none.
fn field(text: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_threads_memory_and_time() {
        let mut system = System::new();
        let mut sum = 0_u64;
        let begin = Instant::now();
        while begin.elapsed().as_millis() < 30 {
            sum = sum.wrapping_mul(31).wrapping_add(7);
        }
        let snapshot = system.snapshot();
        assert!(snapshot.threads >= 1 && snapshot.cores >= 1, "{sum} {snapshot:?}");
        assert!(
            snapshot.resident_bytes > 100_000 && snapshot.virtual_bytes > snapshot.resident_bytes
        );
        assert!(snapshot.process_cpu_pct > 0.0);
    }
}
