//! DPDK's `rte_ring` as a peer: a C program, compiled when the benchmark runs.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::run::{Cores, SLOTS, Timing};

const SOURCE: &str = include_str!("../../peers/rte_ring.c");

/// The compiled peer.
#[derive(Debug)]
pub struct RteRing {
    program: PathBuf,
    /// The version of libdpdk that it is linked with.
    pub version: String,
}

impl RteRing {
    /// Compiles the peer into `dir`.
    ///
    /// # Errors
    /// A line that says what is missing, for the report.
    pub fn compile(dir: &Path) -> Result<Self, String> {
        let package = |what: &str| said(Command::new("pkg-config").args([what, "libdpdk"]));
        let absent = |why| format!("rte_ring left out: {why}; `apt-get install libdpdk-dev`");
        let version = package("--modversion").map_err(absent)?;
        let flags = package("--cflags").map_err(absent)?;
        let source = dir.join("rte_ring.c");
        let program = dir.join("rte_ring");
        std::fs::write(&source, SOURCE)
            .map_err(|err| format!("writing {}: {err}", source.display()))?;
        let mut cc = Command::new("cc");
        cc.args(flags.split_whitespace()).args(["-O3", "-march=native", "-o"]);
        cc.arg(&program).arg(&source).args(["-lrte_ring", "-lrte_eal", "-lpthread"]);
        said(&mut cc).map_err(|why| format!("rte_ring left out: {why}"))?;
        Ok(Self { program, version })
    }

    /// One run.
    ///
    /// # Errors
    /// When the program fails or prints something else than its three numbers.
    pub fn run(
        &self,
        item_bytes: usize,
        burst: usize,
        items: u64,
        cores: Cores,
    ) -> Result<Timing, String> {
        let items = items.next_multiple_of(burst as u64);
        let numbers = [item_bytes, burst, items as usize, SLOTS, cores.producer, cores.consumer];
        let text =
            said(Command::new(&self.program).args(numbers.map(|number| number.to_string())))?;
        let mut fields = text.split_whitespace().map(str::parse::<u64>);
        let mut next =
            || fields.next().and_then(Result::ok).ok_or_else(|| format!("rte_ring said {text:?}"));
        Ok(Timing { items, cycles: next()?, nanoseconds: next()?, right: next()? == 1 })
    }
}

/// A command's output, trimmed, if it succeeds.
fn said(command: &mut Command) -> Result<String, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|err| format!("{name}: {err}"))?;
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{name} failed: {}", errors.lines().next().unwrap_or("no message")));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
