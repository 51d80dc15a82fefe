//! Every node of every source is in the stored tree as it is in the live one, and every move leads
//! to where it leads there.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod common;

use std::path::Path;

use common::{both, broken, languages, sources};
use pfs_cst::hot::{Cursor, HotTree, Node};
use pfs_cst::languages::Registry;
use tree_sitter::{Tree, TreeCursor};

fn same(node: &Node<'_>, live: &tree_sitter::Node<'_>, what: &str) {
    let told = (node.kind_id(), node.start_byte(), node.end_byte());
    assert_eq!(told, (live.kind_id(), live.start_byte(), live.end_byte()), "{what}");
    assert_eq!(node.kind(), live.kind(), "{what}");
    let flags = [node.is_named(), node.is_extra(), node.is_missing(), node.is_error()];
    let live_flags = [live.is_named(), live.is_extra(), live.is_missing(), live.is_error()];
    assert_eq!(flags, live_flags, "{what} {live:?}");
    assert_eq!(node.has_error(), live.has_error(), "{what} {live:?}");
    assert_eq!(node.start_position(), live.start_position(), "{what} {live:?}");
    assert_eq!(node.end_position(), live.end_position(), "{what} {live:?}");
    assert_eq!(node.descendant_count(), live.descendant_count(), "{what} {live:?}");
}

/// Walks both trees with the same moves; gives the nodes.
fn walk(hot: &HotTree, tree: &Tree, what: &str) -> usize {
    let (mut live, mut cursor): (TreeCursor<'_>, Cursor<'_>) = (tree.walk(), hot.walk());
    let mut visits = hot.preorder();
    let mut nodes = 0;
    loop {
        let (node, live_node) = (cursor.node(), live.node());
        same(&node, &live_node, what);
        assert_eq!(node.field_name(), live.field_name(), "{what} {live_node:?}");
        assert_eq!(cursor.byte_range(), node.byte_range(), "{what} {live_node:?}");
        assert_eq!((node.index(), node.depth()), (nodes, live.depth() as usize));
        assert_eq!(hot.node(nodes), Some(node));
        let visit = visits.next().unwrap();
        let expected = (node.symbol(), node.depth() as u32, node.start_byte() as u32);
        assert_eq!((visit.symbol, visit.depth, visit.start), expected, "{what} {live_node:?}");
        nodes += 1;
        let down = cursor.goto_first_child();
        assert_eq!(down, live.goto_first_child());
        if down {
            continue;
        }
        loop {
            let next = cursor.goto_next_sibling();
            assert_eq!(next, live.goto_next_sibling(), "{what} {live_node:?}");
            if next {
                break;
            }
            let up = cursor.goto_parent();
            assert_eq!(up, live.goto_parent(), "{what}");
            if !up {
                assert_eq!(visits.next(), None);
                assert_eq!(nodes, hot.len());
                return nodes;
            }
        }
    }
}

/// Moves that a walk does not make, at every `step`-th node.
fn moves(hot: &HotTree, tree: &Tree, step: usize, what: &str) {
    let mut live = tree.walk();
    for index in (0..hot.len()).step_by(step) {
        live.goto_descendant(index);
        let (node, live_node) = (hot.node(index).unwrap(), live.node());
        let children: Vec<Node<'_>> = node.children().collect();
        assert_eq!(children.len(), live_node.child_count() as usize);
        for (number, child) in children.iter().enumerate() {
            assert_eq!(child.parent(), Some(node), "{what}");
            let before = number.checked_sub(1).map(|before| children[before]);
            assert_eq!(child.prev_sibling(), before, "{what}");
            assert_eq!(child.next_sibling(), children.get(number + 1).copied(), "{what}");
            same(child, &live_node.child(number as u32).unwrap(), what);
            if let Some(field) = child.field_id() {
                let first = children.iter().find(|child| child.field_id() == Some(field));
                assert_eq!(node.child_by_field_id(field).as_ref(), first, "{what}");
            }
        }
        assert_eq!(node.last_child(), children.last().copied(), "{what}");
        let mut cursor = hot.walk();
        assert!(cursor.goto_descendant(index));
        assert_eq!(cursor.goto_last_child(), !children.is_empty());
        // The live cursor's step back stops at siblings that it hides; its nodes' does not.
        let before = live_node.child_count().checked_sub(2).and_then(|at| live_node.child(at));
        if !children.is_empty() {
            assert_eq!(cursor.goto_previous_sibling(), before.is_some(), "{what}");
        }
        if let Some(before) = before {
            same(&cursor.node(), &before, what);
        }
        live.goto_descendant(0);
    }
}

/// The rule of tree-sitter's `descendant_for_byte_range` on what is not hidden. Its own stops early
/// at hidden nodes without bytes.
fn smallest<'t>(root: tree_sitter::Node<'t>, start: usize, end: usize) -> tree_sitter::Node<'t> {
    let mut node = root;
    let mut cursor = root.walk();
    loop {
        let spans = |child: &tree_sitter::Node<'_>| {
            let empty = child.start_byte() == child.end_byte();
            let before = if empty { child.end_byte() < start } else { child.end_byte() <= start };
            child.end_byte() >= end && !before
        };
        let next = node.children(&mut cursor).find(spans);
        let Some(child) = next.filter(|child| child.start_byte() <= start) else { return node };
        node = child;
    }
}

fn places(hot: &HotTree, tree: &Tree, len: usize, what: &str) {
    let root = tree.root_node();
    for at in 0..40usize {
        let start = at.wrapping_mul(0x9e37_79b9) % (len + 1);
        let end = (start + [0, 0, 1, 5, 80][at % 5]).min(len);
        let live = smallest(root, start, end);
        let node = hot.root().descendant_for_byte_range(start..end).unwrap();
        same(&node, &live, what);
        let early = root.descendant_for_byte_range(start, end).unwrap();
        let inside = early.start_byte() <= live.start_byte() && live.end_byte() <= early.end_byte();
        assert!(inside, "{what} {start}..{end}: {early} has not {live}");
        let node = hot.root().descendant_for_point(hot.point(start)).unwrap();
        same(&node, &smallest(root, start, start), what);
    }
}

#[test]
fn sources_are_kept_whole() {
    let (mut files, mut nodes, mut bytes) = (0, 0, 0);
    for (path, source) in sources() {
        let Some(grammar) = Registry::shared().detect(&path, &source) else { continue };
        let what = path.display().to_string();
        let (tree, hot) = both(&grammar, &source);
        nodes += walk(&hot, &tree, &what);
        moves(&hot, &tree, 41, &what);
        places(&hot, &tree, source.len(), &what);
        (files, bytes) = (files + 1, bytes + hot.bytes());
    }
    println!("{files} files, {nodes} nodes, {:.3} bytes a node", bytes as f64 / nodes as f64);
    assert!(files > 30, "{files} files");
}

#[test]
fn broken_sources_are_kept_whole_in_every_language() {
    for grammar in languages() {
        for (name, source) in broken() {
            let what = format!("{name} as {}", grammar.identity().name);
            let (tree, hot) = both(&grammar, &source);
            walk(&hot, &tree, &what);
            moves(&hot, &tree, 29, &what);
            places(&hot, &tree, source.len(), &what);
        }
    }
}

#[test]
fn deep_nesting_needs_no_stack() {
    let Some(grammar) = Registry::shared().detect(Path::new("a.json"), b"[]") else {
        eprintln!("skipped: built without the feature json");
        return;
    };
    let depth = 1_000_000;
    let source = [b"[".repeat(depth), b"]".repeat(depth)].concat();
    let (tree, hot) = both(&grammar, &source);
    assert_eq!(hot.len(), 3 * depth + 1);
    assert_eq!(hot.root().descendant_count(), hot.len());
    let innermost = hot.root().descendant_for_byte_range(depth..depth).unwrap();
    let outermost = std::iter::successors(Some(innermost), Node::parent).last().unwrap();
    assert_eq!(outermost, hot.root());
    let mut live = tree.walk();
    for index in [0, 1, 2, 3, depth, depth + 77, 2 * depth, 2 * depth + 9, 3 * depth] {
        live.goto_descendant(index);
        same(&hot.node(index).unwrap(), &live.node(), "deep");
        live.goto_descendant(0);
    }
}
