//! The host that a run was on, as evidence in its plan.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a reader needs to know of the host to judge a run's numbers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Environment {
    /// Version of pfs.
    pub pfs_version: String,
    /// Optional features in this build.
    pub features: Vec<String>,
    /// Kernel release.
    pub kernel: String,
    /// Processor's model name.
    pub cpu: String,
    /// Cores that this process may use.
    pub cores: Vec<u32>,
    /// Huge pages of 2 MiB: total and free when the run began.
    pub hugepages_2m: [u64; 2],
    /// Whether the processor says that it is virtual.
    pub virtualized: bool,
    /// Seconds since 1970 when the run began.
    pub started_unix_s: u64,
}

impl Environment {
    /// The host as it is now. What cannot be read is left empty.
    #[must_use]
    pub fn read() -> Self {
        let cpuinfo = read("/proc/cpuinfo");
        let hugepages = |file: &str| {
            let path = format!("/sys/kernel/mm/hugepages/hugepages-2048kB/{file}");
            read(&path).trim().parse().unwrap_or(0)
        };
        Self {
            pfs_version: env!("CARGO_PKG_VERSION").to_owned(),
            features: features(),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            cpu: field(&cpuinfo, "model name"),
            cores: pfs_dataplane::pin::allowed_cores().unwrap_or_default(),
            hugepages_2m: [hugepages("nr_hugepages"), hugepages("free_hugepages")],
            virtualized: field(&cpuinfo, "flags").split(' ').any(|flag| flag == "hypervisor"),
            started_unix_s: std::time::SystemTime::UNIX_EPOCH
                .elapsed()
                .map_or(0, |since| since.as_secs()),
        }
    }
}

/// Optional features that this build has.
#[must_use]
pub fn features() -> Vec<String> {
    let mut features = Vec::new();
    if cfg!(feature = "af-xdp") {
        features.push("af-xdp".to_owned());
    }
    if cfg!(feature = "dpdk") {
        features.push("dpdk".to_owned());
    }
    features
}

fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

/// The first line `name : value` of a /proc file.
fn field(text: &str, name: &str) -> String {
    text.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(key, _)| key.trim() == name)
        .map(|(_, value)| value.trim().to_owned())
        .unwrap_or_default()
}
