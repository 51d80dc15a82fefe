//! Receivers behind one sender, ours and those of others, by the words of FD.io CSIT: the rate at
//! top speed (MRR), the highest without loss (NDR) and with 0.5 % (PDR), latency at shares of that.
//!
//! Each receiver runs in a process of its own, so that its processor time is counted as a peer's
//! is. The sender's core also does the kernel's part of receiving over a veth pair: with some
//! receivers it, and not the receiver, is the limit, and the row says so.

pub mod contender;
mod huge;
pub mod plan;
mod plots;
mod process;
mod receive;
mod row;
pub mod search;
mod sender;
mod summary;
mod trial;
mod wire;

use pfs_dataplane::pin;
use pfs_dataplane::transmitters::frames::FrameSize;

use crate::host::two_cores;
use crate::interrupt;
use crate::report::{Pinned, Report};
use crate::stats::Shuffle;
use contender::Contender;
use huge::HugePages;
pub use plan::Plan;
use process::Cores;
pub use receive::receive;
use row::Row;
use sender::{Dress, Sender};
use trial::Bench;
use wire::Wire;

/// Huge pages of 2 MiB that DPDK needs.
const HUGE_PAGES: u64 = 64;
/// Bytes of a frame that its MTU does not count: Ethernet header and check sequence.
const ETHERNET: u32 = 14 + 4;
/// MTU of a pair that is made, unless frames are longer.
const MTU: u32 = 1500;

/// What to measure.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Durations and counts.
    pub plan: Plan,
    /// Only receivers whose name contains this.
    pub only: String,
    /// Whether programs of others are measured too.
    pub peers: bool,
    /// Interfaces that are there, the receiver's and the sender's; else a veth pair is made.
    pub interfaces: Option<(String, String)>,
}

/// Measures all receivers that are there.
///
/// # Errors
/// When there is no link to measure over, or nothing to measure.
pub fn run(settings: &Settings) -> Result<Report, String> {
    let mut report = Report::new("rx");
    let wire = match &settings.interfaces {
        Some((to, from)) => Wire::given(from, to)?,
        None => Wire::make(MTU.max(settings.plan.longest().saturating_sub(ETHERNET)))?,
    };
    let contenders = contenders(settings, &wire, &mut report.notes)?;
    let dpdk = contenders.iter().any(Contender::needs_huge_pages);
    let pages = dpdk.then(|| HugePages::ask(HUGE_PAGES, &mut report.notes));
    let mut rows = Vec::new();
    for &size in &settings.plan.sizes {
        rows.extend(of_size(settings, &contenders, &wire, size)?);
    }
    drop(pages);
    report.grants.threads = pinned(&rows);
    summary::write(&mut report, &rows, settings.interfaces.is_none());
    Ok(report)
}

fn contenders(
    settings: &Settings,
    wire: &Wire,
    notes: &mut Vec<String>,
) -> Result<Vec<Contender>, String> {
    let mut contenders = contender::all(&wire.to, wire.is_made(), notes);
    contenders.retain(|one| one.name.contains(&settings.only) && (settings.peers || one.is_ours()));
    contender::leave_out_missing(&mut contenders, notes);
    if contenders.is_empty() {
        let names: Vec<&str> = contender::all(&wire.to, wire.is_made(), &mut Vec::new())
            .iter()
            .map(|one| one.name)
            .collect();
        return Err(format!(
            "no receiver that is here is called {:?}; they are {}",
            settings.only,
            names.join(", ")
        ));
    }
    Ok(contenders)
}

/// Where both ends ran. A receiver of ours that is not on its core alone does not start, so one
/// that was measured was; the sender's mask is read back.
fn pinned(rows: &[Row]) -> Vec<Pinned> {
    let [receiver, sender] = two_cores();
    let measured = rows.iter().any(|row| row.is_ours && !row.mrr.is_empty());
    let alone = pin::allowed_cores().is_ok_and(|cores| cores == [sender]);
    [("receiver", receiver, measured), ("sender", sender, alone)]
        .map(|(what, core, verified)| Pinned { what: what.to_owned(), core, verified })
        .into()
}

/// All receivers with frames of one size: visit after visit, each in another order, so that a slow
/// minute of the machine does not hit one of them alone.
fn of_size(
    settings: &Settings,
    contenders: &[Contender],
    wire: &Wire,
    size: FrameSize,
) -> Result<Vec<Row>, String> {
    let [receiver, sender] = two_cores();
    let cores = Cores { receiver, sender };
    let mut rows: Vec<Row> = contenders.iter().map(|one| Row::new(one, size)).collect();
    let mut order: Vec<usize> = (0..contenders.len()).collect();
    let mut shuffle = Shuffle::default();
    let mut held: Option<(Dress, Sender)> = None;
    for visit in 0..settings.plan.visits {
        shuffle.shuffle(&mut order);
        for &at in &order {
            if interrupt::asked() {
                return Ok(rows);
            }
            let (contender, row) = (&contenders[at], &mut rows[at]);
            if !row.errors.is_empty() {
                continue;
            }
            eprintln!("{}, visit {} of {}", row.code, visit + 1, settings.plan.visits);
            let dress =
                if contender.kind == contender::Kind::Socket { Dress::Udp } else { Dress::Raw };
            // A queue has one sender: the one before goes first.
            if held.as_ref().is_some_and(|(worn, _)| *worn != dress) {
                held = None;
            }
            let sender = match &mut held {
                Some((_, sender)) => sender,
                none => &mut none.insert((dress, Sender::open(wire, size, dress)?)).1,
            };
            let mut bench = Bench { wire, sender, cores };
            if let Err(error) = row.visit(&mut bench, contender, &settings.plan, visit) {
                row.failed(error);
            }
        }
    }
    Ok(rows)
}
