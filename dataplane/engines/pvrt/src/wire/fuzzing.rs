//! Bodies of the fuzz targets, shared with the tests that replay their corpora.
//!
//! Each takes bytes as the fuzzer makes them and panics when a promise is broken.

use std::sync::Arc;

use super::assembly::{
    Destination, HeldSpace, Lane, LaneSettings, Transfer, TransferSpec, Transfers,
};
use super::body::{self, Body, BodyWriter, Dictionary, Packed, Unpacker};
use super::frame::{Header, Kind, TAG};
use super::seal::{Cipher, Key};
use super::wanted;
use crate::program::{Piece, Window};
use crate::space::Space;

/// The space of all targets.
static BLOB: [u8; 4096] = {
    let mut blob = [0; 4096];
    let mut at = 0;
    while at < blob.len() {
        blob[at] = (at * at / 7) as u8;
        at += 1;
    }
    blob
};

/// Any bytes as a frame: what is read is written back the same.
///
/// # Panics
/// When a promise is broken.
pub fn frame(data: &[u8]) {
    let Ok(header) = Header::parse(data) else { return };
    assert!(header.is_possible() && header.frame() <= data.len());
    assert!(u32::from(header.fragment) < header.fragments());
    assert!(header.offset() + header.payload() <= header.total as usize);
    assert_eq!(header.bytes()[4..], data[4..32]);
    let key = Key::new(Cipher::ChaCha20Poly1305, &[1; 32]);
    let mut scratch = Vec::new();
    assert!(key.open(&header, data, &mut scratch).is_err(), "nobody has the key");
    if let Ok(payload) = header.plain(data) {
        let mut again = Vec::new();
        header.write_plain([payload, &[]], &mut again);
        assert_eq!(again, data[..header.frame()]);
    }
    // The same payload, sealed, opens.
    let payload = vec![data[31]; header.payload()];
    let mut sealed = Vec::new();
    key.write(&header, [&payload, &[]], &mut sealed);
    let header = Header { encrypted: true, ..header };
    assert_eq!(sealed.len(), header.frame());
    assert_eq!(key.open(&header, &sealed, &mut scratch), Ok(payload.as_slice()));
    sealed[header.frame() - TAG] ^= 1;
    assert!(key.open(&header, &sealed, &mut scratch).is_err());
}

/// Any bytes as a body, and as a pack of bodies: what makes a window is written back to make it, too.
///
/// # Panics
/// When a promise is broken.
pub fn body(data: &[u8]) {
    let Some((&[low, high], bytes)) = data.split_first_chunk::<2>() else { return };
    let len = u32::from(u16::from_le_bytes([low, high]));
    let (mut pieces, mut windows) = (Vec::new(), 0);
    for packed in Packed::new(7, bytes) {
        let Ok((window, body)) = packed else { break };
        assert!(window >= 7 + windows);
        windows += 1;
        let _ = Body::parse(body, len, 3, &mut pieces);
    }
    let Ok(parsed) = Body::parse(bytes, len, 3, &mut pieces) else { return };
    assert!(pieces.len() <= bytes.len());
    let made: u64 = pieces.iter().map(|piece| u64::from(piece.len())).sum();
    assert_eq!(made, u64::from(len));
    let (space, mut unpacker) = (Space::blob(&BLOB), Unpacker::default());
    let dictionaries: Vec<Dictionary> = Dictionary::new(&BLOB[..500]).into_iter().collect();
    let mut out = vec![0; len as usize];
    if parsed.rebuild(&pieces, &space, &mut unpacker, &dictionaries, &mut out).is_ok() {
        write_again(&pieces, &out);
    }
}

/// Writes the body of `pieces`, whose raw ones are taken from `out`, and reads it.
fn write_again(pieces: &[Piece], out: &[u8]) {
    let (mut at, mut raw) = (0, Vec::new());
    for piece in pieces {
        let to = at + piece.len() as usize;
        if matches!(piece, Piece::Raw(_)) {
            raw.extend_from_slice(&out[at..to]);
        }
        at = to;
    }
    let window = Window { pieces: pieces.to_vec(), raw };
    let (mut bytes, mut again, mut made) = (Vec::new(), Vec::new(), vec![1; out.len()]);
    let written = BodyWriter::new(1).write(&window, 9, body::check(out), &mut bytes);
    written.expect("the pieces make the window");
    let parsed = Body::parse(&bytes, out.len() as u32, 9, &mut again).expect("as written");
    assert_eq!(again, pieces);
    let (space, mut unpacker) = (Space::blob(&BLOB), Unpacker::default());
    parsed.rebuild(&again, &space, &mut unpacker, &[], &mut made).expect("as before");
    assert_eq!(made, out);
}

/// Bytes as calls of two lanes over two small transfers: frames with right checksums and any fields,
/// raw datagrams, ticks, silence. A window that is done does not change any more, and what is wanted
/// is what is not done.
///
/// # Panics
/// When a promise is broken.
pub fn assembly(data: &[u8]) {
    let transfers = Arc::new(Transfers::new());
    let specs = [(5_000, 1_500), (700, 64)].map(|(size, window_bytes)| TransferSpec {
        id: 0,
        size,
        window_bytes,
        anchor: 0,
    });
    let all = [specs[0], TransferSpec { id: 1, ..specs[1] }].map(|spec| {
        let space = HeldSpace::new(Arc::new(BLOB), |blob| Space::blob(blob));
        let memory = Destination::memory(spec.size).expect("so little");
        let transfer = Transfer::new(spec, space, memory).expect("possible");
        transfers.register(transfer).expect("free")
    });
    let settings = LaneSettings { partials: 8, buffer_bytes: 0 };
    let mut lanes = [0, 1].map(|_| Lane::new(Arc::clone(&transfers), settings));
    let mut done: Vec<(usize, u32, Vec<u8>)> = Vec::new();
    let (mut rest, mut now) = (data, 0);
    while let Some((call, after)) = rest.split_first_chunk::<8>() {
        now += 1;
        rest = after;
        one_call(*call, &mut rest, &mut lanes[usize::from(call[0] >> 7)], now);
        for (at, transfer) in all.iter().enumerate() {
            for window in (0..transfer.windows()).filter(|window| transfer.is_done(*window)) {
                if !done.iter().any(|(of, known, _)| (*of, *known) == (at, window)) {
                    let bytes = transfer.window(window).expect("done").to_vec();
                    done.push((at, window, bytes));
                }
            }
        }
    }
    for (of, window, bytes) in &done {
        assert_eq!(all[*of].window(*window), Some(bytes.as_slice()));
    }
    let [first, second] = lanes.each_ref().map(|lane| lane.counters().windows);
    assert_eq!(first + second, done.len() as u64);
    drop(lanes);
    for (at, transfer) in all.iter().enumerate() {
        let mut list = Vec::new();
        transfer.wanted(0..u32::MAX, usize::MAX, &mut list);
        let wanted = list.iter().map(|wanted| match wanted {
            wanted::Wanted::Windows { count, .. } => *count as usize,
            wanted::Wanted::Fragments { .. } => 0,
        });
        let its = done.iter().filter(|(of, ..)| *of == at).count();
        assert_eq!(wanted.sum::<usize>() + its, transfer.windows() as usize);
        let mut bytes = Vec::new();
        wanted::write(&list, &mut bytes);
        assert_eq!(wanted::read(&bytes), Ok(list));
    }
}

/// The call that 8 bytes stand for, with what it takes of `rest`.
fn one_call(call: [u8; 8], rest: &mut &[u8], lane: &mut Lane, now: u64) {
    let [what, window, fragment, step, total, above, len, flags] = call;
    let (payload, after) = rest.split_at(rest.len().min(usize::from(len)));
    *rest = after;
    match what & 7 {
        0 => lane.batch([payload], now),
        1 => {
            lane.tick(now);
            lane.give_up(u64::from(window));
        }
        _ => {
            let kind = [Kind::Direct, Kind::Part, Kind::Pack, Kind::Probe][usize::from(flags & 3)];
            let total = u32::from(total) | u32::from(above & 15) << 8;
            // Small ones in one piece, others in some.
            let step = if above & 16 == 0 { total as u16 } else { 512 + u16::from(step) };
            let transfer = u32::from(flags >> 2 & 3);
            let (window, fragment) = (u32::from(window) % 16, u16::from(fragment) % 8);
            let sequence = u64::from(what >> 3);
            let header = Header {
                kind,
                encrypted: false,
                transfer,
                window,
                sequence,
                fragment,
                step,
                total,
            };
            if header.is_possible() {
                let mut bytes = payload.to_vec();
                // Checks are not guessed.
                if flags & 16 != 0 && kind != Kind::Pack {
                    bytes.resize(header.total as usize - body::CHECK.min(header.total as usize), 7);
                    let check = body::check(&bytes);
                    bytes.extend_from_slice(&check.to_le_bytes());
                    bytes.drain(..header.offset().min(bytes.len()));
                }
                bytes.resize(header.payload(), 0);
                let mut frame = Vec::new();
                header.write_plain([&bytes, &[]], &mut frame);
                lane.batch([frame.as_slice()], now);
            }
        }
    }
}

/// Any bytes as a list of what is wanted: what is read is written and read the same.
///
/// # Panics
/// When a promise is broken.
pub fn wanted_list(data: &[u8]) {
    let Ok(list) = wanted::read(data) else { return };
    assert!(list.len() * 2 <= data.len());
    let mut bytes = Vec::new();
    wanted::write(&list, &mut bytes);
    assert_eq!(wanted::read(&bytes), Ok(list));
}
