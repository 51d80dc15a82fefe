//! Columns to bytecode.

use std::collections::HashMap;
use std::sync::Arc;

use super::op::{Long, push_end, push_exit, push_gap, push_long, push_node};
use super::{Bytecode, Checkpoint, INTERVAL, INTERVAL_MIN, MAGIC, VERSION};
use crate::flat::Flat;
use crate::items::{Item, Items};
use crate::languages::{Grammar, SymbolId};
use crate::varint::push;

/// An inner node that has not ended.
struct Open {
    node: u32,
    children: u32,
    start: u32,
    tail: u32,
    /// Of an inner node whose first leaf has not come: bytes before that.
    lead: Option<u32>,
}

/// The inner nodes that have at least `least` nodes, in their order.
pub(super) fn longs(grammar: &Grammar, flat: &Flat, least: u32) -> Vec<(u32, Long)> {
    let (mut open, mut longs) = (Vec::<Open>::new(), Vec::new());
    // Below this number of open nodes all have their start.
    let mut started = 0;
    for (node, (_, item)) in Items::new(grammar, flat).enumerate() {
        let node = node as u32;
        if let Some(parent) = open.last_mut() {
            parent.children += 1;
        }
        if !item.symbol.is_leaf() {
            let (lead, tail) = (Some(item.lead), item.tail);
            open.push(Open { node, children: 0, start: 0, tail, lead });
            continue;
        }
        for it in &mut open[started..] {
            it.start = item.start - it.lead.take().unwrap_or(0);
        }
        for _ in 0..item.ends {
            let Some(it) = open.pop() else { break };
            let (nodes, bytes) = (node + 1 - it.node, item.end + it.tail - it.start);
            if nodes >= least {
                let Open { children, start, .. } = it;
                longs.push((it.node, Long { nodes, children, start, bytes }));
            }
        }
        started = open.len();
    }
    longs.sort_unstable_by_key(|(node, _)| *node);
    longs
}

struct Encoder<'a> {
    grammar: &'a Grammar,
    interval: u32,
    /// Number of each symbol in the stream.
    numbers: HashMap<SymbolId, u32, foldhash::fast::RandomState>,
    order: Vec<SymbolId>,
    code: Vec<u8>,
    checkpoints: Vec<Checkpoint>,
    open: Vec<u32>,
    end: u32,
}

impl Encoder<'_> {
    fn node(&mut self, node: u32, id: SymbolId, item: &Item, long: Option<&Long>) {
        if node.is_multiple_of(self.interval) {
            let parent = self.open.last().copied().unwrap_or(0);
            let (at, end, depth) = (self.code.len() as u32, self.end, item.depth);
            self.checkpoints.push(Checkpoint { at, end, depth, parent });
        }
        let order = &mut self.order;
        let symbol = *self.numbers.entry(id).or_insert_with(|| {
            order.push(id);
            order.len() as u32 - 1
        });
        if !item.symbol.is_leaf() {
            if let Some(long) = long {
                push_long(&mut self.code, long);
            }
            push_node(&mut self.code, symbol);
            if item.symbol.is_measured() {
                push(&mut self.code, u64::from(item.lead));
                push(&mut self.code, u64::from(item.tail));
            }
            self.open.push(node);
            return;
        }
        push_gap(&mut self.code, item.start - self.end);
        push_node(&mut self.code, symbol);
        if item.symbol.is_measured() {
            push(&mut self.code, u64::from(item.end - item.start));
        }
        push_exit(&mut self.code, item.ends);
        self.open.truncate(self.open.len().saturating_sub(item.ends as usize));
        self.end = item.end;
    }

    /// The stream, and where its code lies.
    fn write(&self, flat: &Flat) -> (Vec<u8>, usize) {
        let mut out = MAGIC.to_vec();
        out.push(VERSION);
        let identity = self.grammar.identity();
        push(&mut out, identity.name.len() as u64);
        out.extend(identity.name.as_bytes());
        push(&mut out, u64::from(identity.abi));
        out.extend(identity.tables);
        for number in [flat.len() as u32, flat.source_len, self.interval] {
            push(&mut out, u64::from(number));
        }
        push(&mut out, self.order.len() as u64);
        for symbol in self.order.iter().map(|id| self.grammar.symbol(*id)) {
            for number in [symbol.kind(), symbol.field(), symbol.flags().bits()] {
                push(&mut out, u64::from(number));
            }
        }
        let mut before = Checkpoint::default();
        for (number, it) in self.checkpoints.iter().enumerate().skip(1) {
            let node = number as u32 * self.interval;
            for number in [it.at - before.at, it.end - before.end, it.depth, node - it.parent] {
                push(&mut out, u64::from(number));
            }
            before = *it;
        }
        push(&mut out, self.code.len() as u64);
        let at = out.len();
        out.extend(&self.code);
        push(&mut out, flat.lines.len() as u64);
        let mut before = 0;
        for line in &flat.lines {
            push(&mut out, u64::from(line - before));
            before = *line;
        }
        let check = super::validate::crc(&out);
        out.extend(check.to_le_bytes());
        (out, at)
    }
}

impl Bytecode {
    /// The bytecode of a tree, with a checkpoint each [`INTERVAL`] nodes. `grammar` numbered the symbols
    /// of `flat`.
    pub fn encode(grammar: &Arc<Grammar>, flat: &Flat) -> Self {
        Self::encode_every(grammar, flat, INTERVAL)
    }

    /// The same, with a checkpoint each `interval` nodes; 16 at least are taken.
    pub fn encode_every(grammar: &Arc<Grammar>, flat: &Flat, interval: u32) -> Self {
        let interval = interval.max(INTERVAL_MIN);
        let mut encoder = Encoder {
            grammar,
            interval,
            numbers: HashMap::default(),
            order: Vec::new(),
            code: Vec::with_capacity(flat.len() * 3),
            checkpoints: Vec::new(),
            open: Vec::new(),
            end: 0,
        };
        let longs = longs(grammar, flat, interval);
        let mut longs = longs.iter().peekable();
        for (node, (id, item)) in Items::new(grammar, flat).enumerate() {
            let long = longs.next_if(|(at, _)| *at as usize == node);
            encoder.node(node as u32, id, &item, long.map(|(_, long)| long));
        }
        push_end(&mut encoder.code);
        let (bytes, at) = encoder.write(flat);
        let meaning = |id: &SymbolId| {
            let (symbol, implied) = grammar.symbol_and_len(*id);
            (symbol, u32::from(implied))
        };
        Self {
            grammar: Arc::clone(grammar),
            symbols: encoder.order.iter().map(meaning).collect(),
            checkpoints: encoder.checkpoints,
            interval,
            nodes: flat.len() as u32,
            source_len: flat.source_len,
            code: at..at + encoder.code.len(),
            lines: flat.lines.clone(),
            bytes: bytes.into_boxed_slice(),
        }
    }
}
