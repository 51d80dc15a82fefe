//! Two reports of the same measurements: what changed by more than noise.

mod rank;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use rank::{p_value, ratio};

use crate::host::Environment;
use crate::report::{Better, Figure, Report, Table};

/// Samples on either side below which nothing is decided: fewer cannot be told from chance.
const ENOUGH: usize = 4;

/// When a change counts.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Least change of the median, as a share.
    pub effect: f64,
    /// Largest probability that chance alone did it.
    pub chance: f64,
}

/// How one figure stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// It got worse.
    Worse,
    /// It got better.
    Better,
    /// It moved less than noise, or less than what counts.
    Same,
    /// There are too few samples.
    TooFew,
}

/// One figure in both runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// Group and name.
    pub name: String,
    /// Unit of the medians.
    pub unit: String,
    /// Medians, old and new.
    pub medians: (f64, f64),
    /// New over old, and the interval of 95 %.
    pub ratio: (f64, f64, f64),
    /// Probability that chance alone did it.
    pub chance: f64,
    /// What that comes to.
    pub verdict: Verdict,
}

/// What two runs have in common and what not.
#[derive(Clone, Debug, Default)]
pub struct Comparison {
    /// Figures of both runs, worst first.
    pub changes: Vec<Change>,
    /// Differences of the machines, and reports that cannot be taken at their word.
    pub warnings: Vec<String>,
    /// Figures that only one run has.
    pub missing: Vec<String>,
}

/// Reads two files, or two folders of files, and compares the groups that both have.
///
/// # Errors
/// When a file cannot be read or is no report, or the two have no group in common.
pub fn compare(old: &Path, new: &Path, limits: Limits) -> Result<Comparison, String> {
    let (old, new) = (reports(old)?, reports(new)?);
    let mut all = Comparison::default();
    for (group, old) in &old {
        match new.get(group) {
            Some(new) => all.add(group, old, new, limits),
            None => all.missing.push(format!("group {group}: only in the old run")),
        }
    }
    let only_new = new.keys().filter(|group| !old.contains_key(*group));
    all.missing.extend(only_new.map(|group| format!("group {group}: only in the new run")));
    if all.changes.is_empty() {
        return Err("the two have no figure in common: compare reports of the same group".into());
    }
    all.warnings.dedup();
    all.changes.sort_by(|a, b| (a.verdict, &a.name).cmp(&(b.verdict, &b.name)));
    Ok(all)
}

fn reports(path: &Path) -> Result<BTreeMap<String, Report>, String> {
    let files: Vec<PathBuf> = if path.is_dir() {
        let entries = fs::read_dir(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let json = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "json");
        entries.flatten().map(|entry| entry.path()).filter(json).collect()
    } else {
        vec![path.to_owned()]
    };
    let mut reports = BTreeMap::new();
    for file in files {
        let name = file.display();
        let text = fs::read(&file).map_err(|error| format!("reading {name}: {error}"))?;
        let report: Report = serde_json::from_slice(&text)
            .map_err(|error| format!("{name} is no report of pfs-bench: {error}"))?;
        reports.insert(report.group.clone(), report);
    }
    if reports.is_empty() {
        return Err(format!(
            "{} holds no report: a folder of `*.json`, or one file",
            path.display()
        ));
    }
    Ok(reports)
}

impl Comparison {
    fn add(&mut self, group: &str, old: &Report, new: &Report, limits: Limits) {
        self.warnings.extend(differences(&old.environment, &new.environment));
        for (which, report) in [("old", old), ("new", new)] {
            if !report.right {
                self.warnings.push(format!("{group}: the {which} run had a wrong answer"));
            }
            if report.interrupted {
                self.warnings.push(format!("{group}: the {which} run was interrupted"));
            }
        }
        let newer: BTreeMap<&str, &Figure> =
            new.figures.iter().map(|figure| (figure.name.as_str(), figure)).collect();
        for figure in &old.figures {
            match newer.get(figure.name.as_str()) {
                Some(newer) => self.changes.push(change(group, figure, newer, limits)),
                None => self.missing.push(format!("{group}: {}: only in the old run", figure.name)),
            }
        }
        for figure in &new.figures {
            if !old.figures.iter().any(|other| other.name == figure.name) {
                self.missing.push(format!("{group}: {}: only in the new run", figure.name));
            }
        }
    }

    /// Whether any figure got worse.
    #[must_use]
    pub fn has_regression(&self) -> bool {
        self.changes.iter().any(|change| change.verdict == Verdict::Worse)
    }

    /// In words: warnings, what changed, and how much did not.
    #[must_use]
    pub fn text(&self, limits: Limits) -> String {
        let mut parts: Vec<String> =
            self.warnings.iter().map(|warning| format!("- careful: {warning}\n")).collect();
        let head = ["figure", "old", "new", "new / old", "95 %", "chance", ""];
        let mut table = Table::new("Changed beyond noise:", &head);
        let count = |verdict| self.changes.iter().filter(|c| c.verdict == verdict).count();
        for change in &self.changes {
            let (old, new) = change.medians;
            let (ratio, least, most) = change.ratio;
            let word = match change.verdict {
                Verdict::Worse => "worse",
                Verdict::Better => "better",
                Verdict::Same | Verdict::TooFew => continue,
            };
            table.row(vec![
                change.name.clone(),
                format!("{old:.4} {}", change.unit),
                format!("{new:.4} {}", change.unit),
                format!("{ratio:.3}"),
                format!("{least:.3}–{most:.3}"),
                format!("{:.4}", change.chance),
                word.to_owned(),
            ]);
        }
        if !table.rows.is_empty() {
            parts.push(table.markdown());
        }
        parts.extend(self.missing.iter().map(|missing| format!("- {missing}\n")));
        let decided = self.changes.len() - count(Verdict::TooFew);
        parts.push(format!(
            "{} worse, {} better, {} the same within {:.0} % or noise, {} with too few samples (under {ENOUGH}). \
             By chance alone some {:.1} of {decided} would seem changed.\n",
            count(Verdict::Worse),
            count(Verdict::Better),
            count(Verdict::Same),
            limits.effect * 100.0,
            count(Verdict::TooFew),
            limits.chance * decided as f64,
        ));
        parts.join("\n")
    }
}

/// What of the machines differs.
fn differences(old: &Environment, new: &Environment) -> Vec<String> {
    let fields = [
        ("processor", &old.processor, &new.processor),
        ("kernel", &old.kernel, &new.kernel),
        ("commit", &old.commit, &new.commit),
    ];
    let mut all: Vec<String> = fields
        .iter()
        .filter(|(_, old, new)| old != new)
        .map(|(what, old, new)| format!("{what} differs: {old}, now {new}"))
        .collect();
    if old.cores != new.cores {
        all.push(format!("cores differ: {}, now {}", old.cores, new.cores));
    }
    all
}

fn change(group: &str, old: &Figure, new: &Figure, limits: Limits) -> Change {
    let enough = old.samples.len() >= ENOUGH && new.samples.len() >= ENOUGH;
    let chance = p_value(&old.samples, &new.samples);
    let ratio = if old.samples.is_empty() || new.samples.is_empty() {
        (1.0, 1.0, 1.0)
    } else {
        ratio(&old.samples, &new.samples)
    };
    let moved = chance <= limits.chance && (ratio.0 - 1.0).abs() >= limits.effect;
    let verdict = match (enough, moved, (ratio.0 > 1.0) == (old.better == Better::More)) {
        (false, ..) => Verdict::TooFew,
        (true, false, _) => Verdict::Same,
        (true, true, true) => Verdict::Better,
        (true, true, false) => Verdict::Worse,
    };
    let median = |figure: &Figure| crate::stats::Spread::of(figure.samples.clone()).median;
    Change {
        name: format!("{group}: {}", old.name),
        unit: old.unit.clone(),
        medians: (median(old), median(new)),
        ratio,
        chance,
        verdict,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::Spread;

    const LIMITS: Limits = Limits { effect: 0.03, chance: 0.05 };

    fn report(rates: &[f64], costs: &[f64]) -> Report {
        let (rates, costs) = (Spread::of(rates.to_vec()), Spread::of(costs.to_vec()));
        Report {
            group: "op".into(),
            right: true,
            figures: vec![
                Figure::rate("rate".into(), "GB/s", &rates),
                Figure::cost("cost".into(), "ns", &costs),
            ],
            ..Report::default()
        }
    }

    fn compared(old: &Report, new: &Report) -> Result<Comparison, String> {
        let folder = tempfile::tempdir().unwrap();
        let paths = ["old.json", "new.json"].map(|name| folder.path().join(name));
        old.write(&paths[0]).unwrap();
        new.write(&paths[1]).unwrap();
        compare(&paths[0], &paths[1], LIMITS)
    }

    const FIVE: [f64; 5] = [10.0, 10.1, 9.9, 10.05, 9.95];

    #[test]
    fn what_moved_is_told_from_noise_and_in_which_way() {
        let faster = FIVE.map(|x| x * 1.2);
        let same = [10.02, 9.97, 10.08, 9.92, 10.0];
        let of = |new: &Report, name: &str| {
            let all = compared(&report(&FIVE, &FIVE), new).unwrap();
            all.changes.iter().find(|change| change.name == name).unwrap().verdict
        };
        let new = report(&faster, &faster);
        assert_eq!(of(&new, "op: rate"), Verdict::Better);
        assert_eq!(of(&new, "op: cost"), Verdict::Worse);
        assert_eq!(of(&report(&same, &same), "op: rate"), Verdict::Same);
        // Certain, and too little to matter.
        let hair = FIVE.map(|x| x * 1.025);
        assert_eq!(of(&report(&hair, &FIVE), "op: rate"), Verdict::Same);
        assert_eq!(of(&report(&faster[..3], &FIVE), "op: rate"), Verdict::TooFew);
    }

    #[test]
    fn regressions_and_differences_of_machines_are_said() {
        let mut new = report(&FIVE.map(|x| x * 0.8), &FIVE);
        new.environment.kernel = "9.9.9".into();
        new.interrupted = true;
        new.figures.push(Figure { name: "more".into(), ..Figure::default() });
        let all = compared(&report(&FIVE, &FIVE), &new).unwrap();
        assert!(all.has_regression());
        let text = all.text(LIMITS);
        for part in ["kernel differs", "was interrupted", "only in the new run", "worse", "0.800"] {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert!(!compared(&report(&FIVE, &FIVE), &report(&FIVE, &FIVE)).unwrap().has_regression());
    }

    #[test]
    fn folders_are_matched_by_group_and_strangers_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (old, new) = (folder.path().join("a"), folder.path().join("b"));
        report(&FIVE, &FIVE).write(&old.join("op.json")).unwrap();
        assert!(compare(&old, &new, LIMITS).unwrap_err().contains("reading"));
        Report::new("ring").write(&new.join("ring.json")).unwrap();
        assert!(compare(&old, &new, LIMITS).unwrap_err().contains("no figure in common"));
        report(&FIVE, &FIVE).write(&new.join("op.json")).unwrap();
        let all = compare(&old, &new, LIMITS).unwrap();
        assert_eq!(all.missing, ["group ring: only in the new run"]);
        fs::write(new.join("x.json"), "{}").unwrap();
        assert!(compare(&old, &new, LIMITS).unwrap_err().contains("is no report of pfs-bench"));
    }
}
