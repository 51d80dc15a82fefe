//! `pfs plan make|check|explain|schema`.

use std::path::Path;

use super::{Plan, PlanFlags, Severity, check, explain, load, make, save};
use crate::failure::Failure;

/// `pfs plan make`.
///
/// # Errors
/// Flags that make no plan, or a file that cannot be written.
pub fn cmd_make(flags: &PlanFlags, output: Option<&Path>) -> Result<(), Failure> {
    let plan = make(flags)?;
    match output {
        Some(path) => Ok(save(path, &plan)?),
        None => print_json(&plan),
    }
}

/// `pfs plan check`: prints each finding; fails when one is an error.
///
/// # Errors
/// The plan cannot be read, or has errors.
pub fn cmd_check(path: &Path) -> Result<(), Failure> {
    let plan = load(path)?;
    let checked = check(&plan);
    for finding in &checked.findings {
        println!("{finding}");
    }
    let errors = checked.findings.iter().filter(|f| f.severity == Severity::Error).count();
    if errors > 0 {
        return Err(Failure::failed(format!("{}: {errors} errors", path.display())));
    }
    println!("{}: can run on this host", path.display());
    Ok(())
}

/// `pfs plan explain`.
///
/// # Errors
/// The plan cannot be read.
pub fn cmd_explain(path: &Path) -> Result<(), Failure> {
    print!("{}", explain(&load(path)?));
    Ok(())
}

/// `pfs plan schema`.
///
/// # Errors
/// Standard output cannot be written.
pub fn cmd_schema() -> Result<(), Failure> {
    print_json(&schemars::schema_for!(Plan))
}

fn print_json(document: &impl serde::Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(document).map_err(Failure::failed)?;
    println!("{text}");
    Ok(())
}
