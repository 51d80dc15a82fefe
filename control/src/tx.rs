//! `pfs tx`: sends frames and says what really left.

use clap::Args;

use crate::failure::Failure;

/// Flags of `pfs tx`.
#[derive(Debug, Args)]
pub struct TxArgs {}

/// Sends.
///
/// # Errors
/// When it cannot.
pub(crate) fn tx(_: &TxArgs) -> Result<(), Failure> {
    Err(Failure::usage("not yet"))
}
