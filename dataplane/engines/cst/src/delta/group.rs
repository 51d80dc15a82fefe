//! The chunks of one grammar's trees.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use super::chunk::{Chunk, ChunkNodes, Hash, cut};
use super::{Put, Tree};
use crate::cold::{
    Bytes, COLUMNS, ColdError, Known, Lines, Packer, Place, Positions, Reading, Ready, Unit,
    Unpacker, crc, decoder, dictionary, raw_of,
};
use crate::flat::Flat;
use crate::items::{Builder, Numbers};
use crate::languages::{Grammar, SymbolId, SymbolTable};
use crate::varint::Rest;

/// Nodes after which a pack is compressed.
const PACK_NODES: u32 = 4096;

type Map<K, V> = HashMap<K, V, foldhash::fast::RandomState>;

/// What is known of a chunk.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    pub(super) nodes: u32,
    pub(super) pack: u32,
    pub(super) hash: Hash,
}

/// The compressed bytes of a pack.
#[derive(Debug)]
pub(super) enum Packed {
    /// Made in this process.
    Own(Vec<u8>),
    /// In a file.
    In(Arc<Bytes>, Range<usize>),
}

impl Packed {
    pub(super) fn get(&self) -> &[u8] {
        match self {
            Self::Own(bytes) => bytes,
            Self::In(file, range) => &file.get()[range.clone()],
        }
    }
}

/// Chunks compressed together.
#[derive(Debug)]
pub(super) struct Pack {
    pub(super) first: u32,
    pub(super) raw_len: u32,
    pub(super) crc: u32,
    pub(super) bytes: Packed,
}

/// A pack's columns, and where each of its chunks begins in them.
#[derive(Debug)]
pub(super) struct Unpacked {
    first: u32,
    raw: Vec<u8>,
    /// Of each chunk, and behind the last one.
    starts: Vec<[u32; COLUMNS]>,
}

/// The chunks of one grammar's trees, with the symbols as they are numbered in them.
pub(super) struct Group {
    pub(super) known: Known,
    pub(super) table: SymbolTable,
    pub(super) rows: Vec<Row>,
    by_hash: Map<Hash, u32>,
    pub(super) packs: Vec<Pack>,
    /// Chunks that no pack was made of yet.
    open: Unit,
    open_first: u32,
    open_nodes: u32,
    level: i32,
    /// Made when the first pack is.
    packer: Option<Packer>,
    raw: Vec<u8>,
}

impl Group {
    pub(super) fn new(grammar: &Arc<Grammar>, level: i32) -> Result<Self, ColdError> {
        let table = SymbolTable::default();
        for symbol in grammar.trained().iter().flat_map(|trained| trained.symbols()) {
            table.intern(*symbol, grammar.implied_len(*symbol));
        }
        let known = Known::Ready(Box::new(Ready::of(grammar, &table)));
        Ok(Self::with(known, table, Vec::new(), Vec::new(), level))
    }

    pub(super) fn with(
        known: Known,
        table: SymbolTable,
        rows: Vec<Row>,
        packs: Vec<Pack>,
        level: i32,
    ) -> Self {
        let by_hash = rows.iter().enumerate().map(|(at, row)| (row.hash, at as u32)).collect();
        let (open_first, open) = (rows.len() as u32, Unit::default());
        let (raw, packer) = (Vec::new(), None);
        Self {
            known,
            table,
            rows,
            by_hash,
            packs,
            open,
            open_first,
            open_nodes: 0,
            level,
            packer,
            raw,
        }
    }

    pub(super) fn ready(&self) -> Result<&Ready, ColdError> {
        self.known.ready()
    }

    pub(super) fn grammar(&self) -> Option<&Arc<Grammar>> {
        self.ready().ok().map(Ready::grammar)
    }

    pub(super) const fn chunks(&self) -> usize {
        self.rows.len()
    }

    /// Stores a tree's chunks; gives its list, what was new, and the number of the pack that is open.
    pub(super) fn put(
        &mut self,
        grammar: &Arc<Grammar>,
        flat: &Flat,
        sizes: ChunkNodes,
    ) -> Result<(Tree, (Put, usize)), ColdError> {
        let mut tree = Tree { source_len: flat.source_len, ..Tree::default() };
        let mut put = Put { nodes: flat.len(), ..Put::default() };
        let open = self.packs.len();
        // The table only grows: what has a number keeps it.
        let table = std::mem::take(&mut self.table);
        let mut numbers: Map<SymbolId, SymbolId> = Map::default();
        let number = |id: SymbolId| {
            if let Some(known) = numbers.get(&id) {
                return Ok(*known);
            }
            let symbol = grammar.symbol(id);
            let full = || ColdError::Symbols { grammar: grammar.identity().name.clone() };
            let known = table.intern(symbol, grammar.implied_len(symbol)).ok_or_else(full)?;
            numbers.insert(id, known);
            Ok(known)
        };
        let tail = cut(grammar, flat, sizes, number, |chunk| {
            let (at, new) = self.chunk(chunk)?;
            put.chunks += 1;
            if new {
                put.new_chunks += 1;
                put.new_nodes += chunk.nodes as usize;
            }
            match tree.runs.last_mut() {
                Some((first, count)) if *first + *count == at => *count += 1,
                _ => tree.runs.push((at, 1)),
            }
            Ok(())
        });
        let tail = tail.map(<[u32]>::to_vec);
        self.table = table;
        self.known.grow(&self.table);
        tree.tail = tail?;
        Ok((tree, (put, open)))
    }

    /// The number of a chunk, and whether it was not there.
    fn chunk(&mut self, chunk: &Chunk) -> Result<(u32, bool), ColdError> {
        let hash = chunk.hash();
        if let Some(at) = self.by_hash.get(&hash) {
            return Ok((*at, false));
        }
        let (at, pack) = (self.rows.len() as u32, self.packs.len() as u32);
        for (column, bytes) in self.open.columns.iter_mut().zip(&chunk.unit.columns) {
            column.extend(bytes);
        }
        self.open_nodes += chunk.nodes;
        self.rows.push(Row { nodes: chunk.nodes, pack, hash });
        self.by_hash.insert(hash, at);
        if self.open_nodes >= PACK_NODES {
            self.seal()?;
        }
        Ok((at, true))
    }

    /// Compresses what is open.
    pub(super) fn seal(&mut self) -> Result<(), ColdError> {
        if self.open_nodes == 0 {
            return Ok(());
        }
        let grammar = self.known.ready()?.grammar();
        let packer = match &mut self.packer {
            Some(packer) => packer,
            none => none.insert(Packer::new(dictionary(grammar, Positions::Stored), self.level)?),
        };
        raw_of(&self.open, &mut self.raw);
        let bytes = packer.pack(&self.raw)?.to_vec();
        let (raw_len, crc) = (self.raw.len() as u32, crc(&bytes));
        self.packs.push(Pack { first: self.open_first, raw_len, crc, bytes: Packed::Own(bytes) });
        self.open.columns.iter_mut().for_each(Vec::clear);
        (self.open_first, self.open_nodes) = (self.rows.len() as u32, 0);
        Ok(())
    }

    /// Bytes of all columns before they are compressed, and after.
    pub(super) fn bytes(&self) -> (usize, usize) {
        let open: usize = self.open.columns.iter().map(Vec::len).sum();
        let raw: usize = self.packs.iter().map(|pack| pack.raw_len as usize).sum();
        let packed: usize = self.packs.iter().map(|pack| pack.bytes.get().len()).sum();
        (raw + open, packed + open)
    }

    /// The pack that a chunk is in; the one behind the last is the open one.
    pub(super) fn pack_of(&self, chunk: u32) -> usize {
        self.rows[chunk as usize].pack as usize
    }

    /// Nodes in runs of chunks.
    pub(super) fn nodes_of(&self, runs: &[(u32, u32)]) -> usize {
        let chunks = runs.iter().flat_map(|(first, count)| *first..first + count);
        chunks.map(|chunk| self.rows[chunk as usize].nodes as usize).sum()
    }

    fn malformed(pack: usize) -> ColdError {
        ColdError::malformed(format!("pack {pack}"))
    }

    /// A pack's columns, taken apart into chunks.
    pub(super) fn unpack(&self, pack: usize) -> Result<Unpacked, ColdError> {
        let ready = self.ready()?;
        let (first, raw) = match self.packs.get(pack) {
            Some(Pack { first, raw_len, crc: check, bytes }) => {
                if crc(bytes.get()) != *check {
                    return Err(ColdError::Checksum { part: format!("pack {pack}") });
                }
                let decoder = decoder(ready.grammar(), Positions::Stored)?;
                let mut unpacker = Unpacker::new(&decoder.dictionary)?;
                (*first, unpacker.unpack(bytes.get(), *raw_len as usize)?.to_vec())
            }
            None => {
                let mut raw = Vec::new();
                raw_of(&self.open, &mut raw);
                (self.open_first, raw)
            }
        };
        let upto = self.packs.get(pack + 1).map_or(self.open_first, |next| next.first);
        let upto = if pack >= self.packs.len() { self.rows.len() as u32 } else { upto };
        let starts = starts(ready, &raw, &self.rows[first as usize..upto as usize]);
        let starts = starts.ok_or_else(|| Self::malformed(pack))?;
        Ok(Unpacked { first, raw, starts })
    }

    /// Adds a chunk's nodes and line starts to a tree.
    pub(super) fn read(
        &self,
        chunk: u32,
        unpacked: &Unpacked,
        (numbers, builder): (&mut Numbers<'_>, &mut Builder),
        lines: &mut Vec<u32>,
    ) -> Result<(), ColdError> {
        let ready = self.ready()?;
        let (base, depth) = builder.place();
        let within = (chunk - unpacked.first) as usize;
        let malformed = || Self::malformed(self.pack_of(chunk));
        let bounds = unpacked.starts.get(within).zip(unpacked.starts.get(within + 1));
        let (from, upto) = bounds.ok_or_else(malformed)?;
        let columns: [Rest<'_>; COLUMNS] =
            std::array::from_fn(|at| Rest(&unpacked.raw[from[at] as usize..upto[at] as usize]));
        let place = Place { base, depth, first: 0 };
        let place = (place, Lines::Keep(std::mem::take(lines)));
        let mut reading = Reading::of((ready.grammar(), ready.meanings()), None, columns, place);
        for _ in 0..self.rows[chunk as usize].nodes {
            let item = reading.next().ok_or_else(malformed)?;
            let id = numbers.get(item.symbol).ok_or_else(malformed)?;
            builder.push(id, &item).ok_or_else(malformed)?;
        }
        *lines = reading.finish(false).ok_or_else(malformed)?;
        Ok(())
    }
}

/// Where each chunk begins in a pack's columns, and where the last one ends.
fn starts(ready: &Ready, raw: &[u8], rows: &[Row]) -> Option<Vec<[u32; COLUMNS]>> {
    let mut rest = Rest(raw);
    let mut lens = [0; COLUMNS];
    for len in &mut lens {
        *len = rest.number()? as usize;
    }
    let mut columns = [Rest::default(); COLUMNS];
    for (column, len) in columns.iter_mut().zip(lens) {
        *column = Rest(rest.take(len)?);
    }
    // All columns lie in `raw`: what is behind a place tells the place.
    let mut ends = [0; COLUMNS];
    let mut end = raw.len() - rest.0.len() - lens.iter().sum::<usize>();
    for (at, len) in lens.into_iter().enumerate() {
        end += len;
        ends[at] = end;
    }
    let place = |columns: &[Rest<'_>; COLUMNS]| -> [u32; COLUMNS] {
        std::array::from_fn(|at| (ends[at] - columns[at].0.len()) as u32)
    };
    let mut starts = Vec::with_capacity(rows.len() + 1);
    for row in rows {
        starts.push(place(&columns));
        // Any depth that nodes can end from: the tree's own is checked when it is read.
        let anywhere = (Place { base: 0, depth: u32::MAX / 2, first: 0 }, Lines::Pass);
        let mut reading = Reading::of((ready.grammar(), ready.meanings()), None, columns, anywhere);
        for _ in 0..row.nodes {
            reading.next()?;
        }
        reading.finish(false)?;
        columns = *reading.columns();
    }
    starts.push(place(&columns));
    let all_read = columns.iter().all(|column| column.0.is_empty());
    (all_read && rest.0.is_empty()).then_some(starts)
}
