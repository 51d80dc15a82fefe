//! Building a segment from other parts.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use super::calibrate::{self, Seen};
use super::file::{self, Unmeasured, Writer};
use super::format::{Footer, Region, STEPS, Step};
use super::lists::{ListExtent, Parts};
use super::{Segment, graph, raw_number};
use crate::collection::error::StoreError;
use crate::collection::settings::Raw;
use crate::collection::shape::Shape;
use crate::indexes::sorted::sort;
use crate::indexes::words::words;
use crate::kmeans;
use crate::part::Part;
use crate::part::marks::{Mark, Marks};
use crate::quantize::{Codes, ExtraBits, ExtraCodes};
use crate::record::raw as vectors;
use crate::rows::{Rows, stride};

/// Rows that a graph has at most: while it is built it lies in memory.
const MOST_VERTICES: usize = 1 << 20;
/// Rows that a segment has at least to be cut into lists, or to be a graph.
const LISTED: usize = 4096;
/// Vectors of the sample for each list: as many as rough centres are made of.
const SAMPLE: usize = 24;
/// Vectors that are assigned to lists together.
const BATCH: usize = 48;

/// A row of one of the parts that a segment is built from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pick {
    pub(crate) part: u32,
    pub(crate) row: u32,
}

/// What a segment is built from.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) id: u64,
    pub(crate) level: u8,
    pub(crate) parts: Vec<Arc<dyn Part>>,
    pub(crate) rows: Vec<Pick>,
    pub(crate) edges: Vec<Pick>,
}

/// What was built.
#[derive(Debug)]
pub(crate) struct Built {
    pub(crate) segment: Segment,
    /// The rows in their new order.
    pub(crate) rows: Vec<Pick>,
    pub(crate) edges: Vec<Pick>,
    pub(crate) parts: Vec<Arc<dyn Part>>,
    /// What was found with all effort; `None` when there is too little to tell.
    pub(crate) seen: Option<Seen>,
}

impl Built {
    /// Takes over what has become of the rows. No marks must be made meanwhile.
    pub(crate) fn carry_marks(&self) {
        carry(&self.parts, &self.rows, self.segment.marks(), |part| part.marks());
        carry(&self.parts, &self.edges, self.segment.edge_marks(), |part| part.edge_marks());
    }
}

/// Sets the marks of the rows that `picks` were made of, in their order.
fn carry(
    parts: &[Arc<dyn Part>],
    picks: &[Pick],
    to: &Marks,
    of: impl for<'a> Fn(&'a dyn Part) -> &'a Marks,
) {
    let marks: Vec<HashMap<u32, Mark>> =
        parts.iter().map(|part| of(part.as_ref()).all().into_iter().collect()).collect();
    for (row, pick) in (0..).zip(picks) {
        if let Some(mark) = marks[pick.part as usize].get(&pick.row) {
            to.set(row, *mark);
        }
    }
}

/// Lists, and which row goes to which.
struct Listing {
    /// Centres of lists as they are, and rotated.
    centres: Rows<f32>,
    turned: Rows<f32>,
    /// Rows of each list.
    counts: Vec<u32>,
}

impl Listing {
    fn none(shape: &Shape) -> Self {
        let turned = Rows::new(shape.quantizer.padded());
        Self { centres: Rows::new(shape.settings.dim), turned, counts: Vec::new() }
    }
}

impl Plan {
    /// Builds the segment in a file at `path`, which is whole and safe when this returns.
    ///
    /// # Errors
    /// [`StoreError`]; a file may be left over then, which the next opening removes.
    pub(crate) fn build(mut self, shape: &Arc<Shape>, path: &Path) -> Result<Built, StoreError> {
        let extra = if self.level == 0 { None } else { Some(shape.settings.extra) };
        if self.is_graph(shape) {
            return self.build_graph(shape, path);
        }
        let listing = self.list(shape)?;
        let mut writer = Writer::create(path, self.footer(shape, extra, &listing))?;
        self.write_lists(shape, extra, &listing, &mut writer)?;
        self.write_centres(shape, &listing, &mut writer)?;
        self.finish(shape, path, writer)
    }

    /// Whether the rows are to be vertices of a graph.
    fn is_graph(&self, shape: &Shape) -> bool {
        let settings = &shape.settings;
        let fits = (LISTED..=MOST_VERTICES).contains(&self.rows.len());
        settings.graph && settings.raw != Raw::None && self.level > 1 && fits
    }

    fn build_graph(self, shape: &Arc<Shape>, path: &Path) -> Result<Built, StoreError> {
        let (mut vectors, mut logged) = (Rows::new(shape.settings.dim), Vec::new());
        for (at, pick) in self.rows.iter().enumerate() {
            vectors.push_zeros();
            self.vector(shape, *pick, &mut logged, vectors.row_mut(at))?;
        }
        let graph = graph::build(shape, &vectors);
        drop(vectors);
        let none = Listing::none(shape);
        let mut footer = self.footer(shape, None, &none);
        graph::describe(&graph, &mut footer);
        let mut writer = Writer::create(path, footer)?;
        graph::write(&graph, &mut writer)?;
        drop(graph);
        self.finish(shape, path, writer)
    }

    /// Writes all that has nothing to do with codes.
    fn finish(
        self,
        shape: &Arc<Shape>,
        path: &Path,
        mut writer: Writer,
    ) -> Result<Built, StoreError> {
        self.write_rows(&mut writer)?;
        self.write_raw(shape, &mut writer)?;
        self.write_words_and_keys(shape, &mut writer)?;
        self.write_edges(shape, &mut writer)?;
        let unmeasured = writer.finish()?;
        let seen = measure(shape, path, unmeasured)?;
        let segment = Segment::open(path, shape)?;
        let Self { rows, edges, parts, .. } = self;
        Ok(Built { segment, rows, edges, parts, seen })
    }

    fn footer(&self, shape: &Shape, extra: Option<ExtraBits>, listing: &Listing) -> Footer {
        Footer {
            id: self.id,
            level: u32::from(self.level),
            rows: self.rows.len() as u32,
            edges: self.edges.len() as u32,
            dim: shape.settings.dim as u32,
            raw: raw_number(shape.settings.raw, self.level),
            extra: match extra {
                None => 0,
                Some(ExtraBits::Four) => 4,
                Some(ExtraBits::Eight) => 8,
            },
            lists: listing.counts.len() as u32,
            ..file::blank()
        }
    }

    fn part(&self, pick: Pick) -> &dyn Part {
        self.parts[pick.part as usize].as_ref()
    }

    /// The vector of a row.
    fn vector(
        &self,
        shape: &Shape,
        pick: Pick,
        logged: &mut Vec<u8>,
        out: &mut [f32],
    ) -> Result<(), StoreError> {
        logged.clear();
        self.part(pick).logged(pick.row, logged)?;
        vectors::read(shape.settings.raw.logged(), logged, out);
        Ok(())
    }

    /// Chooses lists, and puts the rows into their order.
    fn list(&mut self, shape: &Shape) -> Result<Listing, StoreError> {
        let dim = shape.settings.dim;
        let (mut centres, rows) = (Rows::new(dim), self.rows.len());
        if self.level == 0 || rows < LISTED {
            centres.push_zeros();
            let turned = turn(shape, &centres);
            return Ok(Listing { centres, turned, counts: vec![rows as u32] });
        }
        let lists = 2 * rows.isqrt();
        let (mut sample, mut logged) = (Rows::new(dim), Vec::new());
        let taken = (lists * SAMPLE).min(rows);
        for at in 0..taken {
            sample.push_zeros();
            let pick = self.rows[at * rows / taken];
            self.vector(shape, pick, &mut logged, sample.row_mut(at))?;
        }
        centres = kmeans::train(&shape.kernels, &sample, lists, self.id, kmeans::Effort::ROUGH);
        drop(sample);
        let assigned = self.assign(shape, &centres)?;
        let mut counts = vec![0_u32; lists];
        assigned.iter().for_each(|list| counts[*list as usize] += 1);
        let mut order: Vec<u32> = (0..rows as u32).collect();
        order.sort_by_key(|at| assigned[*at as usize]);
        self.rows = order.iter().map(|at| self.rows[*at as usize]).collect();
        let turned = turn(shape, &centres);
        Ok(Listing { centres, turned, counts })
    }

    /// The list that each row goes to.
    fn assign(&self, shape: &Shape, centres: &Rows<f32>) -> Result<Vec<u32>, StoreError> {
        let near = kmeans::Centres::new(&shape.kernels, centres);
        let (mut assigned, mut logged) = (vec![0; self.rows.len()], Vec::new());
        let mut batch = Rows::new(shape.settings.dim);
        (0..BATCH).for_each(|_| batch.push_zeros());
        for (picks, out) in self.rows.chunks(BATCH).zip(assigned.chunks_mut(BATCH)) {
            for (at, pick) in picks.iter().enumerate() {
                self.vector(shape, *pick, &mut logged, batch.row_mut(at))?;
            }
            near.nearest(&batch, 0, out);
        }
        Ok(assigned)
    }

    fn write_lists(
        &self,
        shape: &Shape,
        extra: Option<ExtraBits>,
        listing: &Listing,
        writer: &mut Writer,
    ) -> Result<(), StoreError> {
        let mut extents = Vec::new();
        let (mut at, mut row) = (0, 0);
        writer.begin(Region::ListData)?;
        for (list, &rows) in listing.counts.iter().enumerate() {
            extents.push(ListExtent { at, row, rows });
            let bytes = self.list_bytes(shape, extra, listing.turned.row(list), row..row + rows)?;
            debug_assert_eq!(bytes.len(), Parts::of(shape, extra, rows as usize).bytes());
            writer.put(&bytes)?;
            (at, row) = (at + bytes.len() as u64, row + rows);
        }
        writer.region(Region::Lists, &extents)
    }

    /// Codes, factors, levels and places of one list.
    fn list_bytes(
        &self,
        shape: &Shape,
        extra: Option<ExtraBits>,
        centre: &[f32],
        rows: std::ops::Range<u32>,
    ) -> Result<Vec<u8>, StoreError> {
        let quantizer = &shape.quantizer;
        let mut codes: Codes = quantizer.codes();
        let mut levels = extra.map(|extra| ExtraCodes::new(extra, quantizer.words()));
        let (mut logged, mut turned) = (Vec::new(), vec![0.0; quantizer.padded()]);
        let mut vector = vec![0.0; shape.settings.dim];
        for row in rows.clone() {
            self.vector(shape, self.rows[row as usize], &mut logged, &mut vector)?;
            quantizer.rotate(&vector, &mut turned);
            quantizer.encode(&mut turned, centre, &mut codes);
            if let Some(levels) = &mut levels {
                levels.encode(quantizer.measure(), &turned, centre);
            }
        }
        let view = codes.view();
        let mut bytes = bytemuck::cast_slice::<u32, u8>(view.lines).to_vec();
        bytes.extend_from_slice(bytemuck::cast_slice(view.scale));
        bytes.extend_from_slice(bytemuck::cast_slice(view.add));
        if let Some(levels) = &levels {
            let view = levels.view();
            bytes.extend_from_slice(view.rows);
            for factors in [view.scale, view.add] {
                bytes.extend_from_slice(bytemuck::cast_slice(factors));
                bytes.resize(bytes.len().next_multiple_of(64), 0);
            }
        }
        let places: Vec<u32> = rows.collect();
        bytes.extend_from_slice(bytemuck::cast_slice(&places));
        bytes.resize(bytes.len().next_multiple_of(64), 0);
        Ok(bytes)
    }

    fn write_centres(
        &self,
        shape: &Shape,
        listing: &Listing,
        writer: &mut Writer,
    ) -> Result<(), StoreError> {
        let padded = shape.quantizer.padded();
        let (mut all, mut units) = (vec![0_i8; 0], Vec::new());
        writer.begin(Region::Turned)?;
        for at in 0..listing.turned.len() {
            let row = &listing.turned.row(at)[..padded];
            writer.put(bytemuck::cast_slice(row))?;
            let most = row.iter().fold(f32::MIN_POSITIVE, |most, value| most.max(value.abs()));
            units.push(most / 127.0);
            all.extend(row.iter().map(|value| (value * (127.0 / most)).round() as i8));
            all.resize((at + 1) * stride(padded, 1), 0);
        }
        writer.region(Region::CentreBytes, &all)?;
        writer.region(Region::CentreUnits, &units)?;
        let halves = kmeans::halves(&shape.kernels, &listing.centres);
        writer.region(Region::CentreHalves, &halves)
    }

    fn write_rows(&self, writer: &mut Writer) -> Result<(), StoreError> {
        writer.begin(Region::Rows)?;
        for pick in &self.rows {
            // What has become of it since goes over with its marks.
            let row = self.part(*pick).row(pick.row)?;
            writer.put(bytemuck::bytes_of(&row))?;
        }
        self.strings(writer, [Region::IdEnds, Region::Ids], |part, row| part.id(row))?;
        self.strings(writer, [Region::TextEnds, Region::Texts], |part, row| {
            Ok(part.text(row)?.as_bytes())
        })?;
        let regions = [Region::MetadataEnds, Region::Metadata];
        self.strings(writer, regions, |part, row| part.metadata(row))
    }

    /// Writes strings of all rows, and where they end.
    fn strings<'a>(
        &'a self,
        writer: &mut Writer,
        [ends, strings]: [Region; 2],
        of: impl Fn(&'a dyn Part, u32) -> Result<&'a [u8], crate::collection::error::Damage>,
    ) -> Result<(), StoreError> {
        let mut all = Vec::with_capacity(self.rows.len());
        let mut end = 0_u64;
        writer.begin(strings)?;
        for pick in &self.rows {
            let string = of(self.part(*pick), pick.row)?;
            writer.put(string)?;
            end += string.len() as u64;
            all.push(end);
        }
        writer.region(ends, &all)
    }

    fn write_raw(&self, shape: &Shape, writer: &mut Writer) -> Result<(), StoreError> {
        let settings = &shape.settings;
        writer.begin(Region::Raw)?;
        if settings.raw == Raw::None && self.level > 0 {
            return Ok(());
        }
        let element = settings.raw.logged();
        let row_bytes = stride(settings.dim, element.bytes()) * element.bytes();
        let (mut logged, mut units) = (Vec::new(), Vec::new());
        let unit_bytes = vectors::logged_bytes(element, 0);
        for pick in &self.rows {
            logged.clear();
            self.part(*pick).logged(pick.row, &mut logged)?;
            if unit_bytes > 0 {
                units.push(bytemuck::pod_read_unaligned::<f32>(&logged[..unit_bytes]));
            }
            logged.resize(unit_bytes + row_bytes, 0);
            writer.put(&logged[unit_bytes..])?;
        }
        writer.region(Region::RawUnits, &units)
    }

    fn write_words_and_keys(&self, shape: &Shape, writer: &mut Writer) -> Result<(), StoreError> {
        let mut postings: HashMap<String, Vec<u32>> = HashMap::new();
        let (mut hashes, mut times) = (Vec::new(), Vec::new());
        for (row, pick) in (0_u32..).zip(&self.rows) {
            let part = self.part(*pick);
            hashes.push(shape.hash(part.id(pick.row)?));
            times.push(part.row(pick.row)?.time);
            words(part.text(pick.row)?, |word| match postings.get_mut(word) {
                Some(rows) if rows.last() == Some(&row) => {}
                Some(rows) => rows.push(row),
                None => drop(postings.insert(word.to_owned(), vec![row])),
            });
        }
        let (keys, rows) = sort(hashes.into_iter());
        writer.region(Region::IdKeys, &keys)?;
        writer.region(Region::IdRows, &rows)?;
        let (keys, rows) = sort(times.into_iter());
        writer.region(Region::TimeKeys, &keys)?;
        writer.region(Region::TimeRows, &rows)?;
        write_words(postings, writer)
    }

    fn write_edges(&self, shape: &Shape, writer: &mut Writer) -> Result<(), StoreError> {
        let (mut ends, mut end) = (Vec::new(), 0_u64);
        let (mut out, mut into) = (Vec::new(), Vec::new());
        writer.begin(Region::Edges)?;
        for pick in &self.edges {
            writer.put(bytemuck::bytes_of(&self.part(*pick).edge(pick.row)?))?;
        }
        writer.begin(Region::EdgeIds)?;
        for pick in &self.edges {
            let (source, target) = self.part(*pick).edge_ids(pick.row)?;
            writer.put(source)?;
            writer.put(target)?;
            end += (source.len() + target.len()) as u64;
            ends.push(end);
            out.push(shape.hash(source));
            into.push(shape.hash(target));
        }
        writer.region(Region::EdgeIdEnds, &ends)?;
        for (hashes, keyed, rows_of) in
            [(out, Region::OutKeys, Region::OutRows), (into, Region::InKeys, Region::InRows)]
        {
            let (keys, rows) = sort(hashes.into_iter());
            writer.region(keyed, &keys)?;
            writer.region(rows_of, &rows)?;
        }
        Ok(())
    }
}

/// Words in their order, each with its rows.
fn write_words(postings: HashMap<String, Vec<u32>>, writer: &mut Writer) -> Result<(), StoreError> {
    let mut sorted: Vec<(String, Vec<u32>)> = postings.into_iter().collect();
    sorted.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    writer.set_words(sorted.len() as u32);
    let (mut ends, mut end) = (Vec::new(), 0_u64);
    writer.begin(Region::Words)?;
    for (word, _) in &sorted {
        writer.put(word.as_bytes())?;
        end += word.len() as u64;
        ends.push(end);
    }
    writer.region(Region::WordEnds, &ends)?;
    (ends, end) = (Vec::new(), 0);
    writer.begin(Region::Postings)?;
    for (_, rows) in &sorted {
        writer.put(bytemuck::cast_slice(rows))?;
        end += rows.len() as u64;
        ends.push(end);
    }
    writer.region(Region::PostingEnds, &ends)
}

/// Centres, rotated.
fn turn(shape: &Shape, centres: &Rows<f32>) -> Rows<f32> {
    let mut turned = Rows::new(shape.quantizer.padded());
    for at in 0..centres.len() {
        turned.push_zeros();
        shape.quantizer.rotate(&centres.row(at)[..centres.dim()], turned.row_mut(at));
    }
    turned
}

/// Measures what a whole file finds, and ends it.
fn measure(
    shape: &Arc<Shape>,
    path: &Path,
    unmeasured: Unmeasured,
) -> Result<Option<Seen>, StoreError> {
    let measured = calibrate::measure(&Segment::open(path, shape)?)?;
    let steps = measured.map_or([Step::default(); STEPS], |(steps, _)| steps);
    unmeasured.finish(steps)?;
    Ok(measured.map(|(_, seen)| seen))
}
