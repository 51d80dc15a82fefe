//! The screen of one worker.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::Color;
use ratatui::text::Line;
use ratatui::widgets::{Paragraph, Sparkline};

use super::super::app::App;
use super::run::draw_ops;
use super::text::{bits, decimal, percent, time};
use super::{Look, margin};
use crate::run::figures::{count, rate};
use crate::view::{Live, WorkerLive};
use pfs_dataplane::run::Latency;

/// Draws the worker at `at`.
pub(super) fn draw(
    app: &App,
    live: &Live,
    at: usize,
    look: Look,
    frame: &mut Frame<'_>,
    area: Rect,
) {
    let area = margin(area);
    let Some(worker) = live.workers.get(at) else {
        frame.render_widget(Paragraph::new("this worker is gone"), area);
        return;
    };
    let facts = facts(live, worker, look);
    let counted = counted(worker);
    let [at_facts, at_history, at_ops, at_counted] = Layout::vertical([
        Constraint::Length(facts.len() as u16),
        Constraint::Length(if area.height >= 16 { 4 } else { 0 }),
        Constraint::Length(worker.steps.len() as u16 + 2),
        Constraint::Min(0),
    ])
    .areas(area);
    frame.render_widget(Paragraph::new(facts), at_facts);
    if let Some(series) = app.history.workers.get(at).filter(|_| at_history.height > 1) {
        let chart = Rect { y: at_history.y + 1, height: at_history.height - 1, ..at_history };
        let width = usize::from(chart.width);
        let sparkline = Sparkline::default()
            .data(series.last(width))
            .max(series.most(width).max(1))
            .style(look.paint(Color::Cyan));
        frame.render_widget(sparkline, chart);
    }
    draw_ops(&worker.steps, look, frame, at_ops);
    frame.render_widget(Paragraph::new(counted), at_counted);
}

fn facts(live: &Live, worker: &WorkerLive, look: Look) -> Vec<Line<'static>> {
    let core = live.cores.iter().find(|core| core.core == worker.core);
    let counters = &worker.counters;
    let mut lines = vec![
        Line::styled(
            format!(
                "worker {} on core {}: {}, {} of payload",
                worker.worker,
                worker.core,
                rate(worker.consumed_pps, "pps"),
                bits(worker.consumed_bytes_per_s)
            ),
            look.strong(),
        ),
        Line::raw(format!(
            "cycles/packet: programs {}, lanes {}; core busy {}, stolen {}",
            decimal(worker.program_cycles),
            decimal(worker.lane_cycles),
            percent(core.map(|core| core.busy)),
            percent(core.map(|core| core.steal)),
        )),
        Line::raw(format!(
            "{} packets in {} bursts, {} bad spans, {} waits",
            count(counters.consumed),
            count(counters.batches),
            count(counters.bad_spans),
            count(counters.waits)
        )),
    ];
    lines.extend(waits("wait now", worker.latency.as_ref()));
    lines.extend(waits("wait, all", worker.latency_total.as_ref()));
    for lane in live.lanes.iter().filter(|lane| lane.worker == worker.worker) {
        let source = live.receivers.get(lane.receiver).map_or("?", |of| of.source.as_str());
        lines.push(Line::raw(format!(
            "from {source}: {} of {} in the ring, at most {}, {} in flight, {}",
            count(lane.queued),
            count(lane.slots),
            count(lane.high_water),
            count(lane.in_flight),
            rate(lane.spans_per_s, "spans/s"),
        )));
    }
    lines
}

fn waits(name: &str, latency: Option<&Latency>) -> Option<Line<'static>> {
    let of = latency?;
    let [p50, p90, p99, p999, max] =
        [of.p50_ns, of.p90_ns, of.p99_ns, of.p999_ns, of.max_ns].map(|ns| time(Some(ns)));
    Some(Line::raw(format!("{name:<9}: p50 {p50}, p90 {p90}, p99 {p99}, p99.9 {p999}, max {max}")))
}

/// What engine ops have counted, without the zeroes.
fn counted(worker: &WorkerLive) -> Vec<Line<'static>> {
    let mut lines = Vec::new();
    for engine in &worker.engines {
        let counters = engine.counters.iter().filter(|(_, total)| **total > 0);
        let told: Vec<_> =
            counters.map(|(name, total)| format!("{name} {}", count(*total))).collect();
        lines.push(Line::raw(format!("{}: {}", engine.op, told.join(", "))));
    }
    if !lines.is_empty() {
        lines.insert(0, Line::default());
    }
    lines
}
