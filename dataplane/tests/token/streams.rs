//! Streams over packets.

use std::collections::BTreeMap;

use pfs_dataplane::ops::ids::{Columns, IdRecord};
use pfs_dataplane::ops::token::Digest;

use crate::common::modes;
use crate::rig::{FIN, Flow, RST, SYN, columns, counter, encode, found, tcp, text, udp};

const PROGRAM: &str = "token:r50k_base,mode=flow";

/// Pieces of `text` of changing length, down to one byte.
fn cut(text: &[u8], seed: usize) -> Vec<&[u8]> {
    let (mut rest, mut at, mut pieces) = (text, seed, Vec::new());
    while !rest.is_empty() {
        at = at.wrapping_mul(2_862_933_555_777_941_757).wrapping_add(3_037_000_493);
        let longest = if at >> 40 & 7 == 0 { 4 } else { 1400 };
        let (piece, left) = rest.split_at((1 + (at >> 45) % longest).min(rest.len()));
        pieces.push(piece);
        rest = left;
    }
    pieces
}

/// The ids of each stream, by its number.
fn streams(columns: &Columns) -> BTreeMap<u64, (String, Vec<u32>)> {
    let mut streams: BTreeMap<u64, (String, Vec<u32>)> = BTreeMap::new();
    for record in columns.records() {
        let new = !streams.contains_key(&record.stream);
        assert_eq!(record.flags & IdRecord::START != 0, new);
        let stream = streams.entry(record.stream).or_default();
        stream.0 = record.ends().to_string();
        stream.1.extend_from_slice(columns.ids_of(record));
    }
    let ends = columns.records().iter().filter(|record| record.flags & IdRecord::END != 0);
    assert_eq!(ends.count(), streams.len());
    streams
}

#[test]
fn a_text_over_packets_is_the_text() {
    let text = text();
    // Both directions of a flow have one hash, and must not mix.
    let flows = [Flow(1000, 2000), Flow(2000, 1000), Flow(1001, 2000)];
    let texts = [&text[..], &text[text.len() / 3..], b"\xf0\x9f\x98"];
    let mut queues: Vec<_> = flows
        .iter()
        .zip(texts)
        .enumerate()
        .map(|(at, (&flow, text))| (flow, cut(text, at + 1).into_iter()))
        .collect();
    let mut frames = Vec::new();
    while frames.len() < 100_000 {
        let before = frames.len();
        for (flow, pieces) in &mut queues {
            frames.extend(pieces.next().map(|piece| udp(*flow, piece)));
        }
        if frames.len() == before {
            break;
        }
    }
    let ids = texts.map(encode);
    let count: usize = ids.iter().map(Vec::len).sum();
    let digest = ids.iter().fold(0u64, |sum, ids| sum.wrapping_add(Digest::of(ids)));
    for mode in modes() {
        let (report, columns) = columns(&frames, PROGRAM, mode);
        assert_eq!(found(&report), [count as u64, digest], "{mode:?}");
        assert_eq!((counter(&report, "texts"), counter(&report, "streams")), (3, 3));
        let streams: Vec<_> = streams(&columns).into_values().collect();
        assert_eq!(streams[0], ("10.0.0.1:1000 > 10.0.0.2:2000".into(), ids[0].clone()));
        assert_eq!(streams[1], ("10.0.0.2:2000 > 10.0.0.1:1000".into(), ids[1].clone()));
        assert_eq!(streams[2], ("10.0.0.1:1001 > 10.0.0.2:2000".into(), ids[2].clone()));
        let key = columns.records()[0].ends();
        let one: Vec<u32> =
            columns.of_flow(&key).flat_map(|r| columns.ids_of(r)).copied().collect();
        assert_eq!(one, ids[0]);
        assert_eq!(columns.between(0..u64::MAX).count(), columns.records().len());
        assert_eq!(columns.between(0..1).count(), 0);
    }
}

#[test]
fn tcp_in_order_with_everything_twice_is_the_text() {
    let text = text();
    let flow = Flow(5000, 80);
    let mut frames = vec![tcp(flow, u32::MAX - 5000, SYN, b""), tcp(flow.back(), 9, SYN, b"")];
    let mut at = u32::MAX - 4999;
    let mut before: Option<Vec<u8>> = None;
    for piece in cut(&text, 7) {
        let frame = tcp(flow, at, 0, piece);
        at = at.wrapping_add(piece.len() as u32);
        frames.push(frame.clone());
        frames.extend(before.replace(frame));
        frames.push(tcp(flow.back(), 10, 0, b""));
    }
    frames.push(tcp(flow, at, FIN, b""));
    let (report, columns) = columns(&frames, PROGRAM, modes()[0]);
    let ids = encode(&text);
    assert_eq!(found(&report), [ids.len() as u64, Digest::of(&ids)]);
    assert_eq!(columns.ids(), ids);
    assert_eq!(counter(&report, "gaps"), 0);
    assert!(counter(&report, "repeated_bytes") > text.len() as u64 / 2);
    assert_eq!((counter(&report, "closed"), counter(&report, "streams")), (1, 1));
}

const FOX: &[u8] = b"The quick brown fox jumps over the lazy dog, again and again.";

/// Segments of [`FOX`] in the order given, as (from, to).
fn segments(order: &[(usize, usize)]) -> Vec<Vec<u8>> {
    order.iter().map(|&(from, to)| tcp(Flow(1, 2), 100 + from as u32, 0, &FOX[from..to])).collect()
}

#[test]
fn missing_and_late_segments_cut_the_stream_and_are_counted() {
    // 10..20 is missing for good; 30..40 and 40..50 come the wrong way round.
    let frames = segments(&[(0, 10), (20, 30), (40, 50), (30, 40), (50, 61)]);
    let (report, columns) = columns(&frames, PROGRAM, modes()[0]);
    let found: Vec<_> = streams(&columns).into_values().map(|(_, ids)| ids).collect();
    assert_eq!(found, [&FOX[..10], &FOX[20..30], &FOX[40..]].map(encode));
    assert_eq!((counter(&report, "gaps"), counter(&report, "gap_bytes")), (2, 20));
    assert_eq!(counter(&report, "repeated_bytes"), 10, "the late one");
    assert_eq!(counter(&report, "texts"), 3);
}

#[test]
fn a_new_connection_between_the_same_ends_is_a_new_text() {
    let flow = Flow(1, 2);
    let frames = [
        tcp(flow, 10, SYN, b""),
        tcp(flow, 11, 0, b"first on"),
        tcp(flow, 500, SYN, b""),
        tcp(flow, 501, 0, b"second"),
        tcp(flow, 507, RST, b""),
        tcp(flow, 501, 0, b"second"),
        tcp(flow, 9000, SYN, b"data with the opening"),
    ];
    let (report, columns) = columns(&frames, PROGRAM, modes()[0]);
    let found: Vec<_> = streams(&columns).into_values().map(|(_, ids)| ids).collect();
    assert_eq!(found, [&b"first on"[..], b"second", b"data with the opening"].map(encode));
    assert_eq!(counter(&report, "closed"), 1);
    assert_eq!(counter(&report, "restarted"), 2);
    assert_eq!(counter(&report, "repeated_bytes"), 6);
}

#[test]
fn a_full_table_ends_the_stream_that_was_used_longest_ago() {
    let flows: Vec<Flow> = (0..10).map(|n| Flow(1000 + n, 7)).collect();
    let piece = |round: usize, n: usize| format!("round{round} of flow{n} go");
    let mut frames = Vec::new();
    for round in 0..2 {
        for (n, flow) in flows.iter().enumerate() {
            frames.push(udp(*flow, piece(round, n).as_bytes()));
        }
    }
    let (report, columns) = columns(&frames, &format!("{PROGRAM},flows=4"), modes()[0]);
    assert_eq!(counter(&report, "evicted"), 16);
    assert_eq!((counter(&report, "streams"), counter(&report, "texts")), (20, 20));
    let found: Vec<_> = streams(&columns).into_values().map(|(_, ids)| ids).collect();
    let each = |at: usize| encode(piece(at / 10, at % 10).as_bytes());
    assert_eq!(found, (0..20).map(each).collect::<Vec<_>>());
    let (report, columns) = crate::rig::columns(&frames, PROGRAM, modes()[0]);
    assert_eq!((counter(&report, "evicted"), counter(&report, "texts")), (0, 10));
    let joined = encode((piece(0, 3) + &piece(1, 3)).as_bytes());
    assert_eq!(streams(&columns)[&4].1, joined);
}
