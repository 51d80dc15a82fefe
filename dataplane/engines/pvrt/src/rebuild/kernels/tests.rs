//! One property for the kernels of every level, against what a child would write.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::program::Ref;

/// A window byte by byte.
fn naive(blob: &[u8], pieces: &[Piece], raw: &[u8]) -> Vec<u8> {
    let (mut out, mut taken) = (Vec::new(), 0);
    for piece in pieces {
        match *piece {
            Piece::Raw(len) => {
                out.extend_from_slice(&raw[taken..][..len as usize]);
                taken += len as usize;
            }
            Piece::Ref(Ref { offset, len, transform }) => {
                let from = &blob[offset as usize..][..len as usize];
                out.extend(from.iter().map(|&byte| match transform {
                    Transform::Identity => byte,
                    Transform::Xor(imm) => byte ^ imm,
                    Transform::Add(imm) => (u32::from(byte) + u32::from(imm)) as u8,
                }));
            }
        }
    }
    out
}

fn transform() -> impl Strategy<Value = Transform> {
    prop_oneof![
        Just(Transform::Identity),
        any::<u8>().prop_map(Transform::Xor),
        any::<u8>().prop_map(Transform::Add),
    ]
}

const BLOB: u32 = 10_000;

fn piece() -> impl Strategy<Value = Piece> {
    let len = prop_oneof![1..80_u32, 1..700_u32, 1..9_000_u32];
    (len, any::<u32>(), transform(), 0..4_u8).prop_map(|(len, at, transform, kind)| {
        let offset = u64::from(at % (BLOB - len));
        if kind == 0 { Piece::Raw(len) } else { Piece::Ref(Ref { offset, len, transform }) }
    })
}

fn noise(len: usize, mut state: u64) -> Vec<u8> {
    let mut byte = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963);
        (state >> 56) as u8
    };
    (0..len).map(|_| byte()).collect()
}

proptest! {
    #[test]
    fn every_level_makes_the_naive_window(pieces in vec(piece(), 0..12), shift in 0..64_usize) {
        let blob = noise(BLOB as usize, 1);
        let raw_len = pieces.iter().map(|piece| match piece {
            Piece::Raw(len) => *len as usize,
            Piece::Ref(_) => 0,
        }).sum();
        let raw = noise(raw_len, 2);
        let want = naive(&blob, &pieces, &raw);
        let space = Space::blob(&blob);
        for kernels in Level::ALL.into_iter().filter_map(Kernels::at_level) {
            for stores in [Stores::Cached, Stores::Streaming] {
                let mut out = vec![0xee; shift + want.len() + 64];
                let into = &mut out[shift..][..want.len()];
                kernels.window(&space, &pieces, &raw, into, stores).expect("in bounds");
                prop_assert!(into == want, "{kernels:?} {stores:?}");
                let around = out[..shift].iter().chain(&out[shift + want.len()..]);
                prop_assert!(around.copied().all(|byte| byte == 0xee), "{kernels:?} wrote beside");
            }
        }
    }

    #[test]
    fn every_length_at_every_shift(len in 0..600_usize, from in 0..64_usize, to in 0..64_usize,
                                   transform in transform()) {
        let source = noise(len + 64, 3);
        let want: Vec<u8> = source[from..][..len].iter().map(|&byte| match transform {
            Transform::Identity => byte,
            Transform::Xor(imm) => byte ^ imm,
            Transform::Add(imm) => byte.wrapping_add(imm),
        }).collect();
        for kernels in Level::ALL.into_iter().filter_map(Kernels::at_level) {
            let mut out = vec![0xee; len + 128];
            kernels.apply(transform, &source[from..][..len], &mut out[to..][..len]);
            prop_assert_eq!(&out[to..][..len], &want[..], "{:?}", kernels);
            prop_assert!(out[..to].iter().chain(&out[to + len..]).all(|&byte| byte == 0xee));
        }
    }
}

#[test]
fn an_absent_level_is_not_given() {
    let absent = if cfg!(target_arch = "x86_64") { Level::Neon } else { Level::Avx2 };
    assert!(Kernels::at_level(absent).is_none());
    assert!(Level::detect().is_available());
}
