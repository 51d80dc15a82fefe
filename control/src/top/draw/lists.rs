//! The list of runs, and the help.

use ratatui::Frame;
use ratatui::layout::{Constraint, Rect};
use ratatui::style::Style;
use ratatui::text::Line;
use ratatui::widgets::{Paragraph, Row, Table, TableState};

use super::super::app::App;
use super::super::keys::KEYS;
use super::{Look, margin};

/// Every key.
pub(super) fn help(look: Look, frame: &mut Frame<'_>, area: Rect) {
    let mut lines = vec![Line::default()];
    lines.extend(KEYS.iter().map(|(keys, what)| Line::raw(format!("{keys:<10} {what}"))));
    lines.push(Line::default());
    for line in [
        "cyc/pkt  cycles of programs for each packet",
        "ring     spans in the forward ring, of its slots",
        "peak     most that it was found to hold since the run began",
        "pool     frames on loan, of all",
        "wait     from arrival to the worker's turn, in this interval",
        "steal    share of the core that the hypervisor gave to others",
    ] {
        lines.push(Line::styled(line, look.quiet()));
    }
    frame.render_widget(Paragraph::new(lines), margin(area));
}

/// The runs that listen.
pub(super) fn runs(app: &App, look: Look, frame: &mut Frame<'_>, area: Rect) {
    if app.runs.is_empty() {
        let text = "No run of this user listens; waiting for one. Start it with: pfs run …";
        frame.render_widget(Paragraph::new(text), margin(area));
        return;
    }
    let rows = app.runs.iter().map(|place| {
        let path = place.path.display().to_string();
        Row::new([place.pid.to_string(), place.name.clone(), path])
    });
    let widths = [Constraint::Length(8), Constraint::Length(24), Constraint::Min(10)];
    let table = Table::new(rows, widths)
        .header(Row::new(["pid", "run", "socket"]).style(look.quiet()))
        .row_highlight_style(Style::new().patch(look.bar()));
    let mut state = TableState::new().with_selected(app.selected);
    frame.render_stateful_widget(table, margin(area), &mut state);
}
