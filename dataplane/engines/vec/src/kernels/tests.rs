//! One property for all kernels of all levels: what the oracle gives.

use proptest::prelude::*;

use super::*;
use crate::testing::noise;
use crate::{Rows, bf16_of, f32_of_bf16};

fn rows<T: crate::rows::Component>(dim: usize, all: &[T]) -> Rows<T> {
    let mut rows = Rows::new(dim);
    all.chunks(dim).for_each(|row| rows.push(row));
    rows
}

fn near(got: f32, want: f64, dim: usize) -> bool {
    (f64::from(got) - want).abs() <= 1e-6 * (dim as f64 + want.abs())
}

proptest! {
    #[test]
    fn every_level_gives_what_the_oracle_gives(
        dim in 2usize..200,
        count in 1usize..40,
        queries in 1usize..14,
        seed: u64,
    ) {
        let (flat, asked) = (noise(seed, dim * count), noise(!seed, dim * queries));
        let (full, asked) = (rows(dim, &flat), rows(dim, &asked));
        let halves: Vec<u16> = flat.iter().map(|&value| bf16_of(value)).collect();
        let wide: Vec<f32> = halves.iter().map(|&half| f32_of_bf16(half)).collect();
        // Padded like the query, so that one scan takes both.
        let mut half = Rows::<u16>::new(full.stride());
        for row in halves.chunks(dim) {
            let mut padded = row.to_vec();
            padded.resize(full.stride(), 0);
            half.push(&padded);
        }
        for kernels in Isa::available().filter_map(Kernels::of) {
            for measure in [Measure::Dot, Measure::L2] {
                let query = asked.row(0);
                let mut scanned = vec![0.0; count];
                kernels.scan_f32(measure, full.as_slice(), query, &mut scanned);
                for (at, got) in scanned.iter().enumerate() {
                    let want = oracle::compare(measure, &flat[at * dim..][..dim], query);
                    prop_assert!(near(*got, want, dim), "{kernels:?} {measure:?} {got} {want}");
                    prop_assert_eq!(*got, kernels.compare_f32(measure, full.row(at), query));
                    let want = oracle::compare(measure, &wide[at * dim..][..dim], query);
                    let got = kernels.compare_bf16(measure, &half.row(at)[..query.len()], query);
                    prop_assert!(near(got, want, dim), "{kernels:?} {measure:?} {got} {want}");
                }
                if half.stride() == full.stride() {
                    kernels.scan_bf16(measure, half.as_slice(), query, &mut scanned);
                    let again = kernels.compare_bf16(measure, half.row(count - 1), query);
                    prop_assert_eq!(scanned[count - 1], again);
                }
            }
            let mut tiled = vec![0.0; count * queries];
            kernels.tile_f32(full.as_slice(), asked.as_slice(), full.stride(), &mut tiled);
            for (at, got) in tiled.iter().enumerate() {
                let (q, r) = (at / count, at % count);
                let want = oracle::compare(Measure::Dot, full.row(r), asked.row(q));
                prop_assert!(near(*got, want, dim), "{kernels:?} {q} {r}: {got} {want}");
            }
        }
    }

    #[test]
    fn bytes_are_exact(dim in 1usize..4097, count in 1usize..5, seed: u64) {
        let extreme = |value: &f32| if value.abs() > 0.9 { -128 } else { (value * 140.0) as i8 };
        let flat: Vec<i8> = noise(seed, dim * count).iter().map(extreme).collect();
        let query: Vec<i8> = noise(!seed, dim).iter().map(extreme).collect();
        let (all, query) = (rows(dim, &flat), rows(dim, &query));
        for kernels in Isa::available().filter_map(Kernels::of) {
            let mut got = vec![0; count];
            kernels.scan_i8(all.as_slice(), query.row(0), &mut got);
            for (at, got) in got.iter().enumerate() {
                let want = oracle::dot_i8(all.row(at), query.row(0));
                prop_assert_eq!(i64::from(*got), want, "{:?}", kernels);
                prop_assert_eq!(*got, kernels.dot_i8(all.row(at), query.row(0)));
            }
        }
    }

    #[test]
    fn tiles_of_bytes_are_exact(
        dim in 1usize..300,
        count in 0usize..40,
        queries in 0usize..110,
        seed: u64,
    ) {
        let extreme = |value: &f32| if value.abs() > 0.9 { -128 } else { (value * 140.0) as i8 };
        let some = |seed, count: usize| {
            let flat: Vec<i8> = noise(seed, dim * count).iter().map(extreme).collect();
            rows(dim, &flat)
        };
        let (all, asked) = (some(seed, count), some(!seed, queries));
        let (units, halves) = (noise(seed ^ 1, count), noise(seed ^ 2, count));
        for kernels in Isa::available().filter_map(Kernels::of) {
            let mut got = vec![0; count * queries];
            kernels.tile_i8(all.as_slice(), asked.as_slice(), all.stride(), &mut got);
            for (at, got) in got.iter().enumerate() {
                let want = oracle::dot_i8(all.row(at % count), asked.row(at / count));
                prop_assert_eq!(i64::from(*got), want, "{:?}", kernels);
            }
            let Some(dots) = got.get(..count).filter(|dots| !dots.is_empty()) else { continue };
            let score = |k: usize| f64::from(dots[k]) * 0.01 * f64::from(units[k]) - f64::from(halves[k]);
            let best = (0..count).map(score).fold(f64::MIN, f64::max);
            let told = score(kernels.closest(dots, &units, &halves, 0.01) as usize);
            prop_assert!(told >= best - 1e-5 * best.abs().max(1.0), "{told} of {best}");
        }
    }

    #[test]
    fn unsigned_bytes_and_halves_are_exact(lines in 1usize..20, seed: u64) {
        let row: Vec<u8> = noise(seed, 64 * lines)
            .iter()
            .map(|value| if value.abs() > 0.9 { 255 } else { ((value + 1.0) * 127.0) as u8 })
            .collect();
        let query: Vec<i8> = noise(!seed, 128 * lines)
            .iter()
            .map(|value| if value.abs() > 0.9 { -128 } else { (value * 140.0) as i8 })
            .collect();
        for kernels in Isa::available().filter_map(Kernels::of) {
            let half = &query[..row.len()];
            prop_assert_eq!(i64::from(kernels.dot_u8(&row, half)), oracle::dot_u8(&row, half));
            prop_assert_eq!(i64::from(kernels.dot_u4(&row, &query)), oracle::dot_u4(&row, &query));
        }
    }
}
