//! `pfs vec add` and `pfs vec del`.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use pfs_vec::Put;

use super::args::AddArgs;
use crate::failure::Failure;
use crate::out;
use crate::run::figures::count;

/// `pfs vec add`.
///
/// # Errors
/// What the collection refuses; then nothing was written.
pub(super) fn add(args: &AddArgs) -> Result<(), Failure> {
    let vector = super::vector(args.vector.as_deref())?;
    let collection = super::open(&args.dir)?;
    let mut batch = collection.batch();
    let id = args.id.as_bytes();
    batch.put(&Put {
        text: &args.text,
        metadata: args.meta.as_bytes(),
        time: args.time,
        ..Put::new(id, &vector)
    })?;
    for target in &args.to {
        batch.associate((id, target.as_bytes()), args.kind, args.weight, 1.0)?;
    }
    let written = collection.write(&mut batch)?;
    collection.sync()?;
    out::print(if written.added > 0 { "added\n" } else { "replaced\n" })
}

/// `pfs vec del`: all of them or none.
///
/// # Errors
/// What the collection refuses.
pub(super) fn del(dir: &Path, ids: &[OsString]) -> Result<(), Failure> {
    let collection = super::open(dir)?;
    let mut batch = collection.batch();
    for id in ids {
        batch.delete(id.as_bytes())?;
    }
    let written = collection.write(&mut batch)?;
    collection.sync()?;
    out::print(&format!("{} deleted\n", count(written.deleted.into())))
}
