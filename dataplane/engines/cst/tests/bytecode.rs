//! Bytecode has every node of the live tree, reads one alone, and is refused where it is not what the
//! encoder gives.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod common;

use std::sync::Arc;

use common::{broken, languages, sources};
use pfs_cst::bytecode::{Bytecode, BytecodeError, Op};
use pfs_cst::flat::Flat;
use pfs_cst::hot::HotTree;
use pfs_cst::languages::{Grammar, Registry};

fn columns(grammar: &Arc<Grammar>, source: &[u8]) -> (Flat, HotTree) {
    let flat = common::columns(grammar, source);
    let hot = HotTree::from_flat(grammar, &flat);
    (flat, hot)
}

/// Encodes, sends, decodes and reads nodes one by one; gives the bytes.
fn round(grammar: &Arc<Grammar>, source: &[u8], interval: u32, what: &str) -> usize {
    let (flat, hot) = columns(grammar, source);
    let code = Bytecode::encode_every(grammar, &flat, interval);
    let sent = code.as_bytes().to_vec();
    let got = Bytecode::open(sent, |_| Some(Arc::clone(grammar)));
    let got = got.unwrap_or_else(|error| panic!("{what}: {error}"));
    assert_eq!(got.decode().unwrap(), flat, "{what}");
    let count = hot.len();
    for index in (0..count).step_by((count / 40).max(1)).chain([count - 1]) {
        let (node, told) = (hot.node(index).unwrap(), got.node(index).unwrap());
        assert_eq!(told.symbol, node.symbol(), "{what} {node:?}");
        let span = told.start as usize..told.end as usize;
        assert_eq!(span, node.byte_range(), "{what} {node:?}");
        let numbers = [told.depth, told.nodes, told.children].map(|number| number as usize);
        let expected = [node.depth(), node.descendant_count(), node.child_count()];
        assert_eq!(numbers, expected, "{what} {node:?}");
        let parent = node.parent().map(|parent| parent.index());
        assert_eq!(got.parent(index), parent, "{what} {node:?}");
    }
    assert_eq!((got.node(count), got.parent(count)), (None, None));
    let of_nodes = got.ops().filter(|op| matches!(op, Op::Enter { .. } | Op::Leaf { .. }));
    assert_eq!(of_nodes.count(), count);
    assert_eq!(got.ops().last(), Some(Op::End));
    code.as_bytes().len()
}

#[test]
fn sources_come_back() {
    let (mut bytes, mut files) = (0, 0);
    for (path, source) in sources() {
        let Some(grammar) = Registry::shared().detect(&path, &source) else { continue };
        for interval in [16, 1024] {
            bytes += round(&grammar, &source, interval, &path.display().to_string());
        }
        files += 1;
    }
    assert!(files > 30 && bytes > 0);
}

#[test]
fn broken_sources_come_back() {
    for grammar in languages() {
        for (name, source) in broken() {
            let what = format!("{name} as {}", grammar.identity().name);
            round(&grammar, &source, 64, &what);
        }
    }
}

#[test]
fn deep_trees_come_back() {
    let Some(grammar) = Registry::shared().get("json") else {
        eprintln!("skipped: built without the feature json");
        return;
    };
    round(&grammar, &[b"[".repeat(100_000), b"]".repeat(100_000)].concat(), 1024, "deep");
}

#[test]
fn what_was_changed_or_is_anothers_is_told() {
    let Some(grammar) = Registry::shared().get("json") else {
        eprintln!("skipped: built without the feature json");
        return;
    };
    let (flat, _) = columns(&grammar, b"{\"a\": [1, 2, {\"b\": null}],\n \"c\": \"d\"}\n");
    let code = Bytecode::encode(&grammar, &flat).as_bytes().to_vec();
    let open = |bytes: Vec<u8>| Bytecode::open(bytes, |_| Some(Arc::clone(&grammar)));
    assert!(open(code.clone()).is_ok());
    for at in 0..code.len() {
        assert!(open(code[..at].to_vec()).is_err(), "cut to {at}");
        let mut flipped = code.clone();
        flipped[at] ^= 1 << (at % 8);
        assert!(open(flipped).is_err(), "flipped at {at}");
    }
    let other = Bytecode::open(code.clone(), |_| None).unwrap_err();
    assert!(matches!(other, BytecodeError::Grammar { .. }), "{other}");
    let mut newer = code;
    newer[7] += 1;
    let newer = open(newer).unwrap_err();
    assert_eq!(newer, BytecodeError::Version { found: 2 });
}
