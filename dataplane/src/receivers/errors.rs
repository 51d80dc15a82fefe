//! Short ways to the errors that several backends share.

use std::io;

use pfs_rings::{Region, RegionRequest, RegionView};

use super::ReceiveError;

/// A failed system call.
pub(crate) fn io(doing: impl Into<String>, source: io::Error, fix: &str) -> ReceiveError {
    ReceiveError::Io { doing: doing.into(), source, fix: fix.into() }
}

/// Something that cannot be.
pub(crate) fn unsupported(what: impl Into<String>, fix: impl Into<String>) -> ReceiveError {
    ReceiveError::Unsupported { what: what.into(), fix: fix.into() }
}

/// A region as `request` says, for `whom`; its notes are added to `notes`.
pub(crate) fn region(
    request: &RegionRequest,
    whom: &str,
    notes: &mut Vec<String>,
) -> Result<RegionView, ReceiveError> {
    let region = Region::create(request)
        .map_err(|error| unsupported(format!("memory for {whom}: {error}"), ""))?;
    notes.extend_from_slice(&region.granted().notes);
    Ok(region.view())
}
