//! `pfs cst query`.

use std::collections::HashMap;
use std::io::Read;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use pfs_cst::languages::{Registry, published_query};
use pfs_cst::query::{Argument, Capture, Match, Query, QueryError, Search, WrongTree};
use pfs_cst::tiers::{Entry, Store};
use serde_json::{Value, json};

use super::args::QueryArgs;
use super::show::place;
use crate::failure::Failure;
use crate::out;
use crate::run::figures::count;

/// Longest query.
const QUERY_MAX: u64 = 1 << 20;
/// Trees that are searched before their matches are printed.
const CHUNK: usize = 256;
/// Longest text of a capture that is printed, in characters; the rest of the line is not.
const TEXT: usize = 120;

/// `pfs cst query`.
///
/// # Errors
/// A query that no language of the trees takes, a tree or source that cannot be read.
pub(super) fn query(args: &QueryArgs) -> Result<(), Failure> {
    let text = if args.published.is_some() { String::new() } else { text(args)? };
    let store = super::open(&args.dir)?;
    let entries: Vec<Entry> =
        store.list()?.into_iter().filter(|entry| is_asked(args, entry)).collect();
    let queries = compile(args, &text, &entries)?;
    let entries: Vec<&Entry> =
        entries.iter().filter(|entry| queries.contains_key(&*entry.language)).collect();
    let (mut found, mut failed) = (0, 0);
    for chunk in entries.chunks(CHUNK) {
        for searched in search(&store, &queries, chunk, args) {
            match searched {
                Ok((matches, text)) => {
                    found += matches;
                    if !args.count {
                        out::print(&text)?;
                    }
                }
                Err(why) => {
                    failed += 1;
                    out::complain(&format!("pfs: {why}"));
                }
            }
        }
    }
    if args.count {
        out::print(&format!("{found}\n"))?;
    }
    match failed {
        0 => Ok(()),
        some => Err(Failure::failed(format!("{} trees were not searched", count(some)))),
    }
}

fn text(args: &QueryArgs) -> Result<String, Failure> {
    if let Some(query) = &args.query {
        return Ok(query.clone());
    }
    let file = args.file.as_deref().unwrap_or(Path::new("-"));
    let mut text = String::new();
    let read = if file.as_os_str() == "-" {
        std::io::stdin().lock().take(QUERY_MAX).read_to_string(&mut text)
    } else {
        std::fs::File::open(file).and_then(|file| file.take(QUERY_MAX).read_to_string(&mut text))
    };
    read.map_err(|error| Failure::failed(format!("reading {}: {error}", file.display())))?;
    Ok(text)
}

fn is_asked(args: &QueryArgs, entry: &Entry) -> bool {
    let lang = args.lang.as_deref().and_then(|lang| Registry::shared().get(lang));
    let spoken = match (&args.lang, lang) {
        (None, _) => true,
        (Some(_), Some(grammar)) => *grammar.identity().name == *entry.language,
        (Some(lang), None) => **lang == *entry.language,
    };
    let under = |only: &String| {
        let rest = entry.name.strip_prefix(only.trim_end_matches('/'));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    spoken && (args.only.is_empty() || args.only.iter().any(under))
}

/// The query for each language of the trees that takes it.
fn compile(
    args: &QueryArgs,
    text: &str,
    entries: &[Entry],
) -> Result<HashMap<Box<str>, Query>, Failure> {
    let mut languages: Vec<&str> = entries.iter().map(|entry| &*entry.language).collect();
    languages.sort_unstable();
    languages.dedup();
    let (mut queries, mut wrong) = (HashMap::new(), None::<(&str, QueryError)>);
    for language in languages {
        let Some(grammar) = Registry::shared().get(language) else { continue };
        let published = args.published.as_ref().map(|kind| published_query(language, kind));
        let Some(text) = published.unwrap_or(Some(text)) else { continue };
        match Query::new(&grammar, text) {
            Ok(query) => drop(queries.insert(language.into(), query)),
            Err(error) => drop(wrong.get_or_insert((language, error))),
        }
    }
    match wrong {
        Some((language, error)) if queries.is_empty() => {
            Err(Failure::usage(format!("{error} (for {language})")))
        }
        None if queries.is_empty() && !entries.is_empty() => {
            let kind = args.published.as_deref().unwrap_or_default();
            Err(Failure::usage(format!("no grammar of these trees is published with {kind}")))
        }
        Some((language, error)) if args.lang.is_none() => {
            out::complain(&format!("pfs: trees of {language} are left out: {error}"));
            Ok(queries)
        }
        _ => Ok(queries),
    }
}

/// Matches of one tree and what is printed of them.
type Searched = Result<(usize, String), String>;

/// Searches trees side by side; what came of them, in their order.
fn search(
    store: &Store,
    queries: &HashMap<Box<str>, Query>,
    entries: &[&Entry],
    args: &QueryArgs,
) -> Vec<Searched> {
    let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..super::threads(args.threads).min(entries.len()) {
            scope.spawn(|| {
                let mut searches: HashMap<&str, Search<'_>> = HashMap::new();
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(entry) = entries.get(at) else { return };
                    let Some(query) = queries.get(&entry.language) else { continue };
                    let search = searches.entry(&entry.language);
                    let search = search.or_insert_with(|| Search::new(query));
                    let searched = one(store, query, search, entry, args);
                    let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
                    done.push((at, searched));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, searched)| searched).collect()
}

fn one(
    store: &Store,
    query: &Query,
    search: &mut Search<'_>,
    entry: &Entry,
    args: &QueryArgs,
) -> Searched {
    let told = |error: &dyn std::fmt::Display| format!("{}: {error}", entry.name);
    let tree = store.get(&entry.name).map_err(|error| told(&error))?;
    let tree = tree.ok_or_else(|| told(&"it is gone"))?;
    let source = store.source(&entry.name).map_err(|error| told(&error))?;
    let (mut matches, mut out) = (0, String::new());
    let outcome = search.matches(&tree, &source, |found| {
        matches += 1;
        if args.json {
            out.push_str(&object(query, entry, found, &source).to_string());
            out.push('\n');
        } else if !args.count {
            lines(query, entry, found, &source, &mut out);
        }
        ControlFlow::Continue(())
    });
    let outcome = outcome.map_err(|error| match error {
        WrongTree::Supertypes => told(&format!("{error}: pfs cst add --supertypes")),
        WrongTree::Grammar { .. } => told(&error),
    })?;
    if outcome.exceeded {
        return Err(told(&"a pattern has too many ways to match here; some matches are missing"));
    }
    Ok((matches, out))
}

fn lines(query: &Query, entry: &Entry, found: &Match<'_>, source: &[u8], out: &mut String) {
    for Capture { node, name } in found.captures() {
        let at = node.start_position();
        let text = String::from_utf8_lossy(node.text(source));
        let first = text.lines().next().unwrap_or_default();
        let mut cut: String = first.chars().take(TEXT).collect();
        if cut.len() < text.len() {
            cut.push('…');
        }
        let name = &query.capture_names()[name];
        let (row, column) = (at.row + 1, at.column + 1);
        out.push_str(&format!("{}:{row}:{column}\t{name}\t{cut}\n", entry.name));
    }
}

fn object(query: &Query, entry: &Entry, found: &Match<'_>, source: &[u8]) -> Value {
    let names = query.capture_names();
    let captures = found.captures().map(|capture| {
        let mut object = place(&capture.node);
        object.insert("name".into(), json!(names[capture.name]));
        let text = String::from_utf8_lossy(capture.node.text(source));
        object.insert("text".into(), json!(text));
        Value::Object(object)
    });
    let captures: Vec<Value> = captures.collect();
    let directives = query.directives(found.pattern()).map(|directive| {
        let arguments = directive.arguments.iter().map(|argument| match argument {
            Argument::Capture(name) => json!({ "capture": names[usize::from(*name)] }),
            Argument::Text(text) => json!(text),
        });
        let arguments: Vec<Value> = arguments.collect();
        json!({ "name": directive.name, "arguments": arguments })
    });
    let directives: Vec<Value> = directives.collect();
    let mut object = json!({
        "path": entry.name,
        "language": entry.language,
        "pattern": found.pattern(),
        "captures": captures,
    });
    if !directives.is_empty() {
        object["directives"] = Value::Array(directives);
    }
    object
}
