//! The screen of a run: what comes, what is lost, receivers, lanes, ops.

use ratatui::Frame;
use ratatui::layout::{Alignment, Constraint, Layout, Rect};
use ratatui::style::{Color, Style};
use ratatui::text::{Line, Span, Text};
use ratatui::widgets::{Cell, Paragraph, Row, Sparkline, Table, TableState};

use super::super::app::App;
use super::text::{bits, decimal, hundredths, meter, percent, time};
use super::{Look, margin};
use crate::run::figures::{count, rate};
use crate::view::{Live, OpLive, ReceiverLive};

/// Draws it into `area`; what matters least goes first where there is no room.
pub(super) fn draw(app: &App, live: &Live, look: Look, frame: &mut Frame<'_>, area: Rect) {
    let area = margin(area);
    let summary = summary(live, look, area.width);
    let rows = app.rows().len() as u16;
    // Headings and a blank line before each table.
    let table = |rows: usize| rows as u16 + 2;
    let (head, lanes) = (summary.lines.len() as u16, rows.min(4) + 2);
    let mut room = area.height.saturating_sub(head + lanes.min(3));
    let mut take = |wanted: u16, least: u16| {
        let given = if room >= least { wanted.min(room) } else { 0 };
        room -= given;
        given
    };
    let ops = take(table(live.ops.len()), 3);
    let history = take(4, 4);
    let receivers = take(table(live.receivers.len()), 3);
    let [at_top, at_history, at_receivers, at_lanes, at_ops] = Layout::vertical([
        Constraint::Length(head),
        Constraint::Length(history),
        Constraint::Length(receivers),
        Constraint::Min(2),
        Constraint::Length(ops),
    ])
    .areas(area);
    frame.render_widget(Paragraph::new(summary), at_top);
    draw_history(app, live, look, frame, at_history);
    draw_receivers(live, look, frame, at_receivers);
    draw_lanes(app, look, frame, at_lanes);
    draw_ops(&live.ops, look, frame, at_ops);
}

/// Parts of a line, as many lines as `width` needs.
fn flow(parts: Vec<(String, Style)>, width: u16) -> Vec<Line<'static>> {
    let mut lines: Vec<Vec<Span<'static>>> = vec![Vec::new()];
    let mut used = 0;
    for (text, style) in parts {
        let wide = text.chars().count();
        if used > 0 && used + 3 + wide > usize::from(width) {
            lines.push(Vec::new());
            used = 0;
        }
        let line = lines.last_mut().expect("there is always one");
        if used > 0 {
            line.push(Span::raw("   "));
            used += 3;
        }
        used += wide;
        line.push(Span::styled(text, style));
    }
    lines.into_iter().map(Line::from).collect()
}

fn summary(live: &Live, look: Look, width: u16) -> Text<'static> {
    let (rates, books) = (&live.rates, &live.books);
    let plain = Style::new();
    let pair = |name: &str, pps: f64, bytes: f64| {
        format!("{name} {:>9} {:>9}", rate(pps, "pps"), bits(bytes))
    };
    let mut parts = vec![
        (pair("in", rates.offered_pps, rates.received_bytes_per_s), look.strong()),
        (pair("out", rates.consumed_pps, rates.consumed_bytes_per_s), look.strong()),
        (
            format!("lost {:>6}", rate(rates.dropped_pps, "pps")),
            look.if_bad(rates.dropped_pps > 0.0),
        ),
        (format!("residual {}", count(books.residual)), look.if_bad(books.residual != 0)),
        (format!("in flight {}", count(books.in_flight)), plain),
    ];
    if let Some(waits) = &live.latency {
        let of = |ns| time(Some(ns));
        parts.push((
            format!(
                "wait p50 {} p99 {} p99.9 {} max {}",
                of(waits.p50_ns),
                of(waits.p99_ns),
                of(waits.p999_ns),
                of(waits.max_ns)
            ),
            plain,
        ));
    }
    let mut lines = flow(parts, width);
    let mut losses = vec![("drops".to_owned(), look.quiet())];
    for drop in &live.drops {
        let name = drop.cause.trim_start_matches("dropped_").replace('_', " ");
        let pace =
            if drop.pps > 0.0 { format!(" +{}", rate(drop.pps, "/s")) } else { String::new() };
        let text = format!("{name} {}{pace}", count(drop.packets));
        losses.push((text, look.if_bad(drop.pps > 0.0)));
    }
    losses.push((format!("filtered {}", count(books.filtered)), plain));
    lines.extend(flow(losses, width));
    Text::from(lines)
}

fn draw_history(app: &App, live: &Live, look: Look, frame: &mut Frame<'_>, area: Rect) {
    if area.height < 2 {
        return;
    }
    let [caption, chart] =
        Layout::vertical([Constraint::Length(1), Constraint::Min(1)]).areas(area);
    let width = usize::from(chart.width);
    let most = app.history.offered.most(width);
    let lost = app.history.dropped.most(width);
    let mut text = format!("in, at most {}", rate(most as f64, "pps"));
    if lost > 0 {
        text += &format!("; lost, at most {}", rate(lost as f64, "pps"));
    }
    text += &format!("; each column {:.1} s", live.interval_s.min(app.interval_ms as f64 / 1e3));
    frame.render_widget(Paragraph::new(text).style(look.quiet()), caption);
    let chart_of = Sparkline::default()
        .data(app.history.offered.last(width))
        .max(most.max(1))
        .style(look.paint(Color::Cyan));
    frame.render_widget(chart_of, chart);
}

/// A column: its heading, its width, and the width of the terminal from which on it is shown.
type Column<T> = (&'static str, u16, u16, fn(&T) -> String);

/// A table of those columns that `area` has room for. The first is left-aligned and grows.
fn table<T>(columns: &[Column<T>], rows: &[T], look: Look, area: Rect) -> Table<'static> {
    let shown: Vec<&Column<T>> = columns.iter().filter(|column| column.2 <= area.width).collect();
    let cell = |at: usize, text: String| {
        let side = if at == 0 { Alignment::Left } else { Alignment::Right };
        Cell::from(Text::from(text).alignment(side))
    };
    let heads = shown.iter().enumerate().map(|(at, column)| cell(at, column.0.to_owned()));
    let body = rows
        .iter()
        .map(|row| Row::new(shown.iter().enumerate().map(|(at, column)| cell(at, column.3(row)))));
    let widths = shown.iter().enumerate().map(|(at, column)| match at {
        0 => Constraint::Min(column.1),
        _ => Constraint::Length(column.1),
    });
    Table::new(body.collect::<Vec<_>>(), widths.collect::<Vec<_>>())
        .header(Row::new(heads.collect::<Vec<_>>()).style(look.quiet()))
        .column_spacing(1)
}

/// All but the blank line that sets a table apart.
const fn below(area: Rect) -> Rect {
    if area.height < 3 {
        return area;
    }
    Rect { y: area.y + 1, height: area.height - 1, ..area }
}

fn draw_receivers(live: &Live, look: Look, frame: &mut Frame<'_>, area: Rect) {
    if area.height < 2 {
        return;
    }
    let columns: [Column<ReceiverLive>; 9] = [
        ("receiver", 10, 0, |of| of.source.clone()),
        ("core", 4, 40, |of| of.core.to_string()),
        ("granted", 20, 96, |of| of.granted.clone()),
        ("in", 10, 0, |of| rate(of.offered_pps, "pps")),
        ("lost", 9, 0, |of| rate(of.dropped_pps, "pps")),
        ("pool", 13, 50, |of| meter(of.frames_on_loan, of.frames, 8)),
        ("poll", 6, 66, |of| decimal(of.cycles.map(|cycles| cycles.poll))),
        ("parse", 6, 66, |of| decimal(of.cycles.map(|cycles| cycles.classify))),
        ("steer", 6, 66, |of| decimal(of.cycles.map(|cycles| cycles.steer + cycles.recycle))),
    ];
    frame.render_widget(table(&columns, &live.receivers, look, area), below(area));
}

fn draw_lanes(app: &App, look: Look, frame: &mut Frame<'_>, area: Rect) {
    use super::super::rows::Row as Lane;
    let columns: [Column<Lane>; 11] = [
        ("lane", 12, 0, |lane| lane.label.clone()),
        ("core", 4, 40, |lane| lane.core.to_string()),
        ("rate", 8, 0, |lane| rate(lane.rate, "/s")),
        ("ring", 13, 50, |lane| {
            lane.ring.map_or_else(|| "none".to_owned(), |(queued, slots)| meter(queued, slots, 8))
        }),
        ("peak", 5, 78, |lane| percent(lane.peak)),
        ("cyc/pkt", 7, 32, |lane| decimal(lane.cycles)),
        ("p50", 7, 66, |lane| time(lane.p50_ns)),
        ("p99", 7, 60, |lane| time(lane.p99_ns)),
        ("p99.9", 7, 96, |lane| time(lane.p999_ns)),
        ("max", 7, 96, |lane| time(lane.max_ns)),
        ("steal", 5, 74, |lane| percent(lane.steal)),
    ];
    let rows = app.rows();
    let lanes = table(&columns, &rows, look, area).row_highlight_style(look.strong());
    let mut state = TableState::new().with_selected(app.selected);
    frame.render_stateful_widget(lanes, below(area), &mut state);
}

/// The table of ops, also of one worker.
pub(super) fn draw_ops(ops: &[OpLive], look: Look, frame: &mut Frame<'_>, area: Rect) {
    if area.height < 2 {
        return;
    }
    let columns: [Column<OpLive>; 6] = [
        ("op", 16, 0, |op| op.op.clone()),
        ("rule", 12, 50, |op| op.rule.clone()),
        ("rate", 9, 0, |op| rate(op.pps, "pps")),
        ("payload", 10, 60, |op| bits(op.bytes_per_s)),
        ("cyc/pkt", 8, 32, |op| decimal(op.cycles_per_packet)),
        ("cyc/B", 7, 44, |op| hundredths(op.cycles_per_byte)),
    ];
    frame.render_widget(table(&columns, ops, look, area), below(area));
}
