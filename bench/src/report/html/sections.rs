//! The page's head, and a section for each report.

use std::fmt::Write as _;

use super::{Marked, Text};
use crate::report::{Plot, Point, Report, Shape, Table, Target};

/// The page's title.
pub(super) fn title(reports: &[Report]) -> String {
    match reports {
        [only] => format!("pfs bench {}", only.group),
        _ => "pfs bench".to_owned(),
    }
}

/// Title, machine, verdict, contents.
pub(super) fn head(out: &mut String, reports: &[Report], projected: bool) {
    let _ = writeln!(out, "<header>\n<h1>{}</h1>", Text(&title(reports)));
    let targets: Vec<&Target> = reports.iter().flat_map(|report| &report.targets).collect();
    if !targets.is_empty() {
        let reached = targets.iter().filter(|target| target.reached()).count();
        let _ =
            writeln!(out, "<p class=\"lead\">{reached} of {} targets reached.</p>", targets.len());
    }
    if let Some(first) = reports.first() {
        facts(out, first);
        if reports.iter().any(|report| !same_machine(report, first)) {
            out.push_str(
                "<p class=\"banner\">These reports are of different machines, kernels or commits: \
                 each section says its own.</p>\n",
            );
        }
    }
    if reports.len() + usize::from(projected) > 1 {
        contents(out, reports, projected);
    }
    out.push_str("</header>\n");
}

fn same_machine(a: &Report, b: &Report) -> bool {
    let key = |report: &Report| {
        let of = &report.environment;
        (of.processor.clone(), of.kernel.clone(), of.cores, of.commit.clone())
    };
    key(a) == key(b)
}

fn facts(out: &mut String, report: &Report) {
    let of = &report.environment;
    let below = if of.virtual_machine { ", virtual machine" } else { "" };
    let rows = [
        ("Processor", format!("{}{below}", of.processor)),
        ("Cores", of.cores.to_string()),
        ("Linux", of.kernel.clone()),
        ("Commit", of.commit.clone()),
        ("Date", of.date.clone()),
        ("Load before", of.load.clone()),
    ];
    out.push_str("<dl class=\"facts\">");
    for (name, value) in rows.iter().filter(|(_, value)| !value.is_empty()) {
        let _ = write!(out, "<div><dt>{name}</dt><dd>{}</dd></div>", Text(value));
    }
    out.push_str("</dl>\n");
}

fn contents(out: &mut String, reports: &[Report], projected: bool) {
    out.push_str("<nav aria-label=\"Contents\"><ul>\n");
    for (at, report) in reports.iter().enumerate() {
        let reached = report.targets.iter().filter(|target| target.reached()).count();
        let count = match report.targets.len() {
            0 => format!("{} plots", report.plots.len()),
            all => format!("{reached}/{all} reached"),
        };
        let name = Text(&report.group);
        let _ = writeln!(
            out,
            "<li><a href=\"#report-{at}\">{name}</a><span class=\"count\">{count}</span></li>"
        );
    }
    if projected {
        out.push_str("<li><a href=\"#projection\">Projection to line rates</a></li>\n");
    }
    out.push_str("</ul></nav>\n");
}

/// The section of the report at place `at`; what it has in common with the `first` is said once.
pub(super) fn report(out: &mut String, at: usize, report: &Report, first: &Report) {
    let (class, verdict) = match (report.right, report.interrupted) {
        (false, _) => ("bad", "an answer was wrong, or packets were lost without a cause"),
        (true, true) => ("bad", "interrupted"),
        (true, false) => ("good", "every answer right"),
    };
    let _ = writeln!(
        out,
        "<section id=\"report-{at}\">\n<header><h2>{}</h2><span class=\"verdict {class}\">\
         {verdict}</span></header>",
        Text(&report.group)
    );
    if report.interrupted {
        out.push_str(
            "<p class=\"banner\">Interrupted: what is here was measured, the rest was not.</p>\n",
        );
    }
    if !same_machine(report, first) {
        facts(out, report);
    } else if at > 0 && !report.environment.load.is_empty() {
        let _ =
            writeln!(out, "<p class=\"lead\">Load before: {}.</p>", Text(&report.environment.load));
    }
    if !report.plots.is_empty() {
        out.push_str("<div class=\"plots\">\n");
        for (nth, plot) in report.plots.iter().enumerate() {
            figure(out, at, nth, plot);
        }
        out.push_str("</div>\n");
    }
    if !report.targets.is_empty() {
        targets(out, &report.targets);
    }
    if !report.notes.is_empty() {
        out.push_str("<h3>Notes</h3>\n<ul class=\"notes\">\n");
        for note in &report.notes {
            let _ = writeln!(out, "<li>{}</li>", Marked(note));
        }
        out.push_str("</ul>\n");
    }
    if !report.tables.is_empty() {
        out.push_str("<h3>Figures</h3>\n");
        report.tables.iter().for_each(|each| table(out, each));
    }
    out.push_str("</section>\n");
}

fn targets(out: &mut String, targets: &[Target]) {
    out.push_str(
        "<h3>Targets</h3>\n<div class=\"scroll\"><table><thead><tr><th>what</th><th>to reach</th>\
         <th>measured</th><th>of target</th><th></th></tr></thead><tbody>\n",
    );
    for target in targets {
        let (class, word) =
            if target.reached() { ("reached", "reached") } else { ("missed", "missed") };
        let share = (target.ratio * 100.0).clamp(0.0, 100.0);
        let _ = writeln!(
            out,
            "<tr><th scope=\"row\">{}</th><td>{}</td><td>{}</td><td class=\"number {class}\">\
             <span class=\"meter\"><i style=\"width:{share:.0}%\"></i></span>{:.2}</td>\
             <td class=\"{class}\">{word}</td></tr>",
            Marked(&target.what),
            Marked(&target.target),
            Marked(&target.measured),
            target.ratio
        );
    }
    out.push_str("</tbody></table></div>\n");
}

/// A long table is folded; on paper it is open.
fn table(out: &mut String, table: &Table) {
    const SHORT: usize = 12;
    let long = table.rows.len() > SHORT;
    if long {
        let title = table.title.trim_end_matches(':');
        let _ = writeln!(
            out,
            "<details><summary>{} ({} rows)</summary>",
            Marked(title),
            table.rows.len()
        );
    }
    let numeric: Vec<bool> = (0..table.head.len())
        .map(|column| column > 0 && table.rows.iter().any(|row| is_number(row.get(column))))
        .collect();
    let class = |column: usize| {
        if numeric.get(column) == Some(&true) { " class=\"number\"" } else { "" }
    };
    out.push_str("<div class=\"scroll\"><table>");
    if !long {
        let _ = write!(out, "<caption>{}</caption>", Marked(&table.title));
    }
    out.push_str("<thead><tr>");
    for (column, head) in table.head.iter().enumerate() {
        let _ = write!(out, "<th scope=\"col\"{}>{}</th>", class(column), Marked(head));
    }
    out.push_str("</tr></thead><tbody>\n");
    for row in &table.rows {
        out.push_str("<tr>");
        for (column, cell) in row.iter().enumerate() {
            let _ = write!(out, "<td{}>{}</td>", class(column), Marked(cell));
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody></table></div>\n");
    if long {
        out.push_str("</details>\n");
    }
}

fn is_number(cell: Option<&String>) -> bool {
    cell.is_some_and(|cell| {
        cell.trim_start_matches(['-', '−']).starts_with(|c: char| c.is_ascii_digit())
    })
}

/// A plot's place, and its points as a table: for readers who do not see the drawing, and for
/// copying.
fn figure(out: &mut String, report: usize, nth: usize, plot: &Plot) {
    let id = Text(&plot.id);
    let _ = writeln!(
        out,
        "<figure id=\"plot-{report}-{id}\" data-report=\"{report}\" data-plot=\"{nth}\">\
         <figcaption>{}</figcaption>\n<div class=\"canvas\"></div>\n\
         <details><summary>Data</summary><div class=\"scroll\"><table><thead><tr><th>series</th>\
         <th>{}</th><th class=\"number\">{}</th><th class=\"number\">least</th>\
         <th class=\"number\">most</th><th>note</th></tr></thead><tbody>",
        Marked(&plot.title),
        Text(&axis(&plot.x.name, &plot.x.unit)),
        Text(&axis(&plot.y.name, &plot.y.unit)),
    );
    for series in &plot.series {
        for point in &series.points {
            let _ = writeln!(
                out,
                "<tr><td>{}</td><td>{}</td><td class=\"number\">{}</td><td class=\"number\">{}</td>\
                 <td class=\"number\">{}</td><td>{}</td></tr>",
                Text(&series.name),
                Text(&place(plot, point)),
                figure_of(point.y),
                figure_of(point.least),
                figure_of(point.most),
                Text(&point.note)
            );
        }
    }
    out.push_str("</tbody></table></div></details></figure>\n");
}

fn axis(name: &str, unit: &str) -> String {
    if unit.is_empty() { name.to_owned() } else { format!("{name}, {unit}") }
}

fn place(plot: &Plot, point: &Point) -> String {
    use crate::report::Scale;
    match (plot.shape, plot.x.scale) {
        (Shape::Bars | Shape::Stacked, _) => point.label.clone(),
        (Shape::Lines, Scale::Percentile) => {
            format!("{} %", figure_of((1.0 - 1.0 / point.x) * 100.0))
        }
        (Shape::Lines, _) => figure_of(point.x),
    }
}

/// Five significant digits, without zeros that say nothing.
fn figure_of(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return value.to_string();
    }
    let places = (4 - value.abs().log10().floor() as i32).clamp(0, 12) as usize;
    let text = format!("{value:.places$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}
