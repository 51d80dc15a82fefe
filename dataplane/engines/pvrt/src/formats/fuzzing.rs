//! Bodies of the fuzz targets, shared with the tests that replay their corpora.
//!
//! Each takes bytes as the fuzzer makes them and panics when a promise is broken. The promise of
//! every reader: refuse, or give what its writer writes as these very bytes.

use super::binary::{BinaryReader, BinaryWriter, WindowEncoder};
use super::blueprint::{Blueprint, Formula, Packed};
use super::frames::Span;
use super::frames::gram::Gram;
use super::frames::pf::{Control, Frame};
use super::frames::pfsx::Pfsx;
use super::frames::preface::Preface;
use super::frames::tcp::Message;
use super::frames::varint::{Decoder, Encoder, Framing};
use super::iprog::Iprog;
use super::pox1::{Container, Proto, Width};
use super::{Format, Opened};
use crate::rebuild::{Scratch, Source};
use crate::space::Space;

/// Size of the blob that references are resolved with.
const BLOB: u64 = 4096;

fn blob() -> Vec<u8> {
    (0..BLOB).map(|at| (at * 131 + at / 256) as u8).collect()
}

/// Rebuilds what can be opened, as far as a few megabytes go.
fn rebuild_all(data: &[u8]) {
    let Ok(opened) = Opened::open(data, Some(BLOB)) else { return };
    assert_eq!(Some(opened.format()), Format::of(data));
    let (blob, mut scratch) = (blob(), Scratch::default());
    for index in 0..opened.head().windows().min(64) {
        let len = opened.head().window_len(index);
        let Ok(parts) = opened.window(index, &mut scratch) else { continue };
        let mut out = vec![0; len.min(1 << 20)];
        // Lengths and references are compared there.
        let _ = crate::rebuild::window(&Space::blob(&blob), parts.pieces, parts.raw, &mut out);
    }
}

/// POX1 containers, and packed references.
///
/// # Panics
/// When a promise is broken.
pub fn pox1(data: &[u8]) {
    rebuild_all(data);
    if let Ok(container) = Container::read(data)
        && let Ok(bytes) = container.write()
    {
        let again = Container::read(&bytes);
        assert_eq!(again.map(|again| again.brefs), Ok(container.brefs.clone()));
        // Empty RAW and PROTO, split lists and other orders say the same.
        assert!(bytes.len() <= data.len() || container.brefs.len() > 65_535);
    }
    for width in [Width::Byte, Width::Half, Width::Word] {
        if let Ok(proto) = Proto::read(data, width, 4) {
            assert_eq!(proto.write(4).as_deref(), Ok(data));
        }
    }
}

/// Packed blueprints.
///
/// # Panics
/// When a promise is broken.
pub fn pbb2(data: &[u8]) {
    rebuild_all(data);
    if let Ok(packed) = Packed::read(data) {
        let bytes = packed.write();
        assert_eq!(Packed::read(&bytes), Ok(packed));
        if data.starts_with(b"PBB2") {
            assert_eq!(bytes, data);
        }
    }
}

/// IPROG and blueprints in JSON.
///
/// # Panics
/// When a promise is broken.
pub fn iprog_json(data: &[u8]) {
    rebuild_all(data);
    if let Ok(iprog) = Iprog::read(data) {
        let bytes = iprog.write().expect("what was read is complete");
        assert_eq!(Iprog::read(&bytes), Ok(iprog));
    }
    if let Ok(blueprint) = Blueprint::read(data) {
        assert_eq!(Blueprint::read(&blueprint.write()), Ok(blueprint));
    }
    if let Ok(formula) = Formula::read(data) {
        assert_eq!(Formula::read(&formula.write()), Ok(formula));
    }
}

/// Programs in the binary format. Check sums are mended first, or nothing behind them would be
/// met.
///
/// # Panics
/// When a promise is broken.
pub fn iprog_binary(data: &[u8]) {
    rebuild_all(data);
    let mut mended = data.to_vec();
    super::binary::mend(&mut mended);
    rebuild_all(&mended);
    let Ok(reader) = BinaryReader::open(&mended) else { return };
    let Ok(program) = reader.program() else { return };
    let Ok(mut encoder) = WindowEncoder::new(1, &[]) else { return };
    let mut writer = BinaryWriter::new(Vec::new(), reader.head(), &[]).expect("a head was read");
    for window in &program.windows {
        writer.put(&encoder.encode(window).expect("a window was read")).expect("memory");
    }
    let bytes = writer.finish(&program.sha256).expect("memory");
    assert_eq!(BinaryReader::open(&bytes).and_then(|again| again.program()), Ok(program));
}

/// PFSX frames, grams, and the frames of transfers.
///
/// # Panics
/// When a promise is broken.
pub fn pfsx(data: &[u8]) {
    if let Ok(frame) = Pfsx::read(data, BLOB) {
        assert_eq!(frame.write(BLOB).as_deref(), Ok(data));
    }
    if let Ok(gram) = Gram::read(data) {
        assert_eq!(gram.write(), data);
    }
    if let Ok(preface) = Preface::read(data) {
        assert_eq!(preface.write().as_deref(), Ok(data));
    }
    if let Ok(control) = Control::read(data) {
        assert_eq!(Control::read(&control.write()), Ok(control));
    }
    let mut out = Vec::new();
    if let Ok(Some((message, used))) = Message::read(data) {
        message.write(&mut out).expect("it was read");
        assert_eq!(out, data[..used]);
    }
    out.clear();
    if let Ok(Some((frame, used))) = Frame::read(data) {
        frame.write(&mut out).expect("it was read");
        assert_eq!(out, data[..used]);
    }
}

/// PVRT frames by varint: packets of a byte with their length each.
///
/// # Panics
/// When a promise is broken.
pub fn pvrt_varint(data: &[u8]) {
    let blob = blob();
    let Some((&first, mut rest)) = data.split_first() else { return };
    let framing = if first & 1 == 0 { Framing::Head } else { Framing::Bare };
    let shift = first >> 1 & 31;
    let mut decoder = Decoder::new(&blob, framing, shift);
    let mut spans: Vec<Span> = Vec::new();
    while let Some((&len, after)) = rest.split_first() {
        let (packet, after) = after.split_at(usize::from(len).min(after.len()));
        rest = after;
        spans.clear();
        let before = decoder.clone();
        let Ok(stream) = decoder.decode(packet, &mut spans) else {
            assert!(spans.is_empty(), "a frame that is not taken gives nothing");
            continue;
        };
        let inside = |span: &Span| span.offset + u64::from(span.len) <= BLOB && span.len > 0;
        assert!(spans.iter().all(inside));
        // A second decoder that was where the first one was agrees with an encoder.
        let mut encoder = Encoder::new(&blob, framing, 0);
        encoder.resync(stream);
        if framing == Framing::Head {
            let again = encoder.encode(stream, &spans).expect("inside the blob");
            let (mut other, mut found) = (before, Vec::new());
            assert_eq!(other.decode(&again, &mut found), Ok(stream));
            assert_eq!(found, spans);
        }
    }
}
