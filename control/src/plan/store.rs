//! Plans as files: read whole, written so that no half of one is ever seen.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{Plan, SCHEMA_VERSION};

/// A document that cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file cannot be read.
    #[error("reading {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The file is not a plan.
    #[error("{}: {source}; `pfs plan schema` prints what a plan may hold", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// What is wrong, with line and column.
        source: serde_json::Error,
    },
    /// The plan is of another version.
    #[error("{}: schema_version {found}, this build reads {SCHEMA_VERSION}; make the plan anew with `pfs plan make`", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// The version in it.
        found: u64,
    },
    /// The file cannot be written. What stood under its name before still stands.
    #[error("writing {}: {source}{}", path.display(), advice(.source))]
    Write {
        /// The file.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
}

fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull => "; free space there (df -h), or choose another path",
        io::ErrorKind::NotFound => "; make its folder first (mkdir -p)",
        _ => "",
    }
}

/// Reads a plan and checks its form; what it asks of this host is `plan::check`'s matter.
///
/// # Errors
/// [`StoreError`], with the file's name and where in it the fault lies.
pub fn load(path: &Path) -> Result<Plan, StoreError> {
    let text = fs::read_to_string(path)
        .map_err(|source| StoreError::Read { path: path.to_owned(), source })?;
    parse(&text).map_err(|error| match error {
        ParseError::Version(found) => StoreError::Version { path: path.to_owned(), found },
        ParseError::Json(source) => StoreError::Parse { path: path.to_owned(), source },
    })
}

/// Why a text is not a plan.
#[derive(Debug)]
pub(crate) enum ParseError {
    Version(u64),
    Json(serde_json::Error),
}

/// Reads a plan's text. The version is looked at first: a plan of another version would
/// otherwise be refused for some field that is unknown here.
pub(crate) fn parse(text: &str) -> Result<Plan, ParseError> {
    #[derive(serde::Deserialize)]
    struct Versioned {
        schema_version: u64,
    }
    if let Ok(Versioned { schema_version }) = serde_json::from_str(text)
        && schema_version != u64::from(SCHEMA_VERSION)
    {
        return Err(ParseError::Version(schema_version));
    }
    serde_json::from_str(text).map_err(ParseError::Json)
}

/// Writes `plan` to `path`.
///
/// # Errors
/// [`StoreError::Write`]; the half-written file is removed.
pub fn save(path: &Path, plan: &Plan) -> Result<(), StoreError> {
    save_json(path, plan)
}

/// Writes any document as indented JSON.
///
/// # Errors
/// [`StoreError::Write`]; the half-written file is removed.
pub fn save_json(path: &Path, document: &impl Serialize) -> Result<(), StoreError> {
    let mut text = serde_json::to_vec_pretty(document).map_err(|error| StoreError::Write {
        path: path.to_owned(),
        source: io::Error::other(error),
    })?;
    text.push(b'\n');
    write_atomic(path, &text)
}

/// Writes `content` beside `path`, syncs it, and renames it there: a full disk or a kill leaves
/// the old file or the new one, and no other.
///
/// A path that is no regular file (a pipe, `/dev/stdout`) is written directly.
///
/// # Errors
/// [`StoreError::Write`]; the half-written file is removed.
fn write_atomic(path: &Path, content: &[u8]) -> Result<(), StoreError> {
    let fail = |source| StoreError::Write { path: path.to_owned(), source };
    if fs::metadata(path).is_ok_and(|meta| !meta.is_file()) {
        return File::options()
            .write(true)
            .open(path)
            .and_then(|mut file| file.write_all(content))
            .map_err(fail);
    }
    let name = path.file_name().ok_or_else(|| fail(io::ErrorKind::InvalidInput.into()))?;
    let mut beside = name.to_owned();
    beside.push(format!(".{}.tmp", std::process::id()));
    let beside = path.with_file_name(beside);
    let written = File::create(&beside)
        .and_then(|mut file| file.write_all(content).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&beside, path));
    written.map_err(|source| {
        // Nothing more can be done about a file that cannot be removed either.
        let _ = fs::remove_file(&beside);
        fail(source)
    })
}
