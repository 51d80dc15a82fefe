//! Walks over pairs: pages, reductions, summaries.

use crate::grammar::{Limit, Mode, Page, ReplyLine, Rows};
use crate::op::Op;
use crate::reduce::{Layout, Reducer};
use crate::servers::engine::{Burst, Engine, Keys, PageOf};
use crate::{Branching, Database, Scan, Summarizer, pair_of};

/// A walk over the pairs of a namespace, in steps: rows for a reply, and what a reducer makes of them.
#[derive(Debug)]
pub(in crate::servers) struct Walk {
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
    reducer: Option<Reducer>,
    summarizer: Option<Summarizer>,
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
    /// A walk for the rows of a page.
    pub(super) fn paging(db: Database, page: &Page<'_>, most: usize, rows: Rows) -> Self {
        Self::new(db, page, Content::Key, most, rows)
    }

    /// A walk that sums up.
    pub(super) fn summing(db: Database, prefix: Vec<u8>, branching: Branching) -> Self {
        Self {
            db,
            after: None,
            hidden: false,
            left: None,
            taken: 0,
            content: Content::Nothing,
            reducer: None,
            summarizer: Some(Summarizer::new(prefix.len(), branching)),
            prefix,
            rows: Rows::default(),
            most: usize::MAX,
            more: false,
        }
    }

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
            summarizer: None,
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
    pub(super) fn step(&mut self, engine: &mut Engine, steps: usize) -> bool {
        let now = self.left.map_or(steps as u64, |left| left.min(steps as u64));
        let before = self.taken;
        if engine.loops() == 1 {
            self.step_here(engine, now);
        } else {
            self.step_everywhere(engine, now as usize);
        }
        let taken = self.taken - before;
        self.left = self.left.map(|left| left - taken);
        !self.more || self.rows.bytes() > self.most || self.left == Some(0)
    }

    /// The rows lie in this loop's shards.
    fn step_here(&mut self, engine: &Engine, now: u64) {
        let (after, prefix) = (self.after.take(), std::mem::take(&mut self.prefix));
        let scan = Scan {
            space: self.db.pairs(),
            prefix: &prefix,
            after: after.as_deref(),
            hidden: self.hidden,
            limit: usize::try_from(now + 1).ok(),
        };
        let objects = self.db.objects();
        let mut scanned = engine.scan(&scan);
        let (begin, mut last) = (self.taken, None);
        while self.taken - begin < now
            && self.rows.bytes() <= self.most
            && let Some(row) = scanned.next()
        {
            last = Some(row.key);
            let absolute = pair_of(row.value).unwrap_or(0);
            let payload = match self.content {
                Content::Key => None,
                _ => engine.local().read(objects, absolute),
            };
            self.row(row.key, absolute, payload);
        }
        self.more = scanned.next().is_some();
        let last = last.map(<[u8]>::to_vec);
        drop(scanned);
        self.after = last.or(after);
        self.prefix = prefix;
    }

    /// The rows come from all loops.
    fn step_everywhere(&mut self, engine: &mut Engine, now: usize) {
        let page = PageOf {
            space: self.db.pairs(),
            prefix: self.prefix.clone(),
            after: self.after.clone(),
            hidden: self.hidden,
            limit: now,
        };
        // A server that stops answers no more.
        let Some(keys) = engine.page(&page) else { return self.more = false };
        let mut last = None;
        if self.content == Content::Key {
            for (key, absolute) in keys.iter() {
                if self.rows.bytes() > self.most {
                    break;
                }
                self.row(key, absolute, None);
                last = Some(key);
            }
        } else {
            last = self.rows_with_payloads(engine, &keys);
        }
        let all = keys.iter().last().map(|(key, _)| key) == last;
        self.more = keys.more || !all;
        self.after = last.map(<[u8]>::to_vec).or(self.after.take());
    }

    /// Takes the rows of `keys` with what they lead to, while there is room; the last one.
    fn rows_with_payloads<'a>(&mut self, engine: &mut Engine, keys: &'a Keys) -> Option<&'a [u8]> {
        let rows: Vec<_> = keys.iter().collect();
        let space = self.db.objects();
        let (mut burst, mut last) = (Burst::default(), None);
        for rows in rows.chunks(256) {
            let ops: Vec<_> =
                rows.iter().map(|&(_, absolute)| Op::Read { space, absolute }).collect();
            engine.execute(&ops, &mut burst);
            for (index, &(key, absolute)) in rows.iter().enumerate() {
                if self.rows.bytes() > self.most {
                    break;
                }
                engine.ensure(&mut burst, index);
                let payload = engine.value(&burst, index);
                self.row(key, absolute, payload);
                last = Some(key);
            }
        }
        engine.recycle(&mut burst);
        last
    }

    /// Takes a row. A pair that leads nowhere has an empty payload.
    fn row(&mut self, key: &[u8], absolute: u64, payload: Option<&[u8]>) {
        self.taken += 1;
        let payload = payload.unwrap_or_default();
        if let Some(reducer) = &mut self.reducer {
            // What is not of the layout is counted there.
            let _ = reducer.add(payload);
        }
        if let Some(summarizer) = &mut self.summarizer {
            summarizer.add(key, payload.len() as u64);
        }
        match self.content {
            Content::Nothing => {}
            Content::Key => self.rows.push(key, absolute),
            Content::Payload => self.rows.push_payload(key, absolute, payload),
        }
    }

    /// Rows that it is going to take, as far as that is known.
    pub(super) fn total(&self, engine: &mut Engine) -> u64 {
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

    /// Bytes of memory of its rows.
    pub(super) fn memory(&self) -> usize {
        self.rows.bytes()
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

impl Walk {
    /// The reply to a page.
    pub(super) fn write_rows(&self, out: &mut Vec<u8>) {
        let mut line = ReplyLine::success(out);
        self.write_page(&mut line);
        line.rows("items", &self.rows);
    }

    /// The reply to a summary.
    pub(super) fn write_summary(&mut self, out: &mut Vec<u8>) {
        let Some(summarizer) = self.summarizer.take() else { return };
        let summary = summarizer.finish();
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
