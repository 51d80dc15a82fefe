//! Other libraries, measured by `bench/vec/peers.py` in a process of its own.

use std::path::Path;
use std::process::Command;

use serde::{Deserialize, Serialize};

/// One line of the script.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Peer {
    /// Library and index.
    pub peer: String,
    /// What was set for it.
    pub setting: Option<f64>,
    /// Share of the ten nearest that were found.
    pub recall: Option<f64>,
    /// Queries a second of its time.
    pub qps: Option<f64>,
    /// Vectors a second that were added.
    pub add_per_s: Option<f64>,
    /// Vectors a second that were looked at.
    pub vectors_per_s: Option<f64>,
}

/// Keeps the best figures of each line.
pub fn merge(peers: &mut Vec<Peer>, round: Vec<Peer>) {
    let most = |a: Option<f64>, b: Option<f64>| a.into_iter().chain(b).reduce(f64::max);
    for line in round {
        let same = |other: &&mut Peer| (&other.peer, other.setting) == (&line.peer, line.setting);
        if let Some(other) = peers.iter_mut().find(same) {
            other.qps = most(other.qps, line.qps);
            other.add_per_s = most(other.add_per_s, line.add_per_s);
            other.vectors_per_s = most(other.vectors_per_s, line.vectors_per_s);
        } else {
            peers.push(line);
        }
    }
}

/// Runs the script with the interpreter of `venv`.
///
/// # Errors
/// When it is not there or fails; a message says what installs it.
pub fn measure(venv: &Path, script: &Path, data: &Path) -> Result<Vec<Peer>, String> {
    let python = venv.join("bin/python");
    if !python.exists() {
        return Err("no peers: `sh bench/vec/install-peers` installs them".to_owned());
    }
    let output = Command::new(python).arg(script).arg(data).output();
    let output = output.map_err(|error| format!("peers: {error}"))?;
    let lines = String::from_utf8_lossy(&output.stdout);
    let parsed = lines.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    if output.status.success() {
        return Ok(parsed);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("peers: {}", said.lines().last().unwrap_or("failed")))
}
