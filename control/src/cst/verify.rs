//! `pfs cst verify`.

use std::path::Path;

use pfs_cst::flat::Flattener;
use pfs_cst::languages::{Flags, Registry};
use pfs_cst::parse::{Limits, Parser};
use pfs_cst::tiers::{Entry, Store};
use serde_json::json;

use super::add::read;
use super::args::VerifyArgs;
use crate::failure::Failure;
use crate::out;
use crate::progress::Progress;
use crate::run::figures::count;

/// `pfs cst verify`.
///
/// # Errors
/// When something is wrong, after it was printed.
pub(super) fn verify(args: &VerifyArgs) -> Result<(), Failure> {
    let store = super::open(&args.dir)?;
    let progress = Progress::new(Some(store.len() as u64));
    let damaged = store.verify(|done, of| {
        if !progress.is_log() && (done == of || done.is_multiple_of(64)) {
            let text = format!("{} of {} trees", count(done as u64), count(of as u64));
            progress.show(done as u64, text);
        }
    });
    progress.end();
    let mut wrong: Vec<String> =
        damaged.iter().map(|damage| format!("{}: {}", damage.name, damage.error)).collect();
    let mut compared = 0_u64;
    if let Some(folder) = &args.source {
        for entry in store.list()? {
            if damaged.iter().any(|damage| damage.name == entry.name) {
                continue;
            }
            match compare(&store, &entry, folder.as_deref()) {
                Ok(()) => compared += 1,
                Err(why) => wrong.push(format!("{}: {why}", entry.name)),
            }
        }
    }
    out::json(&json!({
        "clean": wrong.is_empty(),
        "trees": store.len(),
        "compared_with_a_live_parse": compared,
        "wrong": wrong,
    }))?;
    match wrong.len() {
        0 => Ok(()),
        some => {
            Err(Failure::failed(format!("{} trees are not as they should be", count(some as u64))))
        }
    }
}

/// Parses a tree's source again and compares every node.
fn compare(store: &Store, entry: &Entry, folder: Option<&Path>) -> Result<(), String> {
    let told = |error: &dyn std::fmt::Display| error.to_string();
    let source = match folder {
        None => store.source(&entry.name).map_err(|error| told(&error))?.to_vec(),
        Some(folder) => read(&folder.join(&*entry.name), u64::from(u32::MAX))?,
    };
    let source = source.as_slice();
    let grammar =
        Registry::shared().get(&entry.language).ok_or("its language is not in this build")?;
    let mut parser = Parser::new(&grammar).map_err(|error| told(&error))?;
    let live = parser.parse(source, None, Limits::default()).map_err(|error| told(&error))?;
    let stored = store.cold(&entry.name, |cold| cold.thaw()).map_err(|error| told(&error))?;
    let stored = stored.ok_or("it is gone")?;
    let root = stored.symbols.first().map(|id| grammar.symbol(*id).flags());
    let mut flattener = match root.is_some_and(|root| root.has(Flags::SUPERTYPES_KNOWN)) {
        true => Flattener::with_supertypes(&grammar).map_err(|error| told(&error))?,
        false => Flattener::new(&grammar),
    };
    let mut live = flattener.flatten(&live, source).map_err(|error| told(&error))?;
    if stored.lines.is_empty() {
        live.lines.clear();
    }
    if stored == live { Ok(()) } else { Err("its source parses to another tree".into()) }
}
