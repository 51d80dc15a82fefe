//! Pages of pairs, reductions, summaries, purges.

use crate::grammar::{Limit, Mode, Page, ReplyLine, Rows};
use crate::reduce::{Layout, Reducer};
use crate::servers::engine::Engine;
use crate::servers::service::StoreService;
use crate::{Branching, Database, Scan, pair_of};

/// A walk over the pairs of a namespace, in steps: rows for a reply, and what a reducer makes of them.
#[derive(Debug)]
pub(super) struct Walk {
    db: Database,
    prefix: Vec<u8>,
    /// The last key that was taken.
    after: Option<Vec<u8>>,
    hidden: bool,
    /// Rows still to take; `None`: all.
    left: Option<u64>,
    /// Rows taken.
    pub(super) taken: u64,
    /// What goes into a row.
    content: Content,
    pub(super) reducer: Option<Reducer>,
    pub(super) rows: Rows,
    /// Bytes that the rows may take in the reply.
    most: usize,
    /// There are rows behind the last one taken.
    pub(super) more: bool,
}

/// What a reply says of each row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Content {
    Nothing,
    Key,
    Payload,
}

impl Walk {
    fn new(db: Database, page: &Page<'_>, content: Content, most: usize, rows: Rows) -> Self {
        Self {
            db,
            prefix: page.prefix.bytes().into_owned(),
            after: page.cursor.map(|cursor| cursor.bytes().into_owned()),
            hidden: page.hidden,
            left: match page.limit {
                Limit::Rows(rows) => Some(rows.into()),
                Limit::All => None,
            },
            taken: 0,
            content,
            reducer: None,
            rows,
            most,
            more: false,
        }
    }

    /// A walk that reduces.
    pub(super) fn reducing(
        db: Database,
        page: &Page<'_>,
        mode: Mode,
        rows: bool,
        most: usize,
    ) -> Self {
        let layout = match mode {
            Mode::Raw => None,
            Mode::Counts => Some(Layout::Counts),
            Mode::Probabilities => Some(Layout::Probabilities),
            Mode::Continuations => Some(Layout::Continuation),
        };
        let content = if rows || layout.is_none() { Content::Payload } else { Content::Nothing };
        let mut walk = Self::new(db, page, content, most, Rows::default());
        walk.reducer = layout.map(Reducer::new);
        walk
    }

    /// Takes up to `steps` rows; whether it has come to its end.
    pub(super) fn step(&mut self, engine: &Engine, steps: u64) -> bool {
        let now = self.left.map_or(steps, |left| left.min(steps));
        let after = self.after.take();
        let scan = Scan {
            space: self.db.pairs(),
            prefix: &self.prefix,
            after: after.as_deref(),
            hidden: self.hidden,
            limit: usize::try_from(now + 1).ok(),
        };
        let objects = self.db.objects();
        let mut scanned = engine.scan(&scan);
        let (mut taken, mut last) = (0, None);
        while taken < now
            && self.rows.bytes() <= self.most
            && let Some(row) = scanned.next()
        {
            taken += 1;
            last = Some(row.key);
            let absolute = pair_of(row.value).unwrap_or(0);
            if self.content == Content::Key {
                self.rows.push(row.key, absolute);
                continue;
            }
            // A pair that leads nowhere has an empty payload.
            let payload = engine.read(objects, absolute).unwrap_or_default();
            if let Some(reducer) = &mut self.reducer {
                // What is not of the layout is counted there.
                let _ = reducer.add(payload);
            }
            if self.content == Content::Payload {
                self.rows.push_payload(row.key, absolute, payload);
            }
        }
        self.more = scanned.next().is_some();
        let full = self.rows.bytes() > self.most;
        let last = last.map(<[u8]>::to_vec);
        drop(scanned);
        self.after = last.or(after);
        self.taken += taken;
        self.left = self.left.map(|left| left - taken);
        !self.more || full || self.left == Some(0)
    }

    /// Rows that it is going to take, as far as that is known.
    pub(super) fn total(&self, engine: &Engine) -> u64 {
        let keys = engine.keys(self.db.pairs());
        self.left.map_or(keys, |left| (self.taken + left).min(keys)).max(self.taken)
    }

    /// `,count=<n>[,next_cursor=x<hex>]`.
    fn write_page(&self, line: &mut ReplyLine<'_>) {
        line.number("count", self.taken);
        if let (true, Some(after)) = (self.more, &self.after) {
            line.hex("next_cursor", after);
        }
    }

    /// The reply to a reduction that was asked for as `name`.
    pub(super) fn write_reduction(&self, name: &str, top: usize, out: &mut Vec<u8>) {
        let mut line = ReplyLine::success(out);
        line.text("reducer", name);
        self.write_page(&mut line);
        if let Some(reducer) = &self.reducer {
            line.number("payloads", reducer.payloads).number("refused", reducer.refused);
            line.number("tokens", reducer.len() as u64);
            let mut tokens = Rows::default();
            for (token, of) in reducer.top(top) {
                let numbers = [token.into(), of.seen, of.sum, of.min.into(), of.max.into()];
                let backoff = of.backoff.map(u64::from);
                let numbers: Vec<u64> = numbers.into_iter().chain(backoff).collect();
                tokens.push_numbers(&numbers);
            }
            line.rows("top", &tokens);
        }
        line.rows("items", &self.rows);
    }
}

impl StoreService {
    /// `PAIR_SCAN`.
    pub(super) fn pair_scan(&mut self, db: Database, page: &Page<'_>, out: &mut Vec<u8>) {
        let mut rows = std::mem::take(&mut self.rows);
        rows.clear();
        let mut walk = Walk::new(db, page, Content::Key, self.common.limits.reply_bytes, rows);
        walk.step(&self.engine, u64::MAX - 1);
        let mut line = ReplyLine::success(out);
        walk.write_page(&mut line);
        line.rows("items", &walk.rows);
        drop(line);
        self.rows = walk.rows;
    }

    /// `PAIR_SUMMARY`.
    pub(super) fn pair_summary(
        &self,
        db: Database,
        prefix: &[u8],
        depth: Option<u32>,
        branches: Option<u32>,
        out: &mut Vec<u8>,
    ) {
        let branching = Branching {
            depth: depth.map(|depth| depth as usize),
            limit: branches.map(|limit| limit as usize),
        };
        let summary = self.engine.store().summarize_pairs(db, prefix, branching);
        let mut line = ReplyLine::success(out);
        line.text("command", "PAIR_SUMMARY")
            .number("count", summary.count)
            .number("total_payload_bytes", summary.payload_total)
            .number("min_payload_bytes", summary.payload_min)
            .number("max_payload_bytes", summary.payload_max);
        if let Some(key) = &summary.min_key {
            line.hex("min_key", key);
        }
        if let Some(key) = &summary.max_key {
            line.hex("max_key", key);
        }
        line.number("max_depth", summary.max_depth)
            .number("self_terminal", summary.self_terminal.into())
            .number("branch_count", summary.branches.len() as u64);
        let mut rows = Rows::default();
        summary.branches.iter().for_each(|(key, count)| rows.push(key, *count));
        line.rows("branches", &rows);
    }
}
