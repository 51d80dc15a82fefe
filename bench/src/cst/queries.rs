//! Queries over hot trees beside tree-sitter's own cursor over the live ones, the same matches found.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use pfs_cst::hot::HotTree;
use pfs_cst::languages::{Grammar, published_queries};
use pfs_cst::parse::{Limits, Parser};
use pfs_cst::query::{Query, Search};
use tree_sitter::{QueryCursor, StreamingIterator, Tree};

use super::measure::timed;

/// One query over all files of a language.
#[derive(Debug)]
pub struct Row {
    /// The query's name.
    pub name: &'static str,
    /// Matches with a capture.
    pub matches: usize,
    /// Processor time of tree-sitter's cursor over the live trees, and of ours over the hot ones; the
    /// first and last byte of each capture are read in both.
    pub live: Duration,
    /// See above.
    pub hot: Duration,
}

/// Queries that show what a rare first node gives, beside the published ones.
const OWN: [(&str, &str, &str); 2] =
    [("rust", "one kind", "(closure_expression) @a"), ("c", "one kind", "(goto_statement) @a")];

/// Runs the queries that a grammar is published with over `sources`.
///
/// # Errors
/// What went wrong, or which query finds other matches.
pub fn measure(grammar: &Arc<Grammar>, sources: &[Vec<u8>]) -> Result<Vec<Row>, String> {
    let language = &*grammar.identity().name;
    let mut parser = Parser::new(grammar).map_err(|error| error.to_string())?;
    let mut rows = Vec::new();
    let mine = published_queries().chain(OWN).filter(|(of, ..)| *of == language);
    let queries: Vec<_> = mine
        .filter_map(|(_, name, text)| {
            let theirs = tree_sitter::Query::new(grammar.language(), text).ok()?;
            Some((name, Query::new(grammar, text).ok()?, theirs))
        })
        .collect();
    rows.extend(queries.iter().map(|(name, ..)| Row {
        name,
        matches: 0,
        live: Duration::ZERO,
        hot: Duration::ZERO,
    }));
    let mut searches: Vec<Search<'_>> = queries.iter().map(|(_, it, _)| Search::new(it)).collect();
    let mut cursor = QueryCursor::new();
    for source in sources {
        let tree = parser.parse(source, None, Limits::default()).map_err(|e| e.to_string())?;
        let hot = HotTree::new(grammar, &tree, source).map_err(|error| error.to_string())?;
        for (row, (search, (name, query, theirs))) in
            rows.iter_mut().zip(searches.iter_mut().zip(&queries))
        {
            let live = timed(&mut row.live, || live(&mut cursor, theirs, &tree, source));
            let ours = timed(&mut row.hot, || ours(search, query, &hot, source));
            if live != ours {
                return Err(format!("query {name}: {live:?} and {ours:?} of hot trees differ"));
            }
            row.matches += live.0;
        }
    }
    Ok(rows)
}

/// Matches, and a sum of them that does not depend on their order.
type Found = (usize, u64);

fn hashed(pattern: usize, captures: impl Iterator<Item = (u32, usize, usize)>) -> u64 {
    let mut hasher = DefaultHasher::new();
    pattern.hash(&mut hasher);
    captures.for_each(|capture| capture.hash(&mut hasher));
    hasher.finish()
}

fn live(cursor: &mut QueryCursor, query: &tree_sitter::Query, tree: &Tree, source: &[u8]) -> Found {
    let (mut count, mut sum) = (0, 0u64);
    let mut matches = cursor.matches(query, tree.root_node(), source);
    while let Some(it) = matches.next() {
        if it.captures().is_empty() {
            continue;
        }
        count += 1;
        let captures = it.captures().iter();
        sum = sum.wrapping_add(hashed(
            it.pattern_index,
            captures.map(|it| (it.index, it.node.start_byte(), it.node.end_byte())),
        ));
    }
    (count, sum)
}

fn ours(search: &mut Search<'_>, query: &Query, tree: &HotTree, source: &[u8]) -> Found {
    debug_assert!(query.pattern_count() > 0);
    let (mut count, mut sum) = (0, 0u64);
    let outcome = search.matches(tree, source, |it| {
        if it.captures().len() == 0 {
            return ControlFlow::Continue(());
        }
        count += 1;
        let captures = it.captures().map(|it| {
            let span = it.node.byte_range();
            (it.name as u32, span.start, span.end)
        });
        sum = sum.wrapping_add(hashed(it.pattern(), captures));
        ControlFlow::Continue(())
    });
    if outcome.is_ok() { (count, sum) } else { (usize::MAX, 0) }
}
