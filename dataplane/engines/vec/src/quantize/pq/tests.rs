//! Every level's codes and scans, beside a naive search of all entries.

use proptest::prelude::*;

use super::*;
use crate::kernels::{Found, Isa, Kernels, Measure, oracle};
use crate::rows::Rows;
use crate::testing::noise;

const BITS: [PqBits; 3] = [PqBits::Four, PqBits::Six, PqBits::Eight];

fn rows(dim: usize, count: usize, seed: u64) -> Rows<f32> {
    let mut rows = Rows::new(dim);
    (0..count as u64).for_each(|at| rows.push(&noise(seed.wrapping_add(at * 7919), dim)));
    rows
}

/// The components of entry `at` of a part.
fn entry(pq: &Pq, part: usize, at: usize) -> Vec<f32> {
    let (_, used) = pq.components(part);
    let entries = pq.settings.bits.entries();
    pq.entries(part, used).0.iter().skip(at).step_by(entries).copied().collect()
}

/// What a code stands for.
fn decoded(pq: &Pq, code: &[u8]) -> Vec<f32> {
    (0..pq.parts()).flat_map(|part| entry(pq, part, code[part].into())).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn codes_are_the_nearest_and_scans_agree(
        dim in 2_usize..120,
        parts in 1_usize..130,
        count in 1_usize..200,
        bits in prop::sample::select(&BITS[..]),
        l2: bool,
        seed: u64,
    ) {
        let measure = if l2 { Measure::L2 } else { Measure::Dot };
        let sample = rows(dim, count, seed);
        let settings = PqSettings { measure, bits, parts, seed };
        let mut pq = Pq::train(&sample, &settings);
        prop_assert!(pq.parts() >= parts && pq.parts().is_multiple_of(bits.multiple()));
        let (query, vectors) = (noise(!seed, dim), rows(dim, count, seed ^ 1));
        let tables = pq.query(&query);
        let mut first = None;
        for kernels in Isa::available().filter_map(Kernels::of) {
            pq.kernels = kernels;
            let mut codes = pq.codes();
            pq.encode(&vectors, &mut codes);
            let view = codes.view();
            prop_assert_eq!(codes.len(), count);
            for at in 0..count {
                let code = view.code(at);
                for (part, &chosen) in code.iter().enumerate() {
                    let (from, used) = pq.components(part);
                    let own = &vectors.row(at)[from..from + used];
                    let off = |at| -oracle::compare(Measure::L2, own, &entry(&pq, part, at));
                    let least = (0..bits.entries()).map(off).fold(f64::INFINITY, f64::min);
                    prop_assert!(off(chosen.into()) <= least + 1e-5, "{kernels:?} {part}");
                }
                let want = oracle::compare(measure, &decoded(&pq, &code), &query);
                let got = f64::from(tables.score(&code));
                prop_assert!((got - want).abs() < 1e-3, "{got} for {want}");
            }
            // Scans of the same codes are the same on every level, and near to the full tables.
            let same = first.get_or_insert_with(|| codes.clone()).view();
            let mut found = Found::with_room(count.div_ceil(64) * 4);
            let blocks = 0..same.blocks();
            same.scan(&kernels, &tables, blocks.clone(), f32::NEG_INFINITY, &mut found);
            let all: Vec<(u32, f32)> = found.iter().collect();
            let places: Vec<u32> = all.iter().map(|&(at, _)| at).collect();
            prop_assert_eq!(places, (0..count as u32).collect::<Vec<_>>());
            let step = if bits == PqBits::Eight { 0.0 } else { tables.unit.0 };
            for &(at, score) in &all {
                let off = (score - tables.score(&same.code(at as usize))).abs();
                let most = 0.51 * step * pq.parts() as f32 + 1e-4;
                prop_assert!(off <= most, "{kernels:?} {at}: {off} above {most}");
            }
            let mut sorted = all.clone();
            sorted.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
            let floor = sorted[count / 2].1;
            same.scan(&kernels, &tables, blocks, floor, &mut found);
            let kept: Vec<_> = all.iter().copied().filter(|&(_, score)| score > floor).collect();
            prop_assert_eq!(found.iter().collect::<Vec<_>>(), kept);
            let best = same.search(&kernels, &tables, 5, f32::NEG_INFINITY);
            sorted.truncate(5);
            let best: Vec<(u32, f32)> = best.iter().map(|hit| (hit.at, hit.score)).collect();
            prop_assert_eq!(best, sorted);
        }
    }
}

/// Mean squared distance of vectors from what their codes stand for.
fn distortion(pq: &Pq, vectors: &Rows<f32>) -> f64 {
    let mut codes = pq.codes();
    pq.encode(vectors, &mut codes);
    let off = |at: usize| {
        let row = &vectors.row(at)[..vectors.dim()];
        -oracle::compare(Measure::L2, row, &decoded(pq, &codes.view().code(at)))
    };
    (0..vectors.len()).map(off).sum::<f64>() / vectors.len() as f64
}

#[test]
fn more_bits_distort_less_and_training_more_so() {
    let (dim, vectors) = (24, rows(24, 1500, 3));
    let mut last = f64::INFINITY;
    for bits in BITS {
        let settings = PqSettings { measure: Measure::L2, bits, parts: 8, seed: 5 };
        let trained = distortion(&Pq::train(&vectors, &settings), &vectors);
        // Entries that are as good as drawn: those that a single round would begin with.
        let mut drawn = Vec::new();
        for part in 0..8 {
            for k in 0..3 {
                drawn.extend((0..bits.entries()).map(|at| vectors.row(at)[3 * part + k]));
            }
        }
        let drawn = Pq::with_book(dim, &settings, &drawn).expect("a book of that size");
        assert!(trained < 0.9 * distortion(&drawn, &vectors) && trained < last / 1.5, "{trained}");
        last = trained;
    }
}

#[test]
fn as_many_entries_as_points_tell_each_exactly() {
    // Of 600 vectors 40 are distinct: so every entry must find its own, and none be lost.
    let mut sample = Rows::new(10);
    (0..600).for_each(|at| sample.push(&noise(at % 40, 10)));
    for bits in [PqBits::Six, PqBits::Eight] {
        let settings = PqSettings { measure: Measure::Dot, bits, parts: 4, seed: 1 };
        let off = distortion(&Pq::train(&sample, &settings), &sample);
        assert!(off < 1e-9, "{bits:?}: {off}");
    }
}

#[test]
fn a_book_comes_back_and_another_is_refused() {
    let sample = rows(30, 100, 1);
    let settings = PqSettings { measure: Measure::Dot, bits: PqBits::Four, parts: 10, seed: 1 };
    let pq = Pq::train(&sample, &settings);
    let same = Pq::with_book(30, &settings, pq.book()).expect("its own book");
    let (mut codes, mut others) = (pq.codes(), same.codes());
    pq.encode(&sample, &mut codes);
    same.encode(&sample, &mut others);
    assert_eq!(codes.view().lines, others.view().lines);
    let want = pq.book().len();
    let refused = Pq::with_book(30, &settings, &pq.book()[1..]).err();
    assert_eq!(refused, Some(BadBook { got: want - 1, want }));
}
