//! The closing table of a run.

use std::fmt::Write as _;

use pfs_dataplane::run::{RuleResults, RunReport};

use super::Closing;
use super::figures::{count, rate};
use super::live::drops;

/// The books, where losses went, and what each rule found.
pub(super) fn render(closing: &Closing) -> String {
    let report = &closing.report;
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = write_receivers(&mut text, report);
    let _ = write_workers(&mut text, report);
    let _ = write_sinks(&mut text, report);
    let _ = write_books(&mut text, report);
    for rule in &report.results {
        let _ = write_results(&mut text, rule);
    }
    for server in &closing.servers {
        let _ = writeln!(
            text,
            "server of rule {}: {} connections, {} commands in {} bursts",
            server.rule,
            count(server.connections),
            count(server.commands),
            count(server.bursts)
        );
    }
    text
}

fn write_receivers(text: &mut String, report: &RunReport) -> std::fmt::Result {
    writeln!(
        text,
        "{:<20} {:>4}  {:<24} {:>14} {:>14} {:>12}",
        "receiver", "core", "granted", "packets", "delivered", "lost"
    )?;
    for receiver in &report.receivers {
        let granted = &receiver.granted;
        let lost = receiver.source_counters.dropped_nic
            + receiver.source_counters.dropped_kernel
            + receiver.source_counters.dropped_no_frame
            + receiver.source_counters.dropped_malformed
            + receiver.counters.dropped_malformed
            + receiver.counters.dropped_ring_full;
        writeln!(
            text,
            "{:<20} {:>4}  {:<24} {:>14} {:>14} {:>12}",
            receiver.source,
            receiver.core,
            format!("{} {}", granted.backend, granted.mode),
            count(receiver.source_counters.offered),
            count(receiver.counters.delivered),
            count(lost),
        )?;
        for note in &granted.notes {
            writeln!(text, "    {note}")?;
        }
        for (name, value) in receiver.driver.iter().filter(|(name, _)| is_trouble(name)) {
            writeln!(text, "    {name} {}", count(*value))?;
        }
    }
    Ok(())
}

/// Whether a driver counts losses or faults by that name; all of its totals are in the JSON report.
fn is_trouble(name: &str) -> bool {
    ["err", "drop", "miss", "discard", "nombuf", "no_buffer"].iter().any(|word| name.contains(word))
}

fn write_workers(text: &mut String, report: &RunReport) -> std::fmt::Result {
    writeln!(
        text,
        "{:<20} {:>4}  {:<24} {:>14} {:>14} {:>12}",
        "worker", "core", "", "consumed", "payload B", "cycles/pkt"
    )?;
    for (at, worker) in report.workers.iter().enumerate() {
        let counters = &worker.counters;
        let per_packet = counters.program_cycles as f64 / counters.consumed.max(1) as f64;
        writeln!(
            text,
            "{:<20} {:>4}  {:<24} {:>14} {:>14} {:>12.1}",
            at,
            worker.core,
            "",
            count(counters.consumed),
            count(counters.consumed_bytes),
            per_packet,
        )?;
    }
    Ok(())
}

fn write_sinks(text: &mut String, report: &RunReport) -> std::fmt::Result {
    for sink in report.workers.iter().flat_map(|worker| &worker.sinks) {
        writeln!(
            text,
            "sink {}: {} records, {} B in {}; {} lost",
            sink.sink,
            count(sink.packets),
            count(sink.bytes),
            sink.path.display(),
            count(sink.lost)
        )?;
    }
    Ok(())
}

fn write_books(text: &mut String, report: &RunReport) -> std::fmt::Result {
    let books = &report.books;
    let seconds = report.elapsed_s.max(1e-9);
    write!(text, "books: offered {} = filtered {}", count(books.offered), count(books.filtered))?;
    for (name, lost) in drops(books) {
        write!(text, " + {name} {}", count(lost))?;
    }
    writeln!(text, " + delivered {}", count(books.delivered))?;
    writeln!(
        text,
        "       delivered {} = consumed {} + in_flight {}; residual {}",
        count(books.delivered),
        count(books.consumed),
        count(books.in_flight),
        books.residual
    )?;
    writeln!(
        text,
        "       {:.3} s, {}",
        report.elapsed_s,
        rate(books.consumed as f64 / seconds, "pps")
    )
}

fn write_results(text: &mut String, rule: &RuleResults) -> std::fmt::Result {
    let results = &rule.results;
    writeln!(
        text,
        "rule {}: {} packets, {} B",
        rule.rule,
        count(results.messages),
        count(results.bytes)
    )?;
    for (at, (op, value)) in results.ops.iter().zip(results.r).enumerate() {
        if results.per_lane_only[at] && results.lanes > 1 {
            writeln!(text, "  R{at} {op:<24} one for each lane; --json has them")?;
        } else {
            writeln!(text, "  R{at} {op:<24} {value:#018x} {value:>20}")?;
        }
    }
    if let Some(hist) = &results.hist {
        let top = hist.iter().enumerate().max_by_key(|(_, n)| **n).map_or((0, 0), |(b, n)| (b, *n));
        let used = hist.iter().filter(|n| **n > 0).count();
        writeln!(
            text,
            "  hist8: {used} byte values, most often {:#04x} ({})",
            top.0,
            count(top.1)
        )?;
    }
    for engine in &rule.engines {
        let counted = engine.counters.iter().filter(|(_, count)| **count > 0);
        let counted: Vec<String> =
            counted.map(|(name, total)| format!("{name} {}", count(*total))).collect();
        writeln!(text, "  {}: {}", engine.op, counted.join(", "))?;
    }
    for step in &rule.steps {
        writeln!(text, "  {:<27} {:>8.2} cycles/B", step.ops, step.cycles_per_byte())?;
    }
    Ok(())
}
