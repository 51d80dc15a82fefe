//! `pfs plan make|check|explain|schema`.

use std::path::Path;

use super::{Plan, PlanFlags, Severity, check, explain, load, make, save};
use crate::failure::Failure;
use crate::out;

/// `pfs plan make`.
///
/// # Errors
/// Flags that make no plan, or a file that cannot be written.
pub(crate) fn cmd_make(flags: &PlanFlags, output: Option<&Path>) -> Result<(), Failure> {
    let plan = make(flags)?;
    match output {
        Some(path) => Ok(save(path, &plan)?),
        None => out::json(&plan),
    }
}

/// `pfs plan check`: prints each finding; fails when one is an error.
///
/// # Errors
/// The plan cannot be read, or has errors.
pub(crate) fn cmd_check(path: &Path) -> Result<(), Failure> {
    let plan = load(path)?;
    let checked = check(&plan);
    for finding in &checked.findings {
        out::print(&format!("{finding}\n"))?;
    }
    let errors = checked.findings.iter().filter(|f| f.severity == Severity::Error).count();
    if errors > 0 {
        return Err(Failure::failed(format!("{}: {errors} errors", path.display())));
    }
    out::print(&format!("{}: can run on this host\n", path.display()))
}

/// `pfs plan explain`.
///
/// # Errors
/// The plan cannot be read.
pub(crate) fn cmd_explain(path: &Path) -> Result<(), Failure> {
    out::print(&explain(&load(path)?))
}

/// `pfs plan schema`.
///
/// # Errors
/// Standard output cannot be written.
pub(crate) fn cmd_schema() -> Result<(), Failure> {
    out::json(&schemars::schema_for!(Plan))
}
