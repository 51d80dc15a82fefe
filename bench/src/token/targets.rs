//! What was to be reached, from the rows.

use super::cores::Cores;
use super::memory::Memory;
use super::plan::Part;
use super::row::{Row, Rows};
use crate::report::Target;

const CL100K: &str = "cl100k_base";

/// Which of a row's rates.
#[derive(Clone, Copy)]
enum Pass {
    Warm,
    First,
}

impl Pass {
    fn of(self, row: &Row) -> f64 {
        match self {
            Self::Warm => row.warm.median,
            Self::First => row.first.median,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Warm => "warm",
            Self::First => "first pass",
        }
    }
}

/// Part, vocabulary, scene, our name, pass, times, peers.
type Line = (Part, &'static str, &'static str, &'static str, Pass, f64, &'static [&'static str]);

const GIGATOKEN: &[&str] = &["gigatoken"];
const FAST: &[&str] = &["gigatoken", "fastokens"];
const UNSEEN: &[&str] = &["hf", "gigatoken"];
const TRIES: &[&str] = &["daachorse", "yada"];

const LINES: [Line; 24] = [
    (Part::Exact, CL100K, "english bulk", "pfs", Pass::Warm, 1.3, GIGATOKEN),
    (Part::Exact, CL100K, "english bulk", "pfs", Pass::First, 2.5, GIGATOKEN),
    (Part::Exact, CL100K, "english packets", "pfs", Pass::Warm, 1.3, FAST),
    (Part::Exact, CL100K, "english packets", "pfs", Pass::First, 2.5, FAST),
    (Part::Exact, CL100K, "english packets", "pfs-batch", Pass::Warm, 1.3, FAST),
    (Part::Exact, CL100K, "english packets", "pfs-batch", Pass::First, 2.5, FAST),
    (Part::Exact, CL100K, "adv_words packets", "pfs", Pass::First, 4.0, UNSEEN),
    (Part::Exact, CL100K, "code bulk", "pfs", Pass::Warm, 1.2, GIGATOKEN),
    (Part::Exact, CL100K, "code bulk", "pfs", Pass::First, 2.5, GIGATOKEN),
    (Part::Exact, CL100K, "code packets", "pfs", Pass::Warm, 1.2, GIGATOKEN),
    (Part::Exact, CL100K, "code packets", "pfs", Pass::First, 2.5, GIGATOKEN),
    (Part::Exact, CL100K, "multi bulk", "pfs", Pass::Warm, 1.2, GIGATOKEN),
    (Part::Exact, CL100K, "multi bulk", "pfs", Pass::First, 2.5, GIGATOKEN),
    (Part::Exact, CL100K, "multi packets", "pfs", Pass::Warm, 1.2, GIGATOKEN),
    (Part::Exact, CL100K, "multi packets", "pfs", Pass::First, 2.5, GIGATOKEN),
    (Part::Exact, CL100K, "english bulk", "pfs", Pass::Warm, 30.0, &["tiktoken", "tiktoken-rs"]),
    (Part::Greedy, CL100K, "english bulk", "pfs-greedy", Pass::Warm, 3.0, TRIES),
    (Part::Greedy, CL100K, "code bulk", "pfs-greedy", Pass::Warm, 3.0, TRIES),
    (Part::Greedy, CL100K, "multi bulk", "pfs-greedy", Pass::Warm, 3.0, TRIES),
    (Part::Greedy, CL100K, "adv_words packets", "pfs-greedy", Pass::First, 1.3, TRIES),
    (Part::Greedy, CL100K, "adv_rand packets", "pfs-greedy", Pass::First, 1.3, TRIES),
    (Part::Greedy, CL100K, "adv_a packets", "pfs-greedy", Pass::First, 1.3, TRIES),
    (Part::Crayon, "crayon-2", "english bulk", "pfs-greedy", Pass::Warm, 5.0, &["crayon-2.0.3"]),
    (Part::Crayon, "crayon-5", "english bulk", "pfs-greedy", Pass::Warm, 2.5, &["crayon-5.7.16"]),
];

/// The targets that the measured rows allow to judge.
#[must_use]
pub fn targets(rows: &[Row], cores: Option<&Cores>, memory: Option<&Memory>) -> Vec<Target> {
    let rows = Rows(rows);
    let mut targets: Vec<Target> = LINES.iter().filter_map(|line| against(rows, line)).collect();
    targets.extend(floor(rows, Part::Exact, "pfs", 0.2));
    targets.extend(floor(rows, Part::Greedy, "pfs-greedy", 0.4));
    targets.extend(cores.map(two_cores));
    targets.extend(memory.map(memory_targets).into_iter().flatten());
    targets
}

/// Ours against the fastest of the peers that were measured.
fn against(rows: Rows<'_>, line: &Line) -> Option<Target> {
    let &(part, vocabulary, scene, name, pass, times, peers) = line;
    let ours = pass.of(rows.get(part, scene, vocabulary, name)?);
    let peers = peers.iter().filter_map(|peer| rows.get(part, scene, vocabulary, peer));
    let (rate, best) =
        peers.map(|row| (pass.of(row), row.name)).max_by(|a, b| a.0.total_cmp(&b.0))?;
    let with = match part {
        Part::Exact => vocabulary,
        Part::Greedy => "longest match",
        Part::Crayon => "its vocabulary",
    };
    let what = format!("{name}, {scene}, {}, {with}", pass.name());
    Some(Target::at_least(
        &what,
        format!("≥ {times} × {best}"),
        format!("{ours:.0} MB/s, {best} {rate:.0}: {:.2} ×", ours / rate),
        ours,
        times * rate,
    ))
}

/// The slowest hostile text, first seen, against packets of English.
fn floor(rows: Rows<'_>, part: Part, name: &str, share: f64) -> Option<Target> {
    let typical = rows.get(part, "english packets", CL100K, name)?.warm.median;
    let hostile = ["adv_words", "adv_rand", "adv_a"].map(|corpus| {
        let row = rows.get(part, &format!("{corpus} packets"), CL100K, name);
        row.map(|row| (row.first.median, corpus))
    });
    let hostile: Option<Vec<_>> = hostile.into_iter().collect();
    let (worst, corpus) = hostile?.into_iter().min_by(|a, b| a.0.total_cmp(&b.0))?;
    Some(Target::at_least(
        &format!("{name}, worst ÷ typical text"),
        format!("≥ {share}"),
        format!("{corpus} {worst:.0} MB/s ÷ {typical:.0}: {:.2}", worst / typical),
        worst,
        share * typical,
    ))
}

fn two_cores(cores: &Cores) -> Target {
    let speedup = cores.speedup();
    Target::at_least(
        "pfs, two cores ÷ one, English, cl100k_base",
        "≥ 1.9".into(),
        format!("{:.0} MB/s, one {:.0}: {speedup:.2}", cores.rate(2), cores.rate(1)),
        speedup,
        1.9,
    )
}

fn memory_targets(memory: &Memory) -> [Target; 3] {
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let shared = mib(memory.shared_bytes);
    let own = memory.private_bytes as f64 / 1024.0;
    let compile = memory.compile_ms.median;
    [
        Target::at_most(
            "cl100k_base in memory, shared by all cores",
            "≤ 16 MiB".into(),
            format!("{shared:.1} MiB"),
            shared,
            16.0,
        ),
        Target::at_most(
            "an encoder's own memory",
            "≤ 64 KiB".into(),
            format!("{own:.1} KiB"),
            own,
            64.0,
        ),
        Target::at_most(
            "compiling cl100k_base",
            "≤ 200 ms".into(),
            format!("{compile:.0} ms"),
            compile,
            200.0,
        ),
    ]
}
