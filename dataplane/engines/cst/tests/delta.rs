//! Trees that share chunks come back whole, what is there is not stored again, and what an edit has not
//! touched neither.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod common;

use std::sync::Arc;

use common::{broken, languages, sources};
use pfs_cst::cold::ColdError;
use pfs_cst::delta::{Archive, ChunkNodes, Document};
use pfs_cst::flat::Flat;
use pfs_cst::languages::{Grammar, Registry};
use pfs_cst::parse::Limits;

fn find(name: &str) -> Option<Arc<Grammar>> {
    Registry::shared().get(name)
}

type Case = (String, Arc<Grammar>, Flat);

fn case(name: String, grammar: Arc<Grammar>, source: &[u8]) -> Case {
    let flat = common::columns(&grammar, source);
    (name, grammar, flat)
}

fn cases() -> Vec<Case> {
    let all = sources().into_iter().filter_map(|(path, source)| {
        let grammar = Registry::shared().detect(&path, &source)?;
        Some(case(path.display().to_string(), grammar, &source))
    });
    let broken = languages().into_iter().flat_map(|grammar| {
        broken().into_iter().map(move |(name, source)| {
            let name = format!("{name} as {}", grammar.identity().name);
            case(name, Arc::clone(&grammar), &source)
        })
    });
    all.chain(broken).collect()
}

#[test]
fn trees_come_back_and_are_stored_once() {
    let (folder, cases) = (tempfile::tempdir().unwrap(), cases());
    let path = folder.path().join("a");
    let mut archive = Archive::new(ChunkNodes::default(), 3);
    for (name, grammar, flat) in &cases {
        let put = archive.put(name, grammar, flat).unwrap();
        assert_eq!(put.nodes, flat.len());
        assert_eq!(archive.get(name).unwrap().unwrap(), *flat, "{name}");
        // Again, and under another name: nothing is new.
        for name in [name.clone(), format!("{name} again")] {
            let put = archive.put(&name, grammar, flat).unwrap();
            assert_eq!((put.new_chunks, put.new_nodes), (0, 0), "{name}");
        }
    }
    archive.save(&path).unwrap();
    let mut opened = Archive::open(&path, ChunkNodes::default(), 3, find).unwrap();
    for (name, grammar, flat) in cases.iter().rev() {
        assert_eq!(opened.get(name).unwrap().unwrap(), *flat, "{name}");
        assert_eq!(opened.put(name, grammar, flat).unwrap().new_chunks, 0, "{name}");
    }
    assert!(opened.names().eq(archive.names()));
    // What is added to an opened one comes back, and what is removed leaves nothing behind.
    let (name, grammar, flat) = &cases[0];
    let mut longer = sources()[0].1.clone();
    longer.extend(b"\n\n// more\nfn and_more() { let of = \"it\"; }\n");
    let (_, _, more) = case("more".into(), Arc::clone(grammar), &longer);
    opened.put("more", grammar, &more).unwrap();
    opened.save(&path).unwrap();
    let mut opened = Archive::open(&path, ChunkNodes::default(), 3, find).unwrap();
    assert_eq!(opened.get("more").unwrap().unwrap(), more);
    for name in opened.names().map(str::to_owned).collect::<Vec<_>>() {
        assert!(name == cases[0].0 || opened.remove(&name));
    }
    let compact = opened.compact().unwrap();
    assert_eq!(compact.get(name).unwrap().unwrap(), *flat);
    assert!(compact.chunks() < opened.chunks());
}

#[test]
fn an_edit_stores_what_it_changed() {
    let Some(grammar) = find("rust") else {
        eprintln!("skipped: built without the feature rust");
        return;
    };
    let source = include_bytes!("../src/hot/node.rs").to_vec();
    let mut archive = Archive::new(ChunkNodes::default(), 3);
    let mut document = Document::new(&grammar, source.clone(), Limits::default()).unwrap();
    let first = archive.put("it", &grammar, &document.flatten().unwrap()).unwrap();
    let (mut new, mut edits) = (0, 0);
    for at in (100..source.len()).step_by(997) {
        let edited = document.edit(at..at, b" a ", Limits::default()).unwrap();
        assert!(edited.ranges.iter().all(|range| range.end <= document.source().len()));
        let flat = document.flatten().unwrap();
        let put = archive.put("it", &grammar, &flat).unwrap();
        assert_eq!(archive.get("it").unwrap().unwrap(), flat);
        new += put.new_nodes;
        edits += 1;
        document.edit(at..at + 3, b"", Limits::default()).unwrap();
        let back = archive.put("it", &grammar, &document.flatten().unwrap()).unwrap();
        assert_eq!(back.new_chunks, 0, "at {at}");
        assert_eq!(document.source(), source);
    }
    let mean = new / edits;
    assert!(mean * 6 < first.nodes, "an edit stores {mean} of {} nodes", first.nodes);
}

#[test]
fn cuts_and_flips_are_told() {
    let Some(grammar) = find("json") else {
        eprintln!("skipped: built without the feature json");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a");
    let mut archive = Archive::new(ChunkNodes { least: 4, mean: 4, most: 8 }, 3);
    for text in ["{\"a\": [1, 2, {\"b\": null}],\n \"c\": \"d\"}\n", "[1, 2, 3, 4]\n\n"] {
        let (name, grammar, flat) = case(text.into(), Arc::clone(&grammar), text.as_bytes());
        archive.put(&name, &grammar, &flat).unwrap();
    }
    archive.save(&path).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    let read = |bytes: Vec<u8>| -> Result<(), ColdError> {
        let archive = Archive::from_bytes(bytes, find)?;
        archive.names().try_for_each(|name| archive.get(name).map(|_| ()))
    };
    read(bytes.clone()).unwrap();
    for at in 0..bytes.len() {
        assert!(read(bytes[..at].to_vec()).is_err(), "cut to {at}");
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << (at % 8);
        assert!(read(flipped).is_err(), "flipped at {at}");
    }
    let none = Archive::from_bytes(bytes, |_| None).unwrap();
    let names: Vec<_> = none.names().collect();
    assert!(matches!(none.get(names[0]), Err(ColdError::Grammar { .. })));
}
