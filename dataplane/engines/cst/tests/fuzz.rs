//! The bodies of the fuzz targets on random changes; `PFS_CST_FUZZ` sets how many.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod common;

use pfs_cst::cold::{Freezer, Positions, Settings, Writer};
use pfs_cst::flat::Flattener;
use pfs_cst::fuzzing;
use pfs_cst::languages::Registry;

/// xorshift64.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound.max(1) as u64) as usize
    }
}

fn rounds() -> usize {
    std::env::var("PFS_CST_FUZZ").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(300)
}

fn change(random: &mut Random, bytes: &mut Vec<u8>) {
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len());
        match random.below(4) {
            0 => bytes[at] ^= 1 << random.below(8),
            1 => bytes[at] = random.below(256) as u8,
            2 => drop(bytes.drain(at..(at + random.below(40)).min(bytes.len()))),
            _ => bytes.insert(at, b" {}()\n;\"x"[random.below(9)]),
        }
        if bytes.is_empty() {
            bytes.push(b'x');
        }
    }
}

#[test]
fn changed_sources_are_kept_whole() {
    let names = Registry::shared().names().len();
    let sources = common::sources();
    let mut random = Random(42);
    for round in 0..rounds() {
        let (path, source) = &sources[random.below(sources.len())];
        let grammar = Registry::shared().detect(path, source);
        let languages = Registry::shared().names();
        let of = |name: &str| languages.iter().position(|it| *it == name);
        let language = grammar.and_then(|it| of(&it.identity().name)).unwrap_or(round % names);
        let mut data = vec![language as u8];
        data.extend(&source[..source.len().min(6_000)]);
        let mut text = data.split_off(1);
        text.push(b'\n');
        change(&mut random, &mut text);
        data.extend(text);
        fuzzing::cst_source(&data);
    }
}

#[test]
fn changed_files_are_refused_or_read() {
    let Some(grammar) = Registry::shared().get("rust") else {
        eprintln!("skipped: built without the feature rust");
        return;
    };
    let source = &include_bytes!("../src/hot/node.rs")[..4_000];
    let (tree, _) = common::both(&grammar, source);
    let flat = Flattener::new(&grammar).flatten(&tree, source).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a");
    let mut writer = Writer::create(&path).unwrap();
    for (name, block_nodes) in [("a", 256), ("b", 4096)] {
        let settings =
            Settings { block_nodes, level: 1, positions: Positions::Stored, lines: true };
        writer.add(name, &mut Freezer::new(&grammar, settings).unwrap(), &flat, source).unwrap();
    }
    writer.finish().unwrap();
    let file = std::fs::read(path).unwrap();
    fuzzing::cst_cold(&file);
    let mut random = Random(7);
    for _ in 0..rounds() {
        let mut changed = file.clone();
        change(&mut random, &mut changed);
        fuzzing::cst_cold(&changed);
    }
}

/// Writes seeds for the target `cst_cold` to the folder that `PFS_CST_SEEDS` names.
#[test]
fn seeds() {
    let Some(folder) = std::env::var_os("PFS_CST_SEEDS").map(std::path::PathBuf::from) else {
        eprintln!("skipped: PFS_CST_SEEDS names no folder to write seeds to");
        return;
    };
    for (name, text) in [("json", "{\"a\": [1, 2]}\n"), ("rust", "fn a() {}\n"), ("c", "int a\n")] {
        let Some(grammar) = Registry::shared().get(name) else { continue };
        let (tree, _) = common::both(&grammar, text.as_bytes());
        let flat = Flattener::new(&grammar).flatten(&tree, text.as_bytes()).unwrap();
        for (number, positions) in Positions::ALL.into_iter().enumerate() {
            let settings = Settings { block_nodes: 256, level: 1, positions, lines: true };
            let mut writer = Writer::create(&folder.join(format!("{name}-{number}"))).unwrap();
            let mut freezer = Freezer::new(&grammar, settings).unwrap();
            writer.add(name, &mut freezer, &flat, text.as_bytes()).unwrap();
            writer.finish().unwrap();
        }
    }
}
