//! One property for all kernels of all levels: what the oracle gives.

use proptest::prelude::*;

use super::*;
use crate::{Rows, bf16_of, f32_of_bf16};

fn rows<T: crate::rows::Component>(dim: usize, all: &[T]) -> Rows<T> {
    let mut rows = Rows::new(dim);
    all.chunks(dim).for_each(|row| rows.push(row));
    rows
}

/// Pseudo-random numbers from -1 to 1.
fn noise(seed: u64, len: usize) -> Vec<f32> {
    let mut x = seed.wrapping_mul(2).wrapping_add(0x9e37_79b9_7f4a_7c15) | 1;
    let step = || {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        (x >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    std::iter::repeat_with(step).take(len).collect()
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
}
