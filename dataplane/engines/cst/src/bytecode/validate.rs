//! Any bytes to bytecode, or what is wrong with them.

use std::collections::HashSet;
use std::sync::Arc;

use super::op::{Long, Reader, Told};
use super::{Bytecode, Checkpoint, INTERVAL_MIN, MAGIC, VERSION, other};
use crate::flat::NODES_MAX;
use crate::languages::{Flags, Grammar, Identity, Symbol};
use crate::parse::SOURCE_MAX;
use crate::varint::Rest;

/// Why bytes are no bytecode of this process's grammars.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BytecodeError {
    /// Another kind of data, or cut.
    #[error("not the bytecode of a syntax tree: {why}")]
    NotBytecode {
        /// What is not as it should be.
        why: &'static str,
    },
    /// Of another version of this format.
    #[error("bytecode of version {found}; this build reads {VERSION}")]
    Version {
        /// The version told.
        found: u8,
    },
    /// The checksum does not fit.
    #[error("checksum of the bytecode is wrong: it was changed on its way; fetch it again")]
    Checksum,
    /// The grammar at hand is not the one that the tree was encoded with.
    #[error("bytecode of {stored}, but the grammar at hand is {at_hand}; use that release")]
    Grammar {
        /// What the bytecode names.
        stored: Box<Identity>,
        /// What was given.
        at_hand: Box<Identity>,
    },
    /// The stream breaks a rule of the format.
    #[error(
        "bytecode is wrong at byte {at}, node {node}: {why}; it was not written by this program"
    )]
    Invalid {
        /// Byte of the whole.
        at: usize,
        /// Nodes that were right.
        node: u32,
        /// The rule.
        why: &'static str,
    },
    /// The grammar's table has no room for its symbols.
    #[error("the bytecode has symbols that do not fit into the table of {grammar}")]
    Symbols {
        /// The grammar's name.
        grammar: Box<str>,
    },
}

pub(super) fn crc(bytes: &[u8]) -> u32 {
    crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, bytes) as u32
}

/// Sets the checksum to what the bytes need.
pub(crate) fn mend(bytes: &mut [u8]) {
    if let Some((body, check)) = bytes.split_last_chunk_mut::<4>() {
        *check = crc(body).to_le_bytes();
    }
}

/// The parts before the code.
struct Head {
    stored: Identity,
    nodes: u32,
    source_len: u32,
    interval: u32,
    symbols: Vec<Symbol>,
    checkpoints: Vec<Checkpoint>,
}

fn head(rest: &mut Rest<'_>) -> Option<Head> {
    let len = rest.minimal()? as usize;
    let name = std::str::from_utf8(rest.take(len)?).ok()?.into();
    let abi = rest.minimal()?;
    let stored = Identity { name, abi, tables: *rest.take(16)?.first_chunk()? };
    let (nodes, source_len, interval) = (rest.minimal()?, rest.minimal()?, rest.minimal()?);
    let fits = (1..=NODES_MAX).contains(&(nodes as usize)) && source_len as usize <= SOURCE_MAX;
    if !fits || interval < INTERVAL_MIN {
        return None;
    }
    let symbols = (0..rest.minimal()?).map(|_| symbol(rest)).collect::<Option<_>>()?;
    let mut checkpoints = vec![Checkpoint::default()];
    let mut last = Checkpoint::default();
    for node in (interval..nodes).step_by(interval as usize) {
        last.at = last.at.checked_add(rest.minimal()?)?;
        last.end = last.end.checked_add(rest.minimal()?)?;
        last.depth = rest.minimal()?;
        last.parent = node.checked_sub(rest.minimal()?)?;
        checkpoints.push(last);
    }
    Some(Head { stored, nodes, source_len, interval, symbols, checkpoints })
}

fn symbol(rest: &mut Rest<'_>) -> Option<Symbol> {
    let mut number = || u16::try_from(rest.minimal()?).ok();
    let (kind, field, flags) = (number()?, number()?, number()?);
    Some(Symbol::new(kind, field, Flags::from_bits(flags)))
}

fn lines(rest: &mut Rest<'_>, source_len: u32) -> Option<Vec<u32>> {
    let (mut lines, mut at) = (Vec::new(), 0u32);
    for _ in 0..rest.minimal()? {
        at = at.checked_add(rest.minimal().filter(|step| *step > 0)?)?;
        lines.push(at);
    }
    (at <= source_len && rest.0.is_empty()).then_some(lines)
}

impl Bytecode {
    /// Takes bytes that may come from anywhere; `grammars` gives the grammar of a name. All of them are
    /// looked at: what this gives can be read without further checks.
    ///
    /// # Errors
    /// They are not whole, of another grammar or version, or break a rule.
    pub fn open(
        bytes: impl Into<Box<[u8]>>,
        grammars: impl FnOnce(&str) -> Option<Arc<Grammar>>,
    ) -> Result<Self, BytecodeError> {
        let bytes = bytes.into();
        let not = |why| BytecodeError::NotBytecode { why };
        let Some((body, check)) = bytes.split_last_chunk::<4>() else {
            return Err(not("it is too short"));
        };
        let rest = body.strip_prefix(MAGIC).ok_or(not("it does not begin with PFSCSTB"))?;
        let (version, rest) = rest.split_first().ok_or(not("it is too short"))?;
        if *version != VERSION {
            return Err(BytecodeError::Version { found: *version });
        }
        if crc(body) != u32::from_le_bytes(*check) {
            return Err(BytecodeError::Checksum);
        }
        let mut rest = Rest(rest);
        let head = head(&mut rest).ok_or(not("its head means nothing"))?;
        let grammar = grammars(&head.stored.name);
        let Some(grammar) = grammar.as_ref().filter(|it| *it.identity() == head.stored) else {
            return Err(other(head.stored, grammar.as_ref().map(|it| it.identity())));
        };
        let mut seen = HashSet::new();
        if !head.symbols.iter().all(|symbol| grammar.knows(*symbol) && seen.insert(*symbol)) {
            return Err(not("its symbols are not its grammar's, or some are there twice"));
        }
        let len = rest.minimal().ok_or(not("its code has no length"))? as usize;
        let at = body.len() - rest.0.len();
        rest.take(len).ok_or(not("its code is cut"))?;
        let lines = lines(&mut rest, head.source_len).ok_or(not("its lines mean nothing"))?;
        let meaning = |symbol: &Symbol| (*symbol, u32::from(grammar.implied_len(*symbol)));
        let code = Self {
            grammar: Arc::clone(grammar),
            symbols: head.symbols.iter().map(meaning).collect(),
            checkpoints: head.checkpoints,
            interval: head.interval,
            nodes: head.nodes,
            source_len: head.source_len,
            code: at..at + len,
            lines,
            bytes,
        };
        code.check()?;
        Ok(code)
    }

    /// Goes through the code and holds every rule against it.
    fn check(&self) -> Result<(), BytecodeError> {
        let code = &self.bytes[self.code.clone()];
        let mut reader = Reader::new(code, &self.symbols, 0, 0);
        let mut checking = Checking { code: self, open: Vec::new(), started: 0, symbols: 0 };
        for node in 0..self.nodes {
            let left = reader.place().0;
            let wrong = |why| BytecodeError::Invalid { at: self.code.end - left, node, why };
            let place = reader.place();
            checking.checkpoint(node, place).map_err(wrong)?;
            let told = reader.next().ok_or(wrong("it is no node"))?;
            checking.node(node, &told).map_err(wrong)?;
            // Only with the last node the root ends.
            if checking.open.is_empty() != (node + 1 == self.nodes) {
                return Err(wrong("the root does not end with the last node"));
            }
        }
        let wrong = |why| BytecodeError::Invalid { at: self.code.end, node: self.nodes, why };
        if !reader.ended() {
            return Err(wrong("the code does not end with the tree"));
        }
        if checking.symbols as usize != self.symbols.len() {
            return Err(wrong("there are symbols that no node has"));
        }
        Ok(())
    }
}

/// An inner node that has not ended.
struct Open {
    node: u32,
    children: u32,
    start: u32,
    lead: u32,
    tail: u32,
    long: Option<Long>,
}

struct Checking<'a> {
    code: &'a Bytecode,
    open: Vec<Open>,
    /// Open nodes whose first leaf has come.
    started: usize,
    /// Symbols that occurred: they are numbered in that order.
    symbols: u32,
}

type Checked = Result<(), &'static str>;

impl Checking<'_> {
    fn checkpoint(&self, node: u32, (left, depth, end): (usize, u32, u32)) -> Checked {
        if !node.is_multiple_of(self.code.interval) {
            return Ok(());
        }
        let at = (self.code.code_len() - left) as u32;
        let parent = self.open.last().map_or(0, |open| open.node);
        let told = self.code.checkpoints.get((node / self.code.interval) as usize);
        let right = told == Some(&Checkpoint { at, end, depth, parent });
        right.then_some(()).ok_or("its checkpoint tells otherwise")
    }

    fn node(&mut self, node: u32, told: &Told) -> Checked {
        if told.symbol > self.symbols {
            return Err("its symbol is not numbered in order");
        }
        self.symbols = self.symbols.max(told.symbol + 1);
        if let Some(parent) = self.open.last_mut() {
            parent.children += 1;
        }
        let item = &told.item;
        if !item.symbol.is_leaf() {
            let (lead, tail, long) = (item.lead, item.tail, told.long);
            self.open.push(Open { node, children: 0, start: 0, lead, tail, long });
            return Ok(());
        }
        if item.end > self.code.source_len {
            return Err("it lies behind the source");
        }
        for open in &mut self.open[self.started..] {
            open.start = item.start.checked_sub(open.lead).ok_or("it starts before the source")?;
        }
        if self.open.is_empty() && node > 0 || item.ends as usize > self.open.len() {
            return Err("more nodes end than are open");
        }
        for _ in 0..item.ends {
            self.close(node, item.end)?;
        }
        self.started = self.open.len();
        Ok(())
    }

    fn close(&mut self, last: u32, end: u32) -> Checked {
        let Some(open) = self.open.pop() else { return Ok(()) };
        let end = end.checked_add(open.tail).filter(|end| *end <= self.code.source_len);
        let end = end.ok_or("a node that ends with it lies behind the source")?;
        let (nodes, children, start) = (last + 1 - open.node, open.children, open.start);
        let long = Long { nodes, children, start, bytes: end - start };
        let expected = Some(long).filter(|_| nodes >= self.code.interval);
        let right = open.long == expected;
        right.then_some(()).ok_or("a node that ends with it is told otherwise at its begin")
    }
}
