//! What is frozen comes back as it was, whole or node by node; what was damaged is told.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod common;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use common::{both, broken, columns, languages, sources};
use pfs_cst::cold::{ColdError, ColdFile, Freezer, Positions, Settings, Writer};
use pfs_cst::flat::{Flat, Flattener};
use pfs_cst::hot::HotTree;
use pfs_cst::languages::{Grammar, Registry};

const SETTINGS: [Settings; 2] = [
    Settings { block_nodes: 4096, level: 3, positions: Positions::Stored },
    Settings { block_nodes: 256, level: 1, positions: Positions::Guessed },
];

fn find(name: &str) -> Option<Arc<Grammar>> {
    Registry::shared().get(name)
}

struct Case {
    name: String,
    source: Vec<u8>,
    hot: HotTree,
    flat: Flat,
}

impl Case {
    fn new(name: String, grammar: &Arc<Grammar>, source: Vec<u8>) -> Self {
        let flat = columns(grammar, &source);
        let hot = HotTree::from_flat(grammar, &flat);
        Self { name, source, hot, flat }
    }
}

/// Freezes all into one file, and reads all of it back.
fn round(cases: &[Case]) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trees.cst");
    for settings in SETTINGS {
        let mut writer = Writer::create(&path).unwrap();
        let mut freezers: Vec<(&Arc<Grammar>, Freezer)> = Vec::new();
        for case in cases {
            let grammar = case.hot.grammar();
            if !freezers.iter().any(|(known, _)| Arc::ptr_eq(known, grammar)) {
                freezers.push((grammar, Freezer::new(grammar, settings).unwrap()));
            }
            let mut known = freezers.iter_mut();
            let (_, freezer) = known.find(|(known, _)| Arc::ptr_eq(known, grammar)).unwrap();
            writer.add(&case.name, freezer, &case.flat, &case.source).unwrap();
        }
        assert_eq!(writer.finish().unwrap(), path.metadata().unwrap().len());
        let file = ColdFile::open(&path, find).unwrap();
        assert!(file.names().eq(cases.iter().map(|case| case.name.as_str())));
        for case in cases {
            check(&file, case);
        }
    }
}

fn check(file: &ColdFile, Case { name, source, hot, flat }: &Case) {
    let mut cold = file.tree(name, Some(source)).unwrap().unwrap();
    assert_eq!(cold.thaw().unwrap(), *flat, "{name}");
    let count = hot.len();
    for index in (0..count).step_by((count / 30).max(1)).chain([count - 1]) {
        let (node, told) = (hot.node(index).unwrap(), cold.node(index).unwrap().unwrap());
        assert_eq!(told.symbol, node.symbol(), "{name} {node:?}");
        let span = told.start as usize..told.end as usize;
        assert_eq!(span, node.byte_range(), "{name} {node:?}");
        let numbers = [told.depth, told.nodes, told.children].map(|number| number as usize);
        let expected = [node.depth(), node.descendant_count(), node.child_count()];
        assert_eq!(numbers, expected, "{name} {node:?}");
        let parent = node.parent().map(|parent| parent.index());
        assert_eq!(cold.parent(index).unwrap(), parent, "{name} {node:?}");
    }
    assert_eq!(cold.node(count).unwrap(), None);
    assert_eq!(cold.parent(count).unwrap(), None);
}

#[test]
fn sources_come_back() {
    let detect = |(path, source): (PathBuf, Vec<u8>)| {
        let grammar = Registry::shared().detect(&path, &source)?;
        Some(Case::new(path.display().to_string(), &grammar, source))
    };
    let cases: Vec<Case> = sources().into_iter().filter_map(detect).collect();
    assert!(cases.len() > 30);
    round(&cases);
}

#[test]
fn broken_sources_come_back() {
    let of = |grammar: Arc<Grammar>| {
        let cases = broken().into_iter().map(move |(name, source)| {
            Case::new(format!("{name} as {}", grammar.identity().name), &grammar, source)
        });
        cases.collect::<Vec<_>>()
    };
    round(&languages().into_iter().flat_map(of).collect::<Vec<_>>());
}

#[test]
fn deep_trees_come_back() {
    let Some(grammar) = find("json") else {
        eprintln!("skipped: built without the feature json");
        return;
    };
    let source = [b"[".repeat(100_000), b"]".repeat(100_000)].concat();
    round(&[Case::new("deep".into(), &grammar, source)]);
}

const TEXT: &[u8] = b"{\"a\": [1, 2, {\"b\": null}],\n \"c\": \"d\"}\n";

fn small_file(folder: &Path) -> Option<(Arc<Grammar>, Vec<u8>)> {
    let Some(grammar) = find("json") else {
        eprintln!("skipped: built without the feature json");
        return None;
    };
    let (tree, _) = both(&grammar, TEXT);
    let flat = Flattener::new(&grammar).flatten(&tree, TEXT).unwrap();
    let path = folder.join("small.cst");
    let mut writer = Writer::create(&path).unwrap();
    for (name, settings) in ["stored", "guessed"].into_iter().zip(SETTINGS) {
        let mut freezer = Freezer::new(&grammar, settings).unwrap();
        writer.add(name, &mut freezer, &flat, TEXT).unwrap();
        let again = writer.add(name, &mut freezer, &flat, TEXT);
        assert!(matches!(again, Err(ColdError::Twice { .. })));
    }
    writer.finish().unwrap();
    Some((grammar, std::fs::read(path).unwrap()))
}

/// Reads all of a file; the first error.
fn read_all(bytes: Vec<u8>) -> Result<(), ColdError> {
    let file = ColdFile::from_bytes(bytes, find)?;
    for name in file.names() {
        let grammar = Arc::clone(file.grammar(name).unwrap());
        let mut cold = file.tree(name, Some(TEXT))?.unwrap();
        HotTree::from_flat(&grammar, &cold.thaw()?);
        for index in 0..cold.len() {
            cold.node(index)?;
            cold.parent(index)?;
        }
    }
    Ok(())
}

#[test]
fn every_cut_and_every_flip_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let Some((_, bytes)) = small_file(folder.path()) else { return };
    read_all(bytes.clone()).unwrap();
    for len in 0..bytes.len() {
        assert!(read_all(bytes[..len].to_vec()).is_err(), "cut to {len}");
    }
    for at in 0..bytes.len() {
        let mut bytes = bytes.clone();
        bytes[at] ^= 1 << (at % 8);
        assert!(read_all(bytes).is_err(), "flipped at {at}");
    }
}

#[test]
fn what_a_tree_needs_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let Some((grammar, bytes)) = small_file(folder.path()) else { return };
    let with = |grammar: Option<&Arc<Grammar>>| {
        let file = ColdFile::from_bytes(bytes.clone(), |_| grammar.map(Arc::clone)).unwrap();
        assert_eq!(file.grammar_name(0), Some("json"));
        assert!(file.grammar("stored").is_none());
        assert!(file.frozen(0).is_none());
        file.tree("stored", None).map(|_| ()).unwrap_err()
    };
    assert!(matches!(with(None), ColdError::Grammar { .. }));
    if let Some(other) = find("rust") {
        assert!(matches!(with(Some(&other)), ColdError::Grammar { .. }));
    }
    if grammar.trained().is_some() {
        let bare = Grammar::untrained("json", grammar.language().clone());
        assert!(matches!(with(Some(&bare)), ColdError::Dictionary { .. }));
    }
    let file = ColdFile::from_bytes(bytes, find).unwrap();
    assert!(matches!(file.tree("guessed", None), Err(ColdError::Source { .. })));
    let other = TEXT.to_ascii_uppercase();
    assert!(matches!(file.tree("guessed", Some(&other)), Err(ColdError::Source { .. })));
    assert!(file.tree("stored", None).unwrap().is_some());
    assert_eq!(file.frozen(0).map(|frozen| frozen.bytes()), Some(file.tree_bytes(0)));
    assert!(file.tree("other", None).unwrap().is_none());
}

#[test]
fn an_unfinished_file_leaves_what_was_there() {
    let folder = tempfile::tempdir().unwrap();
    let Some((_, bytes)) = small_file(folder.path()) else { return };
    let path = folder.path().join("small.cst");
    let writer = Writer::create(&path).unwrap();
    assert!(matches!(Writer::create(&path), Err(ColdError::Io { .. })));
    drop(writer);
    assert_eq!(std::fs::read(&path).unwrap(), bytes);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}
