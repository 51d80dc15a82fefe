//! Commands about databases, the connection and the server.

use super::jobs::ROW_BYTES;
use super::session::LineSession;
use super::tasks::LineTask;
use super::walk::Walk;
use crate::grammar::{Command, ReplyLine};
use crate::servers::connection::Reason;
use crate::servers::counters::add;
use crate::servers::purge::{Purge, Reset};
use crate::servers::service::StoreService;
use crate::{Branching, Database};

impl StoreService {
    /// Executes a command that is not one operation of the store.
    pub(super) fn line_alone(
        &mut self,
        session: &mut LineSession,
        command: &Command<'_>,
        out: &mut Vec<u8>,
    ) {
        match command {
            Command::Auth { password } => self.line_auth(session, password, out),
            _ if !session.authenticated => ReplyLine::error(out, "auth_required"),
            Command::Database { name } => match self.engine.database(name) {
                Ok(db) => {
                    (session.db, session.name) = (db, (*name).to_owned());
                    let text = format!("database_changed_to_{name}");
                    ReplyLine::success(out).word(&text);
                }
                Err(error) => ReplyLine::error(out, format_args!("cannot_load_db:{error}")),
            },
            Command::ResetDb { name } => self.reset_db(session, *name, out),
            Command::SystemStats => self.system_stats(out),
            Command::LogFlush { limit } => {
                let messages = self.common.journal.flush(limit.map_or(usize::MAX, |n| n as usize));
                ReplyLine::success(out).number("count", messages.len() as u64);
                for (index, message) in messages.iter().enumerate() {
                    let message: String = message.replace(['\r', '\n'], " ");
                    out.extend_from_slice(format!("[{index}] {message}\n").as_bytes());
                }
            }
            Command::FileCheckpoint => match self.engine.flush() {
                Ok(()) => {
                    let shards = self.engine.shards() as u64;
                    ReplyLine::success(out).number("file_checkpoint_flushed", shards);
                }
                Err(error) => ReplyLine::error(out, error),
            },
            Command::Recycle { size } => {
                let usage = self.engine.usage();
                ReplyLine::success(out)
                    .text("command", "RECYCLE")
                    .number("size", *size)
                    .number("tables", 0)
                    .number("free_slots", 0)
                    .number("reclaimable_bytes", usage.log_dead);
            }
            _ => self.pairs_alone(session.db, command, out),
        }
    }

    /// Executes a command about many pairs.
    fn pairs_alone(&mut self, db: Database, command: &Command<'_>, out: &mut Vec<u8>) {
        match command {
            Command::PairScan(page) => self.pair_scan(db, page, out),
            Command::PairReduce { mode, name, page, rows, top, job } => {
                let most = self.common.limits.reply_bytes;
                let most = if *job { most.min(ROW_BYTES) } else { most };
                let walk = Walk::reducing(db, page, *mode, *rows, most);
                let (name, top) = (String::from_utf8_lossy(name).into_owned(), *top as usize);
                if *job {
                    return self.jobs.begin(walk, name, top, &mut self.engine, out);
                }
                self.begin_line(LineTask::Reduce { walk, name, top }, out);
            }
            Command::ReduceStatus { job } => self.jobs.status(job, out),
            Command::ReduceFetch { job } => self.jobs.fetch(job, out),
            Command::ReduceCancel { job } => self.jobs.cancel(job, out),
            Command::PairSummary { prefix, depth, branches } => {
                let branching = Branching {
                    depth: depth.map(|depth| depth as usize),
                    limit: branches.map(|limit| limit as usize),
                };
                let walk = Walk::summing(db, prefix.bytes().into_owned(), branching);
                self.begin_line(LineTask::Summary(walk), out);
            }
            Command::PairPurge { prefix, .. } => {
                let purge = Purge::of_pairs(db, prefix.bytes().into_owned());
                self.begin_line(LineTask::Purge(purge), out);
            }
            // The others are operations of the store.
            _ => ReplyLine::error(out, "internal_error:not executed"),
        }
    }

    fn line_auth(&self, session: &mut LineSession, password: &[u8], out: &mut Vec<u8>) {
        if self.secret.as_ref().is_none_or(|secret| secret.matches(password)) {
            session.authenticated = true;
            ReplyLine::success(out).word("authenticated");
            return;
        }
        add(&self.common.counters.auth_failures, 1);
        session.wrong_passwords += 1;
        if session.wrong_passwords >= self.common.limits.auth_attempts {
            session.close = Some(Reason::Auth);
        }
        ReplyLine::error(out, "wrong_password");
    }

    /// Empties a database: its pairs and its values. Absolute keys go on counting: none is given out twice.
    fn reset_db(&mut self, session: &LineSession, name: Option<&str>, out: &mut Vec<u8>) {
        let name = name.unwrap_or(&session.name).to_owned();
        match self.engine.database(&name) {
            Ok(db) => self.begin_line(LineTask::Reset { reset: Reset::of(db), name }, out),
            Err(error) => ReplyLine::error(out, format_args!("cannot_reset_db:{error}")),
        }
    }

    fn system_stats(&mut self, out: &mut Vec<u8>) {
        let system = self.system.snapshot();
        let counters = self.common.counters.read();
        let usage = self.engine.usage();
        let cores = system.cores as u64;
        let asked = counters.hits + counters.misses;
        let share = if asked == 0 { 0.0 } else { counters.hits as f64 / asked as f64 * 100.0 };
        let percent = |value: f64| format!("{value:.2}");
        ReplyLine::success(out)
            .text("command", "SYSTEM_STATS")
            .text("timestamp", rfc3339(self.now / 1000))
            .number("logical_cores", cores)
            .number("gomaxprocs", cores)
            .number("goroutines", system.threads)
            .number("mem_alloc_bytes", system.resident_bytes)
            .number("mem_sys_bytes", system.virtual_bytes)
            .text("process_cpu_pct", percent(system.process_cpu_pct))
            .number("process_cpu_supported", 1)
            .text("system_cpu_pct", percent(system.system_cpu_pct))
            .number("system_cpu_supported", 1)
            .number("io_supported", 1)
            .number("io_read_bytes", system.read_bytes)
            .number("io_write_bytes", system.write_bytes)
            .text("io_read_bytes_per_sec", percent(system.read_rate))
            .text("io_write_bytes_per_sec", percent(system.write_rate))
            // A burst is executed by the loops that own its keys, whatever its length.
            .text("recommended_workers", "1:1;32:1;256:1;4096:1")
            // All payloads lie in memory: what the original calls its cache is the store.
            .number("payload_cache_enabled", 1)
            .number("payload_cache_entries", usage.keys + usage.objects)
            .number("payload_cache_max_entries", 0)
            .number("payload_cache_bytes", usage.payload)
            .number("payload_cache_max_bytes", self.engine.memory_bound())
            .number("payload_cache_hits", counters.hits)
            .number("payload_cache_misses", counters.misses)
            .number("payload_cache_evictions", 0)
            .text("payload_cache_hit_pct", percent(share))
            .number("payload_cache_advisory_bypass_bytes", 0);
    }
}

/// Seconds since 1970 as a date and time of UTC, as RFC 3339 writes it.
fn rfc3339(seconds: u64) -> String {
    let (days, second) = ((seconds / 86_400) as i64, seconds % 86_400);
    // Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms": civil_from_days.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_709_251_200, "2024-03-01T00:00:00Z"),
            (1_794_787_200, "2026-11-16T00:00:00Z"),
        ] {
            assert_eq!(rfc3339(seconds), text);
        }
    }
}
