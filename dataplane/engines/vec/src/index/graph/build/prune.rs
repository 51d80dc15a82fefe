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

/// Those of `near`, nearest first, that are nearer to the vertex than to any chosen before them: a
/// relative neighbourhood graph's edges (Toussaint, 1980). At most `degree`.
fn apart(points: &Points<'_>, near: &[Near], degree: usize) -> Vec<Near> {
    let mut chosen: Vec<Near> = Vec::with_capacity(degree);
    for one in near {
        if chosen.len() == degree {
            break;
        }
        let nearer = |other: &Near| points.distance(one.vertex, other.vertex) < one.distance;
        if !chosen.iter().any(nearer) {
            chosen.push(*one);
        }
    }
    chosen
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
