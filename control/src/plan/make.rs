//! Plans from flags.

use pfs_dataplane::dpdk::DpdkSpec;
use pfs_dataplane::ops::EngineOp;
use pfs_dataplane::ops::ids::IdSinkSpec;
use pfs_dataplane::packet::{Rule, RuleMatch};
use pfs_dataplane::pcpu::Program;
use pfs_dataplane::receivers::SourceSpec;
use pfs_dataplane::transmitters::replies::ReplySpec;
use pfs_rings::{PageWish, WaitStrategy};
use serde_json::{Map, Value};

use super::{
    IdSink, LaneMode, Lanes, Limits, Memory, PayloadSink, Plan, ReplySink, SCHEMA_VERSION, Sinks,
    Source, servers,
};
use crate::settings;

/// Name of the sink that `--keep` makes.
const KEPT: &str = "payload";
/// Name of the sink that `--ids` makes.
const IDS: &str = "ids";
/// Name of the sink that `--replies` makes.
const REPLIES: &str = "replies";

/// The flags that describe a plan.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct PlanFlags {
    /// Source, e.g. af_packet:eth0, af_xdp:eth0,mode=native, udp:127.0.0.1:9000,
    /// pcap:trace.pcapng,loops=3, memory:imix. May be repeated.
    ///
    /// After the backend and what it reads from, settings follow by comma as KEY=VALUE, with the
    /// names that `pfs plan schema` lists; a dot enters a group (fanout.mode=hash).
    #[arg(long = "from", value_name = "BACKEND:WHERE[,KEY=VALUE...]")]
    pub from: Vec<String>,
    /// Port of DPDK, in its own words: net_af_packet0,iface=eth0, net_pcap0,rx_pcap=FILE, or an
    /// address on the PCI bus (0000:01:00.0). The same as --from dpdk:net_af_packet0,args.iface=eth0,
    /// which takes other settings too. May be repeated.
    #[arg(long, value_name = "DEVICE[,ARG=VALUE...]")]
    pub dev: Vec<String>,
    /// Arguments of EAL, DPDK's environment, for all its ports, e.g. "--no-huge -m 256".
    #[arg(long, value_name = "ARGS", allow_hyphen_values = true)]
    pub eal: Option<String>,
    /// Rule, e.g. "protocol=udp,destination_ports=53 => crc32c". The first that matches decides;
    /// an empty match takes every packet. May be repeated.
    #[arg(long, value_name = "MATCH => PROGRAM")]
    pub rule: Vec<String>,
    /// Program for all packets that no --rule matches, e.g. crc32c,counteq:0 or
    /// token:o200k_base,mode=flow. KEY=VALUE is a setting of the op before it.
    #[arg(long, value_name = "OP[:ARG][,KEY=VALUE][,...]")]
    pub prog: Option<String>,
    /// What the traffic is for, to choose a program by where none is given, e.g. network/crc.
    #[arg(long, value_name = "HINT")]
    pub hint: Option<String>,
    /// Cores of receivers, by the kernel's ids, e.g. 0,2.
    #[arg(long, value_name = "CORES", value_delimiter = ',')]
    pub cores: Vec<u32>,
    /// Cores of workers, by the kernel's ids, e.g. 1,3.
    #[arg(long, value_name = "CORES", value_delimiter = ',')]
    pub worker_cores: Vec<u32>,
    /// Run programs in the receivers' threads, without rings.
    #[arg(long)]
    pub run_to_completion: bool,
    /// Descriptors in each lane's ring; a power of two.
    #[arg(long, value_name = "N")]
    pub ring_slots: Option<u32>,
    /// How idle threads wait: spin or adaptive.
    #[arg(long, value_name = "HOW")]
    pub wait: Option<String>,
    /// Pages for frames: auto, 1g, 2m, thp or 4k; max:2m for these or smaller.
    #[arg(long, value_name = "SIZE")]
    pub pages: Option<PageWish>,
    /// Lock frames in memory.
    #[arg(long)]
    pub lock: bool,
    /// Stop after this many seconds.
    #[arg(long, value_name = "S")]
    pub seconds: Option<f64>,
    /// Stop after this many packets were offered.
    #[arg(long, value_name = "N")]
    pub packets: Option<u64>,
    /// Keep all payload, as the programs leave it, in this capture (link type USER0).
    #[arg(long, value_name = "FILE")]
    pub keep: Option<std::path::PathBuf>,
    /// Keep all token ids: u32:FILE (and FILE.idx), arrow:FILE, json:- (standard output),
    /// json:FILE, or ring:SOCKET in shared memory (settings: words=N, when_full=wait).
    #[arg(long, value_name = "KIND:WHERE[,KEY=VALUE...]")]
    pub ids: Option<String>,
    /// Answer the senders of key/value operations: udp (out of the source's own socket),
    /// af_packet:eth0 or af_xdp:eth0,queue=1 (headers turned round), or into a file, pcap:FILE.
    #[arg(long, value_name = "KIND[:WHERE][,KEY=VALUE...]")]
    pub replies: Option<String>,
    /// Serve the store of a kv op while packets come in, e.g. resp=127.0.0.1:6379,cheetah=127.0.0.1:4455
    /// (settings: rule=NAME, auth=file:PATH or env:NAME, core=N). May be repeated.
    #[arg(long, value_name = "KEY=VALUE[,...]")]
    pub serve: Vec<String>,
    /// Write the closing report to this file, as JSON.
    #[arg(long, value_name = "FILE")]
    pub report: Option<std::path::PathBuf>,
}

/// Flags that make no plan.
#[derive(Debug, thiserror::Error)]
pub enum MakeError {
    /// No source is named.
    #[error(
        "no source: give --from BACKEND:WHERE, e.g. af_packet:eth0, pcap:trace.pcap, memory:imix"
    )]
    NoSource,
    /// `--from` does not name a source.
    #[error(
        "--from {given}: {why}; write BACKEND:WHERE[,KEY=VALUE...], e.g. pcap:trace.pcap,loops=2 (backends: af_packet, af_xdp, dpdk, udp, pcap, memory)"
    )]
    From {
        /// The flag's value.
        given: String,
        /// What is wrong with it.
        why: String,
    },
    /// `--rule` does not name a rule.
    #[error(
        "--rule {given}: {why}; write KEY=VALUE[,KEY=VALUE...] => PROGRAM, e.g. protocol=udp,destination_ports=53 => crc32c"
    )]
    Rule {
        /// The flag's value.
        given: String,
        /// What is wrong with it.
        why: String,
    },
    /// `--prog` is no program.
    #[error("--prog {given}: {why}")]
    Program {
        /// The flag's value.
        given: String,
        /// What is wrong with it.
        why: String,
    },
    /// `--ids` does not name a sink.
    #[error(
        "--ids {given}: {why}; write KIND:WHERE[,KEY=VALUE...], e.g. u32:ids.u32 (kinds: u32, arrow, json, ring), and give the program a token op"
    )]
    Ids {
        /// The flag's value.
        given: String,
        /// What is wrong with it.
        why: String,
    },
    /// `--replies` does not name a way back.
    #[error(
        "--replies {given}: {why}; write udp, af_packet:INTERFACE, af_xdp:INTERFACE,queue=N or pcap:FILE, and give the program a kv or vec op"
    )]
    Replies {
        /// The flag's value.
        given: String,
        /// What is wrong with it.
        why: String,
    },
    /// `--serve` describes no server.
    #[error(
        "--serve: {why}; write KEY=VALUE[,KEY=VALUE...], e.g. resp=127.0.0.1:6379 (keys: rule, resp, cheetah, auth, core), and give the program a kv op"
    )]
    Serve {
        /// What is wrong with it.
        why: String,
    },
    /// A word is not among a flag's choices.
    #[error("--{flag} {given}: choose one of {choices}")]
    Choice {
        /// The flag.
        flag: &'static str,
        /// Its value.
        given: String,
        /// What it may be.
        choices: &'static str,
    },
}

/// The plan that `flags` describe. Cores left open stay open.
///
/// # Errors
/// [`MakeError`] names the flag and what it may be.
pub fn make(flags: &PlanFlags) -> Result<Plan, MakeError> {
    let mut sources = sources(flags)?;
    // One list of cores serves one source; more sources take theirs in turn.
    for (at, &core) in flags.cores.iter().enumerate() {
        let to = if sources.len() == 1 { 0 } else { at % sources.len() };
        sources[to].cores.push(core);
    }
    let mut rules = rules(flags)?;
    let ids = match &flags.ids {
        Some(given) => vec![keep_ids(given, &mut rules)?],
        None => Vec::new(),
    };
    let replies = match &flags.replies {
        Some(given) => vec![reply_through(given, &mut rules)?],
        None => Vec::new(),
    };
    let servers = flags.serve.iter().map(|given| servers::make(given, &rules));
    let servers = servers.collect::<Result<_, _>>()?;
    Ok(Plan {
        schema_version: SCHEMA_VERSION,
        sources,
        rules,
        servers,
        lanes: lanes(flags)?,
        memory: Memory { pages: flags.pages.unwrap_or_default(), lock: flags.lock },
        sinks: Sinks {
            report: flags.report.clone(),
            payload: flags
                .keep
                .iter()
                .map(|path| PayloadSink { name: KEPT.into(), path: path.clone() })
                .collect(),
            ids,
            replies,
        },
        limits: Limits { seconds: flags.seconds, packets: flags.packets, declared: None },
        granted: None,
        optimizer: Vec::new(),
        environment: None,
    })
}

/// The sources of `--from` and `--dev`, without cores.
fn sources(flags: &PlanFlags) -> Result<Vec<Source>, MakeError> {
    let from = flags
        .from
        .iter()
        .map(|given| source(given).map_err(|why| MakeError::From { given: given.clone(), why }));
    let mut all = from.collect::<Result<Vec<_>, _>>()?;
    all.extend(flags.dev.iter().map(|devargs| SourceSpec::Dpdk(DpdkSpec::from_devargs(devargs))));
    for spec in &mut all {
        if let SourceSpec::Dpdk(port) = spec {
            port.eal = port.eal.take().or_else(|| flags.eal.clone());
        }
    }
    if all.is_empty() {
        return Err(MakeError::NoSource);
    }
    let named = |(at, from): (usize, SourceSpec)| Source {
        name: format!("{}-{at}", from.backend()),
        cores: Vec::new(),
        from,
    };
    Ok(all.into_iter().enumerate().map(named).collect())
}

/// The sink `given`, and the rules whose programs find ids told to use it.
fn keep_ids(given: &str, rules: &mut [Rule]) -> Result<IdSink, MakeError> {
    let fail = |why: String| MakeError::Ids { given: given.to_owned(), why };
    let to = ids(given).map_err(fail)?;
    let finds = |rule: &&mut Rule| {
        let program = Program::parse(&rule.program);
        program.is_ok_and(|program| program.engines().any(EngineOp::gives_ids))
    };
    let mut found = false;
    for rule in rules.iter_mut().filter(finds) {
        rule.ids = Some(IDS.into());
        found = true;
    }
    let sink = found.then(|| IdSink { name: IDS.into(), to });
    sink.ok_or_else(|| fail("no program finds ids".into()))
}

/// Reads `KIND:WHERE[,KEY=VALUE...]` through the type that reads a plan's JSON.
///
/// # Errors
/// What is wrong, in one sentence.
pub fn ids(given: &str) -> Result<IdSinkSpec, String> {
    settings::spec(given, |kind, _| match kind {
        "u32" | "arrow" | "json" => Some("path"),
        "ring" => Some("socket"),
        _ => None,
    })
}

/// The way back `given`, and the rules whose programs have answers told to use it.
fn reply_through(given: &str, rules: &mut [Rule]) -> Result<ReplySink, MakeError> {
    let fail = |why: String| MakeError::Replies { given: given.to_owned(), why };
    let to = replies(given).map_err(fail)?;
    let answers = |rule: &&mut Rule| {
        let program = Program::parse(&rule.program);
        program.is_ok_and(|program| program.engines().any(EngineOp::gives_replies))
    };
    let mut found = false;
    for rule in rules.iter_mut().filter(answers) {
        rule.replies = Some(REPLIES.into());
        found = true;
    }
    let sink = found.then(|| ReplySink { name: REPLIES.into(), to });
    sink.ok_or_else(|| fail("no program has answers".into()))
}

/// Reads `KIND[:WHERE][,KEY=VALUE...]` through the type that reads a plan's JSON.
///
/// # Errors
/// What is wrong, in one sentence.
pub fn replies(given: &str) -> Result<ReplySpec, String> {
    let (kind, rest) = given.split_at(given.find([':', ',']).unwrap_or(given.len()));
    let rest = rest.strip_prefix(':').unwrap_or(rest);
    settings::spec(&format!("{kind}:{rest}"), |kind, _| match kind {
        "udp" => Some("datagram_bytes"),
        "af_packet" | "af_xdp" => Some("interface"),
        "pcap" => Some("path"),
        _ => None,
    })
}

fn lanes(flags: &PlanFlags) -> Result<Lanes, MakeError> {
    let defaults = Lanes::default();
    Ok(Lanes {
        mode: if flags.run_to_completion { LaneMode::RunToCompletion } else { LaneMode::Pipeline },
        worker_cores: flags.worker_cores.clone(),
        ring_slots: flags.ring_slots.unwrap_or(defaults.ring_slots),
        wait: choice::<WaitStrategy>("wait", flags.wait.as_deref(), "spin, adaptive")?,
    })
}

/// A word as the schema spells it, or the default where none is given.
fn choice<T: Default + serde::de::DeserializeOwned>(
    flag: &'static str,
    given: Option<&str>,
    choices: &'static str,
) -> Result<T, MakeError> {
    let Some(given) = given else { return Ok(T::default()) };
    serde_json::from_value(Value::String(given.to_owned())).map_err(|_| MakeError::Choice {
        flag,
        given: given.to_owned(),
        choices,
    })
}

fn rules(flags: &PlanFlags) -> Result<Vec<Rule>, MakeError> {
    let mut rules = Vec::new();
    for given in &flags.rule {
        let fail = |why: String| MakeError::Rule { given: given.clone(), why };
        let (matches, program) =
            given.split_once("=>").ok_or_else(|| fail("it has no `=>`".to_owned()))?;
        let mut fields = Map::new();
        settings::set_fields(&mut fields, matches.trim()).map_err(fail)?;
        let matches: RuleMatch =
            serde_json::from_value(Value::Object(fields)).map_err(|e| fail(e.to_string()))?;
        let program = Program::parse(program.trim()).map_err(|e| fail(e.to_string()))?;
        let name = format!("rule-{}", rules.len());
        rules.push(Rule { matches, program: program.to_string(), ..Rule::all(name) });
    }
    let program = match &flags.prog {
        Some(text) => Some(
            Program::parse(text)
                .map_err(|error| MakeError::Program {
                    given: text.clone(),
                    why: error.to_string(),
                })?
                .to_string(),
        ),
        None if rules.is_empty() || flags.hint.is_some() => {
            Some(hinted(flags.hint.as_deref().unwrap_or_default()).to_owned())
        }
        None => None,
    };
    rules.extend(program.map(|program| Rule { program, ..Rule::all("all") }));
    if flags.keep.is_some() {
        rules.iter_mut().for_each(|rule| rule.sink = Some(KEPT.into()));
    }
    Ok(rules)
}

/// The program that PacketFS's hints stand for.
fn hinted(hint: &str) -> &'static str {
    let has = |word: &str| hint.contains(word);
    if has("matrix") || has("hist") {
        "hist8"
    } else if has("crc") || has("network") {
        "crc32c"
    } else if has("xor") {
        "xor:0"
    } else if has("add") {
        "add:0"
    } else {
        "counteq:0"
    }
}

/// Reads `BACKEND:WHERE[,KEY=VALUE...]` through the same types that read a plan's JSON.
///
/// # Errors
/// What is wrong, in one sentence.
pub fn source(given: &str) -> Result<SourceSpec, String> {
    settings::spec(given, |backend, place| match backend {
        "af_packet" | "af_xdp" => Some("interface"),
        "dpdk" => Some("device"),
        "udp" => Some("listen"),
        "pcap" => Some("path"),
        "memory" if place.contains(['/', '.']) => Some("content.capture.path"),
        "memory" => Some("content.generated.frame_size"),
        _ => None,
    })
}
