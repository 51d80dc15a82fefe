//! A gate that noise cannot move: instructions, counted by callgrind, against counts that are kept
//! beside the source.
//!
//! One process runs all cases under callgrind, which writes what it collected after each. Valgrind
//! has no AVX-512 and hides it: cases are of the portable and the AVX2 kernels.

mod cases;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde::{Deserialize, Serialize};

/// The function that callgrind collects in.
const MEASURED: &str = "pfs_gate_measured";

/// Counts that are kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    /// The compiler that they are of.
    pub compiler: String,
    /// How far a count may be above, in per cent.
    pub tolerance_percent: u64,
    /// Instructions by case.
    pub instructions: BTreeMap<String, u64>,
}

/// How the gate was passed or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It could not be tried, for this reason.
    Skipped(String),
    /// A line for each case, and whether all are as expected.
    Counted {
        /// What was counted.
        lines: Vec<String>,
        /// Whether no count rose, and all cases are known.
        passed: bool,
    },
}

/// Runs `work`; what happens inside is counted.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn pfs_gate_measured(work: &mut dyn FnMut()) {
    work();
}

/// The process that callgrind watches: runs every case once, and prints its name.
///
/// # Errors
/// The first case whose answer is wrong.
pub fn child() -> Result<(), String> {
    for mut case in cases::all() {
        if !(case.work)() {
            return Err(format!("{}: a wrong answer", case.name));
        }
        println!("case {}", case.name);
    }
    Ok(())
}

/// Counts, and compares with `kept`, or writes it anew.
///
/// # Errors
/// When callgrind fails, or the file cannot be read or written.
pub fn run(kept: &Path, renew: bool) -> Result<Outcome, String> {
    let version = Command::new("valgrind").arg("--version").output();
    if !version.is_ok_and(|output| output.status.success()) {
        return Ok(Outcome::Skipped(
            "valgrind is not installed; `apt-get install valgrind`".to_owned(),
        ));
    }
    if cfg!(debug_assertions) {
        return Ok(Outcome::Skipped(
            "this is a debug build; the counts are of a release build, `just gate`".to_owned(),
        ));
    }
    let counts = count()?;
    let tolerance_percent = 2;
    if renew {
        let expected = Expected { compiler: compiler(), tolerance_percent, instructions: counts };
        let mut text = serde_json::to_string_pretty(&expected).map_err(|e| e.to_string())?;
        text.push('\n');
        fs::write(kept, text).map_err(|error| format!("writing {}: {error}", kept.display()))?;
        let lines = vec![format!("written anew: {}", kept.display())];
        return Ok(Outcome::Counted { lines, passed: true });
    }
    let text = fs::read(kept).map_err(|error| format!("reading {}: {error}", kept.display()))?;
    let expected: Expected = serde_json::from_slice(&text)
        .map_err(|error| format!("{} holds no counts: {error}", kept.display()))?;
    Ok(judge(&expected, &counts, &compiler()))
}

fn compiler() -> String {
    let output = Command::new("rustc").arg("--version").output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    text.unwrap_or_default()
}

/// Instructions by case.
fn count() -> Result<BTreeMap<String, u64>, String> {
    let folder = tempfile::tempdir().map_err(|error| format!("a scratch folder: {error}"))?;
    let me = std::env::current_exe().map_err(|error| error.to_string())?;
    let out = folder.path().join("out");
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--collect-atstart=no"])
        .arg(format!("--toggle-collect={MEASURED}"))
        .arg(format!("--dump-after={MEASURED}"))
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(me)
        .arg("gate-child")
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("starting valgrind: {error}"))?;
    let names = names(&output)?;
    let mut counts = BTreeMap::new();
    for (number, name) in (1..).zip(names) {
        let dump = folder.path().join(format!("out.{number}"));
        let text = fs::read_to_string(&dump).map_err(|e| format!("{}: {e}", dump.display()))?;
        let total = total(&text).ok_or_else(|| format!("{name}: callgrind wrote no total"))?;
        counts.insert(name, total);
    }
    Ok(counts)
}

fn names(output: &Output) -> Result<Vec<String>, String> {
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        let last = errors.lines().last().unwrap_or_default();
        return Err(format!("valgrind ended with {}: {last}", output.status));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.lines().filter_map(|line| line.strip_prefix("case ")).map(str::to_owned).collect())
}

/// What a dump says was collected in all.
fn total(dump: &str) -> Option<u64> {
    let line = dump.lines().find_map(|line| line.strip_prefix("totals: "))?;
    line.split_whitespace().next()?.parse().ok()
}

fn judge(expected: &Expected, counts: &BTreeMap<String, u64>, compiler: &str) -> Outcome {
    let mut passed = true;
    let mut lines = Vec::new();
    if expected.compiler != compiler {
        lines.push(format!(
            "careful: counts are of {}, this is {compiler}: renew them first (`just gate --renew`)",
            expected.compiler
        ));
    }
    for (name, &now) in counts {
        let Some(&before) = expected.instructions.get(name) else {
            lines.push(format!("{name}: {now}, not known yet: `just gate --renew`"));
            passed = false;
            continue;
        };
        let allowed = before + before * expected.tolerance_percent / 100;
        let change = (now as f64 / before.max(1) as f64 - 1.0) * 100.0;
        let word = if now > allowed {
            passed = false;
            "ROSE"
        } else if now + (allowed - before) < before {
            "fell: `just gate --renew` keeps it"
        } else {
            ""
        };
        lines.push(format!("{name}: {now} ({change:+.2} %) {word}").trim_end().to_owned());
    }
    for name in expected.instructions.keys().filter(|name| !counts.contains_key(*name)) {
        lines.push(format!("{name}: skipped: not run on this processor under valgrind"));
    }
    Outcome::Counted { lines, passed }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(of: &[(&str, u64)]) -> BTreeMap<String, u64> {
        of.iter().map(|&(name, count)| (name.to_owned(), count)).collect()
    }

    fn verdict(now: &[(&str, u64)]) -> (bool, String) {
        let expected = Expected {
            compiler: "rustc".into(),
            tolerance_percent: 2,
            instructions: counts(&[("a", 1000), ("b", 1000)]),
        };
        match judge(&expected, &counts(now), "rustc") {
            Outcome::Counted { lines, passed } => (passed, lines.join("\n")),
            skipped @ Outcome::Skipped(_) => panic!("{skipped:?}"),
        }
    }

    #[test]
    fn a_count_may_not_rise_and_none_may_be_new() {
        assert!(verdict(&[("a", 1020), ("b", 980)]).0);
        let (passed, text) = verdict(&[("a", 1021), ("b", 1000)]);
        assert!(!passed && text.contains("a: 1021 (+2.10 %) ROSE"), "{text}");
        let (passed, text) = verdict(&[("a", 900), ("b", 1000)]);
        assert!(passed && text.contains("fell"), "{text}");
        let (passed, text) = verdict(&[("a", 1000), ("b", 1000), ("c", 1)]);
        assert!(!passed && text.contains("c: 1, not known yet"), "{text}");
        let (passed, text) = verdict(&[("a", 1000)]);
        assert!(passed && text.contains("b: skipped"), "{text}");
    }

    #[test]
    fn every_case_gives_the_right_answer_again_and_again() {
        for mut case in cases::all() {
            assert!((case.work)() && (case.work)(), "{}", case.name);
        }
    }

    #[test]
    fn totals_are_read_from_a_dump() {
        assert_eq!(total("version: 1\nsummary: 7\n\ntotals: 12345\n"), Some(12345));
        assert_eq!(total("version: 1\n"), None);
    }
}
