//! The original's containers, and everything that is none.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::program::{Piece, Ref, Transform, Window};
use crate::space::Space;

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).expect("ASCII"), 16);
    digits.chunks(2).map(|pair| byte(pair).expect("hex")).collect()
}

fn bref(offset: u64, len: u32, flags: u8) -> Bref {
    Bref { offset, len, flags }
}

#[test]
fn vectors_of_the_original() {
    let one = Container { brefs: vec![bref(4096, 65536, 0)], ..Container::default() };
    let two =
        Container { raw: Some(b"abc"), proto: None, brefs: vec![bref(1, 2, 0), bref(3, 4, 255)] };
    let packed = Container { raw: Some(b"abc"), proto: Some(&[1, 2]), brefs: Vec::new() };
    for (container, text) in [
        (one, "504f5831 01 03 0000000f 0001 0000000000001000 00010000 00"),
        (
            two,
            "504f58310201000000036162630300 00001c 0002 0000000000000001 00000002 00 \
             0000000000000003 00000004 ff",
        ),
        (packed, "504f58310201000000036162630200000002 0102"),
    ] {
        assert_eq!(container.write().expect("short"), unhex(text));
        assert_eq!(Container::read(&unhex(text)), Ok(container));
    }
}

#[test]
fn packed_vectors_of_the_original() {
    let pack = |tier, width, refs: &[u32]| {
        let proto = Proto { tier, width, refs: refs.to_vec(), window: None };
        let bytes = proto.write(Proto::WINDOW_POW2).expect("narrow");
        assert_eq!(Proto::read(&bytes, width, Proto::WINDOW_POW2), Ok(proto));
        bytes
    };
    let abc = b"abc".map(u32::from);
    assert_eq!(pack(Tier::First, Width::Byte, &abc), unhex("185898c0"));
    assert_eq!(pack(Tier::Third, Width::Byte, &abc), unhex("985898c0"));
    // The bytes 01 02 03 04, read as two little-endian numbers.
    assert_eq!(pack(Tier::Second, Width::Half, &[0x0201, 0x0403]), unhex("40804100c0"));
}

#[test]
fn check_sums_of_the_original() {
    assert_eq!(crc16(b"123456789"), 0x29b1);
    assert_eq!(crc16(&[b'A'; 16]), 0x7a38);
}

#[test]
fn a_sync_unit_follows_sixteen_references() {
    let mut proto = Proto { refs: vec![b'A'.into(); 16], window: Some(3), ..Proto::default() };
    let bytes = proto.write(4).expect("due");
    assert_eq!(bytes[17..], [0xf0, 0, 3, 0x7a, 0x38]);
    assert_eq!(Proto::read(&bytes, Width::Byte, 4).as_ref(), Ok(&proto));
    let mut other = bytes.clone();
    other[5] ^= 4;
    assert!(Proto::read(&other, Width::Byte, 4).is_err(), "a reference is damaged");
    assert!(Proto::read(&bytes[..17], Width::Byte, 4).is_err(), "the unit is missing");
    proto.window = None;
    assert!(proto.write(4).is_err());
    proto.refs.push(1);
    proto.window = Some(1);
    assert!(proto.write(4).is_err(), "none is due");
}

#[test]
fn every_truncation_is_refused() {
    let brefs = vec![bref(1, 2, 0), bref(3, 4, 255)];
    let container = Container { raw: Some(b"abc"), proto: Some(&[1, 2]), brefs };
    let bytes = container.write().expect("short");
    for len in 0..bytes.len() {
        let error = Container::read(&bytes[..len]).expect_err("cut");
        assert!(matches!(error.fault, Fault::Truncated { .. }), "{len}: {error}");
    }
    let more = [bytes.as_slice(), b"x"].concat();
    let at = bytes.len() as u64;
    assert_eq!(Container::read(&more), Err(FormatError::new(FORMAT, at, Fault::Trailing(1))));
}

#[test]
fn hostile_containers_are_refused() {
    let read = |text: &str| Container::read(&unhex(text)).expect_err(text);
    let twice = read("504f5831 02 01 00000001 61 01 00000001 62");
    assert_eq!(twice.at, 11);
    assert!(matches!(read("504f5831 01 04 00000000").fault, Fault::Unknown { value: 4, .. }));
    assert!(matches!(read("504f5831 01 01 ffffffff 00").fault, Fault::Truncated { .. }));
    let many = read("504f5831 01 03 00000004 ffff 0000");
    assert!(matches!(many.fault, Fault::TooMuch { value: 65_535, most: 0, .. }), "{many}");
    assert!(matches!(read("504f5831 01 03 00000003 0000 00").fault, Fault::Trailing(1)));
    assert_eq!(read("504f5832 00").fault, Fault::Magic);
}

#[test]
fn many_references_are_spread_over_sections() {
    let brefs: Vec<Bref> = (0..140_000).map(|at| bref(at, 1, 0)).collect();
    let container = Container { brefs, ..Container::default() };
    let bytes = container.write().expect("three sections");
    assert_eq!(bytes[4], 3);
    assert_eq!(Container::read(&bytes), Ok(container));
    let brefs = vec![bref(0, 1, 0); 255 * SECTION_REFS + 1];
    assert!(Container { brefs, ..Container::default() }.write().is_err());
}

#[test]
fn flags_mean_what_the_original_says() {
    let resolve = |bref: Bref| {
        let mut refs = Vec::new();
        bref.resolve(1000, &mut refs).map(|()| refs)
    };
    let same = Transform::Identity;
    let at = |offset, len, transform| Ref { offset, len, transform };
    assert_eq!(resolve(bref(4, 5, 0)), Ok(vec![at(4, 5, same)]));
    assert_eq!(resolve(bref(4, 5, 31 << 3 | 2)), Ok(vec![at(4, 5, Transform::Xor(31))]));
    assert_eq!(resolve(bref(4, 5, 7 << 3 | 4)), Ok(vec![at(4, 5, Transform::Add(7))]));
    // From the middle, backwards, and round.
    assert_eq!(resolve(bref(10, 5, 1)), Ok(vec![at(510, 5, same)]));
    assert_eq!(resolve(bref(10_u64.wrapping_neg(), 5, 1)), Ok(vec![at(490, 5, same)]));
    assert_eq!(resolve(bref(600, 5, 1)), Ok(vec![at(100, 5, same)]));
    assert!(resolve(bref(1 << 63, 5, 1)).is_ok());
    // Over the end.
    assert_eq!(resolve(bref(998, 5, 0)), Ok(vec![at(998, 2, same), at(0, 3, same)]));
    for wrong in [bref(3, 4, 255), bref(3, 4, 8), bref(3, 0, 0), bref(1000, 1, 0)] {
        assert!(resolve(wrong).is_err(), "{wrong:?}");
    }
    assert!(resolve(bref(0, 1001, 0)).is_err());
    assert!(bref(0, 1, 0).resolve(0, &mut Vec::new()).is_err());
}

#[test]
fn a_window_goes_through_a_container() {
    let blob: Vec<u8> = (0..200).collect();
    let space = Space::blob(&blob);
    let at = |transform| Piece::Ref(Ref { offset: 10, len: 4, transform });
    let refs = Window { pieces: vec![at(Transform::Xor(31))], raw: Vec::new() };
    let bytes = refs.to_pox1(&space).expect("in the space");
    assert_eq!(Container::read(&bytes).and_then(|c| c.window(200)), Ok(refs));
    for pieces in [vec![at(Transform::Xor(32))], vec![at(Transform::Identity), Piece::Raw(1)]] {
        let raw = vec![9; pieces.len() - 1];
        let window = Window { pieces, raw };
        let mut made = vec![0; window.bytes() as usize];
        crate::rebuild::window(&space, &window.pieces, &window.raw, &mut made).expect("there");
        let bytes = window.to_pox1(&space).expect("in the space");
        let container = Container::read(&bytes).expect("own");
        assert_eq!(container.resolved(), Resolved::Raw(&made));
        assert_eq!(container.window(200).map(|window| window.raw), Ok(made));
    }
}

fn any_bref() -> impl Strategy<Value = Bref> {
    any::<(u64, u32, u8)>().prop_map(|(offset, len, flags)| bref(offset, len, flags))
}

proptest! {
    #[test]
    fn containers_come_back(raw in vec(any::<u8>(), 0..40), proto in vec(any::<u8>(), 0..40),
                            brefs in vec(any_bref(), 0..20)) {
        let some = |bytes: &'_ Vec<u8>| !bytes.is_empty();
        let container = Container {
            raw: some(&raw).then_some(raw.as_slice()),
            proto: some(&proto).then_some(proto.as_slice()),
            brefs,
        };
        let bytes = container.write().expect("short");
        prop_assert_eq!(Container::read(&bytes), Ok(container));
    }

    #[test]
    fn packed_references_come_back(refs in vec(any::<u32>(), 0..40), window: u16,
                                   width in 0..3_usize, tier in 0..3_usize, pow2 in 0..6_u32) {
        let width = [Width::Byte, Width::Half, Width::Word][width];
        let tier = [Tier::First, Tier::Second, Tier::Third][tier];
        let refs: Vec<u32> = refs.iter().map(|&v| v >> (32 - 8 * width.bytes())).collect();
        let due = !refs.is_empty() && refs.len().is_multiple_of(1 << pow2);
        let proto = Proto { tier, width, refs, window: due.then_some(window) };
        let bytes = proto.write(pow2).expect("narrow");
        prop_assert_eq!(Proto::read(&bytes, width, pow2), Ok(proto));
    }

    #[test]
    fn references_that_can_be_written_come_back(offset in 0..1_000_u64, len in 1..100_u32,
                                      transform in crate::formats::testing::transform(31)) {
        let at = Ref { offset, len, transform };
        let bref = Bref::try_from(at).expect("small immediate");
        let mut back = Vec::new();
        bref.resolve(2_000, &mut back).expect("inside");
        prop_assert_eq!(back, vec![at]);
    }
}
