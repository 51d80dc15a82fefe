//! `pfs vec export`.

use std::ops::ControlFlow;

use pfs_dataplane::ops::ids::OutFile;
use pfs_vec::import::npy_head;
use pfs_vec::{Collection, Direction, Record};

use super::args::{ExportArgs, ExportFormat};
use super::lines::Line;
use crate::failure::Failure;
use crate::out;
use crate::run::figures::count;

/// `pfs vec export`.
///
/// # Errors
/// A segment or a record that cannot be read, or an output that cannot be written.
pub(super) fn export(args: &ExportArgs) -> Result<(), Failure> {
    let collection = super::open_to_read(&args.dir)?;
    if let Some(damage) = collection.stats().refused.first() {
        return Err(Failure::failed(format!("records would be missing: {damage}")));
    }
    let file = OutFile::create(&args.output).map_err(Failure::failed)?;
    let mut export = Export { file, written: 0, reads_on: true };
    match args.format {
        ExportFormat::Jsonl => export.lines(&collection)?,
        ExportFormat::Npy => export.vectors(&collection)?,
    }
    let (written, reads_on) = (export.written, export.reads_on);
    if reads_on {
        match export.file.publish(&[]) {
            Err(error) if error.is_broken_pipe() => {}
            other => other.map_err(Failure::failed)?,
        }
    }
    if args.output.as_os_str() == "-" {
        return Ok(());
    }
    out::print(&format!("{} written to {}\n", count(written), args.output.display()))
}

/// An export under way.
struct Export {
    file: OutFile,
    /// Records and associations written.
    written: u64,
    /// Whether anybody reads on.
    reads_on: bool,
}

impl Export {
    /// Records, then associations: what one is between is there when it is read again.
    fn lines(&mut self, collection: &Collection) -> Result<(), Failure> {
        self.each(collection, |export, record| export.line(&Line::of_record(record)))?;
        if collection.stats().associations == 0 {
            return Ok(());
        }
        self.each(collection, |export, record| {
            for edge in collection.neighbours(&record.id, Direction::Out, None)? {
                export.line(&Line::of_association(&edge))?;
            }
            Ok(())
        })
    }

    fn vectors(&mut self, collection: &Collection) -> Result<(), Failure> {
        let rows = collection.len();
        self.put(&npy_head(rows, collection.settings().dim))?;
        self.each(collection, |export, record| {
            export.written += 1;
            let bytes: Vec<u8> =
                record.vector.iter().flat_map(|value| value.to_le_bytes()).collect();
            export.put(&bytes)
        })?;
        if self.reads_on && self.written != rows {
            let written = self.written;
            return Err(Failure::failed(format!(
                "{rows} records were counted and {written} read; `pfs vec verify` says what is damaged"
            )));
        }
        Ok(())
    }

    /// Gives all records to `write`, while anybody reads on.
    fn each(
        &mut self,
        collection: &Collection,
        mut write: impl FnMut(&mut Self, &Record) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let mut wrong = None;
        collection.for_each(|record| {
            wrong = write(self, &record).err();
            if wrong.is_some() || !self.reads_on {
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        })?;
        wrong.map_or(Ok(()), Err)
    }

    fn line(&mut self, line: &Line) -> Result<(), Failure> {
        let mut text = serde_json::to_vec(line).map_err(Failure::failed)?;
        text.push(b'\n');
        self.written += 1;
        self.put(&text)
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        match self.file.put(bytes) {
            Err(error) if error.is_broken_pipe() => self.reads_on = false,
            other => other.map_err(Failure::failed)?,
        }
        Ok(())
    }
}
