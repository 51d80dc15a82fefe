//! `pfs vec`: a collection of vectors made, filled, searched and checked.

mod args;
mod import;
mod lines;
mod output;
mod search;
mod show;
mod write;

use std::io::{self, Read};
use std::path::Path;

use pfs_vec::{Collection, Options, StoreError};

use crate::failure::Failure;
use crate::out;

pub(crate) use args::VecCommand;

/// Longest vector as JSON: 4,096 components of 64 characters and less.
const VECTOR_MAX: u64 = 256 << 10;

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Settings(_)
            | StoreError::Vector(_)
            | StoreError::Id(_)
            | StoreError::Number { .. }
            | StoreError::TooLong { .. }
            | StoreError::NoRaw => Self::usage(error),
            StoreError::Missing(folder) => Self::failed(format!(
                "{0} holds no collection; `pfs vec create {0} --dim N` makes one",
                folder.display()
            )),
            _ => Self::failed(error),
        }
    }
}

/// `pfs vec`.
///
/// # Errors
/// What the command could not do.
pub(crate) fn vec(command: &VecCommand) -> Result<(), Failure> {
    match command {
        VecCommand::Create(args) => {
            let made = Collection::create(&args.dir, &args.settings(), Options::default());
            made.map(drop).map_err(Failure::from)
        }
        VecCommand::Add(args) => write::add(args),
        VecCommand::Import(args) => import::import(args),
        VecCommand::Search(args) => search::search(args),
        VecCommand::Get { dir, id, as_of } => show::get(dir, id, *as_of),
        VecCommand::Del { dir, ids } => write::del(dir, ids),
        VecCommand::Neighbours(args) => show::neighbours(args),
        VecCommand::Stats { dir } => show::stats(dir),
        VecCommand::Compact { dir, graph, least_recall } => {
            show::compact(dir, *graph, *least_recall)
        }
        VecCommand::Verify { dir } => show::verify(dir),
        VecCommand::Export(args) => output::export(args),
    }
}

/// Opens a collection as it is now, beside others that read it and one that writes it.
fn open_to_read(dir: &Path) -> Result<Collection, Failure> {
    Ok(Collection::open_to_read(dir)?)
}

fn open(dir: &Path) -> Result<Collection, Failure> {
    Ok(Collection::open(dir, Options::default())?)
}

/// A vector that was given as JSON, or stands so on standard input.
fn vector(given: Option<&str>) -> Result<Vec<f32>, Failure> {
    let mut read = String::new();
    let text = match given {
        Some(text) => text,
        None => {
            let input = io::stdin().lock().take(VECTOR_MAX).read_to_string(&mut read);
            input.map_err(|error| Failure::failed(format!("reading standard input: {error}")))?;
            &read
        }
    };
    serde_json::from_str(text)
        .map_err(|error| Failure::usage(format!("the vector is no JSON array of numbers: {error}")))
}

/// Prints `document` as JSON on one line.
fn line(document: &impl serde::Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string(document).map_err(Failure::failed)?;
    out::print(&(text + "\n"))
}
