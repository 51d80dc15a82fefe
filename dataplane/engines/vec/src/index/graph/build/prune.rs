//! Which of those near to a vertex become its neighbours.

use super::GraphSettings;
use super::parallel::each;
use super::points::Points;

/// A vector that is near to another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Near {
    /// Its squared distance.
    pub(super) distance: f32,
    /// Which it is.
    pub(super) vertex: u32,
}

impl Near {
    /// Puts the nearest first, and each but once.
    pub(super) fn order(near: &mut Vec<Self>) {
        near.sort_unstable_by(|a, b| {
            a.distance.total_cmp(&b.distance).then(a.vertex.cmp(&b.vertex))
        });
        // The same pair has the same distance, so what is there twice stands together.
        near.dedup_by_key(|near| near.vertex);
    }
}

/// Neighbours of all vertices.
#[derive(Debug)]
pub(super) struct Links {
    of: Vec<Vec<Near>>,
}

impl Links {
    /// Those of `vertex`.
    pub(super) fn of(&self, vertex: u32) -> &[Near] {
        &self.of[vertex as usize]
    }

    /// Adds a neighbour to `vertex`; where it has `degree` of them, in the place of the last one
    /// that is not to `stay`.
    pub(super) fn replace(
        &mut self,
        vertex: u32,
        link: Near,
        degree: usize,
        stays: impl Fn(u32) -> bool,
    ) {
        let of = &mut self.of[vertex as usize];
        if of.len() < degree {
            of.push(link);
        } else if let Some(free) = of.iter_mut().rev().find(|other| !stays(other.vertex)) {
            *free = link;
        }
    }

    /// Chooses among those `near` to each vertex, and then among these and those that chose it.
    pub(super) fn choose(
        points: &Points<'_>,
        near: &[Vec<Near>],
        settings: &GraphSettings,
    ) -> Self {
        let GraphSettings { degree, threads, .. } = *settings;
        let forth = each(threads, near.len(), |vertex| {
            let mut chosen = apart(points, &near[vertex], degree);
            chosen.truncate(degree);
            chosen
        });
        let mut back: Vec<Vec<Near>> = vec![Vec::new(); near.len()];
        for (vertex, chosen) in forth.iter().enumerate() {
            for to in chosen {
                let (distance, vertex) = (to.distance, vertex as u32);
                back[to.vertex as usize].push(Near { distance, vertex });
            }
        }
        let of = each(threads, near.len(), |vertex| {
            let mut all = [forth[vertex].as_slice(), back[vertex].as_slice()].concat();
            Near::order(&mut all);
            let mut chosen = apart(points, &all, degree);
            fill(&mut chosen, &all, degree);
            fill(&mut chosen, &near[vertex], degree);
            chosen
        });
        Self { of }
    }
}

/// How many times as near, squared, a vertex must be to a chosen one to be left out: a little more
/// than 1 keeps ways that lead on.
const APART: f32 = 1.1;

/// Those of `near`, nearest first, that are not much nearer to one chosen before them than to the
/// vertex: a relative neighbourhood graph's edges (Toussaint, 1980), relaxed as in Subramanya et
/// al., "DiskANN" (NeurIPS 2019). At most `degree`.
fn apart(points: &Points<'_>, near: &[Near], degree: usize) -> Vec<Near> {
    let mut chosen: Vec<Near> = Vec::with_capacity(degree);
    // Their bytes, one after the other.
    let mut rows: Vec<i8> = Vec::with_capacity(degree * points.bytes.stride());
    for (at, one) in near.iter().enumerate() {
        if chosen.len() == degree {
            break;
        }
        if let Some(later) = near.get(at + AHEAD) {
            points.prefetch(later.vertex);
        }
        if !is_near(points, one, &chosen, &rows) {
            chosen.push(*one);
            rows.extend_from_slice(points.bytes.row(one.vertex as usize));
        }
    }
    chosen
}

/// How far ahead of the vector at work memory is asked for.
const AHEAD: usize = 4;
/// Chosen vectors that are compared with one at once.
const TOGETHER: usize = 8;

/// Whether `one` is nearer to any of those chosen than it may be.
fn is_near(points: &Points<'_>, one: &Near, chosen: &[Near], rows: &[i8]) -> bool {
    let row = points.bytes.row(one.vertex as usize);
    let mut dots = [0; TOGETHER];
    chosen.chunks(TOGETHER).zip(rows.chunks(TOGETHER * row.len())).any(|(chosen, rows)| {
        let dots = &mut dots[..chosen.len()];
        points.kernels.scan_i8(rows, row, dots);
        chosen.iter().zip(dots).any(|(other, dot)| {
            let product = points.product(one.vertex, other.vertex, *dot);
            APART * points.distance(one.vertex, other.vertex, product) < one.distance
        })
    })
}

/// Adds the nearest of `near` that are not there, up to `degree`: a scan looks at a whole block.
fn fill(chosen: &mut Vec<Near>, near: &[Near], degree: usize) {
    for one in near {
        if chosen.len() == degree {
            return;
        }
        if !chosen.iter().any(|other| other.vertex == one.vertex) {
            chosen.push(*one);
        }
    }
}
