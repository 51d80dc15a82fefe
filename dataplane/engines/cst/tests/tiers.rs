//! A store gives every tree back as it was put, from every tier, through merges and openings, to many
//! threads, within its budget; what is damaged, locked, gone or full is told.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod common;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use common::{both, sources};
use pfs_cst::cold::{ColdError, Positions, Settings};
use pfs_cst::flat::{Flat, Flattener};
use pfs_cst::hot::HotTree;
use pfs_cst::languages::{Grammar, Registry};
use pfs_cst::parse::Limits;
use pfs_cst::tiers::{Access, Config, Keep, Kept, Store, StoreError, Tier};

struct Case {
    name: String,
    path: PathBuf,
    source: Vec<u8>,
    flat: Flat,
    hot: HotTree,
}

/// This project's sources of languages that this build has.
fn cases() -> Vec<Case> {
    let case = |(path, source): (PathBuf, Vec<u8>)| {
        let grammar = Registry::shared().detect(&path, &source)?;
        let (tree, hot) = both(&grammar, &source);
        let flat = Flattener::new(&grammar).flatten(&tree, &source).unwrap();
        Some(Case { name: path.display().to_string(), path, source, flat, hot })
    };
    sources().into_iter().filter_map(case).collect()
}

fn put(store: &Store, case: &Case, keep: Keep<'_>) {
    store.put(&case.name, case.hot.grammar(), &case.flat, &case.source, keep).unwrap();
}

/// Every node, by a reading of all columns.
fn same(told: &HotTree, expected: &HotTree, what: &str) {
    assert!(told.preorder().eq(expected.preorder()), "{what}");
    assert_eq!(told.line_count(), expected.line_count(), "{what}");
    for index in (0..expected.len()).step_by(17) {
        let (told, expected) = (told.node(index).unwrap(), expected.node(index).unwrap());
        assert_eq!(told.byte_range(), expected.byte_range(), "{what}");
        assert_eq!(told.end_position(), expected.end_position(), "{what}");
    }
}

fn small() -> Config {
    Config { budget: 1 << 20, segment_bytes: 1 << 16, ..Config::default() }
}

#[test]
fn trees_come_back_from_every_tier_and_after_opening_again() {
    let (folder, cases) = (tempfile::tempdir().unwrap(), cases());
    assert!(cases.len() > 30);
    let guessed = Settings { positions: Positions::Guessed, level: 3, ..Settings::default() };
    for freeze in [Settings::default(), guessed] {
        let place = folder.path().join(format!("{:?}", freeze.positions));
        let config = Config { freeze, ..small() };
        let store = Store::open(&place, config).unwrap();
        for case in &cases {
            put(&store, case, Keep::File(&case.path));
            same(&store.get(&case.name).unwrap().unwrap(), &case.hot, &case.name);
        }
        let tiers: Vec<Tier> = store.list().unwrap().iter().map(|entry| entry.tier).collect();
        assert!(tiers.contains(&Tier::Waiting));
        assert!(tiers.iter().any(|tier| *tier < Tier::Hot), "{tiers:?}");
        store.close().unwrap();
        for access in [Access::Write, Access::Read] {
            let store = Store::open(&place, Config { access, ..config }).unwrap();
            assert_eq!(store.stats().waiting_trees, 0);
            for case in cases.iter().rev() {
                same(&store.get(&case.name).unwrap().unwrap(), &case.hot, &case.name);
                assert_eq!(*store.source(&case.name).unwrap(), case.source);
                let node = store.cold(&case.name, |cold| cold.node(0)).unwrap().unwrap();
                assert_eq!(node.unwrap().nodes as usize, case.hot.len());
            }
            let entry = store.entry(&cases[0].name).unwrap().unwrap();
            assert_eq!(entry.nodes, cases[0].hot.len());
            assert_eq!(entry.source_bytes, cases[0].source.len());
            assert!(matches!(entry.kept, Kept::File { .. }));
            assert!(store.verify(|_, _| ()).is_empty());
        }
    }
}

#[test]
fn the_budget_holds_and_all_is_reachable() {
    let (folder, mut cases) = (tempfile::tempdir().unwrap(), cases());
    let more = self::cases().into_iter().map(|case| Case { name: case.name.clone() + "2", ..case });
    cases.extend(more);
    let store = Store::open(folder.path(), small()).unwrap();
    let mut largest = 0;
    for case in &cases {
        put(&store, case, Keep::Nothing);
        largest = largest.max(case.hot.bytes());
    }
    let nodes: usize = cases.iter().map(|case| case.hot.bytes()).sum();
    assert!(nodes > 1 << 20, "the corpus is smaller than the budget: {nodes}");
    for round in 0..3 {
        for case in cases.iter().skip(round).chain(&cases[..round]) {
            store.get(&case.name).unwrap().unwrap();
            let stats = store.stats();
            // One that is larger than a tier is still given.
            assert!(stats.memory() <= (1 << 20) + largest + stats.index_bytes, "{stats:?}");
        }
    }
    let stats = store.stats();
    assert!(stats.thaws > cases.len() as u64 && stats.hits > 0, "{stats:?}");
}

/// What a store should have.
type Model = BTreeMap<String, usize>;

#[test]
fn replaced_and_removed_trees_stay_so_through_merges() {
    let (folder, cases) = (tempfile::tempdir().unwrap(), cases());
    let mut model = Model::new();
    let mut state = 5u64;
    let mut below = |bound: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % bound as u64) as usize
    };
    let mut store = Store::open(folder.path(), small()).unwrap();
    let mut most = 0;
    for _ in 0..600 {
        let (name, which) = (format!("n{}", below(40)), below(cases.len()));
        let case = &cases[which];
        match below(10) {
            0..=5 => {
                let grammar = case.hot.grammar();
                store.put(&name, grammar, &case.flat, &case.source, Keep::Nothing).unwrap();
                model.insert(name, which);
            }
            6..=7 => assert_eq!(store.remove(&name).unwrap(), model.remove(&name).is_some()),
            8 => store.flush().unwrap(),
            _ => match (store.get(&name).unwrap(), model.get(&name)) {
                (Some(tree), Some(which)) => same(&tree, &cases[*which].hot, &name),
                (None, None) => {}
                (told, expected) => panic!("{name}: {} {expected:?}", told.is_some()),
            },
        }
        most = most.max(store.stats().segments);
        if below(40) == 0 {
            drop(store);
            store = Store::open(folder.path(), small()).unwrap();
            assert!(store.names().iter().map(|name| &**name).eq(model.keys().map(|it| &**it)));
        }
    }
    assert!(most < 40, "segments are not merged: {most}");
    store.close().unwrap();
    let store = Store::open(folder.path(), small()).unwrap();
    for (name, which) in &model {
        same(&store.get(name).unwrap().unwrap(), &cases[*which].hot, name);
    }
    assert_eq!(store.len(), model.len());
}

#[test]
fn threads_read_what_others_put_and_merge() {
    let (folder, cases) = (tempfile::tempdir().unwrap(), cases());
    let store = Store::open(folder.path(), small()).unwrap();
    let (put_by, read) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let cases = &cases[..];
    std::thread::scope(|scope| {
        for thread in 0..2 {
            let (store, put_by) = (&store, &put_by);
            scope.spawn(move || {
                for round in 0..3 {
                    for case in cases.iter().skip(thread).step_by(2) {
                        put(store, case, Keep::Nothing);
                        if round == 1 {
                            store.flush().unwrap();
                        }
                    }
                }
                put_by.fetch_add(1, Ordering::Release);
            });
        }
        for thread in 0..3 {
            let (store, put_by, read) = (&store, &put_by, &read);
            scope.spawn(move || {
                let mut at = thread * 7;
                while put_by.load(Ordering::Acquire) < 2 {
                    let case = &cases[at % cases.len()];
                    if let Some(tree) = store.get(&case.name).unwrap() {
                        assert_eq!(tree.len(), case.hot.len());
                        same(&tree, &case.hot, &case.name);
                        read.fetch_add(1, Ordering::Relaxed);
                    }
                    at += 5;
                }
            });
        }
    });
    assert!(read.into_inner() > 0);
    for case in cases {
        same(&store.get(&case.name).unwrap().unwrap(), &case.hot, &case.name);
    }
}

#[test]
fn one_writes_and_others_read() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), Config::default()).unwrap();
    let second = Store::open(folder.path(), Config::default()).unwrap_err();
    assert!(matches!(second, StoreError::Locked { .. }), "{second}");
    let read = Config { access: Access::Read, ..Config::default() };
    let reader = Store::open(folder.path(), read).unwrap();
    assert!(matches!(reader.remove("a"), Err(StoreError::ReadOnly { .. })));
    assert!(matches!(reader.flush(), Err(StoreError::ReadOnly { .. })));
    drop(store);
    Store::open(folder.path(), Config::default()).unwrap();
    let other = tempfile::tempdir().unwrap();
    std::fs::write(other.path().join("letter"), "dear").unwrap();
    let refused = Store::open(other.path(), Config::default()).unwrap_err();
    assert!(matches!(refused, StoreError::NotAStore { .. }), "{refused}");
    assert_eq!(std::fs::read_dir(other.path()).unwrap().count(), 1);
}

#[test]
fn who_reads_follows_merges_of_another_handle() {
    let (folder, cases) = (tempfile::tempdir().unwrap(), cases());
    let store = Store::open(folder.path(), small()).unwrap();
    let put_all = |cases: &[Case]| {
        for case in cases {
            put(&store, case, Keep::Nothing);
            store.flush().unwrap();
        }
    };
    put_all(&cases);
    let reader = Store::open(folder.path(), Config { access: Access::Read, ..small() }).unwrap();
    assert_eq!(reader.len(), cases.len());
    store.remove(&cases[0].name).unwrap();
    put_all(&cases[1..]);
    for case in &cases[1..] {
        same(&reader.get(&case.name).unwrap().unwrap(), &case.hot, &case.name);
    }
    // Its segment is gone, and what is there now removes it.
    assert!(reader.get(&cases[0].name).unwrap().is_none());
    assert_eq!(reader.names(), store.names());
}

#[test]
fn sources_are_what_they_were_or_it_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.json");
    let store = Store::open(&folder.path().join("store"), Config::default()).unwrap();
    let text = b"{\"a\": [1, 2]}\n";
    if Registry::shared().get("json").is_none() {
        eprintln!("skipped: built without the feature json");
        return;
    }
    let put = |name: &str, text: &[u8], keep: Keep<'_>| {
        store.put_source(name, Some("json"), text, keep, Limits::default()).map(|_| ())
    };
    std::fs::write(&file, text).unwrap();
    put("file", text, Keep::File(&file)).unwrap();
    put("copy", text, Keep::Copy).unwrap();
    put("none", text, Keep::Nothing).unwrap();
    put("empty", b"", Keep::Copy).unwrap();
    for _ in 0..2 {
        assert_eq!(*store.source("file").unwrap(), *text);
        assert_eq!(*store.source("copy").unwrap(), *text);
        assert_eq!(*store.source("empty").unwrap(), *b"");
        assert!(matches!(store.source("none"), Err(StoreError::NoSource { .. })));
        store.flush().unwrap();
    }
    for other in [&b"{\"a\": [1, 3]}\n"[..], b"{}"] {
        std::fs::write(&file, other).unwrap();
        let changed = store.source("file").unwrap_err();
        assert!(matches!(changed, StoreError::SourceChanged { .. }), "{changed}");
        assert_eq!(store.verify(|_, _| ()).len(), 1);
    }
    std::fs::remove_file(&file).unwrap();
    assert!(matches!(store.source("file"), Err(StoreError::SourceChanged { .. })));
    assert!(store.get("file").unwrap().is_some());
    // The copies that no tree has go when the store is opened again.
    store.remove("copy").unwrap();
    store.close().unwrap();
    Store::open(&folder.path().join("store"), Config::default()).unwrap();
    let copies = std::fs::read_dir(folder.path().join("store/sources")).unwrap();
    assert_eq!(copies.count(), 1);
}

fn one_segment(folder: &Path) -> PathBuf {
    let mut found = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    found.find(|path| path.extension().is_some_and(|it| it == "cst")).unwrap()
}

#[test]
fn another_release_of_a_grammar_is_told_and_replaced_on_demand() {
    let Some(json) = Registry::shared().get("json") else {
        eprintln!("skipped: built without the feature json");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), Config::default()).unwrap();
    store.put_source("a.json", None, b"[1]", Keep::Nothing, Limits::default()).unwrap();
    store.close().unwrap();
    // Stands for another release: the same name, other tables.
    let Some(other) = Registry::shared().get("c") else {
        eprintln!("skipped: built without the feature c");
        return;
    };
    let renamed = Grammar::untrained("json", other.language().clone());
    assert_ne!(renamed.identity(), json.identity());
    let find = move |_: &str| Some(Arc::clone(&renamed));
    let store = Store::open_with(folder.path(), Config::default(), find).unwrap();
    let told = store.get("a.json").unwrap_err();
    let is_told = matches!(&told, StoreError::Segment { source: ColdError::Grammar { .. }, .. });
    assert!(is_told, "{told}");
    assert_eq!(store.verify(|_, _| ()).len(), 1);
    assert_eq!(store.list().unwrap()[0].nodes, 5);
    store.put_source("a.json", None, b"int a;", Keep::Nothing, Limits::default()).unwrap();
    assert!(store.get("a.json").unwrap().is_some());
}

#[test]
fn damage_is_told_by_tree() {
    let folder = tempfile::tempdir().unwrap();
    if Registry::shared().get("json").is_none() {
        eprintln!("skipped: built without the feature json");
        return;
    }
    let store = Store::open(folder.path(), Config::default()).unwrap();
    for name in ["a.json", "b.json"] {
        store.put_source(name, None, b"{\"a\": [1]}", Keep::Nothing, Limits::default()).unwrap();
    }
    store.close().unwrap();
    let path = one_segment(folder.path());
    let whole = std::fs::read(&path).unwrap();
    let read = Config { access: Access::Read, ..Config::default() };
    for at in 8..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        // Not written over: the file may be mapped.
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, &bytes).unwrap();
        match Store::open(folder.path(), read) {
            Ok(store) => assert_eq!(store.verify(|_, _| ()).len(), 1, "at {at}"),
            Err(error) => assert!(error.to_string().contains(".cst"), "{error}"),
        }
    }
}

/// A folder in memory with room for few bytes; gone when this is dropped.
struct Small(tempfile::TempDir);

impl Small {
    fn mount() -> Result<Self, String> {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=200k", "tmpfs"])
            .arg(folder.path())
            .output();
        match mount {
            Ok(done) if done.status.success() => Ok(Self(folder)),
            Ok(done) => Err(String::from_utf8_lossy(&done.stderr).trim().to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path()).status();
    }
}

#[test]
fn a_full_disk_loses_nothing() {
    let small = match Small::mount() {
        Ok(small) => small,
        Err(why) => {
            eprintln!("skipped: a full disk needs a tmpfs of its own, and mount said: {why}");
            return;
        }
    };
    let (folder, cases) = (small.0.path().join("store"), cases());
    let store = Store::open(&folder, Config::default()).unwrap();
    let mut stored = Vec::new();
    let error = 'full: loop {
        for case in &cases {
            let name = format!("{}{}", stored.len(), case.name);
            let grammar = case.hot.grammar();
            match store.put(&name, grammar, &case.flat, &case.source, Keep::Nothing) {
                Ok(_) => stored.push((name, case)),
                Err(error) => break 'full error,
            }
            if stored.len() % 16 == 0
                && let Err(error) = store.flush()
            {
                break 'full error;
            }
        }
    };
    assert!(error.to_string().contains("No space left"), "{error}");
    assert!(error.to_string().contains("make room"), "{error}");
    for (name, case) in &stored {
        same(&store.get(name).unwrap().unwrap(), &case.hot, name);
    }
    // With room, what waited is written.
    let more = Command::new("mount").args(["-o", "remount,size=20m"]).arg(small.0.path()).status();
    assert!(more.unwrap().success());
    store.close().unwrap();
    let store = Store::open(&folder, Config::default()).unwrap();
    for (name, case) in &stored {
        same(&store.get(name).unwrap().unwrap(), &case.hot, name);
    }
    drop(store);
}
