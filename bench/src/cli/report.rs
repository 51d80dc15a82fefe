//! `report`: one page of several reports.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::report::html;

/// Makes one page of reports that other subcommands have written as JSON.
///
/// The page needs nothing beside it. With a report of `pipeline` among them it has a projection to
/// line rates. What lies in a folder and is no report is named and left out.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Reports, or folders that hold some.
    #[arg(required = true, value_name = "FILE|DIR")]
    reports: Vec<PathBuf>,
    /// The page.
    #[arg(short, long, value_name = "FILE", default_value = "report.html")]
    output: PathBuf,
}

impl Args {
    pub(super) fn run(self) -> ExitCode {
        let made = html::read(&self.reports).and_then(|(reports, skipped)| {
            skipped.iter().for_each(|error| eprintln!("left out: {error}"));
            html::write(&reports, &self.output)
        });
        made.map_or_else(super::failed, |()| ExitCode::SUCCESS)
    }
}
