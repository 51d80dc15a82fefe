//! Programs for the tests of all formats.

use proptest::collection::vec;
use proptest::prelude::*;

use crate::program::{Identity, Piece, Profile, Program, Ref, Transform, Window};

/// Three pieces and a last window of two bytes.
pub(crate) fn small() -> Program {
    let at = |offset, len, transform| Piece::Ref(Ref { offset, len, transform });
    let first =
        vec![Piece::Raw(5), at(100, 7, Transform::Xor(255)), at(107, 4, Transform::Identity)];
    let blob =
        Identity { name: "b".into(), profile: Profile::Orchard, layout: 1, size: 4096, seed: 7 };
    Program {
        file: "name".into(),
        size: 18,
        sha256: [0xab; 32],
        window_bytes: 16,
        blob,
        windows: vec![
            Window { pieces: first, raw: b"hello".to_vec() },
            Window { pieces: vec![at(0, 2, Transform::Add(3))], raw: Vec::new() },
        ],
    }
}

pub(crate) fn transform(most: u8) -> impl Strategy<Value = Transform> {
    prop_oneof![
        Just(Transform::Identity),
        (0..=most).prop_map(Transform::Xor),
        (0..=most).prop_map(Transform::Add),
    ]
}

/// A window of just `len` bytes.
fn window(len: u32) -> impl Strategy<Value = Window> {
    let piece = (1..=len, any::<u64>(), transform(255), 0..3_u8);
    (vec(piece, 1..8), any::<u8>()).prop_map(move |(parts, fill)| {
        let mut window = Window::default();
        let mut left = len;
        let parts = parts.into_iter().chain([(len, 0, Transform::Identity, 0)]);
        for (want, offset, transform, kind) in parts {
            let len = want.min(left);
            if len == 0 {
                break;
            }
            left -= len;
            if kind == 0 {
                window.pieces.push(Piece::Raw(len));
                window.raw.extend((0..len).map(|at| fill.wrapping_mul(at as u8)));
            } else {
                window.pieces.push(Piece::Ref(Ref { offset, len, transform }));
            }
        }
        window
    })
}

fn identity() -> impl Strategy<Value = Identity> {
    let profile = prop_oneof![Just(Profile::Prand), Just(Profile::Palette), Just(Profile::Orchard)];
    ("[a-zé\"]{0,9}", profile, any::<u16>(), any::<u64>(), any::<u32>()).prop_map(
        |(name, profile, layout, size, seed)| Identity { name, profile, layout, size, seed },
    )
}

/// Programs whose windows are as they say.
pub(crate) fn program() -> impl Strategy<Value = Program> {
    let windows = (1..300_u32).prop_flat_map(|bytes| {
        (Just(bytes), vec(window(bytes), 0..5), 1..=bytes)
            .prop_flat_map(|(bytes, full, last)| (Just(bytes), Just(full), window(last)))
    });
    ("[a-z/ü\\\\]{0,9}", any::<[u8; 32]>(), windows, identity()).prop_map(
        |(file, sha256, (window_bytes, mut windows, last), blob)| {
            windows.push(last);
            let size = windows.iter().map(Window::bytes).sum();
            Program { file, size, sha256, window_bytes, blob, windows }
        },
    )
}
