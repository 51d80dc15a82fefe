//! The plan: the one document that a run is made from, and that a run leaves behind.
//!
//! A plan asks (`sources`, `rules`, `lanes`, `memory`, `sinks`, `limits`); a run adds what it got
//! (`granted`, `optimizer`, `environment`). Feeding such an effective plan back gives the same
//! run: the added sections are evidence, and are made anew.

mod check;
mod commands;
mod cost;
mod environment;
mod explain;
mod make;
mod replies;
mod servers;
mod store;

use std::path::PathBuf;

use pfs_dataplane::ops::ids::IdSinkSpec;
use pfs_dataplane::packet::Rule;
use pfs_dataplane::pcpu::{Program, Rewrite};
use pfs_dataplane::receivers::{Granted, SourceSpec};
use pfs_dataplane::transmitters::replies::ReplySpec;
use pfs_rings::{PageWish, RegionGranted, WaitStrategy};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use check::{Severity, check};
pub(crate) use commands::{cmd_check, cmd_explain, cmd_make, cmd_schema};
pub use environment::{Environment, features};
pub use explain::explain;
pub use make::{MakeError, PlanFlags, ids, make, replies, source};
pub use servers::{KvServer, ServerGranted};
pub(crate) use store::{ParseError, parse};
pub use store::{StoreError, load, save, save_json};

/// Version of the document that this build reads and writes.
pub const SCHEMA_VERSION: u32 = 1;

/// Everything a run is made from, and what it was given.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Version of this document's schema: 1.
    pub schema_version: u32,
    /// Where packets come from, one receiver thread for each of a source's cores.
    pub sources: Vec<Source>,
    /// What is done with which packets: the first rule that matches decides. At most 64.
    pub rules: Vec<Rule>,
    /// Workers, and the rings between receivers and workers.
    #[serde(default)]
    pub lanes: Lanes,
    /// Memory for rings and frames.
    #[serde(default)]
    pub memory: Memory,
    /// Where results go.
    #[serde(default)]
    pub sinks: Sinks,
    /// Servers of key/value clients, over the stores that packets are written to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub servers: Vec<KvServer>,
    /// When the run ends, and what it must be able to carry.
    #[serde(default)]
    pub limits: Limits,
    /// What the host gave, beside what was asked. Written by a run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub granted: Option<PlanGranted>,
    /// Rewrites of the rules' programs, with their reasons. Written by a run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub optimizer: Vec<RuleRewrites>,
    /// The host that the run was on. Written by a run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<Environment>,
}

impl Plan {
    /// How many executors run its programs, once every core is named.
    pub(crate) fn workers(&self) -> usize {
        match self.lanes.mode {
            LaneMode::Pipeline => self.lanes.worker_cores.len(),
            LaneMode::RunToCompletion => self.sources.iter().map(|source| source.cores.len()).sum(),
        }
    }

    /// Notes what memory a run's lanes were given, which is known only once it has started.
    pub(crate) fn grant_lanes(&mut self, lanes: Option<&RegionGranted>) {
        if let Some(granted) = &mut self.granted {
            granted.lanes = lanes.cloned();
        }
    }
}

/// One source and the cores that its receiver threads are pinned to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// Name in reports and metrics; unique in the plan.
    pub name: String,
    /// Cores by the kernel's ids, one receiver thread each: as many as the source has queues
    /// (`af_xdp`), or sockets in its fanout group (`af_packet`, `udp`). Empty: chosen at start.
    #[serde(default)]
    pub cores: Vec<u32>,
    /// The backend and its settings.
    pub from: SourceSpec,
}

/// How descriptors get from receivers to workers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Lanes {
    /// Rings between threads, or workers that run inside the receivers' threads.
    pub mode: LaneMode,
    /// Cores of the workers in `pipeline` mode, by the kernel's ids; each receiver has a lane to
    /// each. Empty: chosen at start.
    pub worker_cores: Vec<u32>,
    /// Descriptors that each lane's forward ring holds; a power of two, 64 to 4,194,304.
    pub ring_slots: u32,
    /// How an idle thread waits.
    pub wait: WaitStrategy,
}

impl Default for Lanes {
    fn default() -> Self {
        Self {
            mode: LaneMode::Pipeline,
            worker_cores: Vec::new(),
            ring_slots: 4096,
            wait: WaitStrategy::default(),
        }
    }
}

/// Where the programs run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LaneMode {
    /// In worker threads behind rings.
    #[default]
    Pipeline,
    /// In the receiver's own thread, without a ring.
    RunToCompletion,
}

/// What memory to ask for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Memory {
    /// Pages for the frames of sources whose own `pages` are left open.
    pub pages: PageWish,
    /// Whether to lock the frames, with all else that is mapped once the sources are open.
    pub lock: bool,
}

/// Where results go.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Sinks {
    /// File that the closing report is written to as JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub report: Option<PathBuf>,
    /// Files for payload; a rule names the one it keeps its payload in.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub payload: Vec<PayloadSink>,
    /// Where token ids go; a rule names the one that takes its ids.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ids: Vec<IdSink>,
    /// Ways back to senders; a rule names the one that its answers go through.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub replies: Vec<ReplySink>,
}

impl Sinks {
    /// Whether token ids go to standard output, which nothing else may then be written to.
    pub(crate) fn take_stdout(&self) -> bool {
        self.ids.iter().any(|sink| sink.to.is_stdout())
    }
}

/// A way back to senders, for the answers of rules.
///
/// Each worker has its own; what has no room in it at once is dropped and counted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplySink {
    /// Name that rules use.
    pub name: String,
    /// The kind of way and its settings.
    pub to: ReplySpec,
}

/// Where the token ids of rules go.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IdSink {
    /// Name that rules use.
    pub name: String,
    /// The kind of sink and where it is. With more than one worker each has its own, with `.` and
    /// the worker's number appended to the path; standard output they share by whole lines. A file
    /// is there once the run has ended.
    pub to: IdSinkSpec,
}

/// A capture file that payload is written to after its program has run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PayloadSink {
    /// Name that rules use.
    pub name: String,
    /// File to write: pcap, link type USER0 (147), one record for each payload, in the order that
    /// the worker took them, timed when they were written. With more than one worker each writes
    /// its own, with `.` and the worker's number appended. It is there once the run has ended.
    pub path: PathBuf,
}

/// When a run ends, and what it must carry.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Seconds after which the run stops; without it a live source runs until it is told to stop.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
    /// Packets offered after which the run stops, give or take what is on its way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub packets: Option<u64>,
    /// The load that the plan is made for; `plan check` holds the programs' cost against it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub declared: Option<DeclaredLoad>,
}

/// A load that a plan says it will get.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeclaredLoad {
    /// Packets in a second, over all sources.
    pub packets_per_second: f64,
    /// Mean payload of a packet in bytes, 65,535 at most.
    pub payload_bytes: u32,
    /// What happens when the programs cannot keep up.
    pub overload: Overload,
}

/// What to do with a plan that cannot keep up with its declared load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Overload {
    /// The plan is refused.
    Refuse,
    /// Only a share of the flows is delivered, as large as the workers can carry; the rest is
    /// counted as filtered.
    Sample,
}

/// What the host gave.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlanGranted {
    /// One entry for each receiver thread, in the sources' order.
    pub receivers: Vec<ReceiverGranted>,
    /// Cores of the workers.
    pub worker_cores: Vec<u32>,
    /// Memory of the lanes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lanes: Option<RegionGranted>,
    /// Instruction set that the kernels were chosen for.
    pub isa: String,
    /// Where servers listen, in the order of `servers`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub servers: Vec<ServerGranted>,
}

/// What one receiver thread was given.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReceiverGranted {
    /// The source's name.
    pub source: String,
    /// Core that the thread is pinned to.
    pub core: u32,
    /// What the backend got.
    pub backend: Granted,
}

/// What the optimizer did to one rule's program.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RuleRewrites {
    /// The rule's name.
    pub rule: String,
    /// Program that runs, after all rewrites.
    pub program: Program,
    /// Each rewrite, in order, with its reason.
    pub rewrites: Vec<Rewrite>,
}
