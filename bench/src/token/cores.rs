//! Two cores against one.

use std::sync::Barrier;
use std::thread;
use std::time::Instant;

use core_affinity::CoreId;
use serde::{Deserialize, Serialize};

use super::trial::Engine;

/// Best times of one and of two threads for the same texts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cores {
    /// Bytes of all texts.
    pub bytes: u64,
    /// Nanoseconds of one thread for all texts, pass by pass.
    pub one_ns: Vec<u64>,
    /// Nanoseconds of two threads, each on a core of its own with half of the texts.
    pub two_ns: Vec<u64>,
}

impl Cores {
    /// How many times faster two are: of the median passes.
    #[must_use]
    pub fn speedup(&self) -> f64 {
        self.rate(2) / self.rate(1)
    }

    /// MB/s of the median pass with so many threads.
    #[must_use]
    pub fn rate(&self, threads: usize) -> f64 {
        let mut times = if threads == 1 { self.one_ns.clone() } else { self.two_ns.clone() };
        times.sort_unstable();
        let median = times.get(times.len() / 2).copied().unwrap_or(u64::MAX);
        self.bytes as f64 * 1e3 / median as f64
    }
}

/// Encodes all texts `rounds` times with one thread and with two in turn.
///
/// # Errors
/// When there are not two cores.
pub fn measure<E: Engine + Send>(
    texts: &[&str],
    rounds: usize,
    mut engine: impl FnMut() -> E,
) -> Result<Cores, String> {
    let cores = core_affinity::get_core_ids().unwrap_or_default();
    let [first, second, ..] = cores.as_slice() else {
        return Err("two cores are needed".into());
    };
    let half = |odd: usize| texts.iter().skip(odd).step_by(2).copied().collect::<Vec<_>>();
    let halves = [half(0), half(1)];
    let mut engines = [engine(), engine()];
    let mut found =
        Cores { bytes: texts.iter().map(|text| text.len() as u64).sum(), ..Cores::default() };
    for _ in 0..rounds {
        let [one, two] = &mut engines;
        found.one_ns.push(together([(*first, &mut *one, texts)]));
        let [even, odd] = &halves;
        let work = [(*first, one, even.as_slice()), (*second, two, odd.as_slice())];
        found.two_ns.push(together(work));
    }
    Ok(found)
}

/// Nanoseconds from the common start of all threads to the end of the last.
fn together<E: Engine + Send, const N: usize>(work: [(CoreId, &mut E, &[&str]); N]) -> u64 {
    let ready = Barrier::new(N + 1);
    thread::scope(|scope| {
        let threads = work.map(|(core, engine, texts)| {
            let ready = &ready;
            scope.spawn(move || {
                core_affinity::set_for_current(core);
                std::hint::black_box(engine.pass(texts.get(..1).unwrap_or_default()));
                ready.wait();
                std::hint::black_box(engine.pass(texts));
                Instant::now()
            })
        });
        ready.wait();
        let start = Instant::now();
        let ends = threads.map(|thread| thread.join().unwrap_or(start));
        let last = ends.into_iter().max().unwrap_or(start);
        u64::try_from(last.saturating_duration_since(start).as_nanos()).unwrap_or(u64::MAX)
    })
}
