//! `pfs vec import`.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

use pfs_vec::import::{ArrowColumns, ArrowFile, ArrowRow, Format, Vectors};
use pfs_vec::{Batch, Collection, Put, StoreError, Upkept};

use super::args::{FileFormat, ImportArgs, Role};
use super::lines::Line;
use crate::failure::Failure;
use crate::out;
use crate::progress::Progress;
use crate::run::figures::count;

/// Records that are written together, and bytes of them.
const BATCH: usize = 4096;
const BATCH_BYTES: usize = 4 << 20;
/// Longest line: a text and metadata of the greatest length, six characters a byte.
const LINE_MAX: u64 = 256 << 20;
/// How often progress is shown.
const SHOWN: Duration = Duration::from_millis(100);

/// `pfs vec import`.
///
/// # Errors
/// A record that is none, with its number and how many were written before; a write that the
/// collection refuses.
pub(super) fn import(args: &ImportArgs) -> Result<(), Failure> {
    let format = format(&args.file, args.format)?;
    let (input, length, read) = open(&args.file)?;
    let collection = super::open(&args.dir)?;
    let mut import = Import {
        collection: &collection,
        batch: collection.batch(),
        written: 0,
        shown: Shown::new(length, Rc::clone(&read)),
    };
    let done = match format {
        FileFormat::Npy => import.vectors(input, Format::Npy, args),
        FileFormat::Fvecs => import.vectors(input, Format::Fvecs, args),
        FileFormat::Bvecs => import.vectors(input, Format::Bvecs, args),
        FileFormat::Jsonl => import.lines(input, &args.file),
        FileFormat::Arrow => import.arrow(args, &read),
    };
    // What was read before an error is written all the same.
    let done = import.write().and(done);
    import.shown.say(format!("{} written; merging segments", count(import.written)));
    let kept = keep(&collection);
    let written = count(import.written);
    drop(import);
    done.and(kept)
        .map_err(|failure| Failure::failed(format!("{failure}; {written} were written before")))?;
    out::print(&format!("{written} written\n"))
}

/// Lets nothing be left to do for the next opening, nor merges that are due.
fn keep(collection: &Collection) -> Result<(), Failure> {
    collection.checkpoint()?;
    while collection.maintain()? != Upkept::Nothing {}
    Ok(())
}

fn format(path: &Path, given: Option<FileFormat>) -> Result<FileFormat, Failure> {
    let named = || match Format::of(path) {
        Some(Format::Npy) => Some(FileFormat::Npy),
        Some(Format::Fvecs) => Some(FileFormat::Fvecs),
        Some(Format::Bvecs) => Some(FileFormat::Bvecs),
        None => {
            let is_lines = path.extension().is_some_and(|end| end == "jsonl" || end == "ndjson");
            let is_arrow = path.extension().is_some_and(|end| end == "arrow" || end == "feather");
            is_lines.then_some(FileFormat::Jsonl).or_else(|| is_arrow.then_some(FileFormat::Arrow))
        }
    };
    given.or_else(named).ok_or_else(|| {
        let name = path.display();
        Failure::usage(format!(
            "{name} ends in none of .npy, .fvecs, .bvecs, .jsonl, .ndjson, .arrow and .feather; say how it is \
             written with --format"
        ))
    })
}

/// Counts bytes as they are read.
struct Counted {
    input: Box<dyn Read>,
    read: Rc<Cell<u64>>,
}

impl Read for Counted {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(into)?;
        self.read.set(self.read.get() + read as u64);
        Ok(read)
    }
}

/// A file, its length where it has one, and how many bytes of it were read.
type Opened = (BufReader<Counted>, Option<u64>, Rc<Cell<u64>>);

fn open(path: &Path) -> Result<Opened, Failure> {
    let read = Rc::new(Cell::new(0));
    let opened = |input| {
        let counted = Counted { input, read: Rc::clone(&read) };
        BufReader::with_capacity(1 << 20, counted)
    };
    if path.as_os_str() == "-" {
        return Ok((opened(Box::new(io::stdin())), None, read));
    }
    let fail = |error| Failure::failed(format!("reading {}: {error}", path.display()));
    let file = File::open(path).map_err(fail)?;
    let meta = file.metadata().map_err(fail)?;
    let length = meta.is_file().then_some(meta.len());
    Ok((opened(Box::new(file)), length, read))
}

/// An import under way.
struct Import<'a> {
    collection: &'a Collection,
    batch: Batch,
    /// Records and associations written.
    written: u64,
    shown: Shown,
}

impl Import<'_> {
    fn vectors(
        &mut self,
        input: impl Read,
        format: Format,
        args: &ImportArgs,
    ) -> Result<(), Failure> {
        let at = |why: String| Failure::failed(format!("{}: {why}", args.file.display()));
        let mut vectors = Vectors::open(input, format).map_err(|error| at(error.to_string()))?;
        let (mut vector, mut id) = (Vec::new(), Vec::new());
        loop {
            let row = vectors.read();
            if !vectors.next_into(&mut vector).map_err(|error| at(error.to_string()))? {
                return Ok(());
            }
            id.clear();
            id.extend_from_slice(args.ids.as_bytes());
            id.extend_from_slice(row.to_string().as_bytes());
            let put = self.batch.put(&Put::new(&id, &vector));
            put.map_err(|error| at(format!("vector {row}: {error}")))?;
            self.write_when_full()?;
        }
    }

    /// Rows of an Arrow file, which is not read in order: progress is what its batches have told.
    fn arrow(&mut self, args: &ImportArgs, read: &Cell<u64>) -> Result<(), Failure> {
        let at = |why: String| Failure::failed(format!("{}: {why}", args.file.display()));
        let mut columns = ArrowColumns::default();
        for (role, name) in &args.column {
            let column = match role {
                Role::Vector => &mut columns.vector,
                Role::Id => &mut columns.id,
                Role::Text => &mut columns.text,
                Role::Meta => &mut columns.metadata,
                Role::Time => &mut columns.time,
            };
            column.clone_from(name);
        }
        if args.file.as_os_str() == "-" {
            return Err(Failure::usage("an Arrow file is not read from standard input: name it"));
        }
        let file = ArrowFile::open(&args.file, columns).map_err(|error| at(error.to_string()))?;
        let (mut file, mut row, mut id) = (file, ArrowRow::default(), Vec::new());
        loop {
            let number = file.read();
            if !file.next_into(&mut row).map_err(|error| at(error.to_string()))? {
                return Ok(());
            }
            read.set(file.position());
            id.clear();
            match &row.id {
                Some(own) => id.extend_from_slice(own),
                None => {
                    id.extend_from_slice(args.ids.as_bytes());
                    id.extend_from_slice(number.to_string().as_bytes());
                }
            }
            let (text, metadata, time) = (row.text.as_str(), row.metadata.as_slice(), row.time);
            let put = self.batch.put(&Put { text, metadata, time, ..Put::new(&id, &row.vector) });
            put.map_err(|error| at(format!("row {number}: {error}")))?;
            self.write_when_full()?;
        }
    }

    fn lines(&mut self, mut input: impl BufRead, path: &Path) -> Result<(), Failure> {
        let (mut line, mut number) = (Vec::new(), 0_u64);
        loop {
            line.clear();
            number += 1;
            let at =
                |why: String| Failure::failed(format!("{} line {number}: {why}", path.display()));
            let read = input.by_ref().take(LINE_MAX + 1).read_until(b'\n', &mut line);
            match read.map_err(|error| at(format!("reading it: {error}")))? as u64 {
                0 => return Ok(()),
                long if long > LINE_MAX => return Err(at("it is longer than 256 MiB".into())),
                _ => {}
            }
            if !line.trim_ascii().is_empty() {
                Line::read(line.trim_ascii(), &mut self.batch).map_err(at)?;
                self.write_when_full()?;
            }
        }
    }

    fn write_when_full(&mut self) -> Result<(), Failure> {
        if self.batch.len() < BATCH && self.batch.bytes() < BATCH_BYTES {
            return Ok(());
        }
        self.write()
    }

    /// Writes what waits.
    fn write(&mut self) -> Result<(), Failure> {
        if !self.batch.is_empty() {
            let written = self.collection.write(&mut self.batch);
            let changes = self.batch.len() as u64;
            self.batch.clear();
            written.map_err(|error| match error {
                StoreError::Unknown(_) => Failure::failed(format!(
                    "the {changes} records and associations that were read last: {error}"
                )),
                error => error.into(),
            })?;
            self.written += changes;
            self.shown.show(self.written);
        }
        Ok(())
    }
}

/// A bar on a terminal, with rate and time left; nothing elsewhere.
struct Shown {
    progress: Progress,
    length: Option<u64>,
    read: Rc<Cell<u64>>,
    began: Instant,
    last: Instant,
}

impl Shown {
    fn new(length: Option<u64>, read: Rc<Cell<u64>>) -> Self {
        let now = Instant::now();
        Self { progress: Progress::new(length), length, read, began: now, last: now }
    }

    fn show(&mut self, written: u64) {
        if self.progress.is_log() || self.last.elapsed() < SHOWN {
            return;
        }
        self.last = Instant::now();
        let (spent, read) = (self.began.elapsed().as_secs_f64().max(1e-9), self.read.get());
        let rate = count((written as f64 / spent) as u64);
        let left = self.length.map(|length| seconds_left(length, read, spent));
        let left = left.map(|left| format!(", {} s left", count(left))).unwrap_or_default();
        self.say(format!("{} written, {rate} a second{left}", count(written)));
    }

    fn say(&self, text: String) {
        if !self.progress.is_log() {
            self.progress.show(self.read.get(), text);
        }
    }
}

/// Seconds that the rest takes, if it goes on as fast as the first `read` of `length` bytes.
fn seconds_left(length: u64, read: u64, spent: f64) -> u64 {
    (spent * length.saturating_sub(read) as f64 / read.max(1) as f64).ceil() as u64
}

impl Drop for Shown {
    fn drop(&mut self) {
        self.progress.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_takes_as_long_as_the_begin_did() {
        assert_eq!(seconds_left(100, 25, 2.0), 6);
        assert_eq!((seconds_left(100, 100, 2.0), seconds_left(50, 100, 2.0)), (0, 0));
        assert_eq!(seconds_left(10, 0, 1.0), 10);
    }
}
