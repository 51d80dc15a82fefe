//! Bodies of the fuzz targets, shared with the tests that replay their corpora.

use std::ops::ControlFlow;
use std::sync::Arc;

use crate::bytecode::Bytecode;
use crate::cold::ColdFile;
use crate::delta::{Archive, ChunkNodes, Document};
use crate::flat::Flattener;
use crate::hot::HotTree;
use crate::languages::Registry;
use crate::parse::{Limits, Parser};
use crate::query::{Query, Search};

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

/// Any bytes as bytecode, and once more with the checksum that they would need: they are refused, or
/// they are what the encoder makes of the tree in them.
///
/// # Panics
/// When a promise is broken.
pub fn cst_bytecode(data: &[u8]) {
    bytecode(data.to_vec());
    let mut mended = data.to_vec();
    crate::bytecode::mend(&mut mended);
    bytecode(mended);
}

fn bytecode(bytes: Vec<u8>) {
    let Ok(code) = Bytecode::open(bytes, |name| Registry::shared().get(name)) else { return };
    let Ok(flat) = code.decode() else { return };
    let again = Bytecode::encode_every(code.grammar(), &flat, code.interval());
    assert_eq!(again.as_bytes(), code.as_bytes());
    let tree = HotTree::from_flat(code.grammar(), &flat);
    for index in 0..tree.len().min(NODES) {
        let (node, told) = (tree.node(index), code.node(index));
        let span = told.map(|told| told.start as usize..told.end as usize);
        assert_eq!(node.map(|node| node.byte_range()), span);
        let parent = node.and_then(|node| node.parent()).map(|parent| parent.index());
        assert_eq!(code.parent(index), parent);
    }
}

/// Any bytes as an archive of chunks, and once more with the checksums that they would need: it is
/// refused, or all in it can be read, and stored again.
///
/// # Panics
/// When a promise is broken.
pub fn cst_archive(data: &[u8]) {
    archive(data.to_vec());
    let mut mended = data.to_vec();
    if crate::delta::mend(&mut mended) {
        archive(mended);
    }
}

fn archive(bytes: Vec<u8>) {
    let found = Archive::from_bytes(bytes, |name| Registry::shared().get(name));
    let Ok(mut archive) = found else { return };
    let names: Vec<String> = archive.names().take(16).map(str::to_owned).collect();
    for name in names {
        let Some(grammar) = archive.grammar(&name).map(Arc::clone) else { continue };
        let Ok(Some(flat)) = archive.get(&name) else { continue };
        hot(&HotTree::from_flat(&grammar, &flat));
        let put = archive.put("again", &grammar, &flat);
        assert!(put.is_ok());
        assert_eq!(archive.get("again").ok().flatten().as_ref(), Some(&flat));
    }
}

/// A source and edits: the first byte names the language, the next two (little endian) the bytes of the
/// source that follow; then edits of where (two bytes, of the source's length), bytes removed (one), bytes
/// put in (one) and these. After each, what is stored is what the live tree is.
///
/// # Panics
/// When a promise is broken.
pub fn cst_edit(data: &[u8]) {
    let Some(([language, low, high], mut rest)) = data.split_first_chunk::<3>() else { return };
    let registry = Registry::shared();
    let names = registry.names();
    let Some(name) = names.get(usize::from(*language) % names.len().max(1)) else { return };
    let Some(grammar) = registry.get(name) else { return };
    let source = &rest[..usize::from(u16::from_le_bytes([*low, *high])).min(rest.len())];
    rest = &rest[source.len()..];
    let Ok(mut document) = Document::new(&grammar, source.to_vec(), Limits::default()) else {
        return;
    };
    let mut archive = Archive::new(ChunkNodes { least: 4, mean: 16, most: 64 }, 1);
    let mut flattener = Flattener::new(&grammar);
    loop {
        let flat = flattener.flatten(document.tree(), document.source());
        let flat = flat.unwrap_or_else(|error| panic!("{error}"));
        assert!(archive.put("it", &grammar, &flat).is_ok());
        assert_eq!(archive.get("it").ok().flatten(), Some(flat));
        let Some(([low, high, removed, len], text)) = rest.split_first_chunk::<4>() else { return };
        let at = usize::from(u16::from_le_bytes([*low, *high]));
        let at = at % (document.source().len() + 1);
        let (text, left) = text.split_at(usize::from(*len).min(text.len()));
        let edited = document.edit(at..at + usize::from(*removed), text, Limits::default());
        assert!(edited.is_ok());
        rest = left;
    }
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
    let flat = Flattener::new(grammar).flatten(live, source);
    let flat = flat.unwrap_or_else(|error| panic!("{error}"));
    let again = crate::cold::again(grammar, &flat, source);
    assert!(again.is_ok_and(|again| again.iter().all(|again| *again == flat)));
}

/// The first byte names a language, the next two how many bytes are a query, then the query and a source: it is
/// refused with a place in it, or it runs and finds nodes of the tree.
///
/// # Panics
/// When a promise is broken.
pub fn cst_query(data: &[u8]) {
    let Some((&[language, low, high], rest)) = data.split_first_chunk() else { return };
    let registry = Registry::shared();
    let names = registry.names();
    let Some(name) = names.get(usize::from(language) % names.len().max(1)) else { return };
    let Some(grammar) = registry.get(name) else { return };
    let query = usize::from(u16::from_le_bytes([low, high])).min(rest.len());
    let (query, source) = rest.split_at(query);
    let Ok(text) = std::str::from_utf8(query) else { return };
    let query = match Query::new(&grammar, text) {
        Ok(query) => query,
        Err(error) => {
            assert!(error.offset <= text.len() && error.line > 0 && error.column > 0, "{error}");
            return;
        }
    };
    let Ok(mut parser) = Parser::new(&grammar) else { return };
    let Ok(live) = parser.parse(source, None, Limits::default()) else { return };
    let Ok(hot) = HotTree::new(&grammar, &live, source) else { return };
    let mut found = 0;
    let outcome = Search::new(&query).matches(&hot, source, |it| {
        assert!(it.pattern() < query.pattern_count());
        for capture in it.captures() {
            assert!(capture.name < query.capture_names().len());
            assert!(capture.node.index() < hot.len());
        }
        found += 1;
        if found < NODES { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    assert!(outcome.is_ok());
}
