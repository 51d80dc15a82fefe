//! Level 0: what was written last, in memory, searchable with the next query.

use std::collections::{BTreeMap, HashMap};
use std::ops::{Bound, RangeInclusive};
use std::sync::Arc;

use super::edges::Edges;
use super::marks::Marks;
use super::select::Select;
use super::{Direction, Hits, Part, Probe, flat};
use crate::collection::error::Damage;
use crate::collection::query::Effort;
use crate::collection::shape::Shape;
use crate::indexes::strings::Strings;
use crate::indexes::words::words;
use crate::quantize::Codes;
use crate::record::change::PutChange;
use crate::record::raw::{self, RawRows};
use crate::record::row::{EdgeRow, Row};

/// What stands for "no earlier row".
const NONE: u32 = u32::MAX;

/// Bytes of address space that are taken for vectors to come, at most.
const MOST_RESERVED: usize = 256 << 20;

/// Records and associations that are not yet in a segment.
#[derive(Debug)]
pub(crate) struct Memory {
    shape: Arc<Shape>,
    rows: Vec<Row>,
    ids: Strings,
    texts: Strings,
    metadata: Strings,
    raw: RawRows,
    codes: Codes,
    /// The last row of each hash.
    last: HashMap<u64, u32, Hashed>,
    /// For each row the one before it with the same hash.
    before: Vec<u32>,
    words: BTreeMap<Box<str>, Vec<u32>>,
    /// Bytes that the words hold, about.
    word_bytes: usize,
    marks: Marks,
    edges: Edges,
    edge_marks: Marks,
    /// The last change that it holds; 0 for none.
    lsn: u64,
    vector: Vec<f32>,
    turned: Vec<f32>,
}

/// Takes a hash for what it is.
#[derive(Clone, Copy, Debug, Default)]
struct Hashed(u64);

impl std::hash::BuildHasher for Hashed {
    type Hasher = Self;
    fn build_hasher(&self) -> Self {
        Self(0)
    }
}

impl std::hash::Hasher for Hashed {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.0 = self.0 << 8 | u64::from(*byte));
    }
    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

impl Memory {
    pub(crate) fn new(shape: &Arc<Shape>) -> Self {
        let (dim, padded) = (shape.settings.dim, shape.quantizer.padded());
        Self {
            shape: Arc::clone(shape),
            rows: Vec::new(),
            ids: Strings::default(),
            texts: Strings::default(),
            metadata: Strings::default(),
            raw: RawRows::new(shape.settings.raw.logged(), dim),
            codes: shape.quantizer.codes(),
            last: HashMap::default(),
            before: Vec::new(),
            words: BTreeMap::new(),
            word_bytes: 0,
            marks: Marks::default(),
            edges: Edges::default(),
            edge_marks: Marks::default(),
            lsn: 0,
            vector: vec![0.0; dim],
            turned: vec![0.0; padded],
        }
    }

    /// Adds a version of a record that change `lsn` wrote at `now`; its id was first written at
    /// `created`, or now.
    pub(crate) fn put(
        &mut self,
        put: &PutChange<'_>,
        hash: u64,
        (lsn, now): (u64, u64),
        created: Option<u64>,
    ) {
        let at = self.rows.len() as u32;
        self.rows.push(Row {
            lsn,
            time: if put.time == 0 { now } else { put.time },
            created: created.unwrap_or(now),
            modified: now,
            accessed: now,
            strength: put.strength,
            confidence: put.confidence,
            ..Row::default()
        });
        self.ids.push(put.id);
        self.texts.push(put.text.as_bytes());
        self.metadata.push(put.metadata);
        self.before.push(self.last.insert(hash, at).unwrap_or(NONE));
        self.marks.grow(at + 1);
        self.add_words(at, put.text);
        self.add_vector(put.vector);
        self.lsn = lsn;
    }

    fn add_vector(&mut self, bytes: &[u8]) {
        if self.codes.is_empty() {
            let most = MOST_RESERVED / (4 * self.vector.len());
            self.raw.reserve(self.shape.settings.memory_rows.min(most));
        }
        self.raw.push(bytes);
        raw::read(self.shape.settings.raw.logged(), bytes, &mut self.vector);
        let quantizer = &self.shape.quantizer;
        quantizer.rotate(&self.vector, &mut self.turned);
        quantizer.encode(&mut self.turned, &self.shape.zero, &mut self.codes);
    }

    fn add_words(&mut self, at: u32, text: &str) {
        words(text, |word| {
            let rows = if let Some(rows) = self.words.get_mut(word) {
                rows
            } else {
                self.word_bytes += word.len() + 64;
                self.words.entry(word.into()).or_default()
            };
            if rows.last() != Some(&at) {
                rows.push(at);
                self.word_bytes += 4;
            }
        });
    }

    /// Adds a version of an association.
    pub(crate) fn associate(&mut self, row: EdgeRow, ids: (&[u8], &[u8])) {
        let hashes = (self.shape.hash(ids.0), self.shape.hash(ids.1));
        let at = self.edges.push(row, ids, hashes);
        self.edge_marks.grow(at + 1);
        self.lsn = row.lsn;
    }

    /// Nothing up to change `lsn` is missing here and in what is older.
    pub(crate) const fn cover(&mut self, lsn: u64) {
        self.lsn = lsn;
    }

    /// The last change that it covers; 0 for none.
    pub(crate) const fn lsn(&self) -> u64 {
        self.lsn
    }

    /// Whether it holds nothing.
    pub(crate) const fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.edges.rows.is_empty()
    }

    /// Bytes of memory that it holds, about.
    pub(crate) fn memory(&self) -> usize {
        let strings = self.ids.memory() + self.texts.memory() + self.metadata.memory();
        let rows = self.rows.capacity() * size_of::<Row>() + 4 * self.before.capacity();
        let index = self.last.capacity() * 17 + self.word_bytes;
        strings + rows + index + self.raw.bytes() + self.codes.bytes() + self.edges.memory()
    }
}

impl Part for Memory {
    fn rows(&self) -> u32 {
        self.rows.len() as u32
    }

    fn level(&self) -> u8 {
        0
    }

    fn marks(&self) -> &Marks {
        &self.marks
    }

    fn row(&self, at: u32) -> Result<Row, Damage> {
        Ok(self.rows[at as usize])
    }

    fn id(&self, at: u32) -> Result<&[u8], Damage> {
        Ok(self.ids.get(at))
    }

    fn text(&self, at: u32) -> Result<&str, Damage> {
        // Whole strings went in.
        Ok(std::str::from_utf8(self.texts.get(at)).unwrap_or_default())
    }

    fn metadata(&self, at: u32) -> Result<&[u8], Damage> {
        Ok(self.metadata.get(at))
    }

    fn logged(&self, at: u32, out: &mut Vec<u8>) -> Result<(), Damage> {
        self.raw.view().logged(at as usize, out);
        Ok(())
    }

    fn of_hash(&self, hash: u64) -> Result<Vec<u32>, Damage> {
        let mut rows = Vec::new();
        let mut at = self.last.get(&hash).copied().unwrap_or(NONE);
        while at != NONE {
            rows.push(at);
            at = self.before[at as usize];
        }
        Ok(rows)
    }

    fn of_word(&self, word: &str, prefix: bool) -> Result<Vec<u32>, Damage> {
        if !prefix {
            return Ok(self.words.get(word).cloned().unwrap_or_default());
        }
        let from = (Bound::Included(word), Bound::Unbounded);
        let begins =
            self.words.range::<str, _>(from).take_while(|(held, _)| held.starts_with(word));
        let mut rows: Vec<u32> = begins.flat_map(|(_, rows)| rows.iter().copied()).collect();
        rows.sort_unstable();
        rows.dedup();
        Ok(rows)
    }

    fn of_time(&self, range: RangeInclusive<u64>) -> Result<Vec<u32>, Damage> {
        let within = (0..).zip(&self.rows).filter(|(_, row)| range.contains(&row.time));
        let mut rows: Vec<u32> = within.map(|(at, _)| at).collect();
        rows.sort_by_key(|at| self.rows[*at as usize].time);
        Ok(rows)
    }

    fn edges(&self) -> u32 {
        self.edges.rows.len() as u32
    }

    fn edge_marks(&self) -> &Marks {
        &self.edge_marks
    }

    fn edge(&self, at: u32) -> Result<EdgeRow, Damage> {
        Ok(self.edges.rows[at as usize])
    }

    fn edge_ids(&self, at: u32) -> Result<(&[u8], &[u8]), Damage> {
        Ok(self.edges.ids(at))
    }

    fn edges_of(&self, hash: u64, direction: Direction) -> Result<Vec<u32>, Damage> {
        Ok(self.edges.of(hash, direction).to_vec())
    }

    fn search(&self, shape: &Shape, probe: &Probe<'_>) -> Result<Hits, Damage> {
        let select = Select::new(shape, self, probe.only, probe.moment)?;
        let (raw, rows) = (self.raw.view(), self.rows.len());
        let candidates = flat::candidates(probe.effort, probe.k, rows);
        let score =
            |row| Ok(raw.compare(&shape.kernels, shape.measure(), row as usize, probe.padded));
        match select.rows() {
            Some(few) if few.len() <= candidates || few.len() <= rows / 16 => {
                flat::compare(few, &select, probe, score)
            }
            _ if probe.effort == Effort::Exact || candidates >= rows => {
                Ok(flat::exact(shape, &raw, self.rows(), &select, probe))
            }
            _ => flat::search(shape, &self.codes.view(), &select, probe, candidates, score),
        }
    }
}
