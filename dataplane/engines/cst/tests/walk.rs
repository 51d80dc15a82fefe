//! Code that is generic over cursors tells the same of live and stored trees.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod common;

use common::{both, languages, sources};
use pfs_cst::languages::Registry;
use pfs_cst::parse::{Limits, ParseError, Parser};
use pfs_cst::walk::sexp;

#[test]
fn expressions_are_the_same() {
    for (path, source) in sources().into_iter().step_by(5) {
        let Some(grammar) = Registry::shared().detect(&path, &source) else { continue };
        let (tree, hot) = both(&grammar, &source);
        assert_eq!(sexp(&mut hot.walk()), sexp(&mut tree.walk()), "{}", path.display());
        if !tree.root_node().has_error() {
            assert_eq!(sexp(&mut hot.walk()), tree.root_node().to_sexp(), "{}", path.display());
        }
    }
}

#[test]
fn a_raised_flag_stops_a_parse_and_the_next_one_starts_anew() {
    let grammar = languages().into_iter().next().expect("a language is built in");
    let mut parser = Parser::new(&grammar).unwrap();
    let source = b"{ a ( ".repeat(200_000);
    let cancel = std::sync::atomic::AtomicBool::new(true);
    let limits = Limits { cancel: Some(&cancel), ..Limits::default() };
    let stopped = parser.parse(&source, None, limits);
    assert!(matches!(stopped, Err(ParseError::Cancelled { .. })), "{stopped:?}");
    let limits = Limits { time: Some(std::time::Duration::ZERO), ..Limits::default() };
    let stopped = parser.parse(&source, None, limits);
    assert!(matches!(stopped, Err(ParseError::TimeOut { .. })), "{stopped:?}");
    let tree = parser.parse(b"a", None, Limits::default()).unwrap();
    assert_eq!(tree.root_node().end_byte(), 1);
}

#[test]
fn files_are_told_by_name_and_content() {
    let registry = Registry::shared();
    let told = |path: &str, source: &[u8]| {
        let grammar = registry.detect(std::path::Path::new(path), source);
        grammar.map(|grammar| grammar.identity().name.to_string())
    };
    for (path, source, name) in [
        ("a/b.rs", "", "rust"),
        ("b.RS", "", "rust"),
        ("run", "#!/usr/bin/env python3\n", "python"),
        ("a.h", "int a;\n", "c"),
        ("a.h", "namespace b {}\n", "cpp"),
        ("x", "/* -*- C++ -*- */", "cpp"),
        ("data", "{\"a\": 1}", "json"),
        ("a.tsx", "", "tsx"),
    ] {
        if registry.get(name).is_some() {
            assert_eq!(told(path, source.as_bytes()).as_deref(), Some(name), "{path}");
        }
    }
    assert_eq!(told("a.unknown", b"\x00\x01"), None);
}

#[test]
fn a_grammar_of_ones_own_goes_first() {
    let Some(rust) = Registry::shared().get("rust") else {
        eprintln!("skipped: built without the feature rust");
        return;
    };
    let mut registry = Registry::empty();
    let own = registry.add("my-rust", rust.language().clone(), &["mine"]);
    let found = registry.detect("a.mine".as_ref(), b"").unwrap();
    assert!(std::sync::Arc::ptr_eq(&own, &found));
    assert_ne!(own.identity(), rust.identity());
    let (tree, hot) = both(&own, b"fn a() {}");
    assert_eq!(sexp(&mut hot.walk()), tree.root_node().to_sexp());
}

#[test]
fn what_is_shipped_fits_the_grammars() {
    for name in ["rust", "c", "cpp", "python", "json"] {
        if let Some(grammar) = Registry::shared().get(name) {
            assert!(grammar.trained().is_some(), "train {name} anew: see trained/README.md");
        }
    }
}
