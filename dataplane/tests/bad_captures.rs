//! Every corrupt and odd capture of `testdata/bad/` against what its table says.

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use common::{Mode, all, assert_sound, modes, testdata};
use pfs_dataplane::receivers::memory::MemorySpec;
use pfs_dataplane::receivers::pcap::{Bytes, CaptureError, PcapSpec, Reader};
use pfs_dataplane::receivers::{ReceiveError, Receiver, SourceSpec};
use pfs_dataplane::run::RunReport;

/// One row of the table.
#[derive(Debug)]
struct Row {
    path: PathBuf,
    bytes: u64,
    frames: u64,
    malformed: u64,
    error_at: Option<u64>,
    /// The kind that malformed frames are counted under.
    kind: Option<String>,
}

fn table() -> Vec<Row> {
    let text = fs::read_to_string(testdata("bad/README.md")).expect("the table is committed");
    let rows: Vec<_> = text.lines().filter(|line| line.starts_with("| `")).map(row).collect();
    let files = fs::read_dir(testdata("bad")).expect("the folder is committed").count();
    assert_eq!(rows.len() + 1, files, "one row for each file but the page itself");
    rows
}

fn row(line: &str) -> Row {
    let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
    let [file, bytes, frames, malformed, error_at, what] = cells[..] else {
        panic!("not a row: {line}")
    };
    let number = |cell: &str| cell.parse().unwrap_or_else(|_| panic!("{cell:?} in {line}"));
    let kind = what.split_once("refused as `").and_then(|(_, rest)| rest.split_once('`'));
    let row = Row {
        path: testdata("bad").join(file.trim_matches('`')),
        bytes: number(bytes),
        frames: number(frames),
        malformed: number(malformed),
        error_at: (error_at != "-").then(|| number(error_at)),
        kind: kind.map(|(kind, _)| kind.to_owned()),
    };
    assert_eq!(row.malformed > 0, row.kind.is_some(), "{line}");
    row
}

/// Frames that the reader gives, and how it ends.
fn read(data: &[u8]) -> (u64, Result<(), CaptureError>) {
    let bytes = Bytes::of_slice(data);
    let mut frames = 0;
    let end = Reader::open(bytes).and_then(|mut reader| {
        while reader.next(bytes)?.is_some() {
            frames += 1;
        }
        Ok(())
    });
    (frames, end)
}

#[test]
fn the_reader_gives_what_is_sound_and_names_the_place_of_what_is_not() {
    for row in table() {
        let data = fs::read(&row.path).expect("the file is committed");
        assert_eq!(data.len() as u64, row.bytes, "{row:?}");
        let (frames, end) = read(&data);
        assert_eq!(frames, row.frames, "{row:?}: {end:?}");
        assert_eq!(end.err().map(|error| error.at), row.error_at, "{row:?}: {end:?}");
    }
}

/// Asserts that everything before the fault was booked as the table says.
fn hold(row: &Row, report: &RunReport) {
    let books = &report.books;
    assert_eq!((books.residual, books.in_flight), (0, 0), "{row:?}: {books:?}");
    assert_eq!(books.offered, row.frames, "{row:?}: {books:?}");
    assert_eq!(books.dropped_malformed, row.malformed, "{row:?}: {books:?}");
    assert_eq!(books.consumed, row.frames - row.malformed, "{row:?}: {books:?}");
    let kinds: BTreeMap<_, _> = row.kind.iter().map(|kind| (kind.clone(), row.malformed)).collect();
    assert_eq!(report.receivers[0].malformed, kinds, "{row:?}");
    assert_eq!(report.errors.len(), usize::from(row.error_at.is_some()), "{:?}", report.errors);
    for error in &report.errors {
        let name = row.path.file_name().expect("a file").to_string_lossy();
        assert!(error.contains(&*name), "{error}");
    }
}

fn open(spec: &SourceSpec) -> Result<Receiver, ReceiveError> {
    spec.open(1, &[]).map(|mut receivers| receivers.pop().expect("one receiver"))
}

#[test]
fn a_run_over_each_closes_its_books_and_ends_with_the_error() {
    for row in table() {
        for mode in modes() {
            match open(&SourceSpec::Pcap(PcapSpec::new(&row.path))) {
                Ok(source) => hold(&row, &common::run(source, &all("crc32c"), mode)),
                Err(error) => {
                    assert!(row.error_at.is_some() && row.frames == 0, "{row:?}: {error}");
                }
            }
        }
    }
}

#[test]
fn what_is_held_in_memory_must_be_sound_throughout() {
    for row in table() {
        match open(&SourceSpec::Memory(MemorySpec::capture(&row.path, 1))) {
            Ok(source) => {
                let report = common::run(source, &all("crc32c"), Mode::Inline);
                assert_sound(&report, &row.path.display().to_string());
                hold(&row, &report);
                assert!(row.frames > 0 && row.error_at.is_none(), "{row:?}");
            }
            Err(error) => {
                assert!(row.error_at.is_some() || row.frames == 0, "{row:?}: {error}");
                let name = row.path.file_name().expect("a file").to_string_lossy();
                assert!(error.to_string().contains(&*name), "{error}");
            }
        }
    }
}

#[test]
fn an_error_at_opening_names_the_place_too() {
    for row in table() {
        let Err(error) = open(&SourceSpec::Memory(MemorySpec::capture(&row.path, 1))) else {
            continue;
        };
        // A capture without a packet is no content for memory: its end is the place.
        let place = format!("at byte {}", row.error_at.unwrap_or(row.bytes));
        let named = error.to_string();
        assert!(named.ends_with(&place) || named.contains(&format!("{place};")), "{named}");
    }
}
