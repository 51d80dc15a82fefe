//! The nearest of each vector among those of near lists.

use super::GraphSettings;
use super::parallel::each;
use super::points::Points;
use super::prune::Near;
use crate::kernels::Measure;
use crate::kmeans::{self, Centres, Effort};
use crate::pool::Pool;
use crate::rows::Rows;

/// Vectors of a list on average.
const LIST: usize = 128;
/// Lists that the nearest are looked for in.
const PROBES: usize = 4;

/// For each vector those near to it, nearest first; and for each list the vector that is nearest
/// to its centre.
pub(super) fn near(points: &Points<'_>, settings: &GraphSettings) -> (Vec<Vec<Near>>, Vec<u32>) {
    if points.len() == 0 {
        return (Vec::new(), Vec::new());
    }
    let count = points.len().div_ceil(LIST);
    let centres =
        kmeans::train(&points.kernels, points.vectors, count, settings.seed, Effort::ROUGH);
    let lists = Lists::new(points, &centres);
    let probes = lists.near_lists(&centres);
    let parts = each(settings.threads, count, |list| lists.nearest(list, &probes[list], settings));
    let mut near = vec![Vec::new(); points.len()];
    for (list, part) in parts.into_iter().enumerate() {
        for (&vertex, found) in lists.members[list].iter().zip(part) {
            near[vertex as usize] = found;
        }
    }
    (near, lists.middles(&centres))
}

/// Vectors by list.
struct Lists<'a> {
    points: &'a Points<'a>,
    members: Vec<Vec<u32>>,
    /// Their bytes.
    bytes: Vec<Rows<i8>>,
}

impl<'a> Lists<'a> {
    fn new(points: &'a Points<'a>, centres: &Rows<f32>) -> Self {
        let mut to = vec![0; points.len()];
        Centres::new(&points.kernels, centres).nearest(points.vectors, 0, &mut to);
        let mut members = vec![Vec::new(); centres.len()];
        let mut bytes: Vec<Rows<i8>> =
            (0..centres.len()).map(|_| Rows::new(points.bytes.dim())).collect();
        for (vertex, &list) in to.iter().enumerate() {
            members[list as usize].push(vertex as u32);
            bytes[list as usize].push(points.bytes.row(vertex));
        }
        Self { points, members, bytes }
    }

    /// For each list those with the nearest centres, itself first.
    fn near_lists(&self, centres: &Rows<f32>) -> Vec<Vec<u32>> {
        let halves = kmeans::halves(&self.points.kernels, centres);
        let mut dots = vec![0.0; centres.len()];
        let near = |list: usize| {
            let scan = centres.as_slice();
            self.points.kernels.scan_f32(Measure::Dot, scan, centres.row(list), &mut dots);
            let mut top = crate::topk::TopK::new(PROBES, f32::NEG_INFINITY);
            for (at, (dot, half)) in dots.iter().zip(&halves).enumerate() {
                top.offer(at as u32, dot - half);
            }
            top.sorted().iter().map(|hit| hit.at).collect()
        };
        (0..centres.len()).map(near).collect()
    }

    /// For each vector of `list` the nearest of those in `probes`.
    fn nearest(&self, list: usize, probes: &[u32], settings: &GraphSettings) -> Vec<Vec<Near>> {
        let mut dots = Vec::new();
        let near = |&vertex: &u32| {
            let mut pool = Pool::new(settings.candidates / 2);
            for &probe in probes {
                let members = &self.members[probe as usize];
                dots.resize(members.len(), 0);
                let row = self.points.bytes.row(vertex as usize);
                self.points.kernels.scan_i8(self.bytes[probe as usize].as_slice(), row, &mut dots);
                for (&other, &dot) in members.iter().zip(&dots) {
                    let product = self.points.product(vertex, other, dot);
                    let off = -self.points.distance(vertex, other, product);
                    if off > pool.floor() && other != vertex {
                        pool.push(off, other);
                    }
                }
            }
            pool.settle();
            let mut near: Vec<Near> =
                pool.iter().map(|(off, other)| Near { distance: -off, vertex: other }).collect();
            Near::order(&mut near);
            near
        };
        self.members[list].iter().map(near).collect()
    }

    /// For each list that has vectors the one nearest to its centre.
    fn middles(&self, centres: &Rows<f32>) -> Vec<u32> {
        let middle = |(at, members): (usize, &Vec<u32>)| {
            let off = |&vertex: &u32| {
                let row = self.points.vectors.row(vertex as usize);
                self.points.kernels.compare_f32(Measure::L2, row, centres.row(at))
            };
            members.iter().copied().max_by(|a, b| off(a).total_cmp(&off(b)))
        };
        self.members.iter().enumerate().filter_map(middle).collect()
    }
}
