//! Every vertex can be reached from a start.

use super::points::Points;
use super::prune::{Links, Near};

/// What leads to a vertex that nothing leads to.
const NOTHING: u32 = u32::MAX;
/// What leads to a start.
const START: u32 = u32::MAX - 1;

/// Makes those that no walk from `starts` could come to reachable: by an edge from one of their
/// neighbours in the place of one that nothing depends on, or else as a start of their own.
pub(super) fn all(points: &Points<'_>, links: &mut Links, starts: &mut Vec<u32>, degree: usize) {
    // By which edge each vertex was reached; those edges stay.
    let mut from = vec![NOTHING; points.len()];
    for &start in &*starts {
        follow(links, &mut from, start, START);
    }
    for vertex in 0..points.len() as u32 {
        if from[vertex as usize] != NOTHING {
            continue;
        }
        let neighbours = links.of(vertex).to_vec();
        let leads = |near: &&Near| lead(links, &from, near, degree);
        if let Some(near) = neighbours.iter().find(leads) {
            let link = Near { distance: near.distance, vertex };
            links.replace(near.vertex, link, degree, |other| from[other as usize] == near.vertex);
            follow(links, &mut from, vertex, near.vertex);
        } else {
            starts.push(vertex);
            follow(links, &mut from, vertex, START);
        }
    }
}

/// Whether an edge from `near` to another vertex can be had.
fn lead(links: &Links, from: &[u32], near: &Near, degree: usize) -> bool {
    let of = links.of(near.vertex);
    let free = |other: &Near| from[other.vertex as usize] != near.vertex;
    from[near.vertex as usize] != NOTHING && (of.len() < degree || of.iter().any(free))
}

/// Reaches `first` by `by`, and all that can be reached from it.
fn follow(links: &Links, from: &mut [u32], first: u32, by: u32) {
    if from[first as usize] != NOTHING {
        return;
    }
    from[first as usize] = by;
    let mut open = vec![first];
    while let Some(vertex) = open.pop() {
        for near in links.of(vertex) {
            let reached = &mut from[near.vertex as usize];
            if *reached == NOTHING {
                *reached = vertex;
                open.push(near.vertex);
            }
        }
    }
}
