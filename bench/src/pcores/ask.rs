//! What is asked, held against what this host has, before anything is allocated.

use std::fs;
use std::time::Duration;

use pfs_dataplane::pcpu::Program;
use pfs_dataplane::pin;
use pfs_rings::PageWish;
use pfs_rings::lane::{BURST, MappedLane};

use super::spans::{Mode, Shape};
use crate::team::Kind;

/// What to measure: every combination of the lists.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Numbers of workers.
    pub workers: Vec<usize>,
    /// Cores, by the kernel's ids: producers take the first, workers the next; empty: all that
    /// this process may use.
    pub cores: Vec<u32>,
    /// Producers on cores of their own; 0: every worker feeds its own lane.
    pub producers: usize,
    /// Threads, or processes.
    pub kind: Kind,
    /// Programs.
    pub programs: Vec<String>,
    /// Ways in which spans follow each other.
    pub modes: Vec<Mode>,
    /// Bytes of contiguous spans.
    pub span_lens: Vec<u32>,
    /// Border of spans in bytes.
    pub align: u32,
    /// Spans of a message.
    pub dpf: usize,
    /// Slots of forward rings.
    pub ring_slots: Vec<usize>,
    /// Descriptors pushed and run at a time.
    pub bursts: Vec<usize>,
    /// Bytes of memory for each worker.
    pub ranges: Vec<u64>,
    /// Where each worker's spans lie, offset and length, in one stretch of memory; empty: one after
    /// another, as long as `ranges` says.
    pub places: Vec<(u64, u64)>,
    /// Pages wished for.
    pub pages: PageWish,
    /// Trials of each row.
    pub rounds: usize,
    /// Length of a trial.
    pub trial: Duration,
    /// Times that a disturbed trial is made again.
    pub retries: usize,
}

/// The cores of producers and workers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cores {
    pub(super) producers: Vec<u32>,
    pub(super) workers: Vec<u32>,
}

impl Settings {
    /// Holds everything against the host.
    ///
    /// # Errors
    /// The first thing that cannot be, and what to ask for instead.
    pub(super) fn check(&self) -> Result<Cores, String> {
        self.check_shapes()?;
        for text in &self.programs {
            Program::parse(text).map_err(|error| error.to_string())?;
        }
        let cores = self.check_cores()?;
        for &range in &self.ranges {
            let places = self.places(range, cores.workers.len())?;
            let end = places.iter().map(|&(from, len)| from + len).max().unwrap_or(0);
            check_free(end)?;
        }
        Ok(cores)
    }

    fn check_shapes(&self) -> Result<(), String> {
        let Self { align, dpf, .. } = *self;
        if !align.is_power_of_two() || !(8..=1 << 20).contains(&align) {
            return Err(format!("--align {align}: a power of two from 8 to 1048576"));
        }
        if !(1..=BURST).contains(&dpf) {
            return Err(format!("--dpf {dpf}: from 1 to {BURST} spans of a message"));
        }
        if let Some(burst) =
            self.bursts.iter().find(|burst| **burst > BURST || **burst < dpf || **burst % dpf != 0)
        {
            return Err(format!(
                "--burst {burst}: a multiple of --dpf ({dpf}), and at most {BURST}"
            ));
        }
        if let Some(slots) =
            self.ring_slots.iter().find(|&&slots| MappedLane::bytes(slots).is_none())
        {
            return Err(format!("--ring-slots {slots}: a power of two from {BURST} to 2^30"));
        }
        if self.span_lens.contains(&0) {
            return Err("--span-len 0: a span has at least one byte".into());
        }
        if self.trial.is_zero() || self.rounds == 0 {
            return Err("--trial-ms and --rounds are at least 1".into());
        }
        Ok(())
    }

    fn check_cores(&self) -> Result<Cores, String> {
        let allowed = pin::allowed_cores().map_err(|error| error.to_string())?;
        let cores = if self.cores.is_empty() { &allowed } else { &self.cores };
        for (at, &core) in cores.iter().enumerate() {
            pin::check(core).map_err(|error| error.to_string())?;
            if cores[..at].contains(&core) {
                return Err(format!("core {core} is taken already: name each core once"));
            }
        }
        let workers = self.workers.iter().copied().max().unwrap_or(0);
        if self.workers.contains(&0) {
            return Err("--cores 0: at least one worker".into());
        }
        let wanted = workers + self.producers;
        if wanted > cores.len() {
            let producers = match self.producers {
                0 => String::new(),
                one => format!(" and {one} producers"),
            };
            return Err(format!(
                "{workers} workers{producers} need {wanted} cores and there are {} ({}): ask for fewer, or --producers 0, with which workers feed themselves",
                cores.len(),
                cores.iter().map(u32::to_string).collect::<Vec<_>>().join(",")
            ));
        }
        let (producers, rest) = cores.split_at(self.producers);
        Ok(Cores { producers: producers.to_vec(), workers: rest[..workers].to_vec() })
    }

    /// Offset and length of each worker's part of memory.
    ///
    /// # Errors
    /// When one is empty, misaligned or overlaps another, or there are too few.
    pub(super) fn places(&self, range: u64, workers: usize) -> Result<Vec<(u64, u64)>, String> {
        if self.places.is_empty() {
            if range == 0 || range > 1 << 46 {
                return Err(format!("--range {range}: from one byte to 64 TiB"));
            }
            let len = range.next_multiple_of(u64::from(self.align).max(4096));
            return Ok((0..workers as u64).map(|worker| (worker * len, len)).collect());
        }
        if self.places.len() < workers {
            let given = self.places.len();
            return Err(format!("{given} places for {workers} workers: give one --place for each"));
        }
        for (at, &(from, len)) in self.places.iter().enumerate() {
            if len == 0 {
                return Err(format!("--place {from}:0 is empty: a range has at least one byte"));
            }
            if from % 8 != 0 || from.checked_add(len).is_none() {
                return Err(format!("--place {from}:{len}: a multiple of 8, then a length"));
            }
            let over = |&&(other, more): &&(u64, u64)| from < other + more && other < from + len;
            if let Some((other, more)) = self.places[..at].iter().find(over) {
                return Err(format!(
                    "--place {from}:{len} overlaps {other}:{more}: two workers would write the same bytes"
                ));
            }
        }
        Ok(self.places[..workers].to_vec())
    }

    /// Every shape that is asked for; the span length has no meaning for scattered spans.
    pub(super) fn shapes(&self) -> Vec<Shape> {
        let mut shapes = Vec::new();
        for &mode in &self.modes {
            for &len in &self.span_lens {
                let shape = Shape { mode, len, align: self.align, dpf: self.dpf };
                if mode == Mode::Contiguous || !shapes.iter().any(|s: &Shape| s.mode == mode) {
                    shapes.push(shape);
                }
            }
        }
        shapes
    }
}

/// Whether `bytes` and something for the rest of the system are free.
fn check_free(bytes: u64) -> Result<(), String> {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let field = |name: &str| {
        let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        line.split_whitespace().nth(1).and_then(|value| value.parse::<u64>().ok()).unwrap_or(0)
    };
    let pool = field("HugePages_Free:") * (field("Hugepagesize:") << 10);
    let free = field("MemAvailable:") << 10;
    // Descriptors of the spans come on top.
    let wanted = bytes.saturating_add(bytes / 8);
    if wanted <= free || bytes <= pool {
        return Ok(());
    }
    Err(format!(
        "ranges of {} MiB need more than the {} MiB that are free: ask for a smaller --range or fewer workers",
        bytes >> 20,
        free.max(pool) >> 20
    ))
}

/// NUMA nodes of this host; one where the kernel knows of none.
pub(super) fn nodes() -> usize {
    let nodes = fs::read_dir("/sys/devices/system/node").into_iter().flatten().flatten();
    let is_node = |name: &str| name.strip_prefix("node").is_some_and(|n| n.parse::<u32>().is_ok());
    nodes.filter(|node| node.file_name().to_str().is_some_and(is_node)).count().max(1)
}

/// The NUMA node of a core.
pub(super) fn node_of(core: u32) -> Option<u32> {
    let entries = fs::read_dir(format!("/sys/devices/system/cpu/cpu{core}")).ok()?;
    entries
        .flatten()
        .find_map(|entry| entry.file_name().to_str()?.strip_prefix("node")?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(crate) fn settings() -> Settings {
        Settings {
            workers: vec![1],
            cores: Vec::new(),
            producers: 0,
            kind: Kind::Threads,
            programs: vec!["crc32c".into()],
            modes: vec![Mode::Contiguous],
            span_lens: vec![4096],
            align: 64,
            dpf: 1,
            ring_slots: vec![1024],
            bursts: vec![64],
            ranges: vec![1 << 16],
            places: Vec::new(),
            pages: PageWish::Auto,
            rounds: 1,
            trial: Duration::from_millis(5),
            retries: 0,
        }
    }

    fn refusal(change: impl Fn(&mut Settings)) -> String {
        let mut settings = settings();
        settings.check().expect("sound as it is");
        change(&mut settings);
        settings.check().expect_err("refused")
    }

    #[test]
    fn what_the_host_has_not_is_refused_with_what_to_do() {
        let all = pin::allowed_cores().unwrap();
        let more = refusal(|s| s.workers = vec![1, all.len() + 1]);
        assert!(more.contains("ask for fewer"), "{more}");
        let both = refusal(|s| s.producers = all.len());
        assert!(both.contains("--producers 0"), "{both}");
        assert!(refusal(|s| s.cores = vec![1020]).contains("core 1020 does not exist"));
        assert!(refusal(|s| s.cores = vec![all[0], all[0]]).contains("is taken already"));
        assert!(refusal(|s| s.workers = vec![0]).contains("at least one worker"));
        let huge = refusal(|s| s.ranges = vec![1 << 46]);
        assert!(huge.contains("that are free"), "{huge}");
    }

    #[test]
    fn empty_and_overlapping_ranges_are_refused() {
        assert!(refusal(|s| s.ranges = vec![0]).contains("--range 0"));
        assert!(refusal(|s| s.places = vec![(0, 0)]).contains("is empty"));
        let twice = refusal(|s| s.places = vec![(0, 4096), (4088, 4096)]);
        assert!(twice.contains("--place 4088:4096 overlaps 0:4096"), "{twice}");
        assert!(refusal(|s| s.places = vec![(4, 4096)]).contains("a multiple of 8"));
        assert!(refusal(|s| s.places = vec![(8, u64::MAX)]).contains("a multiple of 8"));
        let mut few = settings();
        few.places = vec![(0, 4096)];
        assert!(few.places(0, 2).unwrap_err().contains("1 places for 2 workers"));
    }

    #[test]
    fn shapes_that_make_no_sense_are_refused() {
        assert!(refusal(|s| s.align = 48).contains("--align 48"));
        assert!(refusal(|s| s.dpf = 65).contains("--dpf 65"));
        assert!(refusal(|s| (s.dpf, s.bursts) = (4, vec![6])).contains("--burst 6"));
        assert!(refusal(|s| s.bursts = vec![65]).contains("--burst 65"));
        assert!(refusal(|s| s.ring_slots = vec![1000]).contains("--ring-slots 1000"));
        assert!(refusal(|s| s.span_lens = vec![0]).contains("--span-len 0"));
        assert!(refusal(|s| s.programs = vec!["sha256".into()]).contains("sha256"));
    }
}
