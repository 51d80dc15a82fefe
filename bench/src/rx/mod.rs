//! Receivers on a veth pair, one at a time behind the same sender: ours and those of others.
//!
//! Each runs in a process of its own, so that its processor time is counted as a peer's is. The
//! sender's core also does the kernel's part of receiving: with some receivers it, and not the
//! receiver, is the limit.

pub mod contender;
mod measure;

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::process::ExitCode;
use std::time::Duration;

use pfs_dataplane::netns::ip;
use pfs_dataplane::packet::Rule;
use pfs_dataplane::run::{ReceiverSlot, RunReport, Workers, start};
use pfs_rings::WaitStrategy;
use serde::Serialize;

use crate::host::two_cores;
use crate::report::{Report, Table, Target};
use crate::spec::spec;
use crate::stats::{Shuffle, Spread};
use crate::veth::{SENDER, Sender, TO, Veth};
use contender::{Contender, Kind, Ours, What};
use measure::{Cores, Trial, attached, trial};

/// EtherType of all that is sent: no protocol of the kernel listens to it.
const ETHER_TYPE: u16 = 0x88b5;
/// Huge pages of 2 MiB that a DPDK peer needs.
const HUGE_PAGES: u32 = 64;

/// What to measure.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Sending time of a trial.
    pub time: Duration,
    /// Trials of each row.
    pub rounds: usize,
    /// Frame sizes in bytes.
    pub sizes: Vec<usize>,
    /// Only receivers whose name contains this.
    pub only: String,
}

/// One receiver at one size.
#[derive(Clone, Debug, Serialize)]
struct Row {
    name: &'static str,
    kind: Kind,
    frame_bytes: usize,
    attached: Option<String>,
    kpps: Spread,
    cpu: Spread,
    trials: Vec<Trial>,
    errors: Vec<String>,
}

/// Measures all receivers that are installed.
#[must_use]
pub fn run(settings: &Settings) -> Report {
    let mut report = Report::new("rx");
    let mut contenders = contender::all();
    contenders.retain(|contender| contender.name.contains(&settings.only));
    leave_out_missing(&mut contenders, &mut report.notes);
    let pages = HugePages::ask(&contenders, &mut report.notes);
    match trials(settings, &contenders) {
        Ok(rows) => summary(&mut report, &rows),
        Err(error) => {
            report.right = false;
            report.notes.push(error);
        }
    }
    drop(pages);
    report
}

fn leave_out_missing(contenders: &mut Vec<Contender>, notes: &mut Vec<String>) {
    contenders.retain(|contender| {
        let What::Peer(peer) = &contender.what else { return true };
        let path = std::env::var_os("PATH").unwrap_or_default();
        let there = std::env::split_paths(&path).any(|dir| dir.join(&peer.command[0]).exists());
        if !there {
            let program = &peer.command[0];
            notes.push(format!("skipped: {}: no {program}; `just bench-peers`", contender.name));
        }
        there
    });
}

fn trials(settings: &Settings, contenders: &[Contender]) -> Result<Vec<Row>, String> {
    let [receiver, sender] = two_cores();
    let cores = Cores { receiver, sender };
    let mut rows = Vec::new();
    let mut shuffle = Shuffle::default();
    for &frame_bytes in &settings.sizes {
        let _veth = Veth::new().map_err(|error| error.to_string())?;
        let mut sender = Sender::open(frame_bytes).map_err(|error| error.to_string())?;
        let mut gathered: BTreeMap<usize, (Vec<Trial>, Vec<String>)> = BTreeMap::new();
        let mut order: Vec<usize> = (0..contenders.len()).collect();
        for _ in 0..settings.rounds {
            shuffle.shuffle(&mut order);
            for &at in &order {
                let (trials, errors) = gathered.entry(at).or_default();
                match trial(&contenders[at], &mut sender, settings.time, cores) {
                    Ok(trial) => trials.push(trial),
                    Err(error) => errors.push(error),
                }
                if let Ok(Some(_)) = attached() {
                    errors.push("left its XDP program attached".to_owned());
                    for word in ["xdp", "xdpgeneric"] {
                        let _ = ip(&format!("link set dev {TO} {word} off"));
                    }
                }
            }
        }
        rows.extend(
            gathered.into_iter().map(|(at, (trials, errors))| {
                Row::of(&contenders[at], frame_bytes, trials, errors)
            }),
        );
    }
    Ok(rows)
}

impl Row {
    fn of(
        contender: &Contender,
        frame_bytes: usize,
        trials: Vec<Trial>,
        errors: Vec<String>,
    ) -> Self {
        let spread = |of: &dyn Fn(&Trial) -> f64| Spread::of(trials.iter().map(of).collect());
        Self {
            name: contender.name,
            kind: contender.kind,
            frame_bytes,
            attached: trials.first().and_then(|trial| trial.attached.clone()),
            kpps: spread(&Trial::kpps),
            cpu: spread(&|trial| trial.cpu),
            trials,
            errors,
        }
    }

    fn is_ours(&self) -> bool {
        self.name.starts_with("pfs")
    }

    fn share(&self, of: impl Fn(&Trial) -> i64) -> String {
        let sent: u64 = self.trials.iter().map(|trial| trial.sent).sum();
        let part: i64 = self.trials.iter().map(of).sum();
        format!("{:.2} %", part as f64 / sent.max(1) as f64 * 100.0)
    }
}

fn summary(report: &mut Report, rows: &[Row]) {
    report.right = rows.iter().all(|row| row.trials.iter().all(|trial| trial.right));
    for row in rows {
        if row.trials.is_empty() && row.is_ours() {
            report.right = false;
        }
        if let Some(error) = row.errors.first() {
            let trials = row.errors.len();
            report
                .notes
                .push(format!("{} at {} B, {trials} trials: {error}", row.name, row.frame_bytes));
        }
    }
    let sizes: Vec<usize> = {
        let mut sizes: Vec<_> = rows.iter().map(|row| row.frame_bytes).collect();
        sizes.dedup();
        sizes
    };
    for size in sizes {
        let measured = |row: &&Row| row.frame_bytes == size && !row.trials.is_empty();
        let of_size: Vec<&Row> = rows.iter().filter(measured).collect();
        report.tables.push(table(size, &of_size));
        report.targets.extend(targets(size, &of_size));
    }
    report.raw = serde_json::to_value(rows).unwrap_or_default();
}

fn table(size: usize, rows: &[&Row]) -> Table {
    let title = format!(
        "{size} B frames, sender {SENDER} at top speed on another core. CPU is the receiver's \
         process alone; lost is what the receiver says it lost, link what the pair dropped, \
         unaccounted the rest of what was sent:"
    );
    let head = ["receiver", "attached", "kpps", "CPU", "sent kpps", "lost", "link", "unaccounted"];
    let mut table = Table::new(title, &head);
    for row in rows {
        let sent = row.trials.iter().map(|trial| trial.sent as f64 / trial.seconds / 1e3).collect();
        table.row(vec![
            row.name.to_owned(),
            row.attached.clone().unwrap_or_else(|| "–".to_owned()),
            row.kpps.text(0),
            row.cpu.text(2),
            format!("{:.0}", Spread::of(sent).median),
            row.share(|trial| trial.lost.cast_signed()),
            row.share(|trial| trial.link_drops.cast_signed()),
            row.share(|trial| trial.unaccounted),
        ]);
    }
    table
}

fn targets(size: usize, rows: &[&Row]) -> Vec<Target> {
    let find = |name: &str| rows.iter().find(|row| row.name == name);
    let mut targets = Vec::new();
    for (kind, ours) in
        [(Kind::PacketSocket, "pfs af_packet crc32c"), (Kind::Xdp, "pfs af_xdp native adaptive")]
    {
        let peers = rows.iter().filter(|row| row.kind == kind && !row.is_ours());
        let best = peers.max_by(|a, b| a.kpps.median.total_cmp(&b.kpps.median));
        let (Some(ours), Some(best)) = (find(ours), best) else { continue };
        targets.push(Target::at_least(
            &format!("{}, {size} B: delivered", ours.name),
            format!("≥ {:.0} kpps ({})", best.kpps.median, best.name),
            format!("{:.0} kpps", ours.kpps.median),
            ours.kpps.median,
            best.kpps.median,
        ));
    }
    if let (Some(ours), Some(peer)) = (find("pfs af_packet len"), find("tcpdump")) {
        targets.push(Target::at_most(
            &format!("{}, {size} B: CPU", ours.name),
            format!("≤ {:.3} (tcpdump)", peer.cpu.median),
            format!("{:.3}", ours.cpu.median),
            ours.cpu.median,
            peer.cpu.median,
        ));
    }
    if let (Some(calm), Some(busy)) =
        (find("pfs af_xdp native adaptive"), find("pfs af_xdp native spin"))
    {
        targets.push(Target::at_least(
            &format!("af_xdp adaptive, {size} B: rate"),
            format!("≥ 95 % of spinning's {:.0} kpps", busy.kpps.median),
            format!("{:.0} kpps", calm.kpps.median),
            calm.kpps.median,
            0.95 * busy.kpps.median,
        ));
        targets.push(Target::at_most(
            &format!("af_xdp adaptive, {size} B: CPU"),
            format!("< 0.7 of spinning's {:.2}", busy.cpu.median),
            format!("{:.2}", calm.cpu.median),
            calm.cpu.median,
            0.7 * busy.cpu.median,
        ));
    }
    let books = rows.iter().flat_map(|row| &row.trials).filter_map(|trial| trial.books);
    let residual: u64 = books.map(|books| books.residual).sum();
    targets.push(Target::holds(
        &format!("our books, {size} B"),
        "residual 0",
        format!("residual {residual}"),
        residual == 0,
    ));
    targets
}

/// Huge pages for DPDK; as many as there were before once dropped.
#[derive(Debug)]
struct HugePages(Option<String>);

const NR_HUGE_PAGES: &str = "/proc/sys/vm/nr_hugepages";

impl HugePages {
    fn ask(contenders: &[Contender], notes: &mut Vec<String>) -> Self {
        let wanted =
            |contender: &Contender| matches!(&contender.what, What::Peer(peer) if peer.dpdk);
        let before = fs::read_to_string(NR_HUGE_PAGES).unwrap_or_default();
        let have: u32 = before.trim().parse().unwrap_or(0);
        if have >= HUGE_PAGES || !contenders.iter().any(wanted) {
            return Self(None);
        }
        match fs::write(NR_HUGE_PAGES, HUGE_PAGES.to_string()) {
            Ok(()) => Self(Some(before)),
            Err(error) => {
                notes.push(format!("no huge pages for DPDK: writing {NR_HUGE_PAGES}: {error}"));
                Self(None)
            }
        }
    }
}

impl Drop for HugePages {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            // Asked for by us; if it fails now, the pages stay reserved until the next boot.
            let _ = fs::write(NR_HUGE_PAGES, before);
        }
    }
}

/// The receiver's process: says `ready`, receives until its standard input ends, and prints the
/// run's report as one line of JSON.
#[must_use]
pub fn receive(what: &str, core: u32) -> ExitCode {
    let outcome = serde_json::from_str(what)
        .map_err(|error| error.to_string())
        .and_then(|ours| receive_until_told(&ours, core))
        .and_then(|report| serde_json::to_string(&report).map_err(|error| error.to_string()));
    match outcome {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("receive: {error}");
            ExitCode::FAILURE
        }
    }
}

fn receive_until_told(ours: &Ours, core: u32) -> Result<RunReport, String> {
    let mut rule = Rule::all("all");
    rule.matches.ethertype = Some(ETHER_TYPE);
    let opened = ours.source.open(1, &[rule.to_xdp()]).map_err(|error| error.to_string())?;
    let slots = opened.into_iter().map(|source| ReceiverSlot { name: "rx".into(), core, source });
    let mut spec = spec(slots.collect(), rule, &ours.program, Workers::RunToCompletion)?;
    if ours.spin {
        spec.wait = WaitStrategy::Spin;
    }
    let running = start(spec).map_err(|error| error.to_string())?;
    println!("ready");
    let _ = std::io::stdout().flush();
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
    running.stop();
    Ok(running.join())
}
