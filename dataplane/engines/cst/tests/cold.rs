//! What is frozen comes back as it was, whole or node by node; what was damaged is told.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod common;

use std::path::Path;
use std::sync::Arc;

use common::{both, broken, languages, sources};
use pfs_cst::cold::{ColdError, ColdFile, Freezer, Positions, Settings, Writer};
use pfs_cst::flat::Flattener;
use pfs_cst::hot::HotTree;
use pfs_cst::languages::{Grammar, Registry};

const SETTINGS: [Settings; 2] = [
    Settings { block_nodes: 4096, level: 3, positions: Positions::Stored, lines: true },
    Settings { block_nodes: 256, level: 1, positions: Positions::Guessed, lines: true },
];

fn find(name: &str) -> Option<Arc<Grammar>> {
    Registry::shared().get(name)
}

/// Freezes into a file of its own, and reads all of it back.
fn round(folder: &Path, grammar: &Arc<Grammar>, source: &[u8], what: &str) {
    let (tree, hot) = both(grammar, source);
    let flat = Flattener::new(grammar).flatten(&tree, source).unwrap();
    for settings in SETTINGS {
        let path = folder.join("trees.cst");
        let mut writer = Writer::create(&path).unwrap();
        let mut freezer = Freezer::new(grammar, settings).unwrap();
        writer.add("a", &mut freezer, &flat, source).unwrap();
        assert_eq!(writer.finish().unwrap(), path.metadata().unwrap().len());
        let file = ColdFile::open(&path, find).unwrap();
        let mut cold = file.tree("a", Some(source)).unwrap().unwrap();
        assert_eq!(cold.thaw().unwrap(), flat, "{what}");
        let count = hot.len();
        for index in (0..count).step_by((count / 50).max(1)).chain([count - 1]) {
            let (node, told) = (hot.node(index).unwrap(), cold.node(index).unwrap().unwrap());
            assert_eq!(told.symbol, node.symbol(), "{what} {node:?}");
            let span = told.start as usize..told.end as usize;
            assert_eq!(span, node.byte_range(), "{what} {node:?}");
            let numbers = [told.depth, told.nodes, told.children].map(|number| number as usize);
            let expected = [node.depth(), node.descendant_count(), node.child_count()];
            assert_eq!(numbers, expected, "{what} {node:?}");
            let parent = node.parent().map(|parent| parent.index());
            assert_eq!(cold.parent(index).unwrap(), parent, "{what} {node:?}");
        }
        assert_eq!(cold.node(count).unwrap(), None);
        assert_eq!(cold.parent(count).unwrap(), None);
    }
}

#[test]
fn sources_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let mut files = 0;
    for (path, source) in sources() {
        let Some(grammar) = Registry::shared().detect(&path, &source) else { continue };
        round(folder.path(), &grammar, &source, &path.display().to_string());
        files += 1;
    }
    assert!(files > 30);
}

#[test]
fn broken_sources_come_back() {
    let folder = tempfile::tempdir().unwrap();
    for grammar in languages() {
        for (name, source) in broken() {
            round(
                folder.path(),
                &grammar,
                &source,
                &format!("{name} as {}", grammar.identity().name),
            );
        }
    }
}

#[test]
fn deep_trees_come_back() {
    let Some(grammar) = find("json") else {
        eprintln!("skipped: built without the feature json");
        return;
    };
    let source = [b"[".repeat(100_000), b"]".repeat(100_000)].concat();
    round(tempfile::tempdir().unwrap().path(), &grammar, &source, "deep");
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
    let none = ColdFile::from_bytes(bytes.clone(), |_| None);
    assert!(matches!(none, Err(ColdError::Grammar { .. })));
    if let Some(other) = find("rust") {
        let wrong = ColdFile::from_bytes(bytes.clone(), |_| Some(Arc::clone(&other)));
        assert!(matches!(wrong, Err(ColdError::Grammar { .. })));
    }
    if grammar.trained().is_some() {
        let bare = Grammar::untrained("json", grammar.language().clone());
        let missing = ColdFile::from_bytes(bytes.clone(), |_| Some(Arc::clone(&bare)));
        assert!(matches!(missing, Err(ColdError::Dictionary { .. })));
    }
    let file = ColdFile::from_bytes(bytes, find).unwrap();
    assert!(matches!(file.tree("guessed", None), Err(ColdError::Source { .. })));
    let other = TEXT.to_ascii_uppercase();
    assert!(matches!(file.tree("guessed", Some(&other)), Err(ColdError::Source { .. })));
    assert!(file.tree("stored", None).unwrap().is_some());
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
