//! Associations of level 0, found from either end.

use std::collections::HashMap;

use super::Direction;
use crate::indexes::strings::Strings;
use crate::record::row::EdgeRow;

/// Associations in memory.
#[derive(Debug, Default)]
pub(crate) struct Edges {
    pub(crate) rows: Vec<EdgeRow>,
    ids: Strings,
    out: HashMap<u64, Vec<u32>>,
    into: HashMap<u64, Vec<u32>>,
}

impl Edges {
    /// Adds one whose ids have these hashes; returns its place.
    pub(crate) fn push(&mut self, row: EdgeRow, ids: (&[u8], &[u8]), hashes: (u64, u64)) -> u32 {
        let at = self.rows.len() as u32;
        self.ids.push(&[ids.0, ids.1].concat());
        self.rows.push(EdgeRow { source_len: ids.0.len() as u32, ..row });
        self.out.entry(hashes.0).or_default().push(at);
        self.into.entry(hashes.1).or_default().push(at);
        at
    }

    pub(crate) fn ids(&self, at: u32) -> (&[u8], &[u8]) {
        self.ids.get(at).split_at(self.rows[at as usize].source_len as usize)
    }

    pub(crate) fn of(&self, hash: u64, direction: Direction) -> &[u32] {
        let map = match direction {
            Direction::Out => &self.out,
            Direction::In => &self.into,
        };
        map.get(&hash).map_or(&[], Vec::as_slice)
    }

    /// Bytes of memory that they hold, about.
    pub(crate) fn memory(&self) -> usize {
        let maps = (self.out.capacity() + self.into.capacity()) * 40 + 8 * self.rows.len();
        self.rows.capacity() * size_of::<EdgeRow>() + self.ids.memory() + maps
    }
}
