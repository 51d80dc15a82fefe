//! One worker's id sinks.

use std::fmt::Debug;

use super::arrow::ArrowWriter;
use super::columns::ColumnsWriter;
use super::json::JsonWriter;
use super::ring::RingWriter;
use super::{IdRecord, IdSinkError, IdSinkSpec};
use crate::pcpu::Outlet;
use crate::run::SinkReport;

/// What every kind of sink does.
pub(super) trait Write: Debug + Send {
    /// Takes records with their ids, one behind the other.
    fn write(&mut self, records: &[IdRecord], ids: &[u32]) -> Result<Lost, IdSinkError>;

    /// Ends the sink: what was written is there for good.
    fn close(self: Box<Self>) -> Result<(), IdSinkError>;
}

/// What a sink had no room for.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Lost {
    pub(super) records: u64,
    pub(super) ids: u64,
}

/// A sink with its name in the plan.
#[derive(Clone, Debug)]
pub struct NamedIdSink {
    /// The name.
    pub name: String,
    /// Where ids go.
    pub to: IdSinkSpec,
}

/// One worker's sinks, and which rule's ids go into which.
///
/// A sink that cannot be written ends, and not the run: what it would have held is counted as
/// lost.
#[derive(Debug, Default)]
pub struct IdSinks {
    sinks: Vec<Sink>,
    /// For each rule the sink's place in `sinks`.
    of_rule: Vec<Option<usize>>,
}

#[derive(Debug)]
struct Sink {
    name: String,
    to: IdSinkSpec,
    /// `None` once it has failed.
    writer: Option<Box<dyn Write>>,
    error: Option<IdSinkError>,
    records: u64,
    ids: u64,
    lost: u64,
}

impl IdSinks {
    /// Begins each of `sinks`. `of_rule` has an entry for each rule, which is a place in `sinks`.
    ///
    /// # Errors
    /// When one cannot be made; those before it are removed again.
    pub fn open(sinks: &[NamedIdSink], of_rule: Vec<Option<usize>>) -> Result<Self, IdSinkError> {
        let sinks = sinks.iter().map(Sink::open).collect::<Result<_, _>>()?;
        Ok(Self { sinks, of_rule })
    }

    /// Where the ids of `rule` go, if they are kept.
    pub(crate) fn of_rule(&mut self, rule: u16) -> Option<&mut dyn Outlet> {
        let at = self.of_rule.get(usize::from(rule)).copied().flatten()?;
        self.sinks.get_mut(at).map(|sink| sink as &mut dyn Outlet)
    }

    /// Publishes the files; appends to `errors` what could not be written.
    pub(crate) fn close(self, errors: &mut Vec<String>) -> Vec<SinkReport> {
        self.sinks.into_iter().map(|sink| sink.close(errors)).collect()
    }
}

impl Outlet for Sink {
    fn ids(&mut self, records: &[IdRecord], ids: &[u32]) {
        let all = Lost { records: records.len() as u64, ids: ids.len() as u64 };
        let result = match &mut self.writer {
            Some(writer) => writer.write(records, ids),
            None => Ok(all),
        };
        match result {
            Ok(lost) => {
                self.lost += lost.records;
                self.records += all.records - lost.records;
                self.ids += all.ids - lost.ids;
            }
            Err(error) => self.fail(error, all.records),
        }
    }
}

impl Sink {
    fn open(sink: &NamedIdSink) -> Result<Self, IdSinkError> {
        let writer: Box<dyn Write> = match &sink.to {
            IdSinkSpec::U32 { path } => Box::new(ColumnsWriter::create(path)?),
            IdSinkSpec::Arrow { path } => Box::new(ArrowWriter::create(path)?),
            IdSinkSpec::Json { path } => Box::new(JsonWriter::create(path)?),
            IdSinkSpec::Ring { socket, words, when_full } => {
                Box::new(RingWriter::create(socket, *words, *when_full)?)
            }
        };
        Ok(Self {
            name: sink.name.clone(),
            to: sink.to.clone(),
            writer: Some(writer),
            error: None,
            records: 0,
            ids: 0,
            lost: 0,
        })
    }

    /// Ends a sink whose last `records` could not be written. A file that is not published is
    /// removed with all that it held; what went into a pipe is read already.
    fn fail(&mut self, error: IdSinkError, records: u64) {
        self.writer = None;
        self.lost += records;
        if !self.to.is_stdout() {
            self.lost += std::mem::take(&mut self.records);
            self.ids = 0;
        }
        self.error = Some(error);
    }

    fn close(mut self, errors: &mut Vec<String>) -> SinkReport {
        if let Some(writer) = self.writer.take()
            && let Err(error) = writer.close()
        {
            self.fail(error, 0);
        }
        let path = self.to.path().clone();
        // Who closed the pipe has read enough.
        if let Some(error) = self.error.filter(|error| !error.is_broken_pipe()) {
            let (name, lost) = (&self.name, self.lost);
            let what =
                format!("sink {name}: {error}; {lost} records are not in {}", path.display());
            errors.push(what);
        }
        SinkReport {
            sink: self.name,
            path,
            packets: self.records,
            bytes: self.ids * 4,
            lost: self.lost,
        }
    }
}
