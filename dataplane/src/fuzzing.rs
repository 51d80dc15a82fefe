//! Bodies of the fuzz targets, shared with the tests that replay their corpora.
//!
//! Each takes bytes as the fuzzer makes them and panics when a promise is broken.

use crate::ops::cst::Piece;
use crate::ops::ids;
use crate::packet::{Fragment, Frame, Malformed, Parsed, Ports, flow_hash, lane_of, parse};
use crate::pcpu::{Compiled, Isa, Program, Results, SpanBatch, optimize};
use crate::receivers::Framing;
use crate::receivers::pcap::{Bytes, Reader};

/// Frame parse: framing, bytes in later buffers and bytes cut from the capture (one byte each),
/// then the first buffer.
pub fn frame_parse(data: &[u8]) {
    let Some((&[framing, later, cut], head)) = data.split_first_chunk() else {
        return;
    };
    let framing = match framing % 4 {
        0 | 3 => Framing::Ethernet,
        1 => Framing::Ip,
        _ => Framing::Payload,
    };
    let captured = head.len() as u32 + u32::from(later);
    check_parse(framing, head, captured, captured + u32::from(cut));
}

/// Parses and holds the result against what every result must be.
///
/// # Panics
/// When it is not.
pub fn check_parse(framing: Framing, head: &[u8], captured: u32, wire: u32) {
    let frame = Frame::new(head, captured, wire);
    match parse(framing, frame) {
        Ok(parsed) => check_parsed(frame, &parsed),
        Err(kind) => {
            assert!(kind != Malformed::OutsideRegion);
            assert!(kind != Malformed::CutInHeader || frame.is_truncated());
            assert!(kind != Malformed::SplitHeader || frame.captured() as usize > head.len());
        }
    }
}

fn check_parsed(frame: Frame<'_>, parsed: &Parsed) {
    let end = u64::from(parsed.payload.offset) + u64::from(parsed.payload.len);
    assert!(parsed.payload.offset as usize <= frame.head().len(), "payload begins in the head");
    assert!(end <= u64::from(frame.captured()), "payload ends within the capture");
    assert_eq!(parsed.truncated, frame.is_truncated());
    assert!(parsed.fragment != Fragment::Later || parsed.ports.is_none());

    let back = Parsed {
        source: parsed.destination,
        destination: parsed.source,
        ports: parsed
            .ports
            .map(|ports| Ports { source: ports.destination, destination: ports.source }),
        ..*parsed
    };
    assert_eq!(flow_hash(parsed), flow_hash(&back));
    assert!(lane_of(flow_hash(parsed), 3) < 3);
}

/// Reads a whole capture and holds its packets against what the receivers rely on.
///
/// # Panics
/// When a packet does not lie within `data`, behind the one before it.
pub fn pcap_read(data: &[u8]) {
    let bytes = Bytes::of_slice(data);
    let Ok(mut reader) = Reader::open(bytes) else { return };
    let mut end_of_last = 0;
    while let Ok(Some(packet)) = reader.next(bytes) {
        assert!(packet.offset >= end_of_last, "packets overlap");
        end_of_last = packet.offset + u64::from(packet.captured);
        assert!(end_of_last <= bytes.len(), "a packet runs past the end of the file");
        assert!(packet.wire >= packet.captured);
        assert!(packet.ether_type.is_none() || packet.captured >= 14);
    }
    assert!(reader.ended());
    assert_eq!(reader.next(bytes), Ok(None));
}

/// What a reader of token ids is given: the bytes as an index of columns, and as words of a ring.
///
/// # Panics
/// When a record is taken that goes beyond its ids or its ring.
pub fn id_records(data: &[u8]) {
    ids::fuzz_index(data);
    ids::fuzz_words(data);
}

/// A program's text: refused with its place, or read again as it was written, and optimized
/// without changing what it finds or leaves.
///
/// # Panics
/// When a promise is broken.
pub fn program_text(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let program = match Program::parse(text) {
        Ok(program) => program,
        Err(error) => {
            assert!((1..=text.len() + 1).contains(&error.column), "{error}");
            return assert!(text.is_char_boundary(error.column - 1), "{error}");
        }
    };
    let written = program.to_string();
    assert_eq!(Program::parse(&written).as_ref(), Ok(&program), "{written}");
    // Engines have bodies of their own, and need files that a text may name.
    if program.engines().next().is_some() {
        return;
    }
    for isa in Isa::all_available() {
        let plain = outcome(Compiled::new(&program, isa));
        let optimized = optimize(&program, true);
        assert_eq!(outcome(optimized.compile(isa)), plain, "{isa:?}: {written}");
        let read_only = optimize(&program, false);
        assert_eq!(outcome(read_only.compile(isa)).0, plain.0, "{isa:?}: {written}");
    }
}

/// What a program finds in some messages, and what it leaves of them. Ops may be written otherwise
/// once they are optimized: their names do not count.
fn outcome(mut program: Compiled) -> (Results, Vec<Vec<u8>>) {
    let byte = |at: usize| ((at * at) >> 3) as u8;
    let mut messages: Vec<Vec<u8>> =
        [0, 1, 7, 63, 64, 200, 700].map(|len| (0..len).map(byte).collect()).into();
    let mut spans: Vec<&mut [u8]> = messages.iter_mut().map(Vec::as_mut_slice).collect();
    program.run(&mut SpanBatch::of_messages(&mut spans));
    (Results { ops: Vec::new(), ..program.results() }, messages)
}

/// Any bytes as a piece of a file: refused, or what it says it is, which writing it again gives.
///
/// # Panics
/// When a promise is broken.
pub fn file_piece(data: &[u8]) {
    let Some(piece) = Piece::read(data) else { return };
    assert!(u64::from(piece.offset) + piece.bytes.len() as u64 <= u64::from(piece.total));
    let mut again = Vec::new();
    piece.write(&mut again);
    assert!(data.starts_with(&again));
}
