//! The live document: what a run is doing, as every view of it shows.
//!
//! `/live.json`, the events of the web view and the lines of the control socket are this document;
//! `/metrics` is made from the same totals. Its schema is `docs/live.schema.json`.

use std::collections::BTreeMap;

use pfs_dataplane::books::Books;
use pfs_dataplane::counters::{ReceiverCounters, SourceCounters, StepCounters, WorkerCounters};
use pfs_dataplane::run::Latency;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Version of the document that this build writes and reads.
pub const LIVE_VERSION: u32 = 1;

/// What a run is doing. Totals are since the run began, rates over the last `interval_s`.
///
/// Fields may be added in a version, so a reader leaves alone those that it does not know.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Live {
    /// Version of this document's schema: 1.
    pub schema_version: u32,
    /// Which run.
    pub run: RunId,
    /// Whether it goes on.
    pub state: State,
    /// Documents of this viewer before this one.
    pub sequence: u64,
    /// Seconds since the run began.
    pub elapsed_s: f64,
    /// Seconds that rates are over: since this viewer's last document, or since the run began.
    pub interval_s: f64,
    /// The account of all receivers; while packets are on their way, as last published.
    pub books: Books,
    /// Packets and bytes a second, over all threads.
    pub rates: Rates,
    /// Packets lost, one entry for each cause.
    pub drops: Vec<DropLive>,
    /// How long packets waited for a worker in the interval, over all workers; absent where none
    /// was looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency: Option<Latency>,
    /// One entry for each receiver thread.
    pub receivers: Vec<ReceiverLive>,
    /// One entry for each worker; in `run_to_completion` mode for each receiver.
    pub workers: Vec<WorkerLive>,
    /// One entry for each pair of rings; none in `run_to_completion` mode.
    pub lanes: Vec<LaneLive>,
    /// One entry for each step of each rule's program, over all workers.
    pub ops: Vec<OpLive>,
    /// The cores that threads are pinned to; empty where the kernel does not tell.
    pub cores: Vec<CoreLive>,
}

/// Which run a document is of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RunId {
    /// Process id.
    pub pid: u32,
    /// The plan's file name without its ending, or the first source's name.
    pub name: String,
    /// Milliseconds since 1970 when it began; with `pid` it tells runs apart.
    pub started_unix_ms: u64,
    /// Version of pfs.
    pub pfs_version: String,
    /// The machine's name.
    pub host: String,
}

/// Whether a run goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It goes on.
    Running,
    /// It is over: these are its last totals.
    Ended,
}

/// Packets and bytes a second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Rates {
    /// Packets that reached the sources.
    pub offered_pps: f64,
    /// Frame bytes taken out of batches.
    pub received_bytes_per_s: f64,
    /// Packets passed by on purpose.
    pub filtered_pps: f64,
    /// Packets handed to workers.
    pub delivered_pps: f64,
    /// Packets lost, whatever the cause.
    pub dropped_pps: f64,
    /// Packets whose program has run.
    pub consumed_pps: f64,
    /// Their payload bytes.
    pub consumed_bytes_per_s: f64,
}

/// Packets lost for one cause.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DropLive {
    /// The cause, by its name in the books: `dropped_nic`, …
    pub cause: String,
    /// Packets since the run began.
    pub packets: u64,
    /// Packets a second.
    pub pps: f64,
}

/// One receiver thread.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ReceiverLive {
    /// Its place, from 0.
    pub receiver: usize,
    /// The source's name.
    pub source: String,
    /// Core by the kernel's id.
    pub core: u32,
    /// Backend and mode that were granted.
    pub granted: String,
    /// Interface, address or path that it reads from.
    pub from: String,
    /// Frames that can be on loan at once.
    pub frames: u64,
    /// Frames on loan.
    pub frames_on_loan: u64,
    /// What the source counts.
    pub source_counters: SourceCounters,
    /// What the thread counts.
    pub counters: ReceiverCounters,
    /// Packets a second that reached the source.
    pub offered_pps: f64,
    /// Frame bytes a second.
    pub received_bytes_per_s: f64,
    /// Packets a second handed to workers.
    pub delivered_pps: f64,
    /// Packets a second lost here, whatever the cause.
    pub dropped_pps: f64,
    /// Cycles that a packet takes; absent while none comes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cycles: Option<ReceiverCycles>,
}

/// Cycles of a receiver for each packet, by stage.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ReceiverCycles {
    /// Getting it from the source.
    pub poll: f64,
    /// Parse, match and flow hash.
    pub classify: f64,
    /// Steering to its lane.
    pub steer: f64,
    /// Taking its frame back.
    pub recycle: f64,
}

/// One worker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WorkerLive {
    /// Its place, from 0.
    pub worker: usize,
    /// Core by the kernel's id.
    pub core: u32,
    /// What it counts.
    pub counters: WorkerCounters,
    /// Packets a second whose program has run.
    pub consumed_pps: f64,
    /// Their payload bytes a second.
    pub consumed_bytes_per_s: f64,
    /// Cycles of programs for each packet; absent while none comes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program_cycles: Option<f64>,
    /// Cycles of taking and returning for each packet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lane_cycles: Option<f64>,
    /// How long packets waited for it in the interval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency: Option<Latency>,
    /// How long since the run began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_total: Option<Latency>,
    /// What each step of each rule's program costs here.
    pub steps: Vec<OpLive>,
    /// What its engine ops count.
    pub engines: Vec<EngineLive>,
}

/// One step of a rule's program: one op, or several in one pass.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OpLive {
    /// The rule's name.
    pub rule: String,
    /// The ops that share the step, joined by `+`.
    pub op: String,
    /// What it has cost since the run began.
    pub counters: StepCounters,
    /// Packets a second.
    pub pps: f64,
    /// Payload bytes a second.
    pub bytes_per_s: f64,
    /// Cycles for each packet; absent while none comes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cycles_per_packet: Option<f64>,
    /// Cycles for each payload byte.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cycles_per_byte: Option<f64>,
}

/// An engine op of one rule on one worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EngineLive {
    /// The rule's name.
    pub rule: String,
    /// The op as it is written.
    pub op: String,
    /// Group of its counters, a section of docs/COUNTERS.md.
    pub group: String,
    /// Its totals by name.
    pub counters: BTreeMap<String, u64>,
}

/// The rings from one receiver to one worker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LaneLive {
    /// The receiver's place.
    pub receiver: usize,
    /// The worker's place.
    pub worker: usize,
    /// Slots of the forward ring.
    pub slots: u64,
    /// Spans in it.
    pub queued: u64,
    /// Most spans that it was found to hold since the run began.
    pub high_water: u64,
    /// Spans whose frames have not come back, those in the ring among them.
    pub in_flight: u64,
    /// Spans a second through it.
    pub spans_per_s: f64,
}

/// One core that a thread is pinned to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CoreLive {
    /// By the kernel's id.
    pub core: u32,
    /// Which thread.
    pub thread: String,
    /// Share of the interval that the core was not idle, 0 to 1; a thread that polls is never.
    pub busy: f64,
    /// Share of the interval that the hypervisor gave to others, 0 to 1.
    pub steal: f64,
}
