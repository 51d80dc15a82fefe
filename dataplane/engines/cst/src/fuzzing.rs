//! Bodies of the fuzz targets, shared with the tests that replay their corpora.

use std::sync::Arc;

use crate::cold::ColdFile;
use crate::hot::HotTree;
use crate::languages::Registry;
use crate::parse::{Limits, Parser};

/// Nodes of a tree that are read.
const NODES: usize = 2_000;

/// Any bytes as a file of cold trees, and once more with the checksums that they would need: it is
/// refused, or all in it can be read.
///
/// # Panics
/// When a promise is broken.
pub fn cst_cold(data: &[u8]) {
    cold(data.to_vec());
    let mut mended = data.to_vec();
    if crate::cold::mend(&mut mended) {
        cold(mended);
    }
}

fn cold(bytes: Vec<u8>) {
    let Ok(file) = ColdFile::from_bytes(bytes, |name| Registry::shared().get(name)) else { return };
    for name in file.names().take(16) {
        let Ok(Some(mut tree)) = file.tree(name, Some(b"")) else { continue };
        for index in 0..tree.len().min(NODES) {
            let _ = tree.node(index);
            let _ = tree.parent(index);
        }
        if tree.len() <= 1 << 20
            && let Ok(flat) = tree.thaw()
            && let Some(grammar) = file.grammar(name)
        {
            hot(&HotTree::from_flat(grammar, &flat));
        }
    }
}

fn hot(tree: &HotTree) {
    for index in 0..tree.len().min(NODES) {
        let Some(node) = tree.node(index) else { panic!("node {index} is not there") };
        let range = node.byte_range();
        assert!(node.parent().is_none_or(|parent| parent.index() < index));
        assert!(node.first_child().is_none_or(|child| child.parent() == Some(node)));
        tree.point(range.start);
    }
    assert_eq!(tree.preorder().count(), tree.len());
}

/// Any bytes as a source, its first byte naming the language: the stored tree has the live one's
/// nodes.
///
/// # Panics
/// When a promise is broken.
pub fn cst_source(data: &[u8]) {
    let Some((first, source)) = data.split_first() else { return };
    let registry = Registry::shared();
    let names = registry.names();
    let Some(name) = names.get(usize::from(*first) % names.len().max(1)) else { return };
    let Some(grammar) = registry.get(name) else { return };
    let Ok(mut parser) = Parser::new(&grammar) else { return };
    let Ok(live) = parser.parse(source, None, Limits::default()) else { return };
    let hot = HotTree::new(&grammar, &live, source);
    let hot = hot.unwrap_or_else(|error| panic!("{error}"));
    let (mut cursor, mut index) = (live.walk(), 0);
    loop {
        let (node, stored) = (cursor.node(), hot.node(index));
        let told = stored.map(|it| (it.kind_id(), it.byte_range(), it.has_error()));
        assert_eq!(told, Some((node.kind_id(), node.byte_range(), node.has_error())));
        index += 1;
        if cursor.goto_first_child() {
            continue;
        }
        while !cursor.goto_next_sibling() {
            if !cursor.goto_parent() {
                assert_eq!(index, hot.len());
                return cold_again(&grammar, &live, source);
            }
        }
    }
}

fn cold_again(grammar: &Arc<crate::languages::Grammar>, live: &tree_sitter::Tree, source: &[u8]) {
    let flat = crate::flat::Flattener::new(grammar).flatten(live, source);
    let flat = flat.unwrap_or_else(|error| panic!("{error}"));
    let again = crate::cold::again(grammar, &flat, source);
    assert!(again.is_ok_and(|again| again.iter().all(|again| *again == flat)));
}
