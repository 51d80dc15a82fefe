//! Reports as one page of HTML that needs nothing beside it.
//!
//! Words and tables are written here, so that they are there without any script; the page's
//! script draws the plots from the same figures, which the page holds as JSON.

mod projection;
mod sections;
#[cfg(test)]
mod tests;

use std::fmt::{self, Write as _};
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::{Plot, Report};

const STYLE: &str = include_str!("style.css");
const SCRIPTS: [&str; 6] = [
    include_str!("scale.js"),
    include_str!("draw.js"),
    include_str!("bars.js"),
    include_str!("hover.js"),
    include_str!("projection.js"),
    include_str!("page.js"),
];

/// Text that stands for itself in HTML, in quotes too.
struct Text<'a>(&'a str);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|char| match char {
            '&' => f.write_str("&amp;"),
            '<' => f.write_str("&lt;"),
            '>' => f.write_str("&gt;"),
            '"' => f.write_str("&quot;"),
            '\'' => f.write_str("&#39;"),
            char => f.write_char(char),
        })
    }
}

/// Text in which `` `words` `` are code.
struct Marked<'a>(&'a str);

impl fmt::Display for Marked<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts: Vec<&str> = self.0.split('`').collect();
        if parts.len().is_multiple_of(2) {
            return Text(self.0).fmt(f);
        }
        parts.iter().enumerate().try_for_each(|(at, part)| {
            if at % 2 == 1 { write!(f, "<code>{}</code>", Text(part)) } else { Text(part).fmt(f) }
        })
    }
}

/// The page of `reports`, in this order.
#[must_use]
pub fn page(reports: &[Report]) -> String {
    let projection = super::projection::from(reports);
    let mut body = String::new();
    sections::head(&mut body, reports, projection.is_some());
    body.push_str("<main>\n");
    for (at, report) in reports.iter().enumerate() {
        sections::report(&mut body, at, report, &reports[0]);
    }
    if let Some(projection) = &projection {
        projection::section(&mut body, projection);
    }
    body.push_str("</main>\n");
    let drawn: Vec<_> = reports
        .iter()
        .map(|report| json!({ "group": report.group, "plots": report.plots }))
        .collect();
    let data = json!({ "reports": drawn, "projection": projection }).to_string();
    // No text of a report may end the element that it is in.
    let data = data.replace('<', "\\u003c");
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <link rel=\"icon\" href=\"data:,\">\n<title>{}</title>\n<style>\n{STYLE}</style>\n</head>\n\
         <body>\n{body}\
         <footer>Figures are medians, ranges least to most. Ratios within one run mean more than \
         rates. Raw samples are in the JSON that this page was made from.</footer>\n\
         <script type=\"application/json\" id=\"data\">{data}</script>\n\
         <script>\n{}</script>\n</body>\n</html>\n",
        Text(&sections::title(reports)),
        SCRIPTS.concat()
    )
}

/// Points that a plot draws as marks of their own.
#[must_use]
pub fn marks(plot: &Plot) -> usize {
    plot.series.iter().map(|series| series.points.len()).sum()
}

/// Writes the page to `path`, whole or not at all.
///
/// # Errors
/// When the file cannot be written, with its name.
pub fn write(reports: &[Report], path: &Path) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("writing {}: {error}", path.display());
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(failed)?;
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
    file.write_all(page(reports).as_bytes()).map_err(failed)?;
    // A temporary file is its owner's alone; a page is for others to read.
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::Permissions::from_mode(0o644);
        file.as_file().set_permissions(mode).map_err(failed)?;
    }
    file.persist(path).map_err(|error| failed(error.error))?;
    Ok(())
}

/// Reads reports: each file, and of each folder every report that lies in it, by name. What is in
/// a folder and is no report is named in the second value.
///
/// # Errors
/// A file that cannot be read or is no report, a folder without any.
pub fn read(paths: &[PathBuf]) -> Result<(Vec<Report>, Vec<String>), String> {
    let (mut reports, mut skipped) = (Vec::new(), Vec::new());
    for path in paths {
        if !path.is_dir() {
            reports.push(read_one(path)?);
            continue;
        }
        let before = reports.len();
        for file in json_files(path)? {
            match read_one(&file) {
                Ok(report) => reports.push(report),
                Err(error) => skipped.push(error),
            }
        }
        if reports.len() == before {
            return Err(format!(
                "no report in {}; make one: pfs bench pipeline --json {}/pipeline.json",
                path.display(),
                path.display()
            ));
        }
    }
    Ok((reports, skipped))
}

fn json_files(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let listed = fs::read_dir(folder)
        .and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>, _>>())
        .map_err(|error| format!("reading {}: {error}", folder.display()))?;
    let is_json = |path: &PathBuf| path.extension().is_some_and(|ending| ending == "json");
    let mut files: Vec<PathBuf> = listed.into_iter().filter(is_json).collect();
    files.sort();
    Ok(files)
}

fn read_one(path: &Path) -> Result<Report, String> {
    let text = fs::read(path).map_err(|error| format!("reading {}: {error}", path.display()))?;
    serde_json::from_slice(&text)
        .map_err(|error| format!("{} is no report of pfs bench: {error}", path.display()))
}
