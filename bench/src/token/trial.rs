//! One contender over one sample in one process: what is timed and what is printed.
//!
//! This file is also compiled into the peers' program, which is no part of the workspace: it uses
//! nothing but `serde` and the standard library.

use std::path::Path;
use std::time::{Duration, Instant};
use std::{fs, io};

use serde::{Deserialize, Serialize};

/// Passes after the first end when they have taken this long.
const ENOUGH: Duration = Duration::from_millis(1200);

/// A tokenizer as the trial sees it.
pub trait Engine {
    /// Encodes one text as the engine's users do and says how many ids there were.
    fn encode(&mut self, text: &str) -> usize;
    /// Encodes one text and appends its ids: never timed.
    fn ids(&mut self, text: &str, ids: &mut Vec<u32>);
    /// Encodes all texts and says how many ids there were; one call each, unless the engine takes
    /// several at once.
    fn pass(&mut self, texts: &[&str]) -> usize {
        texts.iter().map(|text| self.encode(text)).sum()
    }
}

/// Texts that one pass encodes.
#[derive(Debug)]
pub struct Sample {
    text: String,
    ends: Vec<u32>,
}

/// What one process has measured.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trial {
    /// Nanoseconds until the engine could encode, vocabulary loaded.
    pub open_ns: u64,
    /// Nanoseconds of each pass over the sample; before the first one nothing was encoded.
    pub passes_ns: Vec<u64>,
    /// Ids in one pass.
    pub tokens: u64,
    /// Whether every pass had as many.
    pub steady: bool,
    /// [`digest`] of the ids of one pass.
    pub digest: u64,
    /// Bytes of one pass.
    pub bytes: u64,
    /// Resident memory in KiB when the engine was open, less that before.
    pub opened_kib: i64,
    /// Resident memory in KiB after the last pass, less that before the first.
    pub passed_kib: i64,
}

impl Sample {
    /// Reads `path` and, from `path` with `.ends` added, where each text ends (little-endian `u32`).
    ///
    /// # Errors
    /// When a file cannot be read or the ends do not cut the text between characters.
    pub fn read(path: &Path) -> io::Result<Self> {
        let text = fs::read_to_string(path)?;
        let mut name = path.as_os_str().to_owned();
        name.push(".ends");
        let raw = fs::read(Path::new(&name))?;
        let ends = raw.as_chunks::<4>().0.iter().map(|end| u32::from_le_bytes(*end)).collect();
        let sample = Self { text, ends };
        let whole = sample.texts().map(|texts| texts.iter().map(|text| text.len()).sum::<usize>());
        if whole == Some(sample.text.len()) {
            Ok(sample)
        } else {
            let message = format!("{} does not cut {}", Path::new(&name).display(), path.display());
            Err(io::Error::new(io::ErrorKind::InvalidData, message))
        }
    }

    /// The texts; `None` when the ends do not fit.
    #[must_use]
    pub fn texts(&self) -> Option<Vec<&str>> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(a, &b)| self.text.get(a as usize..b as usize)).collect()
    }
}

/// Σ (id + 1) · Kⁱ modulo 2⁶⁴ with the odd K of Knuth's LCG: a sum, so that numpy can have it, too.
#[must_use]
pub fn digest(ids: &[u32]) -> u64 {
    let mut power = 1_u64;
    ids.iter().fold(0, |sum: u64, &id| {
        let term = (u64::from(id) + 1).wrapping_mul(power);
        power = power.wrapping_mul(6_364_136_223_846_793_005);
        sum.wrapping_add(term)
    })
}

/// Resident memory of this process in KiB; 0 when the kernel does not say.
#[must_use]
pub fn resident_kib() -> i64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// Opens an engine and encodes the sample up to `passes` times.
///
/// # Errors
/// What `open` says.
pub fn run<E: Engine, Error>(
    sample: &Sample,
    passes: usize,
    open: impl FnOnce() -> Result<E, Error>,
) -> Result<Trial, Error> {
    let texts = sample.texts().unwrap_or_default();
    let before = resident_kib();
    let start = Instant::now();
    let mut engine = open()?;
    let mut trial = Trial {
        open_ns: nanoseconds(start.elapsed()),
        steady: true,
        bytes: sample.text.len() as u64,
        ..Trial::default()
    };
    let opened = resident_kib();
    trial.opened_kib = opened - before;
    let mut spent = Duration::ZERO;
    while trial.passes_ns.len() < passes.max(1) && spent < ENOUGH {
        let start = Instant::now();
        let tokens = std::hint::black_box(engine.pass(std::hint::black_box(&texts))) as u64;
        spent += start.elapsed();
        trial.steady &= trial.passes_ns.is_empty() || tokens == trial.tokens;
        trial.tokens = tokens;
        trial.passes_ns.push(nanoseconds(start.elapsed()));
    }
    trial.passed_kib = resident_kib() - opened;
    let mut ids = Vec::new();
    texts.iter().for_each(|text| engine.ids(text, &mut ids));
    trial.digest = digest(&ids);
    trial.steady &= ids.len() as u64 == trial.tokens;
    Ok(trial)
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Bytes;

    impl Engine for Bytes {
        fn encode(&mut self, text: &str) -> usize {
            text.len()
        }

        fn ids(&mut self, text: &str, ids: &mut Vec<u32>) {
            ids.extend(text.bytes().map(u32::from));
        }
    }

    #[test]
    fn a_sample_is_cut_where_its_ends_say_and_a_trial_counts_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sample");
        fs::write(&path, "ab\u{e9}c").unwrap();
        let ends = |ends: &[u32]| {
            let raw: Vec<u8> = ends.iter().flat_map(|end| end.to_le_bytes()).collect();
            fs::write(folder.path().join("sample.ends"), raw).unwrap();
        };
        ends(&[2, 4, 5]);
        let sample = Sample::read(&path).unwrap();
        assert_eq!(sample.texts().unwrap(), ["ab", "\u{e9}", "c"]);
        let trial = run::<_, ()>(&sample, 3, || Ok(Bytes)).unwrap();
        assert_eq!((trial.tokens, trial.bytes, trial.passes_ns.len()), (5, 5, 3));
        assert!(trial.steady);
        assert_eq!(trial.digest, digest(&[97, 98, 0xc3, 0xa9, 99]));
        for wrong in [&[2, 3, 5][..], &[2, 4], &[4, 2, 5], &[2, 4, 6]] {
            ends(wrong);
            assert!(Sample::read(&path).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_digest_depends_on_order_and_on_ids_of_zero() {
        assert_ne!(digest(&[1, 2]), digest(&[2, 1]));
        assert_ne!(digest(&[0]), digest(&[0, 0]));
        assert_eq!(digest(&[7]), 8);
    }
}
