//! Rows in the order of their keys.

use super::Shard;
use crate::index::Walk;
use crate::log::{Loc, Log};
use crate::op::Space;
use crate::record::HIDDEN;

/// How far ahead of the row given out a record's first line is fetched.
const AHEAD: usize = 12;
/// How far ahead its header is read, to fetch the lines of its value.
const NEAR: usize = 6;
/// A scan of at most so many rows fetches all of them at once.
const SHORT: usize = 32;

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
    /// At most so many rows.
    pub limit: Option<usize>,
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
    /// The run behind it, once it was asked for.
    next_run: Option<&'a [Loc]>,
    at: usize,
    prefix: &'a [u8],
    after: Option<&'a [u8]>,
    hidden: bool,
    /// Rows still to be given out.
    left: usize,
    /// Everything was fetched at the start.
    fetched: bool,
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
    pub(crate) fn every_row<'a>(&'a self, space: Space, prefix: &'a [u8]) -> ScanRows<'a> {
        self.rows(&Scan { space, prefix, hidden: true, ..Scan::default() })
    }

    fn rows<'a>(&'a self, scan: &Scan<'a>) -> ScanRows<'a> {
        let from = match scan.after {
            // Nothing is compared with an empty slice; see below.
            Some(after) if scan.prefix.is_empty() || after > scan.prefix => after,
            _ => scan.prefix,
        };
        let space = self.space(scan.space);
        let mut walk = space.map(|space| space.order.walk(&self.arena, &self.log, from));
        let run = walk.as_mut().and_then(Walk::run).unwrap_or_default();
        let left = scan.limit.unwrap_or(usize::MAX);
        let Scan { prefix, after, hidden, .. } = *scan;
        let (log, next_run, fetched) = (&self.log, None, left < SHORT);
        let mut rows = ScanRows {
            log,
            walk,
            run,
            next_run,
            at: 0,
            prefix,
            after,
            hidden,
            left,
            fetched,
            now: 0,
        };
        if fetched {
            rows.fetch_all();
        } else {
            rows.fetch_first();
        }
        rows
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

impl<'a> ScanRows<'a> {
    /// Fetches what a long scan begins with; [`ScanRows::step`] goes on.
    fn fetch_first(&mut self) {
        if let Some(walk) = &mut self.walk
            && self.left > self.run.len()
        {
            walk.prefetch();
        }
        // One more for the row at the cursor.
        let first = AHEAD.min(self.left.saturating_add(1));
        self.run.iter().take(first).for_each(|&loc| self.log.prefetch_line(loc));
        self.run.iter().take(first.min(NEAR)).for_each(|&loc| self.log.prefetch_value(loc));
    }

    /// Fetches all rows of a short scan: first where they begin, then, when those lines are on
    /// their way, where their values end. Rows that are left out later are not made up for.
    #[inline]
    fn fetch_all(&mut self) {
        // One more for the row at the cursor.
        let wanted = self.left + usize::from(self.after.is_some());
        let first = &self.run[..wanted.min(self.run.len())];
        first.iter().for_each(|&loc| self.log.prefetch(loc));
        if let Some(walk) = &mut self.walk
            && wanted > first.len()
        {
            let next = walk.run().unwrap_or_default();
            self.next_run = Some(next);
            let more = &next[..(wanted - first.len()).min(next.len())];
            more.iter().for_each(|&loc| self.log.prefetch(loc));
            first.iter().chain(more).for_each(|&loc| self.log.prefetch_end(loc));
        } else {
            first.iter().for_each(|&loc| self.log.prefetch_end(loc));
        }
    }

    /// The location that comes next, in a scan that fetched all at its start.
    #[inline(always)]
    fn step_fetched(&mut self) -> Option<Loc> {
        if self.at == self.run.len() {
            let next = self.next_run.take().or_else(|| self.walk.as_mut()?.run())?;
            (self.run, self.at) = (next, 0);
        }
        let loc = *self.run.get(self.at)?;
        self.at += 1;
        Some(loc)
    }

    /// The location that comes next; fetches ahead one that comes later.
    #[inline(always)]
    fn step(&mut self) -> Option<Loc> {
        let ahead = self.at + AHEAD;
        if let Some(&later) = self.run.get(ahead) {
            if AHEAD <= self.left {
                self.log.prefetch_line(later);
            }
            self.log.prefetch_value(self.run[ahead - AHEAD + NEAR]);
        } else {
            self.step_over(ahead);
        }
        let loc = *self.run.get(self.at)?;
        self.at += 1;
        Some(loc)
    }

    /// The same near the end of a run.
    fn step_over(&mut self, ahead: usize) {
        if let Some(&soon) = self.run.get(self.at + NEAR) {
            self.log.prefetch_value(soon);
        }
        if self.left < self.run.len().saturating_sub(self.at) {
            return;
        }
        let walk = &mut self.walk;
        let fetch = || walk.as_mut().and_then(Walk::run).unwrap_or_default();
        let next = *self.next_run.get_or_insert_with(fetch);
        if let Some(&later) = ahead.checked_sub(self.run.len()).and_then(|at| next.get(at)) {
            self.log.prefetch_row(later);
        }
        if self.at == self.run.len() {
            (self.run, self.at, self.next_run) = (next, 0, None);
            if let Some(walk) = walk
                && self.left > next.len()
            {
                walk.prefetch();
            }
        }
    }
}

impl<'a> Iterator for ScanRows<'a> {
    type Item = Row<'a>;

    #[inline]
    fn next(&mut self) -> Option<Row<'a>> {
        if self.left == 0 {
            return None;
        }
        loop {
            let loc = if self.fetched { self.step_fetched()? } else { self.step()? };
            let record = self.log.record(loc);
            // An empty slice may point nowhere, and comparing through such a pointer, though of 0
            // bytes, costs about 100 ns where it is done with masked loads.
            if !self.prefix.is_empty() && !record.key.starts_with(self.prefix) {
                self.left = 0;
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
            self.left -= 1;
            return Some(Row { key, value, expiry, hidden, loc });
        }
    }
}
