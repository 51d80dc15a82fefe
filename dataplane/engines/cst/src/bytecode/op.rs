//! Operations: written, and read one by one.

use super::Bytecode;
use crate::items::Item;
use crate::languages::Symbol;
use crate::varint::{Rest, push};

const NODES: u32 = 0xc0;
const WIDE: u8 = 0xc0;
const GAP_ONE: u8 = 0xc1;
const GAP: u8 = 0xc2;
/// One less than the operation that ends one node.
const EXIT: u8 = 0xc2;
const EXIT_MANY: u8 = 0xe0;
const EXITS: u32 = (EXIT_MANY - EXIT) as u32;
const LONG: u8 = 0xe1;
const END: u8 = 0xff;

/// An operation, see the [module](super).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// An inner node begins.
    Enter {
        /// Number of its symbol in the stream's table.
        symbol: u32,
        /// Bytes before its first leaf and behind its last one.
        margin: (u32, u32),
    },
    /// A leaf.
    Leaf {
        /// Number of its symbol in the stream's table.
        symbol: u32,
        /// Its bytes.
        len: u32,
    },
    /// Bytes between the leaf before and the one that comes.
    Gap(u32),
    /// Inner nodes that end with the leaf before.
    Exit(u32),
    /// What is known beforehand of a large node that comes.
    Long(Long),
    /// The tree is over.
    End,
}

/// A node of many, as a whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Long {
    /// Itself and all below it.
    pub nodes: u32,
    /// Children.
    pub children: u32,
    /// First byte.
    pub start: u32,
    /// Bytes.
    pub bytes: u32,
}

pub(super) fn push_node(code: &mut Vec<u8>, symbol: u32) {
    if symbol < NODES {
        code.push(symbol as u8);
    } else {
        code.push(WIDE);
        push(code, u64::from(symbol));
    }
}

pub(super) fn push_gap(code: &mut Vec<u8>, gap: u32) {
    match gap {
        0 => {}
        1 => code.push(GAP_ONE),
        _ => {
            code.push(GAP);
            push(code, u64::from(gap));
        }
    }
}

pub(super) fn push_exit(code: &mut Vec<u8>, ends: u32) {
    match ends {
        0 => {}
        1..EXITS => code.push(EXIT + ends as u8),
        _ => {
            code.push(EXIT_MANY);
            push(code, u64::from(ends));
        }
    }
}

pub(super) fn push_long(code: &mut Vec<u8>, long: &Long) {
    code.push(LONG);
    for number in [long.nodes, long.children, long.start, long.bytes] {
        push(code, u64::from(number));
    }
}

pub(super) fn push_end(code: &mut Vec<u8>) {
    code.push(END);
}

/// The next operation; none where the bytes mean nothing, or say it in another way than they must.
#[inline]
pub(super) fn read_op(rest: &mut Rest<'_>, symbols: &[(Symbol, u32)]) -> Option<Op> {
    let byte = rest.byte()?;
    Some(match byte {
        0..WIDE => node(u32::from(byte), rest, symbols)?,
        WIDE => {
            let symbol = rest.minimal()?;
            node(symbol, rest, symbols).filter(|_| symbol >= NODES)?
        }
        GAP_ONE => Op::Gap(1),
        GAP => Op::Gap(rest.minimal().filter(|gap| *gap > 1)?),
        EXIT_MANY => Op::Exit(rest.minimal().filter(|ends| *ends >= EXITS)?),
        LONG => {
            let (nodes, children) = (rest.minimal()?, rest.minimal()?);
            Op::Long(Long { nodes, children, start: rest.minimal()?, bytes: rest.minimal()? })
        }
        END => Op::End,
        GAP.. if byte < EXIT_MANY => Op::Exit(u32::from(byte - EXIT)),
        _ => return None,
    })
}

#[inline]
fn node(number: u32, rest: &mut Rest<'_>, symbols: &[(Symbol, u32)]) -> Option<Op> {
    let (symbol, implied) = *symbols.get(number as usize)?;
    Some(match (symbol.is_leaf(), symbol.is_measured()) {
        (true, false) => Op::Leaf { symbol: number, len: implied },
        (true, true) => {
            Op::Leaf { symbol: number, len: rest.minimal().filter(|len| *len != implied)? }
        }
        (false, false) => Op::Enter { symbol: number, margin: (0, 0) },
        (false, true) => {
            let margin = (rest.minimal()?, rest.minimal()?);
            Op::Enter { symbol: number, margin: Some(margin).filter(|it| *it != (0, 0))? }
        }
    })
}

/// A node with what the stream says of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Told {
    pub(super) item: Item,
    /// Number of its symbol in the stream's table.
    pub(super) symbol: u32,
    pub(super) long: Option<Long>,
}

/// Reads node after node, from a place where one begins.
#[derive(Clone, Debug)]
pub(super) struct Reader<'a> {
    rest: Rest<'a>,
    symbols: &'a [(Symbol, u32)],
    depth: u32,
    end: u32,
}

impl<'a> Reader<'a> {
    pub(super) const fn new(
        code: &'a [u8],
        symbols: &'a [(Symbol, u32)],
        depth: u32,
        end: u32,
    ) -> Self {
        Self { rest: Rest(code), symbols, depth, end }
    }

    /// Bytes of code that are left, depth of the next node, end of the last leaf.
    pub(super) const fn place(&self) -> (usize, u32, u32) {
        (self.rest.0.len(), self.depth, self.end)
    }

    /// The next node; none where there is none, or what comes is no node.
    #[inline]
    pub(super) fn next(&mut self) -> Option<Told> {
        let (mut gap, mut long) = (0, None);
        loop {
            match read_op(&mut self.rest, self.symbols)? {
                Op::Gap(bytes) if gap == 0 => gap = bytes,
                Op::Long(told) if long.is_none() => long = Some(told),
                Op::Enter { symbol, margin: (lead, tail) } if gap == 0 => {
                    let item = Item {
                        symbol: self.symbols[symbol as usize].0,
                        depth: self.depth,
                        start: self.end,
                        end: 0,
                        lead,
                        tail,
                        ends: 0,
                    };
                    self.depth = self.depth.checked_add(1)?;
                    return Some(Told { item, symbol, long });
                }
                Op::Leaf { symbol, len } if long.is_none() => {
                    let item = self.leaf(symbol, gap, len)?;
                    return Some(Told { item, symbol, long });
                }
                _ => return None,
            }
        }
    }

    #[inline]
    fn leaf(&mut self, symbol: u32, gap: u32, len: u32) -> Option<Item> {
        let start = self.end.checked_add(gap)?;
        let end = start.checked_add(len)?;
        let mut ends = 0;
        if let Some(byte) = self.rest.0.first()
            && (EXIT + 1..=EXIT_MANY).contains(byte)
            && let Op::Exit(count) = read_op(&mut self.rest, self.symbols)?
        {
            ends = count;
        }
        let (symbol, depth) = (self.symbols[symbol as usize].0, self.depth);
        self.depth = depth.checked_sub(ends)?;
        self.end = end;
        Some(Item { symbol, depth, start, end, lead: 0, tail: 0, ends })
    }

    /// Whether the stream ends here as it must.
    pub(super) fn ended(&self) -> bool {
        self.rest.0 == [END]
    }
}

impl Bytecode {
    /// All operations in order: what a listing shows.
    pub fn ops(&self) -> impl Iterator<Item = Op> {
        let mut rest = Rest(&self.bytes[self.code.clone()]);
        std::iter::from_fn(move || read_op(&mut rest, &self.symbols))
    }

    /// The symbols that operations number.
    pub fn symbols(&self) -> impl ExactSizeIterator<Item = Symbol> {
        self.symbols.iter().map(|(symbol, _)| *symbol)
    }
}
