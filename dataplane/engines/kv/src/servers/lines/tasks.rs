//! Commands of the line grammar that run step by step.

use super::walk::Walk;
use crate::Database;
use crate::grammar::{Page, ReplyLine};
use crate::servers::purge::{Purge, PurgeError, Reset};
use crate::servers::service::StoreService;

/// Rows of a step. A page of at most so many is of one moment when one loop owns the store.
const STEP: usize = 4096;

/// A long command.
#[derive(Debug)]
pub(in crate::servers) enum LineTask {
    /// `PAIR_SCAN`.
    Page(Walk),
    /// `PAIR_REDUCE`.
    Reduce {
        walk: Walk,
        /// The mode, as the client wrote it.
        name: String,
        /// Tokens that are reported.
        top: usize,
    },
    /// `PAIR_SUMMARY`.
    Summary(Walk),
    /// `PAIR_PURGE`.
    Purge(Purge),
    /// `RESET_DB`.
    Reset { reset: Reset, name: String },
}

impl LineTask {
    /// Bytes of memory, about.
    pub(in crate::servers) fn memory(&self) -> usize {
        match self {
            Self::Page(walk) | Self::Reduce { walk, .. } | Self::Summary(walk) => walk.memory(),
            Self::Purge(_) | Self::Reset { .. } => 0,
        }
    }

    /// A step; whether it was the last, and the reply is in `out`.
    pub(in crate::servers) fn step(
        &mut self,
        service: &mut StoreService,
        out: &mut Vec<u8>,
    ) -> bool {
        match self {
            Self::Page(walk) => {
                let ended = walk.step(&mut service.engine, STEP);
                if ended {
                    walk.write_rows(out);
                    service.rows = std::mem::take(&mut walk.rows);
                }
                ended
            }
            Self::Reduce { walk, name, top } => {
                let ended = walk.step(&mut service.engine, STEP);
                if ended {
                    walk.write_reduction(name, *top, out);
                }
                ended
            }
            Self::Summary(walk) => {
                let ended = walk.step(&mut service.engine, STEP);
                if ended {
                    walk.write_summary(out);
                }
                ended
            }
            Self::Purge(purge) => {
                let step = purge.step(service);
                let purged = purge.purged;
                ended(
                    step,
                    out,
                    |error| error.to_string(),
                    |out| {
                        ReplyLine::success(out).number("purged", purged);
                    },
                )
            }
            Self::Reset { reset, name } => {
                let step = reset.step(service);
                let failed = |error: &PurgeError| format!("cannot_reset_db:{error}");
                ended(step, out, failed, |out| {
                    ReplyLine::success(out).word(&format!("database_reset_to_{name}"));
                })
            }
        }
    }
}

/// Writes the reply of what has ended; whether it has.
fn ended(
    step: Result<bool, PurgeError>,
    out: &mut Vec<u8>,
    failed: impl Fn(&PurgeError) -> String,
    done: impl Fn(&mut Vec<u8>),
) -> bool {
    match step {
        Ok(false) => return false,
        Ok(true) => done(out),
        Err(error) => ReplyLine::error(out, failed(&error)),
    }
    true
}

impl StoreService {
    /// `PAIR_SCAN`.
    pub(super) fn pair_scan(&mut self, db: Database, page: &Page<'_>, out: &mut Vec<u8>) {
        let mut rows = std::mem::take(&mut self.rows);
        rows.clear();
        let walk = Walk::paging(db, page, self.common.limits.reply_bytes, rows);
        self.begin_line(LineTask::Page(walk), out);
    }
}
