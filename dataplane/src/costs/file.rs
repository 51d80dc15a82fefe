//! The file of cost classes: `$XDG_CACHE_HOME/pfs/costs.json`.
//!
//! ```json
//! {"version": 1, "processor": "AMD EPYC", "build": "0.1.0 release avx512",
//!  "ops": {"crc32c": [{"payload_bytes": 64, "ns_per_packet": 9.5, "ticks_per_packet": 25.1}]}}
//! ```

use std::collections::BTreeMap;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::{env, fs, io, process};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::CostClass;
use crate::ops::EngineOp;
use crate::pcpu::{Isa, Op, Program};

/// The version of the format that this build reads and writes.
const VERSION: u32 = 1;

/// Lengths of payload in bytes that ops are measured at, ascending.
pub const PAYLOADS: [u32; 4] = [64, 256, 1400, 9000];

/// What one op costs at several lengths of payload, ascending.
pub type OpCost = Vec<Sample>;

/// What one op costs at one length of payload.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sample {
    /// Bytes of each payload.
    pub payload_bytes: u32,
    /// Nanoseconds for each.
    pub ns_per_packet: f64,
    /// Ticks of the time-stamp counter for each.
    pub ticks_per_packet: f64,
}

/// Cost classes of ops, of one processor and build.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Costs {
    version: u32,
    processor: String,
    build: String,
    ops: BTreeMap<String, OpCost>,
}

/// A file of cost classes that is of no use.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CostsError {
    /// It cannot be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// It is not what `pfs bench op` writes.
    #[error("{path} holds no cost classes ({why}): write it anew with `pfs bench op`")]
    Malformed {
        /// The file.
        path: String,
        /// What is wrong with it.
        why: String,
    },
    /// It was measured elsewhere.
    #[error("{path} is of {found}, this is {here}: write it anew with `pfs bench op`")]
    Elsewhere {
        /// The file.
        path: String,
        /// Processor and build that it is of.
        found: String,
        /// This processor and build.
        here: String,
    },
}

impl Default for Costs {
    /// None yet, of this processor and build.
    fn default() -> Self {
        let profile = if cfg!(debug_assertions) { "debug" } else { "release" };
        let build = format!("{} {profile} {}", env!("CARGO_PKG_VERSION"), Isa::detect());
        Self { version: VERSION, processor: processor(), build, ops: BTreeMap::new() }
    }
}

impl Costs {
    /// `$XDG_CACHE_HOME/pfs/costs.json`, else `~/.cache/pfs/costs.json`; `None` without a home.
    #[must_use]
    pub fn default_path() -> Option<PathBuf> {
        let absolute = |name| env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute());
        let cache =
            absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")))?;
        Some(cache.join("pfs/costs.json"))
    }

    /// Reads a file; `None` when there is none.
    ///
    /// # Errors
    /// [`CostsError`] when it cannot be read, makes no sense, or is of another processor or build.
    pub fn load(path: &Path) -> Result<Option<Self>, CostsError> {
        let name = || path.display().to_string();
        let text = match fs::read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(CostsError::Io { path: name(), source }),
        };
        let costs: Self = serde_json::from_slice(&text)
            .map_err(|error| CostsError::Malformed { path: name(), why: error.to_string() })?;
        costs.check().map_err(|why| CostsError::Malformed { path: name(), why })?;
        let here = Self::default();
        if (&costs.processor, &costs.build) != (&here.processor, &here.build) {
            let say = |costs: &Self| format!("{}, {}", costs.processor, costs.build);
            let (found, here) = (say(&costs), say(&here));
            return Err(CostsError::Elsewhere { path: name(), found, here });
        }
        Ok(Some(costs))
    }

    fn check(&self) -> Result<(), String> {
        if self.version != VERSION {
            return Err(format!("version {} is not {VERSION}", self.version));
        }
        for (op, samples) in &self.ops {
            let sound = |s: &Sample| s.ns_per_packet.is_finite() && s.ns_per_packet > 0.0;
            let ascends = samples.is_sorted_by(|a, b| a.payload_bytes < b.payload_bytes);
            if samples.is_empty() || !ascends || !samples.iter().all(sound) {
                return Err(format!("the samples of {op}"));
            }
        }
        Ok(())
    }

    /// Writes the file, whole or not at all; makes its folder.
    ///
    /// # Errors
    /// [`CostsError::Io`].
    pub fn store(&self, path: &Path) -> Result<(), CostsError> {
        let temporary = path.with_extension(format!("{}.tmp", process::id()));
        let write = || -> io::Result<()> {
            if let Some(folder) = path.parent() {
                fs::create_dir_all(folder)?;
            }
            let mut file = fs::File::create(&temporary)?;
            file.write_all(&serde_json::to_vec_pretty(self)?)?;
            file.sync_all()?;
            fs::rename(&temporary, path)
        };
        write().map_err(|source| {
            let _ = fs::remove_file(&temporary);
            CostsError::Io { path: path.display().to_string(), source }
        })
    }

    /// Puts in what `op` costs at each of [`PAYLOADS`]. A program of one op; its immediate, folder
    /// and settings do not count.
    pub fn insert(&mut self, op: &Op, samples: OpCost) {
        self.ops.insert(class(op), samples);
    }

    /// Classes of ops, by name.
    #[must_use]
    pub const fn ops(&self) -> &BTreeMap<String, OpCost> {
        &self.ops
    }

    /// What `program` costs at `payload_bytes`: the sum of its ops, which is at least what they
    /// cost fused. Between lengths that were measured a line is drawn, and on beyond the last.
    /// `None` when an op is not known.
    #[must_use]
    pub fn of(&self, program: &Program, payload_bytes: u32) -> Option<CostClass> {
        let mut sum = CostClass { ns_per_packet: 0.0, ticks_per_packet: 0.0 };
        for op in program.ops() {
            let samples = self.ops.get(&class(op))?;
            sum.ns_per_packet += line(samples, payload_bytes, |s| s.ns_per_packet)?;
            sum.ticks_per_packet += line(samples, payload_bytes, |s| s.ticks_per_packet)?;
        }
        Some(sum)
    }
}

/// The name of an op's class: without its immediate, folder and settings, which do not change its
/// cost by much; a vocabulary or a grammar does.
fn class(op: &Op) -> String {
    let text = op.to_string();
    let end = match op {
        Op::Xor(_) | Op::Add(_) | Op::CountEq(_) => text.find(':'),
        // Their argument is a folder, which may have commas in its name.
        Op::Engine(EngineOp::Pvrt(_) | EngineOp::Vec(_)) => text.find([':', ',']),
        _ => text.find(','),
    };
    text[..end.unwrap_or(text.len())].to_owned()
}

/// The value at `at` on the line through the two samples around it.
fn line(samples: &[Sample], at: u32, value: impl Fn(&Sample) -> f64) -> Option<f64> {
    let (first, last) = (samples.first()?, samples.last()?);
    if at <= first.payload_bytes || samples.len() == 1 {
        return Some(value(first));
    }
    let next = samples.partition_point(|sample| sample.payload_bytes < at).min(samples.len() - 1);
    let (low, high) = (&samples[next - 1], &samples[next]);
    let slope = (value(high) - value(low)) / f64::from(high.payload_bytes - low.payload_bytes);
    let on_line = value(low) + slope * (f64::from(at) - f64::from(low.payload_bytes));
    // Noise can bend the line down; longer is never cheaper than what was measured shorter.
    Some(if at > last.payload_bytes { on_line.max(value(last)) } else { on_line })
}

fn processor() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with("model name")).unwrap_or_default();
    line.split_once(':').map_or(env::consts::ARCH, |(_, name)| name.trim()).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn costs() -> Costs {
        let mut costs = Costs::default();
        for (op, each) in [("crc32c", 1.0), ("xor:7", 2.0)] {
            let program = Program::parse(op).unwrap();
            let sample = |payload_bytes| Sample {
                payload_bytes,
                ns_per_packet: 10.0 + each * f64::from(payload_bytes),
                ticks_per_packet: 30.0,
            };
            costs.insert(&program.ops()[0], PAYLOADS.map(sample).to_vec());
        }
        costs
    }

    #[test]
    fn programs_cost_the_sum_of_their_ops_along_a_line() {
        let costs = costs();
        let of = |text: &str, bytes| {
            costs.of(&Program::parse(text).unwrap(), bytes).map(|cost| cost.ns_per_packet)
        };
        assert_eq!(of("crc32c", 64), Some(74.0));
        assert_eq!(of("crc32c", 1000), Some(1010.0));
        assert_eq!(of("crc32c", 20_000), Some(20_010.0));
        assert_eq!(of("crc32c", 1), Some(74.0));
        // Another immediate is the same class.
        assert_eq!(of("xor:255,crc32c", 256), Some(10.0 + 512.0 + 10.0 + 256.0));
        assert_eq!(of("crc32c,hist8", 64), None);
    }

    #[test]
    fn folders_and_settings_are_of_one_class_and_grammars_of_their_own() {
        let class = |text: &str| class(&Program::parse(text).unwrap().ops()[0]);
        for (text, name) in [
            ("vec:/a/b,fsync=never", "vec"),
            ("pvrt:/a/b", "pvrt"),
            ("pvrt,partials=8", "pvrt"),
            ("kv,dir=/a,shards=2", "kv"),
            ("kv:resp,dir=/a", "kv:resp"),
            ("cst,dir=/a", "cst"),
            ("cst:rust,mode=flow", "cst:rust"),
            ("token:o200k_base,mode=flow", "token:o200k_base"),
            ("xor:255", "xor"),
        ] {
            assert_eq!(class(text), name, "{text}");
        }
    }

    #[test]
    fn a_file_is_read_back_and_one_of_elsewhere_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/costs.json");
        assert!(Costs::load(&path).unwrap().is_none());
        let costs = costs();
        costs.store(&path).unwrap();
        assert_eq!(Costs::load(&path).unwrap(), Some(costs.clone()));
        let elsewhere = Costs { processor: "Z80".into(), ..costs.clone() };
        elsewhere.store(&path).unwrap();
        let error = Costs::load(&path).unwrap_err().to_string();
        assert!(error.contains("is of Z80") && error.contains("pfs bench op"), "{error}");
        for text in ["", "{}", "[1]", r#"{"version": 1}"#] {
            fs::write(&path, text).unwrap();
            assert!(matches!(Costs::load(&path), Err(CostsError::Malformed { .. })), "{text}");
        }
        let later = Costs { version: 2, ..costs };
        later.store(&path).unwrap();
        assert!(Costs::load(&path).unwrap_err().to_string().contains("version 2 is not 1"));
        assert_eq!(fs::read_dir(folder.path().join("a")).unwrap().count(), 1);
    }

    #[test]
    fn samples_that_make_no_sense_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("costs.json");
        let sample = |payload_bytes, ns_per_packet| Sample {
            payload_bytes,
            ns_per_packet,
            ticks_per_packet: 1.0,
        };
        for samples in [
            vec![],
            vec![sample(64, 0.0)],
            vec![sample(64, -1.0)],
            vec![sample(64, 1.0), sample(64, 2.0)],
            vec![sample(65, 1.0), sample(64, 2.0)],
        ] {
            let mut costs = costs();
            costs.ops.insert("len".into(), samples);
            costs.store(&path).unwrap();
            let error = Costs::load(&path).unwrap_err().to_string();
            assert!(error.contains("the samples of len"), "{error}");
        }
    }
}
