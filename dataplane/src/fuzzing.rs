//! Bodies of the fuzz targets, shared with the tests that replay their corpora.
//!
//! Each takes bytes as the fuzzer makes them and panics when a promise is broken.

use crate::packet::{Fragment, Frame, Malformed, Parsed, Ports, flow_hash, lane_of, parse};
use crate::receivers::Framing;

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
