//! Inverted lists: vectors in the list of the centre that is nearest to them, as codes of their
//! offset from it.

use super::{Answer, Search};
use crate::kernels::{BLOCK, Found, Kernels, Measure};
use crate::kmeans;
use crate::quantize::{Codes, ExtraBits, ExtraCodes, QueryTables, RaBitQ};
use crate::rows::Rows;
use crate::topk::{Hit, TopK};

/// Blocks of a list that are scanned before the floor is raised.
const STRIDE: usize = 64;
/// Vectors that are assigned to lists together.
const BATCH: usize = 64;

/// How lists are made.
#[derive(Clone, Copy, Debug)]
pub struct IvfSettings {
    /// How vectors are compared.
    pub measure: Measure,
    /// How many lists.
    pub lists: usize,
    /// Bits beyond the first.
    pub extra: ExtraBits,
    /// Selects rotation and sample.
    pub seed: u64,
}

/// Vectors in lists.
#[derive(Debug)]
pub struct Ivf {
    quantizer: RaBitQ,
    /// As vectors are, to assign them.
    centres: Rows<f32>,
    /// Half the squared length of each centre.
    halves: Vec<f32>,
    /// Rotated.
    turned: Rows<f32>,
    /// Rotated, in bytes that count as much as each centre's entry in `byte`.
    bytes: Rows<i8>,
    byte: Vec<f32>,
    lists: Vec<List>,
    len: usize,
    kernels: Kernels,
}

#[derive(Debug)]
struct List {
    codes: Codes,
    extra: ExtraCodes,
    places: Vec<u32>,
}

/// A list that may be looked into.
#[derive(Clone, Copy)]
struct Probe {
    list: u32,
    constant: f32,
}

impl Ivf {
    /// No vectors yet; lists about centres that `sample` lies around.
    ///
    /// # Panics
    /// When there are no lists, or `sample` has fewer vectors than there are to be lists.
    #[must_use]
    pub fn train(sample: &Rows<f32>, settings: &IvfSettings) -> Self {
        let kernels = Kernels::best();
        let centres = kmeans::train(&kernels, sample, settings.lists, settings.seed);
        let quantizer = RaBitQ::new(sample.dim(), settings.measure, settings.seed);
        let (mut turned, mut bytes) =
            (Rows::new(quantizer.padded()), Rows::new(quantizer.padded()));
        let mut byte = Vec::new();
        let mut row = vec![0.0; quantizer.padded()];
        for at in 0..centres.len() {
            quantizer.rotate(&centres.row(at)[..centres.dim()], &mut row);
            turned.push(&row);
            let most = row.iter().fold(f32::MIN_POSITIVE, |most, value| most.max(value.abs()));
            byte.push(most / 127.0);
            let whole = |value: &f32| (value * (127.0 / most)).round() as i8;
            bytes.push(&row.iter().map(whole).collect::<Vec<i8>>());
        }
        let list = || List {
            codes: quantizer.codes(),
            extra: ExtraCodes::new(settings.extra, quantizer.words()),
            places: Vec::new(),
        };
        let lists = (0..settings.lists).map(|_| list()).collect();
        let halves = kmeans::halves(&kernels, &centres);
        Self { quantizer, centres, halves, turned, bytes, byte, lists, len: 0, kernels }
    }

    /// Vectors that are there.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds `vectors`, the first of which gets place `first`, the next one the place after it.
    ///
    /// # Panics
    /// When they have another dimension, or places would end beyond 2^32.
    pub fn add(&mut self, vectors: &Rows<f32>, first: u32) {
        assert_eq!(vectors.dim(), self.centres.dim(), "components");
        assert!(vectors.len() <= (u32::MAX - first) as usize, "places end at 2^32");
        let mut turned = vec![0.0; self.quantizer.padded()];
        let mut nearest = vec![0; BATCH];
        for from in (0..vectors.len()).step_by(BATCH) {
            let to = vectors.len().min(from + BATCH);
            let nearest = &mut nearest[..to - from];
            kmeans::nearest(&self.kernels, &self.centres, &self.halves, vectors, from, nearest);
            for (at, &list) in (from..to).zip(&*nearest) {
                self.quantizer.rotate(&vectors.row(at)[..vectors.dim()], &mut turned);
                let centre = self.turned.row(list as usize);
                let list = &mut self.lists[list as usize];
                self.quantizer.encode(&mut turned, centre, &mut list.codes);
                list.extra.encode(self.quantizer.measure(), &turned);
                list.places.push(first + at as u32);
            }
        }
        self.len += vectors.len();
    }

    /// Searches the lists whose centres are nearest to the query.
    ///
    /// # Panics
    /// When the query has another dimension.
    #[must_use]
    pub fn search(&self, search: &Search<'_>) -> Answer {
        let query = self.quantizer.query(search.query);
        let mut answer = Answer::default();
        let mut top = TopK::new(search.candidates.max(search.k), f32::NEG_INFINITY);
        let mut found = Found::with_room(STRIDE);
        // Where each candidate lies; a hit's place counts in here.
        let mut origins: Vec<(Probe, u32)> = Vec::with_capacity(1024);
        for probe in self.probes(&query, search.probes) {
            let list = &self.lists[probe.list as usize];
            for from in (0..list.codes.blocks()).step_by(STRIDE) {
                let blocks = from..list.codes.blocks().min(from + STRIDE);
                let floor = top.floor() - probe.constant;
                list.codes.scan(&self.kernels, &query, blocks, floor, &mut found);
                for (at, score) in found.iter() {
                    let at = at + (from * BLOCK) as u32;
                    if search.filter.is_none_or(|filter| filter.allows(list.places[at as usize])) {
                        top.offer(origins.len() as u32, score + probe.constant);
                        origins.push((probe, at));
                    }
                }
            }
            answer.estimated += list.codes.len() as u64;
        }
        self.refine(search, &query, &top, &origins, &mut answer);
        answer
    }

    /// Ranks candidates again.
    fn refine(
        &self,
        search: &Search<'_>,
        query: &QueryTables,
        top: &TopK,
        origins: &[(Probe, u32)],
        answer: &mut Answer,
    ) {
        let mut best = TopK::new(search.k, search.least);
        for hit in top.hits() {
            let (probe, at) = origins[hit.at as usize];
            self.lists[probe.list as usize].extra.prefetch(at as usize);
        }
        for &Hit { at, score } in top.hits() {
            let (probe, at) = origins[at as usize];
            let List { codes, extra, places } = &self.lists[probe.list as usize];
            let score = extra.refine(codes, query, at as usize, score - probe.constant);
            best.offer(places[at as usize], score + probe.constant);
        }
        answer.computed += top.hits().len() as u64;
        answer.hits = best.sorted();
    }

    /// The lists to look into, the nearest first.
    fn probes(&self, query: &QueryTables, probes: usize) -> Vec<Probe> {
        let (bytes, byte) = query.bytes();
        let mut dots = vec![0; self.lists.len()];
        let bytes = &bytes[..self.bytes.stride()];
        self.kernels.scan_i8(self.bytes.as_slice(), bytes, &mut dots);
        let mut top = TopK::new(probes.min(self.lists.len()), f32::NEG_INFINITY);
        for (at, dot) in dots.iter().enumerate() {
            let product = *dot as f32 * byte * self.byte[at];
            let score = match self.quantizer.measure() {
                Measure::Dot => product,
                Measure::L2 => product - self.halves[at],
            };
            top.offer(at as u32, score);
        }
        let probe = |hit: Hit| {
            let constant = self.quantizer.constant(query, self.turned.row(hit.at as usize));
            Probe { list: hit.at, constant }
        };
        top.sorted().into_iter().map(probe).collect()
    }

    /// Bytes of memory that lists and centres hold.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let centres = self.centres.bytes() + self.turned.bytes() + self.bytes.bytes();
        let list = |list: &List| {
            list.codes.bytes() + list.extra.bytes() + 4 * list.places.capacity() + size_of::<List>()
        };
        centres + 8 * self.halves.len() + self.lists.iter().map(list).sum::<usize>()
    }

    /// Gives memory back that is not needed as long as nothing is added.
    pub fn shrink(&mut self) {
        for list in &mut self.lists {
            list.codes.shrink();
            list.extra.shrink();
            list.places.shrink_to_fit();
        }
    }
}
