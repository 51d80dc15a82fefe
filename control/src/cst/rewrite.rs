//! `pfs cst freeze` and `export`.

use std::sync::Arc;

use pfs_cst::hot::HotTree;
use pfs_cst::languages::Registry;
use pfs_cst::tiers::{Config, Entry, Keep, Kept, Store};
use pfs_cst::walk;
use pfs_dataplane::ops::ids::OutFile;
use serde_json::{Value, json};

use super::args::{ExportArgs, ExportFormat, FreezeArgs};
use crate::failure::Failure;
use crate::out;
use crate::run::figures::count;

/// `pfs cst freeze`: each tree is thawed and frozen as the flags say; nothing is parsed.
///
/// # Errors
/// A tree that cannot be read, or a disk that cannot be written to: then what was there stays.
pub(super) fn freeze(args: &FreezeArgs) -> Result<(), Failure> {
    let before = super::open(&args.dir)?.stats().disk_bytes;
    let store = Store::open(&args.dir, Config { freeze: args.settings(), ..Config::default() })?;
    let entries = store.list()?;
    for entry in &entries {
        again(&store, entry)?;
    }
    store.flush()?;
    let after = store.stats().disk_bytes;
    store.close()?;
    out::print(&format!(
        "{} trees, {} bytes before, {} now\n",
        count(entries.len() as u64),
        count(before as u64),
        count(after as u64)
    ))
}

fn again(store: &Store, entry: &Entry) -> Result<(), Failure> {
    let told = |error: &dyn std::fmt::Display| Failure::failed(format!("{}: {error}", entry.name));
    let grammar = Registry::shared().get(&entry.language);
    let grammar = grammar.ok_or_else(|| told(&"its language is not in this build"))?;
    let flat = store.cold(&entry.name, |cold| cold.thaw()).map_err(|error| told(&error))?;
    // A tree that waits was frozen by this run.
    let Some(flat) = flat else { return Ok(()) };
    let (source, keep) = match &entry.kept {
        Kept::Nothing => (vec![0; flat.source_len as usize], Keep::Nothing),
        Kept::File { path, .. } => (source(store, entry)?, Keep::File(path)),
        Kept::Copy { .. } => (source(store, entry)?, Keep::Copy),
    };
    store.put(&entry.name, &grammar, &flat, &source, keep).map_err(|error| told(&error))?;
    Ok(())
}

fn source(store: &Store, entry: &Entry) -> Result<Vec<u8>, Failure> {
    Ok(store.source(&entry.name)?.to_vec())
}

/// `pfs cst export`.
///
/// # Errors
/// A tree that cannot be read, or an output that cannot be written.
pub(super) fn export(args: &ExportArgs) -> Result<(), Failure> {
    let store = super::open(&args.dir)?;
    let mut file = OutFile::create(&args.output).map_err(Failure::failed)?;
    let mut written = 0_u64;
    for entry in store.list()? {
        let tree = store.get(&entry.name)?;
        let tree: Arc<_> = tree.ok_or_else(|| super::missing(&entry.name, &args.dir))?;
        let mut line = json!({
            "path": entry.name,
            "language": entry.language,
            "nodes": entry.nodes,
            "source_bytes": entry.source_bytes,
        });
        match args.format {
            ExportFormat::Jsonl => line["tree"] = nodes(&tree),
            ExportFormat::Sexp => line["tree"] = json!(walk::sexp(&mut tree.walk())),
        }
        match file.put((line.to_string() + "\n").as_bytes()) {
            Err(error) if error.is_broken_pipe() => return Ok(()),
            other => other.map_err(Failure::failed)?,
        }
        written += 1;
    }
    match file.publish(&[]) {
        Err(error) if error.is_broken_pipe() => return Ok(()),
        other => drop(other.map_err(Failure::failed)?),
    }
    if args.output.as_os_str() == "-" {
        return Ok(());
    }
    out::print(&format!("{} trees written to {}\n", count(written), args.output.display()))
}

/// All nodes in pre-order: depth, kind, field or null, first byte, byte behind the last.
fn nodes(tree: &HotTree) -> Value {
    let mut all = Vec::with_capacity(tree.len());
    walk::preorder(&mut tree.walk(), |cursor, depth| {
        let range = cursor.byte_range();
        let node = cursor.node();
        all.push(json!([depth, node.kind(), node.field_name(), range.start, range.end]));
    });
    Value::Array(all)
}
