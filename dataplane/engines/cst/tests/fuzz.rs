//! The bodies of the fuzz targets on random changes; `PFS_CST_FUZZ` sets how many.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod common;

use common::Random;
use pfs_cst::bytecode::Bytecode;
use pfs_cst::cold::{Freezer, Positions, Settings, Writer};
use pfs_cst::delta::{Archive, ChunkNodes};
use pfs_cst::flat::Flattener;
use pfs_cst::fuzzing;
use pfs_cst::languages::Registry;

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

/// Gives `read` a file as it is, then with some changes, `rounds` times.
fn changed(seed: u64, file: &[u8], rounds: usize, read: impl Fn(&[u8])) {
    read(file);
    let mut random = Random(seed);
    for _ in 0..rounds {
        let mut changed = file.to_vec();
        change(&mut random, &mut changed);
        read(&changed);
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
        let settings = Settings { block_nodes, level: 1, positions: Positions::Stored };
        writer.add(name, &mut Freezer::new(&grammar, settings).unwrap(), &flat, source).unwrap();
    }
    writer.finish().unwrap();
    let file = std::fs::read(path).unwrap();
    changed(7, &file, rounds(), fuzzing::cst_cold);
}

#[test]
fn changed_bytecode_is_refused_or_read() {
    let Some(grammar) = Registry::shared().get("rust") else {
        eprintln!("skipped: built without the feature rust");
        return;
    };
    let source = &include_bytes!("../src/hot/node.rs")[..4_000];
    let (tree, _) = common::both(&grammar, source);
    let flat = Flattener::new(&grammar).flatten(&tree, source).unwrap();
    let code = Bytecode::encode_every(&grammar, &flat, 16).as_bytes().to_vec();
    changed(11, &code, rounds() * 3, fuzzing::cst_bytecode);
}

#[test]
fn changed_archives_are_refused_or_read() {
    let Some(grammar) = Registry::shared().get("rust") else {
        eprintln!("skipped: built without the feature rust");
        return;
    };
    let file = archive(&grammar, &include_bytes!("../src/hot/node.rs")[..3_000]);
    changed(13, &file, rounds(), fuzzing::cst_archive);
}

/// An archive's file with two versions of a source.
fn archive(grammar: &std::sync::Arc<pfs_cst::languages::Grammar>, source: &[u8]) -> Vec<u8> {
    let mut archive = Archive::new(ChunkNodes { least: 4, mean: 16, most: 64 }, 1);
    let other = [source, b"\n"].concat();
    for (name, source) in [("a", source), ("b", &other)] {
        let (tree, _) = common::both(grammar, source);
        let flat = Flattener::new(grammar).flatten(&tree, source).unwrap();
        archive.put(name, grammar, &flat).unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    archive.save(&folder.path().join("a")).unwrap();
    std::fs::read(folder.path().join("a")).unwrap()
}

/// A language, a source and random edits, as the target `cst_edit` takes them.
fn edits(random: &mut Random, language: usize, source: &[u8], count: usize) -> Vec<u8> {
    let source = &source[..source.len().min(4_000)];
    let mut data = vec![language as u8];
    data.extend((source.len() as u16).to_le_bytes());
    data.extend(source);
    for _ in 0..count {
        data.extend((random.below(4_000) as u16).to_le_bytes());
        let texts: [&[u8]; 8] = [b"", b"x", b" ", b"\n", b"{", b")", b"fn a() {}", b"\"/*"];
        let text = texts[random.below(texts.len())];
        data.extend([random.below(12) as u8, text.len() as u8]);
        data.extend(text);
    }
    data
}

#[test]
fn edited_sources_are_kept_as_their_live_trees() {
    let languages = Registry::shared().names();
    let sources = common::sources();
    let mut random = Random(17);
    for round in 0..rounds() / 4 {
        let (path, source) = &sources[random.below(sources.len())];
        let grammar = Registry::shared().detect(path, source);
        let of = |name: &str| languages.iter().position(|it| *it == name);
        let language = grammar.and_then(|it| of(&it.identity().name)).unwrap_or(round);
        let from = random.below(source.len().max(1));
        fuzzing::cst_edit(&edits(&mut random, language, &source[from..], 12));
    }
}

/// Writes seeds for the targets that read a format of this crate to folders of these names in the one that
/// `PFS_CST_SEEDS` names.
#[test]
fn seeds() {
    let Some(folder) = std::env::var_os("PFS_CST_SEEDS").map(std::path::PathBuf::from) else {
        eprintln!("skipped: PFS_CST_SEEDS names no folder to write seeds to");
        return;
    };
    let mut random = Random(3);
    for (name, text) in [
        ("json", "{\"a\": [1, 2]}\n"),
        ("rust", "fn a() {}\n"),
        ("c", "int a\n"),
        ("python", "a = 1\n"),
        ("cpp", "class A {};\n"),
    ] {
        let Some(grammar) = Registry::shared().get(name) else { continue };
        let (tree, _) = common::both(&grammar, text.as_bytes());
        let flat = Flattener::new(&grammar).flatten(&tree, text.as_bytes()).unwrap();
        for (number, positions) in Positions::ALL.into_iter().enumerate() {
            let settings = Settings { block_nodes: 256, level: 1, positions };
            let path = folder.join(format!("cst_cold/{name}-{number}"));
            let mut writer = Writer::create(&path).unwrap();
            let mut freezer = Freezer::new(&grammar, settings).unwrap();
            writer.add(name, &mut freezer, &flat, text.as_bytes()).unwrap();
            writer.finish().unwrap();
        }
        for interval in [16, 1024] {
            let code = Bytecode::encode_every(&grammar, &flat, interval);
            let path = folder.join(format!("cst_bytecode/{name}-{interval}"));
            std::fs::write(path, code.as_bytes()).unwrap();
        }
        let file = archive(&grammar, text.as_bytes());
        std::fs::write(folder.join("cst_archive").join(name), file).unwrap();
        let language = Registry::shared().names().iter().position(|it| *it == name).unwrap();
        let edits = edits(&mut random, language, text.as_bytes(), 5);
        std::fs::write(folder.join("cst_edit").join(name), edits).unwrap();
    }
}
