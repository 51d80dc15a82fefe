//! Queries over stored trees find what tree-sitter's own cursor finds over the live ones.
//! `PFS_CST_QUERIES` sets how many queries are made up.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod common;

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use common::{Random, broken, sources};
use pfs_cst::hot::HotTree;
use pfs_cst::languages::{Grammar, Registry, published_queries};
use pfs_cst::query::{Query, QueryError, Search, Wrong, WrongTree};
use tree_sitter::{Node, QueryCursor, StreamingIterator, Tree};

/// A live tree, and the stored one with supertypes where they can be kept.
fn both(grammar: &Arc<Grammar>, source: &[u8]) -> (Tree, HotTree) {
    let (tree, without) = common::both(grammar, source);
    let hot = HotTree::with_supertypes(grammar, &tree, source);
    (tree, hot.unwrap_or(without))
}

/// A source and what it is written in.
type Source = (Arc<Grammar>, Vec<u8>);
/// A match: its pattern, and of each capture its name, kind and bytes.
type Found = (usize, Vec<(String, u16, usize, usize)>);

fn theirs(query: &tree_sitter::Query, tree: &Tree, source: &[u8]) -> Vec<Found> {
    let (mut cursor, mut found) = (QueryCursor::new(), Vec::new());
    let mut matches = cursor.matches(query, tree.root_node(), source);
    while let Some(it) = matches.next() {
        let captures = it.captures().iter().map(|capture| {
            let (name, node) = (query.capture_names()[capture.index as usize], capture.node);
            (name.to_owned(), node.kind_id(), node.start_byte(), node.end_byte())
        });
        found.push((it.pattern_index, captures.collect()));
    }
    sorted(found)
}

fn ours(search: &mut Search<'_>, query: &Query, tree: &HotTree, source: &[u8]) -> Vec<Found> {
    let mut found = Vec::new();
    let outcome = search.matches(tree, source, |it| {
        let captures = it.captures().map(|capture| {
            let (name, node) = (&query.capture_names()[capture.name], capture.node);
            (name.to_string(), node.kind_id(), node.start_byte(), node.end_byte())
        });
        found.push((it.pattern(), captures.collect()));
        ControlFlow::Continue(())
    });
    assert!(!outcome.unwrap().exceeded);
    sorted(found)
}

/// As a set, without the matches that caught nothing: of those none can be told from another.
fn sorted(mut found: Vec<Found>) -> Vec<Found> {
    found.retain(|(_, captures)| !captures.is_empty());
    found.sort();
    found.dedup();
    found
}

fn same(
    query: &(Query, tree_sitter::Query),
    both: &(Tree, HotTree),
    source: &[u8],
    what: &str,
) -> usize {
    let theirs = theirs(&query.1, &both.0, source);
    let ours = ours(&mut Search::new(&query.0), &query.0, &both.1, source);
    let only = |a: &[Found], b: &[Found]| {
        a.iter().filter(|it| b.binary_search(it).is_err()).take(4).cloned().collect::<Vec<_>>()
    };
    let (missed, more) = (only(&theirs, &ours), only(&ours, &theirs));
    assert!(missed.is_empty(), "{what}: missed {missed:#?}");
    let more: Vec<_> = more.iter().filter(|it| !goes_on(&both.0, it)).collect();
    assert!(more.is_empty() || theirs_may_miss(what), "{what}: more {more:#?}");
    ours.len()
}

/// Whether a match has a node whose field began at siblings before it, punctuation among them: one field of a
/// hidden node with several children. tree-sitter gives up at the first of these that fits no step.
fn goes_on(tree: &Tree, (_, captures): &Found) -> bool {
    captures.iter().any(|&(_, _, start, end)| {
        let Some(node) = tree.root_node().descendant_for_byte_range(start, end) else {
            return false;
        };
        let (Some(parent), Some(before)) = (node.parent(), node.prev_sibling()) else {
            return false;
        };
        let place = (0..parent.child_count()).find(|&at| parent.child(at) == Some(node));
        let field = |at: u32| parent.field_name_for_child(at);
        place.is_some_and(|at| at > 0 && field(at).is_some() && field(at) == field(at - 1))
            && !before.is_named()
    })
}

/// Whether a query has an anchor and an optional or repeated child: tree-sitter does not find all of such a
/// pattern.
fn theirs_may_miss(query: &str) -> bool {
    let mut patterns = query.lines().skip(1);
    patterns.any(|it| (it.contains(" . ") || it.contains(" .)")) && it.contains(['?', '*', '+']))
}

fn compile(grammar: &Arc<Grammar>, text: &str) -> Option<(Query, tree_sitter::Query)> {
    let theirs = tree_sitter::Query::new(grammar.language(), text).ok()?;
    match Query::new(grammar, text) {
        Ok(ours) => Some((ours, theirs)),
        Err(QueryError {
            what: Wrong::Supertype { .. } | Wrong::Nothing | Wrong::Endless, ..
        }) => None,
        Err(error) => panic!("{error} in\n{text}"),
    }
}

#[test]
fn published_queries_find_the_same() {
    let sources = sources();
    let mut found = 0;
    for (language, name, text) in published_queries() {
        let grammar = Registry::shared().get(language).unwrap();
        let Some(query) = compile(&grammar, text) else {
            eprintln!("skipped: {language} {name} asks for more supertypes than can be kept");
            continue;
        };
        let mine = sources.iter().filter(|(path, source)| {
            Registry::shared().detect(path, source).is_some_and(|it| Arc::ptr_eq(&it, &grammar))
        });
        let tsx = (language == "tsx").then(|| include_bytes!("samples/shapes.ts").to_vec());
        let mine = mine.map(|it| it.1.clone()).chain(tsx);
        let mut here = 0;
        for (at, source) in mine.chain(broken().into_iter().map(|it| it.1)).enumerate() {
            let what = format!("{language} {name}, source {at}");
            here += same(&query, &both(&grammar, &source), &source, &what);
        }
        println!("{language} {name}: {here} matches");
        found += here;
    }
    assert!(found > 10_000, "{found} matches");
}

/// A pattern that fits `node`, made wider here and there.
fn pattern(random: &mut Random, node: Node<'_>, depth: usize) -> String {
    let mut out = if !node.is_named() {
        let text = node.kind().replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        if random.one_in(5) { "_".to_owned() } else { format!("\"{text}\"") }
    } else if random.one_in(12) {
        "_".to_owned()
    } else if node.is_missing() && random.one_in(2) {
        format!("(MISSING {})", node.kind())
    } else {
        named(random, node, depth)
    };
    if depth > 0 && random.one_in(9) {
        out = format!("[{out} {}]", if random.one_in(2) { "(identifier)" } else { "(comment)" });
        if node.language().id_for_node_kind("identifier", true) == 0
            || node.language().id_for_node_kind("comment", true) == 0
        {
            out = "(_)".to_owned();
        }
    }
    if depth > 0 {
        out.push_str(["", "", "", "", "", "?", "*", "+"][random.below(8)]);
    }
    if random.one_in(2) {
        out.push_str(&format!(" @c{depth}"));
    }
    out
}

/// A supertype of the node's grammar.
fn supertype(random: &mut Random, node: Node<'_>) -> Option<String> {
    let language = node.language();
    let all =
        (0..language.node_kind_count() as u16).filter(|it| language.node_kind_is_supertype(*it));
    let all: Vec<u16> = all.collect();
    Some(language.node_kind_for_id(*all.get(random.below(all.len()))?)?.to_owned())
}

fn named(random: &mut Random, node: Node<'_>, depth: usize) -> String {
    let mut out = match (random.below(12), supertype(random, node)) {
        (0 | 1, _) | (2 | 3, None) => "(_".to_owned(),
        (2, Some(supertype)) => format!("({supertype}"),
        (3, Some(supertype)) => format!("({supertype}/{}", node.kind()),
        _ => format!("({}", node.kind()),
    };
    if random.one_in(9) {
        let field = 1 + random.below(node.language().field_count()) as u16;
        if let Some(name) = node.language().field_name_for_id(field) {
            out.push_str(&format!(" !{name}"));
        }
    }
    let mut cursor = node.walk();
    if depth < 3 && cursor.goto_first_child() {
        let mut taken = 0;
        loop {
            if taken < 4 && random.one_in(3) {
                taken += 1;
                out.push_str(if random.one_in(5) { " . " } else { " " });
                if let Some(field) = cursor.field_name().filter(|_| !random.one_in(3)) {
                    out.push_str(&format!("{field}: "));
                }
                out.push_str(&pattern(random, cursor.node(), depth + 1));
            }
            if !cursor.goto_next_sibling() {
                break;
            }
        }
        if taken > 0 && random.one_in(6) {
            out.push_str(" .");
        }
    }
    out + ")"
}

/// A whole pattern: of one node, or of two siblings.
fn whole(random: &mut Random, node: Node<'_>) -> String {
    match node.next_sibling() {
        Some(next) if random.one_in(5) => {
            let (mut a, b) = (pattern(random, node, 0), pattern(random, next, 0));
            if random.one_in(3) && !a.contains('@') {
                a.push('*');
            }
            let anchor = if random.one_in(2) { "." } else { "" };
            format!("({a} {anchor} {b} @last)")
        }
        _ => pattern(random, node, 0) + " @top",
    }
}

#[test]
fn made_up_queries_find_the_same() {
    let rounds =
        std::env::var("PFS_CST_QUERIES").ok().and_then(|it| it.parse().ok()).unwrap_or(150);
    let mut languages = BTreeMap::<String, Vec<Source>>::new();
    for (path, source) in sources().into_iter().filter(|(_, source)| source.len() < 12_000) {
        let Some(grammar) = Registry::shared().detect(&path, &source) else { continue };
        languages.entry(grammar.identity().name.to_string()).or_default().push((grammar, source));
    }
    let languages: Vec<_> = languages.into_values().collect();
    let (mut random, mut compared, mut found) = (Random(99), 0, 0);
    for round in 0..rounds {
        let sources = &languages[random.below(languages.len())];
        let (grammar, source) = &sources[random.below(sources.len())];
        let trees = both(grammar, source);
        let count = trees.0.root_node().descendant_count();
        let mut text = String::new();
        for _ in 0..3 {
            let mut cursor = trees.0.walk();
            cursor.goto_descendant(random.below(count));
            let pattern = whole(&mut random, cursor.node());
            if compile(grammar, &pattern).is_some() {
                text += &pattern;
                text.push('\n');
            }
        }
        let Some(query) = compile(grammar, &text) else { continue };
        found += same(&query, &trees, source, &format!("round {round}, query\n{text}"));
        compared += query.0.pattern_count();
    }
    println!("{compared} patterns, {found} matches");
    assert!(compared > rounds, "{compared} patterns of {rounds} rounds were compared");
}

#[test]
fn each_supertype_finds_the_same() {
    let sources = sources();
    let (mut asked, mut found) = (0, 0);
    for language in Registry::shared().names() {
        let grammar = Registry::shared().get(language).unwrap();
        if HotTree::with_supertypes(&grammar, &common::both(&grammar, b"").0, b"").is_err() {
            println!("skipped: {language} has {} supertypes", grammar.supertypes().len());
            continue;
        }
        let names: Vec<&str> =
            grammar.supertypes().iter().map(|kind| grammar.kind_name(*kind)).collect();
        let text: String =
            names.iter().map(|name| format!("({name}) @a (_ ({name}) @b)\n")).collect();
        let Some(query) = compile(&grammar, &text) else { continue };
        asked += names.len();
        let mine = sources.iter().filter(|(path, source)| {
            Registry::shared().detect(path, source).is_some_and(|it| Arc::ptr_eq(&it, &grammar))
        });
        let tsx = (language == "tsx").then(|| include_bytes!("samples/shapes.ts").to_vec());
        let mine = mine.map(|it| it.1.clone()).chain(tsx);
        for (at, source) in mine.chain(broken().into_iter().map(|it| it.1)).enumerate() {
            found += same(
                &query,
                &both(&grammar, &source),
                &source,
                &format!("{language}, source {at}"),
            );
        }
    }
    assert!(asked > 0 && found > 1000 || Registry::shared().names().is_empty(), "{asked} {found}");
}

#[test]
fn trees_without_supertypes_refuse_queries_for_them() {
    let Some(grammar) = Registry::shared().get("rust") else {
        eprintln!("skipped: built without the feature rust");
        return;
    };
    let source = b"fn a() { 1 + b }";
    let (tree, without) = common::both(&grammar, source);
    let with = HotTree::with_supertypes(&grammar, &tree, source).unwrap();
    assert!(with.knows_supertypes() && !without.knows_supertypes());
    let query = Query::new(&grammar, "(_expression/identifier) @a").unwrap();
    assert!(query.asks_for_supertypes());
    let mut search = Search::new(&query);
    let error = search.matches(&without, source, |_| ControlFlow::Continue(())).unwrap_err();
    assert_eq!(error, WrongTree::Supertypes);
    assert_eq!(ours(&mut search, &query, &with, source).len(), 1);
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    let Some(grammar) = Registry::shared().get("rust") else {
        eprintln!("skipped: built without the feature rust");
        return;
    };
    for (text, line, column) in [
        ("(function_item", 1, 15),
        ("(function_item\n  (nothing))", 2, 4),
        ("(function_item nothing: (_))", 1, 16),
        ("(function_item) @a (#eq? @b \"c\")", 1, 27),
        ("((function_item) @a\n(#eq? @b \"c\"))", 2, 8),
        ("((function_item) @a (#match? @a \"(\"))", 1, 23),
        ("\"nothing\"", 1, 2),
        ("\"fn", 1, 1),
        ("(function_item)*", 1, 1),
        ("((line_comment)*)+ @a", 1, 1),
        ("[(function_item)", 1, 17),
        ("(identifier/integer_literal)", 1, 2),
        ("(_expression/nothing)", 1, 14),
        ("(function_item !nothing)", 1, 17),
        ("(function_item .)", 1, 17),
        ("identifier", 1, 1),
        (")", 1, 1),
    ] {
        let error = Query::new(&grammar, text).expect_err(text);
        assert_eq!((error.line, error.column), (line, column), "{text}: {error}");
    }
    let deep = "(_ ".repeat(1000);
    assert_eq!(Query::new(&grammar, &deep).unwrap_err().what, Wrong::Deep);
}

#[test]
fn predicates_and_directives() {
    let Some(grammar) = Registry::shared().get("rust") else {
        eprintln!("skipped: built without the feature rust");
        return;
    };
    let source = b"fn ab() { ab(ab, cd); } fn cd() { Ef(1); }";
    let trees = both(&grammar, source);
    for text in [
        "((identifier) @a (#eq? @a \"ab\"))",
        "((identifier) @a (#not-eq? @a \"ab\"))",
        "((identifier) @a (#match? @a \"^[A-Z]\"))",
        "((identifier) @a (#not-match? @a \"^[A-Z]\"))",
        "((identifier) @a (#any-of? @a \"cd\" \"Ef\"))",
        "((identifier) @a (#not-any-of? @a \"cd\" \"Ef\"))",
        "((function_item name: (_) @a body: (block (expression_statement (call_expression function: (_) @b)))) (#eq? @a @b))",
        "((function_item name: (_) @a body: (block (expression_statement (call_expression function: (_) @b)))) (#not-eq? @a @b))",
        "((arguments (identifier)* @a) (#any-eq? @a \"cd\"))",
        "((arguments (identifier)* @a) (#eq? @a \"cd\"))",
        "((arguments (identifier)* @a) (#any-not-eq? @a \"cd\"))",
        "((arguments (identifier)* @a) (#any-match? @a \"^c\"))",
    ] {
        let query = compile(&grammar, text).expect(text);
        same(&query, &trees, source, text);
    }
    let query = Query::new(&grammar, "((identifier) @a (#set! a.b c) (#is? @a local))").unwrap();
    let names: Vec<_> = query.directives(0).map(|it| (&*it.name, it.arguments.len())).collect();
    assert_eq!(names, [("set!", 2), ("is?", 2)]);
}
