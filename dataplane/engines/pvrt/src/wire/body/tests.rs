//! Bodies written and read, whole and broken.

use proptest::prelude::*;

use super::*;
use crate::program::Window;

/// A blob of 4 KiB in which no two stretches are alike, and which packs.
fn blob() -> Vec<u8> {
    (0..2048_u32).flat_map(|at| ((at * 40_503) as u16 & 0x0fff).to_le_bytes()).collect()
}

fn piece(blob: usize) -> impl Strategy<Value = Piece> {
    let transform = prop_oneof![
        Just(Transform::Identity),
        any::<u8>().prop_map(Transform::Xor),
        any::<u8>().prop_map(Transform::Add),
    ];
    let at = (0..blob - 300, 1..300_u32, transform);
    prop_oneof![
        at.prop_map(|(at, len, transform)| Piece::Ref(Ref { offset: at as u64, len, transform })),
        (1..200_u32).prop_map(Piece::Raw),
    ]
}

fn windows() -> impl Strategy<Value = Window> {
    prop::collection::vec(piece(blob().len()), 1..30).prop_map(|pieces| {
        let taken = pieces.iter().map(|piece| match piece {
            Piece::Raw(len) => *len as usize,
            Piece::Ref(_) => 0,
        });
        let raw = (0..taken.sum()).map(|at: usize| (at * at / 31) as u8).collect();
        Window { pieces, raw }
    })
}

fn made(window: &Window, blob: &[u8]) -> Vec<u8> {
    let mut out = vec![0; window.bytes() as usize];
    rebuild::window(&Space::blob(blob), &window.pieces, &window.raw, &mut out).expect("fits");
    out
}

fn read(
    body: &[u8],
    len: usize,
    from: u64,
    blob: &[u8],
) -> Result<(Vec<Piece>, Vec<u8>), BodyError> {
    let (mut pieces, mut out) = (Vec::new(), vec![0; len]);
    let dictionary = [Dictionary::new(&blob[..2048]).expect("any bytes do")];
    let parsed = Body::parse(body, len as u32, from, &mut pieces)?;
    let space = Space::blob(blob);
    parsed.rebuild(&pieces, &space, &mut Unpacker::default(), &dictionary, &mut out)?;
    Ok((pieces, out))
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(window in windows(), from in any::<u64>(), coding in 0..3) {
        let blob = blob();
        let want = made(&window, &blob);
        let mut writer = match coding {
            0 => BodyWriter::new(0),
            1 => BodyWriter::new(3),
            _ => BodyWriter::new(3).with_dictionary(0, &blob[..2048]),
        };
        let mut body = Vec::new();
        writer.write(&window, from, check(&want), &mut body).expect("whole");
        let (pieces, out) = read(&body, want.len(), from, &blob).expect("as written");
        prop_assert_eq!(pieces, window.pieces);
        prop_assert_eq!(&out, &want);
        // Each truncation is refused, and so is each changed byte, unless it makes the same window.
        for len in 0..body.len() {
            prop_assert!(read(&body[..len], want.len(), from, &blob).is_err());
        }
        for at in 0..body.len() {
            let mut bad = body.clone();
            bad[at] ^= 0x41;
            if let Ok((_, out)) = read(&bad, want.len(), from, &blob) {
                prop_assert_eq!(&out, &want);
            }
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200), len in 1..300_usize) {
        let _ = read(&bytes, len, 7, &blob());
        let mut pieces = Vec::new();
        if Body::parse(&bytes, len as u32, 7, &mut pieces).is_ok() {
            prop_assert!(pieces.len() <= bytes.len());
            prop_assert_eq!(pieces.iter().map(|piece| piece.len() as usize).sum::<usize>(), len);
        }
    }

    #[test]
    fn packs_keep_bodies_in_order(
        bodies in prop::collection::vec((0..1000_u32, prop::collection::vec(any::<u8>(), 0..50)), 0..40),
        most in 0..700_usize,
    ) {
        let mut pack = Pack::new(most);
        let (mut window, mut kept) = (0, Vec::new());
        for (skip, body) in &bodies {
            window += skip;
            if pack.push(window, body) {
                kept.push((window, body.as_slice()));
                prop_assert!(!pack.push(window, body));
                window += 1;
            }
        }
        prop_assert!(pack.bytes().len() <= most);
        let read: Result<Vec<_>, _> = Packed::new(pack.window(), pack.bytes()).collect();
        prop_assert_eq!(read.expect("whole"), kept);
        for len in 0..pack.bytes().len() {
            let cut = Packed::new(pack.window(), &pack.bytes()[..len]);
            prop_assert!(cut.flatten().count() < bodies.len());
        }
    }
}

#[test]
fn a_body_is_these_bytes() {
    let reference = |offset, len, transform| Piece::Ref(Ref { offset, len, transform });
    let pieces = vec![
        reference(1_000, 300, Transform::Identity),
        Piece::Raw(2),
        reference(1_300, 5, Transform::Xor(0xff)),
        reference(0, 4, Transform::Add(7)),
    ];
    let window = Window { pieces, raw: b"hi".to_vec() };
    let mut body = Vec::new();
    BodyWriter::new(3)
        .write(&window, 1_000, Check(0x0102_0304_0506_0708), &mut body)
        .expect("whole");
    let want =
        b"\x10\xb0\x09\x00\x0b\x15\xff\x00\x02\x07\xb1\x14hi\x08\x07\x06\x05\x04\x03\x02\x01";
    assert_eq!(body, want);
}

#[test]
fn the_check_is_crc_64_nvme() {
    assert_eq!(check(b"123456789"), Check(0xae8b_1486_0a79_9888));
}

#[test]
fn a_whole_window_of_one_reference_is_short() {
    let window = Window {
        pieces: vec![Piece::Ref(Ref {
            offset: Space::BESIDE + 65_536,
            len: 65_536,
            transform: Transform::Identity,
        })],
        raw: Vec::new(),
    };
    let mut body = Vec::new();
    BodyWriter::new(0).write(&window, Space::BESIDE + 65_536, Check(0), &mut body).expect("whole");
    assert_eq!(body.len(), 3 + CHECK);
}

#[test]
fn hostile_bodies_are_refused() {
    let run = |body: &[u8], len| Body::parse(body, len, 0, &mut Vec::new()).map(|_| ());
    let with = |parts: &[&[u8]]| [parts.concat().as_slice(), &[0; CHECK][..]].concat();
    assert_eq!(run(&[], 5), Err(BodyError::Short("check")));
    assert_eq!(run(&[0; 8], 5), Err(BodyError::Short("head")));
    assert_eq!(run(&with(&[&[3]]), 5), Err(BodyError::Coding(3)));
    assert_eq!(run(&with(&[&[2]]), 5), Err(BodyError::Short("head")));
    let many = b"\xfc\xff\xff\xff\xff\xff\xff\xff\xff\x01";
    assert_eq!(run(&with(&[many]), 5), Err(BodyError::Pieces(u64::MAX >> 2)));
    assert_eq!(run(&with(&[&[0]]), 5), Err(BodyError::Length(5)), "no pieces");
    assert_eq!(run(&with(&[&[4, 4 << 2 | 3], b"four"]), 5), Err(BodyError::Length(5)));
    assert_eq!(run(&with(&[&[4, 6 << 2 | 3], b"sixsix"]), 5), Err(BodyError::Length(5)));
    assert_eq!(run(&with(&[&[8, 3, 3], b"five5"]), 5), Err(BodyError::Length(5)), "nothing left");
    assert_eq!(run(&with(&[&[4, 3], b"fiv"]), 5), Err(BodyError::Raw { taken: 5, have: 3 }));
    assert_eq!(run(&with(&[&[5, 0, 0], b"x"]), 5), Err(BodyError::Raw { taken: 0, have: 1 }));
    assert_eq!(run(&with(&[&[4, 1]]), 5), Err(BodyError::Short("pieces")));
    // An offset that wraps is an address like any other, which the space does not have.
    let blob = blob();
    let outside = read(&with(&[&[4, 0, 1]]), 5, 0, &blob);
    let want = RebuildError::Outside { offset: u64::MAX, len: 5 };
    assert_eq!(outside, Err(BodyError::Rebuild(want)));
    let bomb = zstd::bulk::compress(&[0; 100_000], 19).expect("packs");
    assert_eq!(read(&with(&[&[5, 3], &bomb]), 5, 0, &blob), Err(BodyError::Packed(5)));
    assert_eq!(read(&with(&[&[6, 9, 3], &bomb]), 5, 0, &blob), Err(BodyError::Dictionary(9)));
    assert_eq!(read(&with(&[&[4, 3], b"five5"]), 5, 0, &blob), Err(BodyError::Check));
}

#[test]
fn windows_that_do_not_add_up_are_not_written() {
    let mut out = Vec::new();
    let mut write = |pieces: Vec<Piece>, raw: &[u8]| {
        BodyWriter::new(0).write(&Window { pieces, raw: raw.to_vec() }, 0, Check(0), &mut out)
    };
    assert_eq!(write(vec![Piece::Raw(2)], b"x"), Err(WriteError::Raw { taken: 2, have: 1 }));
    assert_eq!(write(vec![Piece::Raw(0)], b""), Err(WriteError::Length(0)));
    assert!(out.is_empty());
}
