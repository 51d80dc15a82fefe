//! `pfs cst`: syntax trees of source files kept, shown, searched and checked.

mod add;
mod args;
mod bench;
mod query;
mod report;
mod rewrite;
mod show;
mod verify;

use std::num::NonZero;
use std::path::Path;

use pfs_cst::tiers::{Access, Config, Store, StoreError};

use crate::failure::Failure;

pub(crate) use args::CstCommand;

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Language { .. } => Self::usage(error),
            _ => Self::failed(error),
        }
    }
}

/// `pfs cst`.
///
/// # Errors
/// What the command could not do.
pub(crate) fn cst(command: &CstCommand) -> Result<(), Failure> {
    match command {
        CstCommand::Add(args) => add::add(args),
        CstCommand::Ls { dir, lang, json } => report::list(dir, lang.as_deref(), *json),
        CstCommand::Show(args) => show::show(args),
        CstCommand::Query(args) => query::query(args),
        CstCommand::Stats { dir } => report::stats(dir),
        CstCommand::Verify(args) => verify::verify(args),
        CstCommand::Freeze(args) => rewrite::freeze(args),
        CstCommand::Export(args) => rewrite::export(args),
        CstCommand::Bench(args) => bench::bench(args),
    }
}

/// Opens a collection to read.
fn open(dir: &Path) -> Result<Store, Failure> {
    // Whoever writes to a collection leaves its lock there.
    if !dir.join("LOCK").is_file() {
        let dir = dir.display();
        return Err(Failure::failed(format!(
            "{dir} holds no trees; `pfs cst add {dir} FILE` makes a collection"
        )));
    }
    Ok(Store::open(dir, Config { access: Access::Read, ..Config::default() })?)
}

/// Threads that a command has.
fn threads(asked: Option<u16>) -> usize {
    let cores = || std::thread::available_parallelism().map_or(1, NonZero::get);
    asked.map_or_else(cores, usize::from)
}

/// There is no such tree.
fn missing(name: &str, dir: &Path) -> Failure {
    let dir = dir.display();
    Failure::failed(format!("there is no tree {name}; `pfs cst ls {dir}` lists them"))
}
