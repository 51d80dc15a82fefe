//! The tokenizer against its peers: each contender in a process of its own, in turn, over the same
//! samples; ids are held against the reference's.

pub mod contender;
pub mod cores;
pub mod memory;
pub mod ours;
pub mod plan;
pub mod row;
pub mod sample;
pub mod targets;
pub mod trial;

use std::path::{Path, PathBuf};

use crate::interrupt;
use crate::report::Report;
use crate::stats::Shuffle;

pub use contender::Places;
use contender::{Contender, Maker, alone, said};
use cores::Cores;
use memory::Memory;
use plan::Scene;
use row::Row;
use sample::Cut;
use trial::Trial;

/// Passes of one process at most: the first one and some warm ones.
const PASSES: usize = 6;

/// What to measure, and how often.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Processes of each contender in each scene.
    pub rounds: usize,
    /// Only scenes whose `corpus cut vocabulary` contains this.
    pub only: String,
    /// Only contenders whose name contains this, besides the reference.
    pub contenders: String,
    /// Where programs and texts are.
    pub places: Places,
}

/// Measures all scenes.
#[must_use]
pub fn run(settings: &Settings) -> Report {
    interrupt::watch();
    let mut report = Report::new("token");
    let mut rows = Vec::new();
    for scene in plan::scenes() {
        let name = format!("{} {} {}", scene.corpus, scene.cut.name(), scene.reference.vocabulary);
        if !name.contains(&settings.only) {
            continue;
        }
        if interrupt::asked() {
            break;
        }
        match sample::prepare(&settings.places.corpora, scene.corpus, scene.cut) {
            Ok(sample) => rows.extend(measure(settings, &scene, &sample, &mut report)),
            Err(error) => {
                let corpora = settings.places.corpora.display();
                note(
                    &mut report,
                    format!(
                        "no text {} in {corpora} ({error}); `python3 bench/token/corpora.py` makes it",
                        scene.corpus
                    ),
                );
            }
        }
    }
    let own = settings.only.is_empty() && settings.contenders.is_empty() && !interrupt::asked();
    let cores =
        own.then(|| own_trial::<Cores>(settings, "cores", Cut::Bulk, &mut report)).flatten();
    let memory =
        own.then(|| own_trial::<Memory>(settings, "memory", Cut::Packets, &mut report)).flatten();
    report.tables = row::tables(&rows);
    report.targets = targets::targets(&rows, cores.as_ref(), memory.as_ref());
    report.raw = serde_json::json!({ "rows": rows, "cores": cores, "memory": memory });
    report
}

/// Adds a note, once.
fn note(report: &mut Report, text: String) {
    if !report.notes.contains(&text) {
        report.notes.push(text);
    }
}

/// All contenders of a scene in turn, in an order that changes from round to round.
fn measure(settings: &Settings, scene: &Scene, sample: &Path, report: &mut Report) -> Vec<Row> {
    let Settings { rounds, contenders: wanted, places, .. } = settings;
    let is_wanted = |one: &&Contender| one.name.contains(wanted.as_str());
    let mut there = Vec::new();
    for &one in scene.contenders.iter().filter(is_wanted) {
        if one.is_installed(places) {
            there.push(one);
        } else {
            let how = "`sh bench/token/install-peers` installs it";
            note(report, format!("{} is not installed; {how}", one.name));
        }
    }
    let reference = reference(settings, scene, sample, report);
    let mut trials: Vec<Vec<Trial>> = vec![Vec::new(); there.len()];
    let mut order: Vec<usize> = (0..there.len()).collect();
    let mut shuffle = Shuffle::default();
    for _ in 0..*rounds {
        shuffle.shuffle(&mut order);
        for &index in order.iter().take_while(|_| !interrupt::asked()) {
            let (Some(one), Some(taken)) = (there.get(index), trials.get_mut(index)) else {
                continue;
            };
            match one.measure(places, sample, PASSES) {
                Ok(trial) => taken.push(trial),
                // A terminal's signal ends the contender too.
                Err(_) if interrupt::asked() => {}
                Err(error) => {
                    report.right &= one.maker != Maker::Ours;
                    note(report, error);
                }
            }
        }
    }
    let row = |(one, trials): (&Contender, &Vec<Trial>)| {
        Row::of(scene, one.name, trials, reference.as_ref())
    };
    let rows: Vec<Row> = there.iter().zip(&trials).filter_map(row).collect();
    let ours =
        |row: &&Row| row.name.starts_with("pfs") && row.vocabulary != plan::CRAYON_5.vocabulary;
    report.right &= rows.iter().filter(ours).all(|row| row.exact != Some(false));
    eprintln!("{} {} {}", scene.corpus, scene.cut.name(), scene.reference.vocabulary);
    rows
}

/// One untimed trial of the scene's reference; `None`, and a note, when it is not there.
fn reference(
    settings: &Settings,
    scene: &Scene,
    sample: &Path,
    report: &mut Report,
) -> Option<Trial> {
    let one = scene.reference;
    if !one.is_installed(&settings.places) {
        note(report, format!("{} is not installed: its ids were not compared", one.name));
        return None;
    }
    let trial = one.measure(&settings.places, sample, 1);
    trial.map_err(|error| note(report, error)).ok()
}

/// A measurement that only our own program makes, in a process of its own.
fn own_trial<T: serde::de::DeserializeOwned>(
    settings: &Settings,
    what: &str,
    cut: Cut,
    report: &mut Report,
) -> Option<T> {
    let sample: PathBuf = sample::prepare(&settings.places.corpora, "english", cut).ok()?;
    let mut command = alone(&settings.places.program);
    command
        .args(["token", what, "cl100k_base"])
        .arg(sample)
        .arg(settings.rounds.max(5).to_string());
    said(&mut command).map_err(|error| note(report, format!("{what}: {error}"))).ok()
}
