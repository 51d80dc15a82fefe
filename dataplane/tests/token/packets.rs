//! Each payload by itself.

use pfs_dataplane::ops::token::Digest;

use crate::common::modes;
use crate::rig::{Flow, columns, counter, encode, found, run, text, udp};

#[test]
fn each_payload_is_a_text_in_every_mode() {
    let text = text();
    let flow = Flow(4000, 53);
    // Characters are cut in their middle; some payloads are empty.
    let payloads: Vec<&[u8]> = text.chunks(1400).chain(text.chunks(3).take(500)).collect();
    let mut frames: Vec<_> = payloads.iter().map(|payload| udp(flow, payload)).collect();
    frames.push(udp(flow, b""));
    let ids: Vec<Vec<u32>> = payloads.iter().map(|payload| encode(payload)).collect();
    let count = ids.iter().map(|ids| ids.len() as u64).sum::<u64>();
    let digest = ids.iter().fold(0u64, |sum, ids| sum.wrapping_add(Digest::of(ids)));
    for mode in modes() {
        let (report, columns) = columns(&frames, "token:r50k_base", mode);
        assert_eq!(found(&report), [count, digest], "{mode:?}");
        assert_eq!(counter(&report, "texts"), frames.len() as u64);
        assert_eq!(counter(&report, "tokens"), count);
        assert_eq!(columns.ids(), ids.concat());
        assert_eq!(columns.records().len(), frames.len());
        for (record, ids) in columns.records().iter().zip(&ids) {
            assert_eq!(columns.ids_of(record), ids);
            assert_eq!(record.ends().to_string(), "10.0.0.2:4000 > 10.0.0.1:53");
            assert_eq!((record.stream, record.protocol), (0, 17));
        }
        let mut back = frames.clone();
        back.reverse();
        let report = run(&back, "token:r50k_base", mode, None);
        assert_eq!(found(&report), [count, digest], "order does not matter");
    }
}

#[test]
fn it_shares_a_program_with_other_ops() {
    let frames = [udp(Flow(1, 2), b"ifmmp!xpsme")];
    let report = run(&frames, "len,add:255,token:r50k_base,crc32c", modes()[0], None);
    let results = &report.results[0].results;
    let ids = encode(b"hello world");
    let labels = ["len", "token:r50k_base tokens", "token:r50k_base digest", "crc32c"];
    assert_eq!(results.ops, labels);
    assert_eq!(results.r[..3], [11, ids.len() as u64, Digest::of(&ids)]);
    assert_eq!(results.r[3], u64::from(crc32c::crc32c(b"hello world")));
}
