//! Rows in the order of their keys.

use super::Shard;
use crate::index::Walk;
use crate::log::{Loc, Log};
use crate::op::Space;
use crate::record::HIDDEN;

/// Records fetched ahead of the row given out.
const AHEAD: usize = 10;

/// What to scan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scan<'a> {
    /// Where.
    pub space: Space,
    /// Only keys that begin with this.
    pub prefix: &'a [u8],
    /// Only keys behind this one: the last of the page before.
    pub after: Option<&'a [u8]>,
    /// Hidden keys as well.
    pub hidden: bool,
}

/// One key with its value, where they lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row<'a> {
    /// The key.
    pub key: &'a [u8],
    /// The value.
    pub value: &'a [u8],
    /// When it goes, in milliseconds since 1970; 0 for never.
    pub expiry: u64,
    /// Whether scans leave it out unless asked.
    pub hidden: bool,
    pub(super) loc: Loc,
}

/// Rows of one shard, ascending.
#[derive(Clone, Debug)]
pub struct ScanRows<'a> {
    log: &'a Log,
    walk: Option<Walk<'a>>,
    run: &'a [Loc],
    next_run: &'a [Loc],
    at: usize,
    prefix: &'a [u8],
    after: Option<&'a [u8]>,
    hidden: bool,
    /// Rows whose time had come by then are left out.
    now: u64,
}

impl Shard {
    /// The rows that `scan` asks for, in the order of their keys' bytes.
    #[must_use]
    pub fn scan<'a>(&'a self, scan: &Scan<'a>) -> ScanRows<'a> {
        let mut rows = self.rows(scan);
        rows.now = self.now;
        rows
    }

    /// Rows with `prefix`, hidden and expired ones too.
    pub(super) fn every_row<'a>(&'a self, space: Space, prefix: &'a [u8]) -> ScanRows<'a> {
        self.rows(&Scan { space, prefix, after: None, hidden: true })
    }

    fn rows<'a>(&'a self, scan: &Scan<'a>) -> ScanRows<'a> {
        let from = scan.after.map_or(scan.prefix, |after| after.max(scan.prefix));
        let space = self.space(scan.space);
        let mut walk = space.map(|space| space.order.walk(&self.arena, &self.log, from));
        let run = walk.as_mut().and_then(Walk::run).unwrap_or_default();
        run.iter().take(AHEAD).for_each(|&loc| self.log.prefetch(loc));
        let next_run = walk.as_mut().and_then(Walk::run).unwrap_or_default();
        let Scan { prefix, after, hidden, .. } = *scan;
        ScanRows { log: &self.log, walk, run, next_run, at: 0, prefix, after, hidden, now: 0 }
    }

    /// The least and the greatest key of `space`, hidden and expired ones included.
    #[must_use]
    pub fn bounds(&self, space: Space) -> Option<(&[u8], &[u8])> {
        let order = &self.space(space)?.order;
        let first = *order.walk(&self.arena, &self.log, b"").run()?.first()?;
        let last = order.last(&self.arena)?;
        Some((self.log.key(first), self.log.key(last)))
    }
}

impl<'a> Iterator for ScanRows<'a> {
    type Item = Row<'a>;

    #[inline]
    fn next(&mut self) -> Option<Row<'a>> {
        loop {
            let Some(&loc) = self.run.get(self.at) else {
                if self.next_run.is_empty() {
                    return None;
                }
                self.run = self.next_run;
                self.next_run = self.walk.as_mut().and_then(Walk::run).unwrap_or_default();
                self.at = 0;
                continue;
            };
            let ahead = self.at + AHEAD;
            let next = self.run.get(ahead).or_else(|| self.next_run.get(ahead - self.run.len()));
            if let Some(&next) = next {
                self.log.prefetch(next);
            }
            self.at += 1;
            let record = self.log.record(loc);
            if !record.key.starts_with(self.prefix) {
                (self.run, self.next_run) = (&[], &[]);
                return None;
            }
            if let Some(after) = self.after {
                if record.key <= after {
                    continue;
                }
                self.after = None;
            }
            let hidden = record.flags & HIDDEN != 0;
            if (hidden && !self.hidden) || record.expired(self.now) {
                continue;
            }
            let crate::record::Record { key, value, expiry, .. } = record;
            return Some(Row { key, value, expiry, hidden, loc });
        }
    }
}
