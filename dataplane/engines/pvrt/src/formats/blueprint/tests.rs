//! The original's blueprints, packed and not, and the formula's bytes.

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::formats::error::Fault;
use crate::formats::testing::{program, transform};
use crate::program::{Piece, Ref, Transform};
use crate::rebuild::{self, Scratch, Source};
use crate::space::Space;

fn at(offset: u64, len: u32, transform: Transform) -> Piece {
    Piece::Ref(Ref { offset, len, transform })
}

/// An int as PBB1 writes it: digits of five bits where they are strictly shorter.
fn first_int(value: u64) -> Vec<u8> {
    let mut plain = vec![0];
    crate::formats::cursor::put_uvarint(value, &mut plain);
    let mut digits = Vec::new();
    let mut rest = value;
    while rest > 0 {
        digits.push((rest & 31) as u8);
        rest >>= 5;
    }
    let mut packed = vec![0_u8; (5 * digits.len()).div_ceil(8)];
    for (place, digit) in digits.iter().enumerate() {
        for bit in 0..5 {
            packed[(5 * place + bit) / 8] |= (digit >> bit & 1) << ((5 * place + bit) % 8);
        }
    }
    let packed = [vec![1], packed].concat();
    if !digits.is_empty() && packed.len() < plain.len() { packed } else { plain }
}

/// Segments of the page's vector.
fn segments() -> Vec<Piece> {
    vec![
        at(4096, 4096, Transform::Identity),
        at(20_000, 256, Transform::Xor(255)),
        at(0, 64, Transform::Add(7)),
        Piece::Raw(31),
    ]
}

#[test]
fn integers_of_the_original() {
    assert_eq!(first_int(16_384), [1, 0, 0x40]);
    assert_eq!(first_int(32_767), [1, 0xff, 0x7f]);
    assert_eq!(first_int(4_096), [0, 0x80, 0x20]);
    assert_eq!(first_int(0), [0, 0]);
}

#[test]
fn what_pbb1_can_say_is_read_and_what_nobody_can_is_named() {
    let vector = b"PBB1\0\x04\0\0\x80\x20\0\x80\x20\x01\x01\x20\x4e\0\x80\x02\xff\
                   \x02\0\0\0\x40\x07\x03\0\x1f";
    // The offset 20,000 is packed by five bits: its mark is at byte 14.
    let error = Packed::read(vector).expect_err("not decodable");
    assert!(matches!(error.fault, Fault::Undecodable(_)), "{error}");
    assert_eq!(error.at, 14);
    // The same with 10,000 in its place.
    let mut bytes = b"PBB1".to_vec();
    let mut want = segments();
    want[1] = at(10_000, 256, Transform::Xor(255));
    bytes.extend(first_int(4));
    for (op, ints, imm) in [
        (0, vec![4096, 4096], vec![]),
        (1, vec![10_000, 256], vec![255]),
        (2, vec![0, 64], vec![7]),
        (3, vec![31], vec![]),
    ] {
        bytes.push(op);
        ints.into_iter().for_each(|int| bytes.extend(first_int(int)));
        bytes.extend(imm);
    }
    let packed = Packed::read(&bytes).expect("decodable");
    assert_eq!(packed, Packed { pieces: want, sha256: None, raw: None });
    for len in 0..bytes.len() {
        assert!(Packed::read(&bytes[..len]).is_err(), "{len}");
    }
}

#[test]
fn pbb2_says_all_that_pbb1_could_not() {
    let packed = Packed { pieces: segments(), sha256: Some([9; 32]), raw: Some(vec![5; 31]) };
    let bytes = packed.write();
    let head = b"PBB2\x03\0\x04\0\0\x80\x20\0\x80\x20\x01\x03\x20\x4e\0\x80\x02\xff\
                 \x02\0\0\0\x40\x07\x03\0\x1f";
    assert_eq!(bytes[..head.len()], head[..]);
    assert_eq!(bytes[head.len()..], [[9; 32].as_slice(), &[5; 31]].concat());
    assert_eq!(Packed::read(&bytes), Ok(packed));
    for len in 0..bytes.len() {
        assert!(Packed::read(&bytes[..len]).is_err(), "{len}");
    }
    assert!(Packed::read(&[bytes, vec![0]].concat()).is_err());
}

#[test]
fn hostile_packed_blueprints_are_refused() {
    let many = Packed::read(b"PBB2\0\0\xff\xff\xff\xff\x0f").expect_err("no room");
    assert!(matches!(many.fault, Fault::TooMuch { most: 0, .. }), "{many}");
    for (what, bytes) in [
        ("flags", b"PBB2\x04\0\0".as_slice()),
        ("op", b"PBB2\0\0\x01\x04\0\x05\0"),
        ("a form", b"PBB2\0\x0e\x01"),
        ("a long form", b"PBB2\0\x01\x01"),
        ("an empty segment", b"PBB2\0\0\x01\x03\0\0"),
        ("70 bits", b"PBB2\0\x0d\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
        ("raw that is not there", b"PBB2\x02\0\x01\x03\0\x05abcd"),
        ("another magic", b"PBB3\0\0\0"),
    ] {
        assert!(Packed::read(bytes).is_err(), "{what}");
    }
}

#[test]
fn segments_as_json() {
    let blueprint = Blueprint {
        file: "/usr/bin/bash".into(),
        win: 4096,
        pieces: segments(),
        hints_used: json!(false),
    };
    let value: serde_json::Value = serde_json::from_slice(&blueprint.write()).expect("JSON");
    assert_eq!(
        value,
        json!({
            "plan_version": "1.0.0", "file": "/usr/bin/bash", "win": 4096,
            "segments": [
                {"mode": "id", "offset": 4096, "len": 4096},
                {"mode": "xor", "offset": 20_000, "len": 256, "imm8": 255},
                {"mode": "add", "offset": 0, "len": 64, "imm8": 7},
                {"mode": "raw", "offset": null, "len": 31},
            ],
            "raw_spill_bytes": 31, "hints_used": false,
        })
    );
    assert_eq!(Blueprint::read(value.to_string().as_bytes()), Ok(blueprint));
    let refuse = |pointer: &str, to: serde_json::Value| {
        let mut bad = value.clone();
        *bad.pointer_mut(pointer).expect(pointer) = to;
        assert!(Blueprint::read(bad.to_string().as_bytes()).is_err(), "{pointer}");
    };
    refuse("/plan_version", json!("2.0.0"));
    refuse("/raw_spill_bytes", json!(30));
    refuse("/segments/0/offset", json!(null));
    refuse("/segments/0/len", json!(0));
    refuse("/segments/0/len", json!(1_u64 << 32));
    refuse("/segments/0/mode", json!("mul"));
    refuse("/segments/1/imm8", json!(256));
    refuse("/segments/3/offset", json!(0));
    let text = value.to_string();
    for len in 0..text.len() {
        assert!(Blueprint::read(&text.as_bytes()[..len]).is_err(), "{len}");
    }
}

#[test]
fn raw_bytes_that_are_not_there_are_told() {
    let missing = MissingRaw { need: 31, have: 0 };
    assert_eq!(windows(&segments(), 4096, &[]), Err(missing));
    assert_eq!(windows(&segments(), 4096, &[1; 31]).expect("there").len(), 2);
}

/// The original's loop.
fn formula_oracle(blob: &[u8], size: u64, f: (u64, u32, u64, u64, u8)) -> Vec<u8> {
    let (count, seg_len, start, stride, delta) = f;
    let mut out = vec![0; size as usize];
    for j in 0..count {
        for i in 0..u64::from(seg_len) {
            let to = j * u64::from(seg_len) + i;
            let from = (u128::from(start) + u128::from(j) * u128::from(stride) + u128::from(i))
                % blob.len() as u128;
            if let Some(to) = out.get_mut(to as usize) {
                *to = blob[from as usize].wrapping_add(delta);
            }
        }
    }
    out
}

fn rebuilt(source: &impl Source, blob: &[u8]) -> Vec<u8> {
    let mut scratch = Scratch::default();
    let mut out = Vec::new();
    for index in 0..source.head().windows() {
        let mut bytes = vec![0xee; source.head().window_len(index)];
        let parts = source.window(index, &mut scratch).expect("whole");
        rebuild::window(&Space::blob(blob), parts.pieces, parts.raw, &mut bytes).expect("inside");
        out.extend(bytes);
    }
    out
}

#[test]
fn a_formula_without_a_blob_is_refused() {
    assert!(Formula::new(10, 1, 5, 0, 0, 0).source(None).is_err());
    assert!(Formula::new(10, 1, 5, 0, 0, 0).source(Some(0)).is_err());
    assert!(Formula::new(10, 1, 0, 0, 0, 0).source(Some(9)).is_err());
    let zeros = Formula::new(100_000, 0, 0, 0, 0, 9).source(None).expect("nothing to refer to");
    assert_eq!(rebuilt(&zeros, &[]), vec![0; 100_000]);
}

#[test]
fn contiguous_segments_are_one_piece() {
    let source = Formula::new(1 << 17, 1 << 11, 64, 0, 64, 0).source(Some(1 << 20)).expect("ok");
    let mut scratch = Scratch::default();
    let pieces = source.window(1, &mut scratch).expect("whole").pieces;
    assert_eq!(pieces, [at(1 << 16, 1 << 16, Transform::Identity)]);
}

fn formula() -> impl Strategy<Value = (u64, (u64, u32, u64, u64, u8))> {
    let stride = prop_oneof![0..2_000_u64, any::<u64>()];
    (0..200_000_u64, (0..600_u64, 1..700_u32, any::<u64>(), stride, any::<u8>()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn formulas_make_what_the_original_makes((size, f) in formula(), len in 1..5_000_usize) {
        let blob: Vec<u8> = (0..len).map(|at| (at * 131 + 17) as u8).collect();
        let (count, seg_len, start, stride, delta) = f;
        let formula = Formula::new(size, count, seg_len, start, stride, delta);
        let back = Formula::read(&formula.write());
        prop_assert_eq!(back.as_ref(), Ok(&formula));
        let source = formula.source(Some(blob.len() as u64)).expect("segments");
        prop_assert!(rebuilt(&source, &blob) == formula_oracle(&blob, size, f));
    }

    #[test]
    fn packed_blueprints_come_back(
        refs in vec((any::<u64>(), 0..64_u32, 1..=u32::MAX, 0..32_u32, transform(255)), 0..20),
        raw in vec(1..100_u32, 0..5), sha256: Option<[u8; 32]>, stored: bool,
    ) {
        let pieces: Vec<Piece> = refs.into_iter()
            .map(|(offset, by, len, less, transform)| at(offset >> by, (len >> less).max(1), transform))
            .chain(raw.iter().map(|&len| Piece::Raw(len)))
            .collect();
        let raw = stored.then(|| vec![7; raw.iter().sum::<u32>() as usize]);
        let packed = Packed { pieces, sha256, raw };
        let back = Packed::read(&packed.write());
        prop_assert_eq!(back.as_ref(), Ok(&packed));
        let blueprint = Blueprint { pieces: packed.pieces, ..Blueprint::default() };
        prop_assert_eq!(Blueprint::read(&blueprint.write()), Ok(blueprint));
    }

    #[test]
    fn no_form_is_longer_than_the_original_ones(value: u64, by in 0..64_u32) {
        let piece = at(value >> by, 1, Transform::Identity);
        let packed = Packed { pieces: vec![piece], ..Packed::default() };
        // Magic, flags, count, op, offset, length.
        let offset = packed.write().len() - 4 - 1 - 2 - 1 - 2;
        prop_assert_eq!(offset, first_int(value >> by).len());
    }

    #[test]
    fn windows_are_cut_and_joined(program in program()) {
        let (pieces, raw) = join(&program.windows);
        let cut = windows(&pieces, program.window_bytes, &raw).expect("all raw bytes");
        prop_assert_eq!(cut.len(), program.windows.len());
        for (cut, window) in cut.iter().zip(&program.windows) {
            prop_assert_eq!(cut.bytes(), window.bytes());
            prop_assert_eq!(&cut.raw, &window.raw);
        }
        prop_assert_eq!(join(&cut), (pieces, raw));
    }
}
