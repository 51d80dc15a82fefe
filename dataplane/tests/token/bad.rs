//! Payload and packets that nobody means well with.

use pfs_dataplane::ops::Engines;
use pfs_dataplane::pcpu::Program;
use pfs_dataplane::receivers::Receiver;
use pfs_dataplane::receivers::memory::{MemoryReceiver, MemorySpec};
use pfs_dataplane::run::start;
use pfs_dataplane::transmitters::frames::GenerateSpec;

use crate::common::modes;
use crate::rig::{Flow, columns, counter, decode, encode, found, fragment, run, udp, with_sink};

#[test]
fn any_bytes_come_back_and_special_tokens_are_text() {
    let payloads: [&[u8]; 9] = [
        b"",
        b"\0",
        b"x",
        b"\0\0\0 nul \0",
        b"\xed\xa0\x80 lone surrogate \xed\xbf\xbf",
        b"\xc0\xaf\xff\xfe overlong",
        b"cut \xe2\x82",
        b"<|endoftext|> is text",
        &[0xff; 1400],
    ];
    let frames: Vec<_> = payloads.iter().map(|payload| udp(Flow(1, 2), payload)).collect();
    let (_, columns) = columns(&frames, "token:r50k_base", modes()[0]);
    for (record, payload) in columns.records().iter().zip(payloads) {
        assert_eq!(columns.ids_of(record), encode(payload));
        assert_eq!(decode(columns.ids_of(record)), payload);
    }
    assert!(!columns.ids().contains(&50_256), "the special token's id");
    let whole = payloads.concat();
    let (_, streamed) = crate::rig::columns(&frames, "token:r50k_base,mode=flow", modes()[0]);
    assert_eq!(streamed.ids(), encode(&whole));
    let allowed = "token:r50k_base,special=allow";
    let (_, allowed) = crate::rig::columns(&frames[7..8], allowed, modes()[0]);
    assert_eq!(allowed.ids()[0], 50_256);
}

#[test]
fn a_stream_of_one_letter_is_cut_and_counted() {
    let frames: Vec<_> = (0..200).map(|_| udp(Flow(1, 2), &[b'a'; 1400])).collect();
    let (report, columns) = columns(&frames, "token:r50k_base,mode=flow", modes()[0]);
    assert_eq!(decode(columns.ids()), vec![b'a'; 280_000]);
    assert_eq!(counter(&report, "texts"), 1);
    assert_eq!(counter(&report, "bytes"), 280_000);
}

#[test]
fn fragments_belong_to_no_stream() {
    let flow = Flow(1, 2);
    let frames = [fragment(flow, 0, b"first "), fragment(flow, 2, b"later"), udp(flow, b"whole")];
    let (report, columns) = columns(&frames, "token:r50k_base,mode=flow", modes()[0]);
    assert_eq!(counter(&report, "no_stream"), 2);
    assert_eq!(columns.ids(), encode(b"whole"));
    let packets = run(&frames, "token:r50k_base", modes()[0], None);
    assert_eq!(counter(&packets, "texts"), 3, "in packet mode they are texts");
}

#[test]
fn generated_noise_is_counted_alike_in_both_modes_of_running() {
    let source = || {
        let generate =
            GenerateSpec { frames: 64, ..GenerateSpec::of_size("imix".parse().unwrap()) };
        let spec = MemorySpec::generated(generate, Some(3000));
        Receiver::Memory(MemoryReceiver::open(&spec).unwrap())
    };
    for program in ["token:r50k_base", "token:r50k_base,mode=flow"] {
        let results: Vec<_> = modes()
            .into_iter()
            .map(|mode| start(with_sink(source(), program, mode, None)).unwrap().join())
            .map(|report| found(&report))
            .collect();
        assert!(results[0][0] > 0 && results.iter().all(|result| *result == results[0]));
    }
}

#[test]
fn an_unknown_or_broken_vocabulary_is_an_error_that_lists_what_there_is() {
    let load =
        |text: &str| Engines::load([&Program::parse(text).unwrap()]).unwrap_err().to_string();
    let error = load("len,token:o2k_base");
    for word in ["token:o2k_base", "o200k_base", "cl100k_base", "r50k_base"] {
        assert!(error.contains(word), "{error}");
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("broken.tiktoken");
    std::fs::write(&path, b"IQ== 0\nIg== one\n").unwrap();
    let error = load(&format!("token:{}", path.display()));
    assert!(error.contains("broken"), "{error}");
}
