//! `pfs doctor`: holds the host against what pfs can use, and says how to mend each lack.

#[cfg(feature = "dpdk")]
mod dpdk;
mod host;
mod iface;
mod memory;

use std::fmt;

use clap::Args;
use serde::Serialize;

use crate::failure::Failure;
use crate::out;

/// Flags of `pfs doctor`.
#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// Look at this interface too. May be repeated.
    #[arg(long, value_name = "NAME")]
    pub(crate) iface: Vec<String>,
    /// Print the findings as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    /// What was looked at.
    subject: String,
    /// Whether it is as pfs would have it.
    ok: bool,
    /// What is there; of a lack, its cause.
    found: String,
    /// What does not work, or is slower.
    #[serde(skip_serializing_if = "String::is_empty")]
    consequence: String,
    /// The command that mends it.
    #[serde(skip_serializing_if = "String::is_empty")]
    command: String,
}

impl Finding {
    pub(super) fn ok(subject: impl Into<String>, found: impl Into<String>) -> Self {
        Self {
            subject: subject.into(),
            ok: true,
            found: found.into(),
            consequence: String::new(),
            command: String::new(),
        }
    }

    pub(super) fn lack(
        subject: impl Into<String>,
        cause: impl Into<String>,
        consequence: impl Into<String>,
        command: impl Into<String>,
    ) -> Self {
        Self {
            subject: subject.into(),
            ok: false,
            found: cause.into(),
            consequence: consequence.into(),
            command: command.into(),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.ok {
            return write!(f, "ok    {}: {}", self.subject, self.found);
        }
        write!(f, "LACK  {}: {}; {}; {}", self.subject, self.found, self.consequence, self.command)
    }
}

/// Prints one line for each thing looked at.
///
/// # Errors
/// When an interface that was named does not exist, or standard output cannot be written.
pub(crate) fn doctor(args: &DoctorArgs) -> Result<(), Failure> {
    let mut findings = host::look();
    findings.extend(memory::look());
    #[cfg(feature = "dpdk")]
    findings.extend(dpdk::look());
    for name in &args.iface {
        findings.extend(iface::look(name).map_err(Failure::failed)?);
    }
    if args.json {
        return out::json(&findings);
    }
    let lacks = findings.iter().filter(|finding| !finding.ok).count();
    let lines: String = findings.iter().map(|finding| format!("{finding}\n")).collect();
    out::print(&format!("{lines}{} looked at, {lacks} lacking\n", findings.len()))
}

/// A file of /proc or /sys in one line, or nothing.
pub(super) fn read(path: &str) -> Option<String> {
    std::fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}
