//! Lists of codes in a segment.
//!
//! A list is one stretch of [`Region::ListData`] that begins at a multiple of 64: the lines of its
//! blocks, their factors (scale, then addend), levels of each row, their factors, and the row that
//! each code stands for; every part is padded to 64 bytes. A segment without levels has one
//! list about 0, whose rows follow each other.

use bytemuck::{Pod, Zeroable};

use super::Segment;
use super::format::{Footer, Region};
use super::mapped::Mapped;
use crate::collection::error::Damage;
use crate::collection::shape::Shape;
use crate::element::Element;
use crate::index::{self, Answer, Candidate, ListView, Search, greatest, half_share, search_lists};
use crate::kernels::{BLOCK, Measure};
use crate::part::select::Select;
use crate::part::{Hits, Probe, flat};
use crate::quantize::{CodesView, ExtraBits, ExtraView};
use crate::rows::stride;
use crate::topk::TopK;

/// Where a list lies: 16 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub(super) struct ListExtent {
    /// Where it begins in [`Region::ListData`].
    pub(super) at: u64,
    /// Its first row; the others follow.
    pub(super) row: u32,
    pub(super) rows: u32,
}

/// Bytes of the parts of a list.
pub(super) struct Parts {
    blocks: usize,
    lines: usize,
    factors: usize,
    levels: usize,
    units: usize,
    places: usize,
    stride: usize,
}

impl Parts {
    pub(super) fn of(shape: &Shape, extra: Option<ExtraBits>, rows: usize) -> Self {
        let (blocks, words) = (rows.div_ceil(BLOCK), shape.quantizer.words());
        let stride = extra.map_or(0, |extra| extra.row_bytes(words));
        let units = if extra.is_some() { (4 * rows).next_multiple_of(64) } else { 0 };
        Self {
            blocks,
            lines: blocks * BLOCK * words * 4,
            factors: blocks * BLOCK * 4,
            levels: rows * stride,
            units,
            places: (4 * rows).next_multiple_of(64),
            stride,
        }
    }

    pub(super) const fn bytes(&self) -> usize {
        self.lines + 2 * self.factors + self.levels + 2 * self.units + self.places
    }
}

/// Levels that a footer says there are.
const fn extra(footer: &Footer) -> Option<ExtraBits> {
    match footer.extra {
        4 => Some(ExtraBits::Four),
        8 => Some(ExtraBits::Eight),
        _ => None,
    }
}

/// Refuses a footer whose regions do not have what vectors and lists need.
pub(super) fn check(mapped: &Mapped, shape: &Shape) -> Result<(), &'static str> {
    let footer = &mapped.footer;
    let (lists, padded) = (footer.lists as usize, shape.quantizer.padded());
    let (rows, settings) = (footer.rows as usize, &shape.settings);
    let element = settings.raw.logged();
    let row = stride(settings.dim, element.bytes()) * element.bytes();
    let (raw, units) = match (footer.raw, element) {
        (3, _) => (0, 0),
        (_, Element::I8) => (rows * row, 4 * rows),
        _ => (rows * row, 0),
    };
    let expected = [
        (Region::Raw, raw),
        (Region::RawUnits, units),
        (Region::Turned, lists * padded * 4),
        (Region::CentreBytes, lists * stride(padded, 1)),
    ];
    let holds =
        |&(region, bytes): &(Region, usize)| footer.extents[region as usize].bytes == bytes as u64;
    let known = matches!(footer.extra, 0 | 4 | 8) && (footer.extra > 0 || footer.lists <= 1);
    let is_listed = (footer.lists > 0) != (footer.degree > 0);
    if is_listed && known && expected.iter().all(holds) {
        return Ok(());
    }
    Err("its lists contradict its footer")
}

/// A list where it lies, all of it checked.
fn view<'a>(mapped: &'a Mapped, shape: &Shape, list: u32) -> Result<ListView<'a>, Damage> {
    let extent = mapped.all::<ListExtent>(Region::Lists)?[list as usize];
    let (rows, bits) = (extent.rows as usize, extra(&mapped.footer));
    let parts = Parts::of(shape, bits, rows);
    let end = extent.at.saturating_add(parts.bytes() as u64);
    let mut rest = mapped.bytes(Region::ListData, extent.at..end)?;
    let mut take = |bytes: usize| {
        let (taken, after) = rest.split_at(bytes);
        rest = after;
        taken
    };
    let region = Region::ListData;
    let codes = CodesView {
        words: shape.quantizer.words(),
        len: rows,
        lines: mapped.cast(region, take(parts.lines))?,
        scale: mapped.cast(region, take(parts.factors))?,
        add: mapped.cast(region, take(parts.factors))?,
    };
    let levels = take(parts.levels);
    let scale: &[f32] = mapped.cast(region, take(parts.units))?;
    let add: &[f32] = mapped.cast(region, take(parts.units))?;
    let places: &[u32] = mapped.cast(region, take(parts.places))?;
    let places = &places[..rows];
    // What is not there must score below everything: a scan does not ask.
    let ends = codes.add[rows..].iter().all(|add| *add == f32::NEG_INFINITY);
    if !ends || places.iter().any(|place| *place >= mapped.footer.rows) {
        let at = mapped.footer.extents[region as usize].at + extent.at;
        return Err(mapped.damage(region, at));
    }
    debug_assert_eq!(parts.blocks, codes.blocks());
    let extra = ExtraView {
        bits: bits.unwrap_or(ExtraBits::Four),
        rows: levels,
        stride: parts.stride,
        scale,
        add,
    };
    Ok(ListView { codes, extra, places })
}

/// The lists whose centres are nearest to the query, the nearest first, each with what its scores
/// are to be raised by.
fn nearest(segment: &Segment, probe: &Probe<'_>, probes: usize) -> Result<Vec<(u32, f32)>, Damage> {
    let (mapped, shape) = (&segment.mapped, &segment.shape);
    let (padded, lists) = (shape.quantizer.padded(), segment.lists() as usize);
    let (bytes, unit) = probe.tables.bytes();
    let mut dots = vec![0; lists];
    let bytes = &bytes[..stride(padded, 1)];
    shape.kernels.scan_i8(mapped.all(Region::CentreBytes)?, bytes, &mut dots);
    let units: &[f32] = mapped.all(Region::CentreUnits)?;
    let halves: &[f32] = mapped.all(Region::CentreHalves)?;
    let scores = dots.iter().zip(units).map(|(dot, own)| *dot as f32 * (unit * own));
    let scores: Vec<f32> = scores.collect();
    let share = half_share(shape.measure());
    let ranks = scores.iter().zip(halves).map(|(score, half)| score - share * half);
    let nearest = greatest(&ranks.collect::<Vec<f32>>(), probes);
    if shape.measure() == Measure::Dot && mapped.footer.raw < 3 {
        // Bytes tell the product near enough for what vectors rank again.
        return Ok(nearest.into_iter().map(|list| (list, scores[list as usize])).collect());
    }
    let turned: &[f32] = mapped.all(Region::Turned)?;
    let constant = |list: u32| {
        let centre = &turned[list as usize * padded..][..padded];
        (list, shape.quantizer.constant(probe.tables, centre))
    };
    Ok(nearest.into_iter().map(constant).collect())
}

/// Searches `effort`: so many lists, and so many candidates.
pub(super) fn search(
    segment: &Segment,
    select: &Select<'_>,
    probe: &Probe<'_>,
    (probes, candidates): (usize, usize),
) -> Result<Hits, Damage> {
    let (mapped, shape) = (&segment.mapped, &segment.shape);
    let score = |row| segment.score(shape, probe, row);
    if mapped.footer.extra == 0 {
        let codes = view(mapped, shape, 0)?.codes;
        return flat::search(shape, &codes, select, probe, candidates, score);
    }
    let mut lists = Vec::with_capacity(probes);
    for (list, constant) in nearest(segment, probe, probes)? {
        lists.push((view(mapped, shape, list)?, constant));
    }
    let has_raw = mapped.footer.raw < 3;
    let again = if has_raw { again(probe.k, candidates) } else { probe.k.min(candidates) };
    let query = &probe.padded[..shape.settings.dim];
    let least = if has_raw { f32::NEG_INFINITY } else { probe.least };
    let filter = select.filter();
    let search = Search { query, k: again, least, candidates, probes, filter };
    let answer = search_lists(&shape.kernels, &search, probe.tables, &lists);
    if !has_raw {
        let rows = answer.hits.iter().map(|hit| (hit.at, hit.score)).collect();
        let Answer { estimated, computed, .. } = answer;
        return Ok(Hits { rows, estimated, computed, expected: None });
    }
    rank_again(segment, probe, &answer)
}

/// The best candidates of so many lists, at most as many as are wanted, and how many codes were looked at.
pub(super) fn candidates(
    segment: &Segment,
    probe: &Probe<'_>,
    (probes, most): (usize, usize),
) -> Result<(Vec<Candidate>, u64), Damage> {
    let shape = &segment.shape;
    let mut lists = Vec::with_capacity(probes);
    for (list, constant) in nearest(segment, probe, probes)? {
        lists.push((view(&segment.mapped, shape, list)?, constant));
    }
    let (query, least) = (&probe.padded[..shape.settings.dim], f32::NEG_INFINITY);
    let search = Search { query, k: probe.k, least, candidates: most, probes, filter: None };
    let mut found = Vec::with_capacity(most);
    let each = |candidate| found.push(candidate);
    let (looked, _) = index::candidates(&shape.kernels, &search, probe.tables, &lists, each);
    Ok((found, looked))
}

/// Ranks what was found by the vectors.
pub(super) fn rank_again(
    segment: &Segment,
    probe: &Probe<'_>,
    answer: &Answer,
) -> Result<Hits, Damage> {
    let mut best = TopK::new(probe.k, probe.least);
    for hit in &answer.hits {
        best.offer(hit.at, segment.score(&segment.shape, probe, hit.at)?);
    }
    Ok(Hits::of(&best, answer.estimated, answer.computed + answer.hits.len() as u64))
}

/// How many of the best of `candidates` by their levels are ranked again by their vectors: the more that
/// are looked at, the less can levels tell them apart.
pub(super) fn again(k: usize, candidates: usize) -> usize {
    k.saturating_add(k / 2).saturating_add(8).max(candidates / 4).min(candidates)
}

/// A vector from its code and levels: near to what it was.
pub(super) fn decode(
    mapped: &Mapped,
    shape: &Shape,
    row: u32,
    out: &mut [f32],
) -> Result<(), Damage> {
    let extents: &[ListExtent] = mapped.all(Region::Lists)?;
    let after = extents.partition_point(|list| list.row <= row);
    let damage = || {
        let extent = mapped.footer.extents[Region::Lists as usize];
        mapped.damage(Region::Lists, extent.at)
    };
    // Lists without rows begin where the next one does.
    let list = (0..after).rev().find(|at| extents[*at].rows > 0).ok_or_else(damage)?;
    let at = (row - extents[list].row) as usize;
    let ListView { codes, extra, .. } = view(mapped, shape, list as u32)?;
    if at >= codes.len || extra.stride == 0 {
        return Err(damage());
    }
    let padded = shape.quantizer.padded();
    let centre = &mapped.all::<f32>(Region::Turned)?[list * padded..][..padded];
    let mut turned = vec![0.0; padded];
    extra.decode(&codes, shape.measure(), at, &mut turned);
    turned.iter_mut().zip(centre).for_each(|(value, centre)| *value += centre);
    shape.quantizer.undo(&mut turned, out);
    Ok(())
}
