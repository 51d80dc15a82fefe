//! Reading valid bytecode: whole, or one node from the checkpoint before it.

use super::op::{Long, Reader, Told};
use super::{Bytecode, BytecodeError};
use crate::cold::ColdNode;
use crate::flat::Flat;
use crate::items::Builder;

impl Bytecode {
    /// The whole tree as columns, symbols numbered by its grammar's table.
    ///
    /// # Errors
    /// [`BytecodeError::Symbols`].
    pub fn decode(&self) -> Result<Flat, BytecodeError> {
        let full = || BytecodeError::Symbols { grammar: self.grammar.identity().name.clone() };
        let ids = self.symbols.iter().map(|(symbol, _)| self.grammar.intern(*symbol));
        let ids = ids.collect::<Option<Vec<_>>>().ok_or_else(full)?;
        let mut builder = Builder::new(self.source_len, self.nodes as usize);
        let mut reader = self.reader(0);
        while let Some(told) = reader.next() {
            // What was checked can lie where it lies.
            builder.push(ids[told.symbol as usize], &told.item).ok_or_else(full)?;
        }
        builder.finish(self.lines.clone()).ok_or_else(full)
    }

    /// A reader from the checkpoint of this number on.
    fn reader(&self, number: usize) -> Reader<'_> {
        let at = self.checkpoints[number];
        let code = &self.bytes[self.code.start + at.at as usize..self.code.end];
        Reader::new(code, &self.symbols, at.depth, at.end)
    }

    /// A reader at node `index`, fewer nodes than lie between checkpoints from one.
    fn reader_at(&self, index: u32) -> Reader<'_> {
        let mut reader = self.reader((index / self.interval) as usize);
        for _ in 0..index % self.interval {
            reader.next();
        }
        reader
    }

    /// The node of number `index` in pre-order; none behind the last. Reads from the checkpoint before
    /// it to its end, or to itself if it is long.
    pub fn node(&self, index: usize) -> Option<ColdNode> {
        let index = u32::try_from(index).ok().filter(|index| *index < self.nodes)?;
        let mut reader = self.reader_at(index);
        let Told { item, long, .. } = reader.next()?;
        let (symbol, depth) = (item.symbol, item.depth);
        let node = |Long { nodes, children, start, bytes }: Long| ColdNode {
            symbol,
            start,
            end: start + bytes,
            depth,
            nodes,
            children,
        };
        if symbol.is_leaf() {
            let (start, bytes) = (item.start, item.end - item.start);
            return Some(node(Long { nodes: 1, children: 0, start, bytes }));
        }
        if let Some(long) = long {
            return Some(node(long));
        }
        let (mut whole, mut start) = (Long { nodes: 1, ..Long::default() }, None);
        loop {
            let Told { item: below, .. } = reader.next()?;
            whole.nodes += 1;
            whole.children += u32::from(below.depth == depth + 1);
            if !below.symbol.is_leaf() {
                continue;
            }
            whole.start = *start.get_or_insert(below.start.checked_sub(item.lead)?);
            if below.depth.checked_sub(below.ends)? <= depth {
                whole.bytes = (below.end + item.tail).checked_sub(whole.start)?;
                return Some(node(whole));
            }
        }
    }

    /// The number of the parent of node `index`; none of the root and behind the last node.
    pub fn parent(&self, index: usize) -> Option<usize> {
        let mut index = u32::try_from(index).ok().filter(|it| (1..self.nodes).contains(it))?;
        let wanted = self.reader_at(index).place().1.checked_sub(1)?;
        loop {
            let number = (index / self.interval) as usize;
            let (first, mut reader) = (number as u32 * self.interval, self.reader(number));
            let mut found = None;
            for node in first..index {
                let item = reader.next()?.item;
                if item.depth == wanted && !item.symbol.is_leaf() {
                    found = Some(node);
                } else if item.depth < wanted {
                    found = None;
                }
            }
            if let Some(found) = found {
                return Some(found as usize);
            }
            // It began before the checkpoint, and so did all between: the innermost of them is known.
            let at = self.checkpoints[number];
            if at.depth == wanted + 1 {
                return Some(at.parent as usize);
            }
            index = at.parent;
        }
    }
}
