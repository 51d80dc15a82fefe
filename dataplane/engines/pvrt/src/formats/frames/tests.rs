//! The original's frames, frames there and back, and everything that is none.

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::json;

use super::gram::{Generator, Gram};
use super::pf::{Control, Frame, JsonControl, Needed, read_offsets, write_offsets};
use super::pfsx::{Body, Pfsx};
use super::preface::Preface;
use super::tcp::{GramComplete, GramRequest, MESSAGE_MAX, Message};
use super::varint::{Decoder, Encoder, Framing, VarintError};
use super::*;
use crate::formats::Fault;
use crate::formats::pox1::Bref;

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<char> = text.chars().filter(|char| !char.is_whitespace()).collect();
    let digit = |at: &char| at.to_digit(16).expect("hex");
    digits.chunks(2).map(|pair| (digit(&pair[0]) << 4 | digit(&pair[1])) as u8).collect()
}

/// The blob of the worked example.
fn blob() -> Vec<u8> {
    (0..1_u32 << 20).map(|at| (131 * at + 17) as u8).collect()
}

#[test]
fn hashes_of_the_original() {
    assert_eq!(fnv(b""), 0x1465_0fb0_739d_0383);
    assert_eq!(fnv(b"a"), 0x44bd_8ad4_73cd_9906);
    assert_eq!(fnv(b"foobar"), 0x88fa_d7c0_a8ff_07f2);
}

#[test]
fn a_gram_of_the_original() {
    let spans = vec![Span::new(1, 2), Span { offset: 3, len: 4, flags: 5 }];
    let gram = Gram { seq: 7, spans, payload: None };
    let bytes = gram.write();
    let head = "50465247 0100 0000 0700000000000000 02000000 48000000 0000000000000000 00000000 \
                00000000";
    assert_eq!(bytes[..40], unhex(head));
    assert_eq!(bytes.len(), 72);
    assert_eq!(Gram::read(&bytes), Ok(gram));
    for len in 0..bytes.len() {
        assert!(Gram::read(&bytes[..len]).is_err(), "{len}");
    }
    for (at, to) in [(4, 2), (6, 2), (16, 3), (19, 0xff), (20, 0), (24, 1), (32, 1), (36, 1)] {
        let mut bad = bytes.clone();
        bad[at] = to;
        assert!(Gram::read(&bad).is_err(), "byte {at} as {to}");
    }
}

#[test]
fn spans_of_the_original_generator() {
    let spans = Generator::new(0x1234_5678, 1 << 20, 65_536, 64).expect("possible");
    let want = [
        (167_552, 17_585),
        (897_536, 177),
        (333_376, 44_368),
        (405_568, 60_646),
        (951_744, 1_431),
        (900_032, 40_508),
    ];
    assert_eq!(spans.take(6).map(|s| (s.offset, s.len)).collect::<Vec<_>>(), want);
    assert!(Generator::new(1, 0, 1, 1).is_none());
    assert!(Generator::new(1, 1, 0, 1).is_none());
    let tight = Generator::new(0, 100, 1_000, 48).expect("possible");
    assert!(tight.take(1_000).all(|span| span.offset + u64::from(span.len) <= 100));
}

#[test]
fn the_init_of_the_original() {
    let init = Pfsx { seq: 0, arith: true, body: Body::Init };
    let bytes = unhex("5853565002000500 000000000000000000000000");
    assert_eq!(init.write(0), Ok(bytes.clone()));
    assert_eq!(Pfsx::read(&bytes, 0), Ok(init));
    for (at, to) in [(4, 1), (4, 3), (6, 7), (16, 1), (18, 1)] {
        let mut bad = bytes.clone();
        bad[at] = to;
        assert!(Pfsx::read(&bad, 0).is_err(), "byte {at} as {to}");
    }
}

#[test]
fn differences_count_from_half_the_blob() {
    let spans = vec![Span::new(100, 1), Span::new(50, 2)];
    let frame = Pfsx { seq: 1, arith: true, body: Body::Spans(spans) };
    let bytes = frame.write(160).expect("few");
    assert_eq!(bytes[20..28], 20_u64.to_le_bytes());
    assert_eq!(bytes[36..44], (-50_i64).to_le_bytes());
    for len in 0..bytes.len() {
        assert!(Pfsx::read(&bytes[..len], 160).is_err(), "{len}");
    }
    let many = Body::Spans(vec![Span::new(0, 1); 65_536]);
    assert!(Pfsx { body: many, ..frame }.write(160).is_err());
}

#[test]
fn the_worked_example_of_the_original() {
    let blob = blob();
    let spans = [Span::new(524_352, 128), Span::new(700_032, 64)];
    let mut encoder = Encoder::new(&blob, Framing::Head, 6);
    let frame = encoder.encode(0, &spans).expect("in the blob");
    let want = "54525650 01 06 0800 00 00  00 8001 02 80b915 01  03d9950bae44390e";
    assert_eq!(frame, unhex(want));
    let mut decoder = Decoder::new(&blob, Framing::Head, 0);
    let mut found = Vec::new();
    assert_eq!(decoder.decode(&frame, &mut found), Ok(0));
    assert_eq!(found, spans);
    // The next one builds on it.
    let next = encoder.encode(0, &spans[1..]).expect("in the blob");
    assert_eq!(next[10..13], [0, 0, 1]);
    assert_eq!(decoder.decode(&next, &mut found), Ok(0));
    assert_eq!(found[2], spans[1]);
}

#[test]
fn a_lost_frame_is_noticed_and_mended() {
    let blob = blob();
    let mut encoder = Encoder::new(&blob, Framing::Head, 0);
    let mut decoder = Decoder::new(&blob, Framing::Head, 0);
    let span = |at: u64| [Span::new(at * 1_000 + 1, 77)];
    let mut spans = Vec::new();
    let first = encoder.encode(9, &span(1)).expect("in");
    decoder.decode(&first, &mut spans).expect("in step");
    let _lost = encoder.encode(9, &span(2)).expect("in");
    let after = encoder.encode(9, &span(3)).expect("in");
    let stream = 9;
    assert_eq!(decoder.decode(&after, &mut spans), Err(VarintError::Hash { stream }));
    assert_eq!(decoder.decode(&after, &mut spans), Err(VarintError::OutOfStep { stream }));
    let other = encoder.encode(8, &span(4)).expect("in");
    assert_eq!(decoder.decode(&other, &mut spans), Ok(8), "other streams go on");
    encoder.resync(9);
    let anew = encoder.encode(9, &span(5)).expect("in");
    assert_eq!(anew[8], 1, "flagged");
    assert_eq!(decoder.decode(&anew, &mut spans), Ok(9));
    let next = encoder.encode(9, &span(6)).expect("in");
    assert_eq!(next[8], 0, "once");
    assert_eq!(decoder.decode(&next, &mut spans), Ok(9));
    assert_eq!(spans, [span(1), span(4), span(5), span(6)].concat());
}

#[test]
fn an_offset_of_zero_is_none() {
    let blob = blob();
    for framing in [Framing::Head, Framing::Bare] {
        let mut encoder = Encoder::new(&blob, framing, 0);
        let mut decoder = Decoder::new(&blob, framing, 0);
        let spans = [Span::new(5, 1), Span::new(0, 2), Span::new(7, 3)];
        let mut found = Vec::new();
        for part in spans.chunks(2) {
            let frame = encoder.encode(255, part).expect("in");
            assert_eq!(decoder.decode(&frame, &mut found), Ok(255));
        }
        assert_eq!(found, spans);
    }
}

#[test]
fn hostile_varint_frames_are_refused() {
    let blob = [1_u8; 100];
    let mut decoder = Decoder::new(&blob, Framing::Bare, 6);
    let mut spans = Vec::new();
    let mut refuse = |region: &[u8]| {
        let frame = [region, &[0; 8]].concat();
        let error = decoder.decode(&frame, &mut spans).expect_err("hostile");
        assert!(matches!(error, VarintError::Format(_)), "{error}");
        assert!(spans.is_empty());
    };
    refuse(&[]);
    refuse(&[0x80, 2]); // stream 256
    refuse(&[0, 0, 0]); // no bytes
    refuse(&[0, 0, 1]); // 64 bytes from 50 on
    refuse(&[0, 0, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1]); // shifted out
    refuse(&[0, 0x65, 1]); // before the begin
    refuse(&[0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 1]);
    refuse(&[0, 2]); // no length
    let error = decoder.decode(&[0; 7], &mut Vec::new()).expect_err("no hash");
    assert!(
        matches!(error, VarintError::Format(ref e) if matches!(e.fault, Fault::Truncated { .. }))
    );
    let mut encoder = Encoder::new(&blob, Framing::Head, 1);
    let frame = encoder.encode(0, &[Span::new(0, 2)]).expect("in");
    for (at, to) in [(0, 0), (4, 2), (5, 32), (6, 9), (8, 2), (9, 1)] {
        let mut bad = frame.clone();
        bad[at] = to;
        let mut decoder = Decoder::new(&blob, Framing::Head, 0);
        let error = decoder.decode(&bad, &mut Vec::new()).expect_err("hostile");
        assert!(matches!(error, VarintError::Format(_)), "byte {at} as {to}: {error}");
    }
    for wrong in [Span::new(0, 3), Span::new(0, 0), Span::new(99, 2), Span::new(u64::MAX, 2)] {
        assert!(encoder.encode(0, &[wrong]).is_err(), "{wrong:?}");
    }
    let many = vec![Span::new(2, 2); 40_000];
    assert!(encoder.encode(0, &many).is_err());
}

#[test]
fn messages_of_the_original() {
    let mut stream = Vec::new();
    Message { kind: tcp::gram::REQUEST, body: b"{}" }.write(&mut stream).expect("short");
    assert_eq!(stream, b"PFS1\0\0\0\x28\0\0\0\x02{}");
    Message { kind: tcp::gram::ERROR, body: b"" }.write(&mut stream).expect("short");
    for len in 0..14 {
        assert_eq!(Message::read(&stream[..len]), Ok(None), "{len}");
    }
    let (first, used) = Message::read(&stream).expect("ours").expect("whole");
    assert_eq!((first.kind, first.body, used), (40, b"{}".as_slice(), 14));
    let (second, _) = Message::read(&stream[used..]).expect("ours").expect("whole");
    assert_eq!(second.kind, 255);
    assert_eq!(Message::read(b"PFX").expect_err("other").fault, Fault::Magic);
    let long = [b"PFS1\0\0\0\x01".as_slice(), &(MESSAGE_MAX + 1).to_be_bytes()].concat();
    assert!(matches!(Message::read(&long).expect_err("long").fault, Fault::TooMuch { .. }));
    let request: GramRequest = serde_json::from_str("{\"seed\": 7}").expect("defaults");
    assert_eq!((request.seed, request.gram_bytes), (7, 1 << 20));
    let end = GramComplete::new("ok", 3, fnv(b"a"));
    assert_eq!((end.checksum.as_str(), end.hash()), ("0x44bd8ad473cd9906", Some(fnv(b"a"))));
    let short = GramComplete { checksum: "0x1".into(), ..end };
    assert_eq!(short.hash(), None);
}

#[test]
fn the_preface_of_the_original() {
    let preface = Preface {
        channels: 2,
        channel: 1,
        transfer: b"t".to_vec(),
        blob: b"b".to_vec(),
        object: b"o".to_vec(),
        psk: b"k".to_vec(),
        anchor: Some(524_288),
    };
    let bytes = unhex("50565254 01 01 0002 0001 0174 0162 016f 016b 08 0000000000080000");
    assert_eq!(preface.write(), Ok(bytes.clone()));
    assert_eq!(Preface::read(&bytes), Ok(preface.clone()));
    for len in 0..bytes.len() {
        assert!(Preface::read(&bytes[..len]).is_err(), "{len}");
    }
    for (at, to) in [(4, 2), (5, 2), (5, 0), (10, 9), (18, 7)] {
        let mut bad = bytes.clone();
        bad[at] = to;
        assert!(Preface::read(&bad).is_err(), "byte {at} as {to}");
    }
    let plain = Preface { anchor: None, psk: Vec::new(), ..preface.clone() };
    assert_eq!(Preface::read(&plain.write().expect("short")), Ok(plain));
    assert!(Preface { psk: vec![0; 256], ..preface }.write().is_err());
}

#[test]
fn transfer_frames_of_the_original() {
    let bytes = Frame::split(b"hello world", 5, 8).expect("short");
    let want = "5046 0000000000000005 00000008 00 68656c6c6f20776f \
                5046 0000000000000006 00000003 00 726c64";
    assert_eq!(bytes, unhex(want));
    let (first, used) = Frame::read(&bytes).expect("ours").expect("whole");
    assert_eq!((first.seq, first.control, first.payload), (5, false, b"hello wo".as_slice()));
    for len in used..bytes.len() {
        assert_eq!(Frame::read(&bytes[used..len]), Ok(None));
    }
    let payload = Control::Window(3).write();
    let mut out = Vec::new();
    Frame { seq: 0, control: true, payload: &payload }.write(&mut out).expect("short");
    assert_eq!(out, unhex("5046 0000000000000000 00000005 01 a1 00000003"));
    assert_eq!(Control::read(&payload), Ok(Control::Window(3)));
    assert!(Frame::read(b"PG").is_err());
    assert!(Frame::read(b"PF\0\0\0\0\0\0\0\0\xff\0\0\0\0").is_err(), "too long");
    assert!(Frame::read(b"PF\0\0\0\0\0\0\0\0\0\0\0\0\x02").is_err(), "flags");
}

#[test]
fn controls_come_back() {
    let hex = "00".repeat(16);
    let hashes = vec![hex.clone()];
    for (control, text) in [
        (JsonControl::Window { idx: 3 }, json!({"idx": 3, "type": "WIN"})),
        (JsonControl::End { idx: 3, h: hex.clone() }, json!({"idx": 3, "h": hex, "type": "END"})),
        (
            JsonControl::Done { sha: "x".into(), tw: 1, ws: 2 },
            json!({"sha": "x", "tw": 1, "ws": 2, "type": "DONE"}),
        ),
        (
            JsonControl::Manifest {
                algo: "sha256-16".into(),
                window_size: 1,
                total_windows: 1,
                hashes,
            },
            json!({"type": "MFST", "algo": "sha256-16", "window_size": 1, "total_windows": 1,
                   "hashes": ["00".repeat(16)]}),
        ),
    ] {
        let control = Control::Json(control);
        assert_eq!(Control::read(text.to_string().as_bytes()).as_ref(), Ok(&control));
        assert_eq!(Control::read(&control.write()), Ok(control));
    }
    for control in [Control::Window(1), Control::End(2, [3; 16]), Control::Done([4; 32])] {
        let bytes = control.write();
        for len in 0..bytes.len() {
            assert!(Control::read(&bytes[..len]).is_err(), "{len}");
        }
        assert!(Control::read(&[bytes.as_slice(), &[0]].concat()).is_err());
        assert_eq!(Control::read(&bytes), Ok(control));
    }
    assert!(Control::read(&[0xa4]).is_err());
}

#[test]
fn what_a_manifest_asks_for() {
    assert_eq!(Needed::of(&[1, 2, 3], &[]).needed, [0, 1, 2]);
    assert_eq!(Needed::of(&[1, 2, 3], &[1, 2, 3]).needed, [0; 0]);
    assert_eq!(Needed::of(&[1, 2, 3], &[1, 9]).needed, [1, 2]);
}

#[test]
fn offsets_in_place_of_a_container() {
    let brefs = [Bref { offset: 4096, len: 7, flags: 0 }];
    let bytes = write_offsets(&brefs).expect("one");
    assert_eq!(bytes, unhex("4f464653 0001 0000000000001000 00000007 00"));
    assert_eq!(read_offsets(&bytes), Ok(brefs.to_vec()));
    for len in 0..bytes.len() {
        assert!(read_offsets(&bytes[..len]).is_err(), "{len}");
    }
    assert!(write_offsets(&vec![Bref::default(); 65_536]).is_err());
}

fn span() -> impl Strategy<Value = Span> {
    any::<(u64, u32, u32)>().prop_map(|(offset, len, flags)| Span { offset, len, flags })
}

proptest! {
    #[test]
    fn lists_of_spans_come_back(seq: u64, spans in vec(span(), 0..20), blob: u64, arith: bool,
                                payload in vec(any::<u8>(), 0..50), stored: bool) {
        let gram = Gram { seq, spans: spans.clone(), payload: stored.then_some(&payload) };
        let bytes = gram.write();
        prop_assert_eq!(Gram::read(&bytes), Ok(gram));
        let frame = Pfsx { seq, arith, body: Body::Spans(spans) };
        let bytes = frame.write(blob).expect("few");
        prop_assert_eq!(Pfsx::read(&bytes, blob), Ok(frame));
    }

    #[test]
    fn streams_come_back(frames in vec((any::<u8>(), vec((0..5_000_u64, 1..40_u32), 0..9),
                                        any::<bool>(), any::<bool>()), 0..30),
                         shift in 0..8_u8, bare: bool) {
        let blob: Vec<u8> = (0..10_000_u32).map(|at| (at * 131 + at / 256) as u8).collect();
        let framing = if bare { Framing::Bare } else { Framing::Head };
        let mut encoder = Encoder::new(&blob, framing, shift);
        let mut decoder = Decoder::new(&blob, framing, shift);
        for (stream, spans, resync, damaged) in frames {
            let spans: Vec<Span> =
                spans.into_iter().map(|(at, len)| Span::new(at, len << shift)).collect();
            if resync {
                encoder.resync(stream);
            }
            let mut frame = encoder.encode(stream, &spans).expect("in the blob");
            let mut found = Vec::new();
            if damaged && !bare {
                // Whatever is not taken leaves no trace, and the same frame is taken afterwards.
                let last = frame.len() - 1;
                let mut copy = decoder.clone();
                frame[last] ^= 1;
                prop_assert_eq!(copy.decode(&frame, &mut found), Err(VarintError::Hash { stream }));
                frame[last] ^= 1;
                prop_assert!(found.is_empty());
            }
            prop_assert_eq!(decoder.decode(&frame, &mut found), Ok(stream));
            prop_assert_eq!(found, spans);
        }
    }
}
