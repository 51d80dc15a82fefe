//! The report of all rows: tables, plots, targets, notes.

use super::contender::Kind;
use super::plots;
use super::row::{Row, Waited, in_kpps};
use super::sender::SENDER;
use crate::report::{Figure, Report, Table, Target};

/// Fills `report` from `rows`, those of one size together.
pub(super) fn write(report: &mut Report, rows: &[Row], made: bool) {
    let interrupted = crate::interrupt::asked();
    report.right = rows.iter().all(|row| row.is_right(interrupted));
    for row in rows {
        for error in &row.errors {
            report.notes.push(format!("{}: {error}", row.code));
        }
        if row.left_attached > 0 {
            report.notes.push(format!(
                "{}: {} times its XDP program was still attached when it had ended; it was taken off",
                row.code, row.left_attached
            ));
        }
        if row.short() > 0 {
            let (short, all) = (row.short(), row.trials().count());
            report.notes.push(format!(
                "{}: in {short} of {all} trials the sender did not keep its load; what it did not \
                 send counts as lost in a search",
                row.code
            ));
        }
    }
    if made {
        report.notes.push(
            "Over a veth pair the sender's core does the kernel's part of receiving: its top speed \
             is the limit of most rows. Zero-copy does not exist there."
                .to_owned(),
        );
    }
    for rows in rows.chunk_by(|a, b| a.size == b.size) {
        let measured: Vec<&Row> = rows.iter().filter(|row| row.trials().next().is_some()).collect();
        report.tables.push(rates(&measured));
        report.tables.push(losses(&measured));
        if measured.iter().any(|row| !row.latency.is_empty()) {
            report.tables.push(latencies(&measured));
        }
        report.plots.extend(plots::of_size(&rows[0].size, &measured));
        report.targets.extend(targets(&rows[0].size, &measured));
    }
    report.figures = rows.iter().filter(|row| !row.mrr.is_empty()).flat_map(figures).collect();
    report.raw = serde_json::to_value(rows).unwrap_or_default();
}

/// What can be held against another run: rate and processor time of the trials at top speed.
fn figures(row: &Row) -> [Figure; 2] {
    let cpu = Figure::cost(format!("{} CPU", row.code), "cores", &row.cpu());
    [Figure::rate(format!("{} MRR", row.code), "kpps", &row.kpps()), cpu]
}

fn rates(rows: &[&Row]) -> Table {
    let title = format!(
        "Rates, sender {SENDER} on another core. MRR: delivered at its top speed, median and range; \
         NDR and PDR: what came through at the highest load that lost nothing, and 0.5 %; CPU: the \
         receiver's process alone, at top speed:"
    );
    let head = ["test", "granted", "XDP", "MRR kpps", "sent kpps", "CPU", "NDR kpps", "PDR kpps"];
    let mut table = Table::new(title, &head);
    for row in rows {
        let mode = row.granted.as_ref().map_or("–", |granted| granted.mode.as_str());
        table.row(vec![
            row.code.clone(),
            mode.to_owned(),
            row.attached.unwrap_or("–").to_owned(),
            row.kpps().text(0),
            format!("{:.0}", row.sent_kpps().median),
            row.cpu().text(2),
            in_kpps(row, "NDR"),
            in_kpps(row, "PDR"),
        ]);
    }
    table
}

fn losses(rows: &[&Row]) -> Table {
    let title = "Where frames went at top speed, as shares of those sent; residual: of our books, \
                 over all trials of the row:";
    let head = ["test", "lost, by cause", "unaccounted", "residual"];
    let mut table = Table::new(title, &head);
    for row in rows {
        let sent: u64 = row.mrr.iter().map(|trial| trial.sent).sum();
        let share = |frames: f64| format!("{:.2} %", frames / sent.max(1) as f64 * 100.0);
        let mut causes = std::collections::BTreeMap::<&str, u64>::new();
        for (cause, frames) in row.mrr.iter().flat_map(|trial| &trial.lost) {
            *causes.entry(cause).or_default() += frames;
        }
        let causes: Vec<String> = causes
            .into_iter()
            .map(|(cause, frames)| format!("{cause} {}", share(frames as f64)))
            .collect();
        let unaccounted: i64 = row.mrr.iter().map(|trial| trial.unaccounted).sum();
        table.row(vec![
            row.code.clone(),
            if causes.is_empty() { "none".to_owned() } else { causes.join(", ") },
            share(unaccounted as f64),
            if row.is_ours { residual(row).to_string() } else { "–".to_owned() },
        ]);
    }
    table
}

fn residual(row: &Row) -> u64 {
    row.trials().filter_map(|trial| trial.residual).sum()
}

fn latencies(rows: &[&Row]) -> Table {
    let title = "Latency in µs, from the hand-over of a frame to the kernel to the receiver's poll; \
                 a quantile only where enough frames were looked at:";
    let head = ["test", "load", "kpps", "p50", "p90", "p99", "p99.9", "longest", "frames"];
    let mut table = Table::new(title, &head);
    let us = |ns: Option<u64>| ns.map_or("–".to_owned(), |ns| format!("{:.1}", ns as f64 / 1e3));
    for (row, waited) in rows.iter().flat_map(|row| row.latency.iter().map(move |one| (row, one))) {
        let quantile = |share| us(Waited::quantile(waited, share));
        table.row(vec![
            row.code.clone(),
            waited.load.clone(),
            format!("{:.1}", waited.trial.sent_rate() / 1e3),
            quantile(0.5),
            quantile(0.9),
            quantile(0.99),
            quantile(0.999),
            us(waited.most()),
            waited.samples().to_string(),
        ]);
    }
    table
}

fn targets(size: &str, rows: &[&Row]) -> Vec<Target> {
    let find = |name: &str| rows.iter().find(|row| row.name == name && !row.mrr.is_empty());
    let mut targets = Vec::new();
    let pairs =
        [(Kind::PacketSocket, "pfs af_packet crc32c"), (Kind::Xdp, "pfs af_xdp native adaptive")];
    for (kind, ours) in pairs {
        let peers =
            rows.iter().filter(|row| row.kind == kind && !row.is_ours && !row.mrr.is_empty());
        let best = peers.max_by(|a, b| a.kpps().median.total_cmp(&b.kpps().median));
        let (Some(ours), Some(best)) = (find(ours), best) else { continue };
        let (rate, wanted) = (ours.kpps().median, best.kpps().median);
        targets.push(Target::at_least(
            &format!("{}, {size} B: MRR", ours.name),
            format!("≥ {wanted:.0} kpps ({})", best.name),
            format!("{rate:.0} kpps"),
            rate,
            wanted,
        ));
    }
    if let (Some(ours), Some(peer)) = (find("pfs af_packet len"), find("tcpdump")) {
        let (cpu, allowed) = (ours.cpu().median, peer.cpu().median);
        targets.push(Target::at_most(
            &format!("{}, {size} B: CPU", ours.name),
            format!("≤ {allowed:.3} (tcpdump)"),
            format!("{cpu:.3}"),
            cpu,
            allowed,
        ));
    }
    let (calm, busy) = (find("pfs af_xdp native adaptive"), find("pfs af_xdp native spin"));
    if let (Some(calm), Some(busy)) = (calm, busy) {
        let (rate, spinning) = (calm.kpps().median, busy.kpps().median);
        targets.push(Target::at_least(
            &format!("af_xdp adaptive, {size} B: MRR"),
            format!("≥ 95 % of spinning's {spinning:.0} kpps"),
            format!("{rate:.0} kpps"),
            rate,
            0.95 * spinning,
        ));
        let (cpu, spinning) = (calm.cpu().median, busy.cpu().median);
        targets.push(Target::at_most(
            &format!("af_xdp adaptive, {size} B: CPU"),
            format!("< 0.7 of spinning's {spinning:.2}"),
            format!("{cpu:.2}"),
            cpu,
            0.7 * spinning,
        ));
    }
    let residual: u64 = rows.iter().map(|row| residual(row)).sum();
    let trials: usize = rows.iter().filter(|row| row.is_ours).map(|row| row.trials().count()).sum();
    targets.push(Target::holds(
        &format!("our books, {size} B"),
        "residual 0 in every trial",
        format!("residual {residual} over {trials} trials"),
        residual == 0,
    ));
    targets
}
