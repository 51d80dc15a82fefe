//! The report of `packet`, from the table that it prints.

use std::path::Path;

use crate::report::{Report, Table};

pub(super) fn report(path: &Path) -> Result<Report, String> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| format!("reading {}: {error}", path.display()))?;
    let mut table = Table::new(
        "Ticks of the time-stamp counter a packet, best of rounds:",
        &["what", "cycles"],
    );
    for line in text.lines().skip(1) {
        if let Some((what, cycles)) = line.trim_end().rsplit_once(' ')
            && cycles.parse::<f64>().is_ok()
        {
            table.row(vec![what.trim_end().to_owned(), cycles.to_owned()]);
        }
    }
    if table.rows.is_empty() {
        return Err(format!("no table in {}", path.display()));
    }
    let mut report = Report::new("packet");
    report.tables = vec![table];
    Ok(report)
}
