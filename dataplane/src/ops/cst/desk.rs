//! What all modes do with a whole file: parse it, count it, keep its tree.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use pfs_cst::flat::{Flat, Flattener};
use pfs_cst::languages::{Grammar, Registry};
use pfs_cst::parse::{Limits, ParseError, Parser};
use pfs_cst::tiers::{Keep, Store};

use super::CstOp;
use crate::counters::CstCounters;

/// What files are given to; nothing of one is kept but the sums.
#[derive(Debug)]
pub(super) struct Desk {
    grammar: Option<Arc<Grammar>>,
    store: Option<Arc<Store>>,
    /// One for each language met.
    parsers: Vec<Parser>,
    flat: Flat,
    time: Duration,
    /// A failure to keep a tree was told.
    told: bool,
    /// Files, nodes, sum of digests.
    pub(super) results: [u64; 3],
    pub(super) counters: CstCounters,
}

impl Desk {
    pub(super) fn new(
        op: &CstOp,
        grammar: Option<Arc<Grammar>>,
        store: Option<Arc<Store>>,
    ) -> Self {
        Self {
            grammar,
            store,
            parsers: Vec::new(),
            flat: Flat::default(),
            time: Duration::from_millis(op.parse_ms.into()),
            told: false,
            results: [0; 3],
            counters: CstCounters::default(),
        }
    }

    /// Takes a whole file; one without a name is called by the hash of its bytes.
    pub(super) fn file(&mut self, name: Option<&str>, source: &[u8]) {
        self.counters.bytes += source.len() as u64;
        let told = || Registry::shared().detect(Path::new(name.unwrap_or_default()), source);
        let Some(grammar) = self.grammar.clone().or_else(told) else {
            self.counters.unknown += 1;
            return;
        };
        if !self.parse(&grammar, source) {
            return;
        }
        self.counters.files += 1;
        self.counters.nodes += self.flat.len() as u64;
        let digest = pfs_cst::digest::tree(&grammar, &self.flat);
        let digest = self.results[2].wrapping_add(digest);
        self.results = [self.counters.files, self.counters.nodes, digest];
        self.keep(name, &grammar, source);
    }

    /// Parses a file into the columns; false if it was none in the time given.
    fn parse(&mut self, grammar: &Arc<Grammar>, source: &[u8]) -> bool {
        let known = self.parsers.iter().position(|it| Arc::ptr_eq(it.grammar(), grammar));
        let at = known.unwrap_or(self.parsers.len());
        if known.is_none() {
            match Parser::new(grammar) {
                Ok(parser) => self.parsers.push(parser),
                Err(error) => {
                    self.counters.unparsed += 1;
                    self.tell(&error);
                    return false;
                }
            }
        }
        let limits = Limits { time: Some(self.time), cancel: None };
        let tree = match self.parsers[at].parse(source, None, limits) {
            Ok(tree) => tree,
            Err(ParseError::TimeOut { .. }) => {
                self.counters.parse_timeouts += 1;
                return false;
            }
            Err(_) => {
                self.counters.unparsed += 1;
                return false;
            }
        };
        self.counters.with_errors += u64::from(tree.root_node().has_error());
        let taken = Flattener::new(grammar).flatten_into(&tree, source, &mut self.flat);
        self.counters.unparsed += u64::from(taken.is_err());
        taken.is_ok()
    }

    fn keep(&mut self, name: Option<&str>, grammar: &Arc<Grammar>, source: &[u8]) {
        let Some(store) = &self.store else { return };
        let hash;
        let name = match name {
            Some(name) => name,
            None => {
                hash = pfs_cst::digest::name(source);
                &hash
            }
        };
        match store.put(name, grammar, &self.flat, source, Keep::Copy) {
            Ok(_) => self.counters.kept += 1,
            Err(error) => {
                self.counters.not_kept += 1;
                self.tell(&error);
            }
        }
    }

    /// Writes what waits to disk.
    pub(super) fn flush(&mut self) {
        if let Some(store) = self.store.clone()
            && let Err(error) = store.flush()
        {
            self.counters.not_flushed += 1;
            self.told = false;
            self.tell(&error);
        }
    }

    /// Logs the first of what goes wrong: the rest is counted.
    fn tell(&mut self, error: &dyn std::error::Error) {
        if !std::mem::replace(&mut self.told, true) {
            tracing::error!(%error, "keeping syntax trees");
        }
    }
}
