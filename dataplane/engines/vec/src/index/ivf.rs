//! Inverted lists: vectors in the list of the centre that is nearest to them, as codes of their
//! offset from it.

use super::lists::{ListView, greatest, half_share, search_lists};
use super::{Answer, Search};
use crate::kernels::{Kernels, Measure};
use crate::kmeans::{self, BATCH, Centres, Effort};
use crate::quantize::{Codes, ExtraBits, ExtraCodes, QueryTables, RaBitQ};
use crate::rows::Rows;

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
    dim: usize,
    /// Centres, rotated: vectors are assigned after they were rotated too.
    turned: Rows<f32>,
    /// Half the squared length of each centre.
    halves: Vec<f32>,
    near: Centres,
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

impl Ivf {
    /// No vectors yet; lists about centres that `sample` lies around.
    ///
    /// # Panics
    /// When there are no lists, or `sample` has fewer vectors than there are to be lists.
    #[must_use]
    pub fn train(sample: &Rows<f32>, settings: &IvfSettings) -> Self {
        let centres = {
            let IvfSettings { lists, seed, .. } = *settings;
            kmeans::train(&Kernels::best(), sample, lists, seed, Effort::FULL)
        };
        Self::about(centres, settings)
    }

    /// No vectors yet; one list about 0, whatever the settings say, so that nothing need be known
    /// of the vectors to come.
    ///
    /// # Panics
    /// When `dim` is 0 or above 4096.
    #[must_use]
    pub fn flat(dim: usize, settings: &IvfSettings) -> Self {
        let mut centres = Rows::new(dim);
        centres.push(&vec![0.0; dim]);
        Self::about(centres, settings)
    }

    fn about(centres: Rows<f32>, settings: &IvfSettings) -> Self {
        let kernels = Kernels::best();
        let quantizer = RaBitQ::new(centres.dim(), settings.measure, settings.seed);
        let padded = quantizer.padded();
        let mut turned = Rows::new(padded);
        let mut row = vec![0.0; padded];
        for at in 0..centres.len() {
            quantizer.rotate(&centres.row(at)[..centres.dim()], &mut row);
            turned.push(&row);
        }
        let list = || List {
            codes: quantizer.codes(),
            extra: ExtraCodes::new(settings.extra, quantizer.words()),
            places: Vec::new(),
        };
        let lists = (0..centres.len()).map(|_| list()).collect();
        let (dim, halves) = (centres.dim(), kmeans::halves(&kernels, &turned));
        let near = Centres::new(&kernels, &turned);
        Self { quantizer, dim, turned, halves, near, lists, len: 0, kernels }
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
        assert_eq!(vectors.dim(), self.dim, "components");
        assert!(vectors.len() <= (u32::MAX - first) as usize, "places end at 2^32");
        let mut batch = Rows::new(self.quantizer.padded());
        batch.resize_zeroed(BATCH);
        let mut nearest = [0; BATCH];
        for from in (0..vectors.len()).step_by(BATCH) {
            let count = BATCH.min(vectors.len() - from);
            for at in 0..count {
                self.quantizer.rotate(&vectors.row(from + at)[..self.dim], batch.row_mut(at));
            }
            let nearest = &mut nearest[..count];
            self.near.nearest(&batch, 0, nearest);
            for (at, &list) in nearest.iter().enumerate() {
                let (centre, vector) = (self.turned.row(list as usize), batch.row_mut(at));
                let list = &mut self.lists[list as usize];
                self.quantizer.encode(vector, centre, &mut list.codes);
                list.extra.encode(self.quantizer.measure(), vector, centre);
                list.places.push(first + (from + at) as u32);
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
        let probes = self.probes(&query, search.probes);
        let view = |(at, constant): (u32, f32)| {
            let list = &self.lists[at as usize];
            (
                ListView {
                    codes: list.codes.view(),
                    extra: list.extra.view(),
                    places: &list.places,
                },
                constant,
            )
        };
        let lists: Vec<(ListView<'_>, f32)> = probes.into_iter().map(view).collect();
        search_lists(&self.kernels, search, &query, &lists)
    }

    /// The lists to look into, the nearest first, with what their scores are to be raised by.
    fn probes(&self, query: &QueryTables, probes: usize) -> Vec<(u32, f32)> {
        let (mut dots, mut scores) = (Vec::new(), Vec::new());
        self.near.products(query.bytes(), &mut dots, &mut scores);
        let measure = self.quantizer.measure();
        let ranks = scores.iter().zip(&self.halves);
        let ranks: Vec<f32> =
            ranks.map(|(score, half)| score - half_share(measure) * half).collect();
        let middle = self.kernels.compare_f32(Measure::Dot, query.turned(), self.near.middle());
        let constant = |at: u32| match measure {
            // As near as bytes tell, which is nearer than codes do.
            Measure::Dot => (at, scores[at as usize] + middle),
            // A difference of squares, which bytes would not bear.
            Measure::L2 => (at, self.quantizer.constant(query, self.turned.row(at as usize))),
        };
        greatest(&ranks, probes).into_iter().map(constant).collect()
    }

    /// Bytes of memory that lists and centres hold.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let centres = self.turned.bytes() + self.near.memory();
        let list = |list: &List| {
            list.codes.bytes() + list.extra.bytes() + 4 * list.places.capacity() + size_of::<List>()
        };
        centres + 4 * self.halves.len() + self.lists.iter().map(list).sum::<usize>()
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

#[cfg(test)]
mod tests {
    use super::super::Filter;
    use super::*;
    use crate::testing::noise;
    use crate::topk::TopK;

    #[derive(Debug)]
    struct Even;

    impl Filter for Even {
        fn allows(&self, place: u32) -> bool {
            place.is_multiple_of(2)
        }
    }

    /// Vectors around 40 directions, some noise on each.
    fn clustered(dim: usize, count: usize, seed: u64) -> Rows<f32> {
        let mut rows = Rows::new(dim);
        for at in 0..count as u64 {
            let around = noise(at % 40 + 1000, dim);
            let off = noise(seed ^ at.wrapping_mul(977), dim);
            let row: Vec<f32> = around.iter().zip(off).map(|(a, b)| a + 0.4 * b).collect();
            rows.push(&row);
        }
        rows
    }

    fn exact(rows: &Rows<f32>, query: &[f32], measure: Measure, filter: bool) -> Vec<u32> {
        let mut top = TopK::new(10, f32::NEG_INFINITY);
        for at in (0..rows.len() as u32).filter(|at| !filter || Even.allows(*at)) {
            top.offer(at, Kernels::best().compare_f32(measure, rows.row(at as usize), query));
        }
        top.sorted().iter().map(|hit| hit.at).collect()
    }

    #[test]
    fn near_vectors_are_found_under_every_measure_and_filter() {
        let (dim, count) = (96, 3000);
        let (rows, queries) = (clustered(dim, count, 1), clustered(dim, 20, 2));
        for measure in [Measure::Dot, Measure::L2] {
            let settings = IvfSettings { measure, lists: 30, extra: ExtraBits::Four, seed: 5 };
            let mut ivf = Ivf::train(&rows, &settings);
            ivf.add(&rows, 0);
            assert_eq!(ivf.len(), count);
            for filter in [None, Some(&Even as &dyn Filter)] {
                let mut common = 0;
                for at in 0..queries.len() {
                    let query = queries.row(at);
                    let search = Search {
                        query: &query[..dim],
                        k: 10,
                        least: f32::NEG_INFINITY,
                        candidates: 60,
                        probes: 12,
                        filter,
                    };
                    let answer = ivf.search(&search);
                    assert_eq!(answer.hits.len(), 10);
                    assert!(answer.computed == 60 && answer.estimated < count as u64);
                    let truth = exact(&rows, query, measure, filter.is_some());
                    common += answer.hits.iter().filter(|hit| truth.contains(&hit.at)).count();
                    // A score is the measure's, as near as five bits a component come.
                    for hit in &answer.hits {
                        let row = rows.row(hit.at as usize);
                        let want = Kernels::best().compare_f32(measure, row, query);
                        assert!((hit.score - want).abs() < 1.0, "{} for {want}", hit.score);
                    }
                    let best = answer.hits[0].score;
                    let bounded = Search { least: best, ..search };
                    assert_eq!(ivf.search(&bounded).hits.first(), answer.hits.first());
                    let above = Search { least: best.next_up(), ..search };
                    assert!(ivf.search(&above).hits.is_empty());
                }
                assert!(common >= 150, "{measure:?}: {common} of 200");
            }
        }
    }

    #[test]
    fn one_list_needs_no_training() {
        let (rows, dim) = (clustered(100, 500, 3), 100);
        let settings =
            IvfSettings { measure: Measure::Dot, lists: 1, extra: ExtraBits::Eight, seed: 2 };
        let mut flat = Ivf::flat(dim, &settings);
        assert!(flat.is_empty());
        flat.add(&rows, 0);
        let query = rows.row(77);
        let search = Search {
            query: &query[..dim],
            k: 10,
            least: f32::NEG_INFINITY,
            candidates: 100,
            probes: 1,
            filter: None,
        };
        let answer = flat.search(&search);
        assert_eq!((answer.estimated, answer.hits[0].at), (500, 77));
        let truth = exact(&rows, query, Measure::Dot, false);
        assert!(answer.hits.iter().filter(|hit| truth.contains(&hit.at)).count() >= 8);
    }

    #[test]
    fn more_lists_than_distinct_vectors_do_no_harm() {
        let mut rows = Rows::new(8);
        (0..50).for_each(|at| rows.push(&[at as f32 % 2.0; 8]));
        let settings =
            IvfSettings { measure: Measure::L2, lists: 20, extra: ExtraBits::Eight, seed: 1 };
        let mut ivf = Ivf::train(&rows, &settings);
        ivf.add(&rows, 7);
        let search = Search {
            query: &[1.0; 8],
            k: 25,
            least: -0.1,
            candidates: 50,
            probes: 20,
            filter: None,
        };
        let answer = ivf.search(&search);
        assert!(answer.hits.len() == 25 && answer.hits.iter().all(|hit| hit.at % 2 == 0));
    }
}
