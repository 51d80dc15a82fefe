//! A process that puts, removes and flushes is killed at random points; the store then has what it had
//! told to be flushed, each tree whole.
//!
//! `PFS_CST_KILLS` says how often (6 when it does not). The program runs itself as the writer.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use pfs_cst::languages::Registry;
use pfs_cst::parse::Limits;
use pfs_cst::tiers::{Access, Config, Keep, Store};

/// Set in the writer: the store's folder.
const FOLDER: &str = "PFS_CST_CRASH_FOLDER";
const NAMES: u64 = 30;
const CONFIG: Config = Config {
    budget: 1 << 20,
    segment_bytes: 1 << 16,
    freeze: pfs_cst::cold::Settings {
        block_nodes: 256,
        level: 1,
        positions: pfs_cst::cold::Positions::Stored,
    },
    supertypes: false,
    access: Access::Write,
};

fn random(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = (*seed ^ (*seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// A source that has as many numbers as it says.
fn source(length: u64) -> Vec<u8> {
    let numbers: Vec<String> = (0..length).map(|number| number.to_string()).collect();
    format!("[{}]", numbers.join(", ")).into_bytes()
}

/// What round `round` does: names with the length of their new source, or none when removed.
fn edits(round: u64) -> Vec<(String, Option<u64>)> {
    let mut seed = round;
    let edit = |seed: &mut u64| {
        let name = format!("f{}.json", random(seed) % NAMES);
        let length = random(seed) % 900;
        (name, (!random(seed).is_multiple_of(5)).then_some(length))
    };
    (0..1 + random(&mut seed) % 12).map(|_| edit(&mut seed)).collect()
}

/// Does round after round, and tells of each that it is flushed. The tree `round` says which was last.
fn write(folder: &Path) -> ExitCode {
    let store = Store::open(folder, CONFIG).unwrap();
    let last = store.get("round").unwrap().map_or(0, |tree| numbers(&tree));
    let mut out = std::io::stdout();
    for round in last + 1.. {
        let put = |name: &str, length| {
            let source = source(length);
            store.put_source(name, Some("json"), &source, Keep::Copy, Limits::default()).unwrap();
        };
        for (name, length) in edits(round) {
            match length {
                Some(length) => put(&name, length),
                None => drop(store.remove(&name).unwrap()),
            }
        }
        put("round", round);
        store.flush().unwrap();
        if writeln!(out, "{round}").and_then(|()| out.flush()).is_err() {
            break;
        }
    }
    ExitCode::SUCCESS
}

fn numbers(tree: &pfs_cst::hot::HotTree) -> u64 {
    let array = tree.root().first_child().unwrap();
    array.children().filter(|node| node.kind() == "number").count() as u64
}

/// Holds the store against the rounds up to the one that it says was last; gives that.
fn check(folder: &Path, told: u64) -> u64 {
    let store = Store::open(folder, CONFIG).unwrap();
    let last = store.get("round").unwrap().map_or(0, |tree| numbers(&tree));
    assert!(last >= told, "round {told} was flushed, {last} is there");
    let mut model: BTreeMap<String, u64> = BTreeMap::new();
    for (name, length) in (1..=last).flat_map(edits) {
        match length {
            Some(length) => drop(model.insert(name, length)),
            None => drop(model.remove(&name)),
        }
    }
    for (name, length) in &model {
        let tree = store.get(name).unwrap().unwrap_or_else(|| panic!("{name} of {last} is gone"));
        assert_eq!(numbers(&tree), *length, "{name} of {last}");
        assert_eq!(*store.source(name).unwrap(), source(*length), "{name} of {last}");
    }
    assert_eq!(store.len(), model.len() + usize::from(last > 0));
    assert!(store.verify(|_, _| ()).is_empty());
    let left = std::fs::read_dir(folder).unwrap();
    assert!(left.flatten().all(|entry| !entry.file_name().to_string_lossy().ends_with(".part")));
    last
}

fn main() -> ExitCode {
    if let Some(folder) = std::env::var_os(FOLDER) {
        return write(Path::new(&folder));
    }
    if Registry::shared().get("json").is_none() {
        eprintln!("skipped: built without the feature json");
        return ExitCode::SUCCESS;
    }
    let kills = std::env::var("PFS_CST_KILLS").ok().and_then(|it| it.parse().ok()).unwrap_or(6);
    let folder = tempfile::tempdir().unwrap();
    let (mut seed, mut last) = (1, 0);
    for _ in 0..kills {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .env(FOLDER, folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let rounds = 1 + random(&mut seed) % 12;
        let mut told = last;
        for line in lines.by_ref().take(rounds as usize) {
            told = line.unwrap().parse().unwrap();
        }
        std::thread::sleep(Duration::from_micros(random(&mut seed) % 20_000));
        child.kill().unwrap();
        child.wait().unwrap();
        for line in lines.map_while(Result::ok) {
            told = line.parse().unwrap_or(told);
        }
        last = check(folder.path(), told);
    }
    println!("{kills} kills, {last} rounds");
    ExitCode::SUCCESS
}
