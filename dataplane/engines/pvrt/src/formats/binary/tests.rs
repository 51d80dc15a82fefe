//! Programs come back, and nothing that is damaged is taken for one.

use proptest::prelude::*;

use super::*;
use crate::formats::testing::{program, small};
use crate::formats::{Fault, FormatError};
use crate::program::Program;
use crate::rebuild::{Head, Scratch, Source};

fn read(bytes: &[u8]) -> Result<Program, FormatError> {
    BinaryReader::open(bytes)?.program()
}

proptest! {
    #[test]
    fn programs_come_back(program in program()) {
        let bytes = program.to_binary(3).expect("consistent");
        prop_assert!(BinaryReader::is(&bytes));
        let back = read(&bytes).expect("written by ourselves");
        prop_assert!(back == program, "{back:?}");
    }

    #[test]
    fn flipped_bits_are_found(program in program(), at: usize, bit in 0..8_u32) {
        let mut bytes = program.to_binary(3).expect("consistent");
        let at = at % bytes.len();
        bytes[at] ^= 1 << bit;
        prop_assert!(read(&bytes).is_err(), "byte {at} bit {bit} of {}", bytes.len());
    }
}

#[test]
fn every_truncation_is_refused() {
    let bytes = small().to_binary(3).expect("consistent");
    read(&bytes).expect("whole");
    for len in 0..bytes.len() {
        assert!(read(&bytes[..len]).is_err(), "{len} of {}", bytes.len());
    }
    assert!(read(&[bytes.as_slice(), b"x"].concat()).is_err(), "a byte more");
}

#[test]
fn the_layout_is_as_documented() {
    let program = small();
    let bytes = program.to_binary(3).expect("consistent");
    assert_eq!(&bytes[..10], b"PFSPROG\n\x01\x00");
    let head = usize::from(u16::from_le_bytes([bytes[10], bytes[11]]));
    assert_eq!(bytes[12..16], program.window_bytes.to_le_bytes());
    let len = u32::from_le_bytes(bytes[head..head + 4].try_into().expect("4"));
    let payload = &bytes[head + 8..][..len as usize];
    assert_eq!(bytes[head + 4..head + 8], crc(payload).to_le_bytes());
    // Three pieces; 5 raw; 7 of xor 255 at 100; 4 at 107, where the last one ended.
    assert_eq!(payload, b"\x03\x14\x1e\xff\xc8\x01\x11\x00\x00hello");
    let trailer = &bytes[bytes.len() - TRAILER..];
    assert_eq!(trailer[..8], 18_u64.to_le_bytes());
    assert_eq!(&trailer[64..], END);
}

#[test]
fn a_program_of_another_version_is_named() {
    let mut bytes = small().to_binary(3).expect("consistent");
    bytes[8] = 2;
    let fault = Fault::Version(2);
    assert_eq!(read(&bytes), Err(FormatError { format: FORMAT, at: 8, fault }));
    assert_eq!(read(b"GIF89a..").expect_err("no program").fault, Fault::Magic);
}

#[test]
fn a_dictionary_makes_it_smaller_and_comes_along() {
    let line = |at: usize| format!("record {at}: the quick brown fox jumps, {}\n", at * 7 % 13);
    let samples: Vec<String> = (0..2_000).map(line).collect();
    let dictionary = zstd::dict::from_samples(&samples, 4096).expect("trains");
    let text: Vec<u8> = (5_000..5_400).flat_map(|at| line(at).into_bytes()).collect();
    let head = Head { window_bytes: 256, ..Head::default() };
    let write = |dictionary: &[u8]| {
        let mut encoder = WindowEncoder::new(3, dictionary).expect("memory");
        let mut writer = BinaryWriter::new(Vec::new(), &head, dictionary).expect("memory");
        for part in text.chunks(256) {
            let pieces = vec![crate::program::Piece::Raw(part.len() as u32)];
            let window = crate::program::Window { pieces, raw: part.to_vec() };
            writer.put(&encoder.encode(&window).expect("fits")).expect("memory");
        }
        writer.finish(&[7; 32]).expect("memory")
    };
    let (plain, with) = (write(&[]), write(&dictionary));
    assert!(with.len() - dictionary.len() < plain.len() * 3 / 4, "{} {}", with.len(), plain.len());
    let mut scratch = Scratch::default();
    // One scratch for readers with different dictionaries.
    for bytes in [&with, &plain, &with] {
        let reader = BinaryReader::open(bytes).expect("whole");
        let mut back = Vec::new();
        for index in 0..reader.head().windows() {
            back.extend_from_slice(reader.window(index, &mut scratch).expect("whole").raw);
        }
        assert!(back == text);
    }
}

#[test]
fn windows_that_no_program_has_are_not_written() {
    use crate::program::{Piece, Window};
    let head = Head { window_bytes: 8, ..Head::default() };
    let mut encoder = WindowEncoder::new(1, &[]).expect("memory");
    let raw = |len: usize| Window { pieces: vec![Piece::Raw(len as u32)], raw: vec![1; len] };
    let mut encode = |window: &Window| encoder.encode(window);
    assert!(encode(&Window { pieces: vec![Piece::Raw(2)], raw: vec![0; 3] }).is_err());
    assert!(encode(&Window { pieces: vec![Piece::Raw(0)], raw: vec![] }).is_err());
    let mut writer = BinaryWriter::new(Vec::new(), &head, &[]).expect("memory");
    assert!(writer.put(&encode(&raw(9)).expect("a window")).is_err());
    assert!(writer.put(&EncodedWindow::default()).is_err());
    writer.put(&encode(&raw(7)).expect("a window")).expect("the last one");
    assert!(writer.put(&encode(&raw(8)).expect("a window")).is_err(), "after a short one");
    for window_bytes in [0, crate::rebuild::WINDOW_MAX + 1] {
        let head = Head { window_bytes, ..Head::default() };
        assert!(BinaryWriter::new(Vec::new(), &head, &[]).is_err());
    }
    let head = Head { file: "x".repeat(4097), ..head };
    assert!(BinaryWriter::new(Vec::new(), &head, &[]).is_err());
}
