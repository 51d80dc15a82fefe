//! Ids as an Arrow IPC file (<https://arrow.apache.org/docs/format/Columnar.html>).

use std::path::Path;
use std::sync::Arc;

use arrow_array::builder::{ListBuilder, PrimitiveBuilder, StringBuilder, UInt32Builder};
use arrow_array::types::{
    ArrowPrimitiveType, TimestampNanosecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_ipc::writer::FileWriter;
use arrow_schema::{ArrowError, DataType, Field, Schema, TimeUnit};

use super::sink::{Lost, Write};
use super::{IdRecord, IdSinkError, OutFile};

/// Rows, and ids, after which a batch is written.
const ROWS: usize = 4096;
const IDS: usize = 1 << 20;
const UTC: &str = "UTC";

/// Writes batches of rows.
pub(super) struct ArrowWriter {
    out: FileWriter<OutFile>,
    schema: Arc<Schema>,
    rows: Rows,
}

impl std::fmt::Debug for ArrowWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ArrowWriter").field("out", self.out.get_ref()).finish_non_exhaustive()
    }
}

/// The columns of the batch to come.
struct Rows {
    time_ns: PrimitiveBuilder<TimestampNanosecondType>,
    stream: PrimitiveBuilder<UInt64Type>,
    flow: PrimitiveBuilder<UInt32Type>,
    source: StringBuilder,
    destination: StringBuilder,
    protocol: PrimitiveBuilder<UInt8Type>,
    rule: PrimitiveBuilder<UInt16Type>,
    flags: PrimitiveBuilder<UInt16Type>,
    ids: ListBuilder<UInt32Builder>,
    len: usize,
    id_count: usize,
}

impl ArrowWriter {
    pub(super) fn create(path: &Path) -> Result<Self, IdSinkError> {
        let out = OutFile::create(path)?;
        let schema = Arc::new(schema());
        let out = FileWriter::try_new(out, &schema).map_err(|error| refused(path, error))?;
        Ok(Self { out, schema, rows: Rows::new() })
    }

    fn flush(&mut self) -> Result<(), IdSinkError> {
        if self.rows.len == 0 {
            return Ok(());
        }
        let columns = self.rows.take();
        let written = RecordBatch::try_new(Arc::clone(&self.schema), columns)
            .and_then(|batch| self.out.write(&batch));
        written.map_err(|error| refused(self.out.get_ref().path(), error))
    }
}

impl Write for ArrowWriter {
    fn write(&mut self, records: &[IdRecord], mut ids: &[u32]) -> Result<Lost, IdSinkError> {
        for record in records {
            let (mine, rest) = ids.split_at(ids.len().min(record.count as usize));
            ids = rest;
            self.rows.push(record, mine);
            if self.rows.len >= ROWS || self.rows.id_count >= IDS {
                self.flush()?;
            }
        }
        Ok(Lost::default())
    }

    fn close(mut self: Box<Self>) -> Result<(), IdSinkError> {
        self.flush()?;
        let path = self.out.get_ref().path().to_owned();
        let out = self.out.into_inner().map_err(|error| refused(&path, error))?;
        out.publish(&[])
    }
}

fn refused(path: &Path, error: ArrowError) -> IdSinkError {
    match error {
        ArrowError::IoError(_, source) => IdSinkError::io("writing", path, source),
        other => IdSinkError::Arrow(format!("{}: {other}", path.display())),
    }
}

fn schema() -> Schema {
    let item = Field::new("item", DataType::UInt32, true);
    Schema::new(vec![
        Field::new("time", DataType::Timestamp(TimeUnit::Nanosecond, Some(UTC.into())), false),
        Field::new("stream", DataType::UInt64, false),
        Field::new("flow", DataType::UInt32, false),
        Field::new("source", DataType::Utf8, false),
        Field::new("destination", DataType::Utf8, false),
        Field::new("protocol", DataType::UInt8, false),
        Field::new("rule", DataType::UInt16, false),
        Field::new("flags", DataType::UInt16, false),
        Field::new("ids", DataType::List(Arc::new(item)), false),
    ])
}

fn column<T: ArrowPrimitiveType>(builder: &mut PrimitiveBuilder<T>) -> ArrayRef {
    Arc::new(builder.finish())
}

impl Rows {
    fn new() -> Self {
        Self {
            time_ns: PrimitiveBuilder::new().with_timezone(UTC),
            stream: PrimitiveBuilder::new(),
            flow: PrimitiveBuilder::new(),
            source: StringBuilder::new(),
            destination: StringBuilder::new(),
            protocol: PrimitiveBuilder::new(),
            rule: PrimitiveBuilder::new(),
            flags: PrimitiveBuilder::new(),
            ids: ListBuilder::new(UInt32Builder::new()),
            len: 0,
            id_count: 0,
        }
    }

    fn push(&mut self, record: &IdRecord, ids: &[u32]) {
        self.time_ns.append_value(i64::try_from(record.time_ns).unwrap_or(i64::MAX));
        self.stream.append_value(record.stream);
        self.flow.append_value(record.flow);
        self.source.append_value(record.ends.source_text());
        self.destination.append_value(record.ends.destination_text());
        self.protocol.append_value(record.ends.protocol);
        self.rule.append_value(record.rule);
        self.flags.append_value(record.flags);
        self.ids.values().append_slice(ids);
        self.ids.append(true);
        self.len += 1;
        self.id_count += ids.len();
    }

    fn take(&mut self) -> Vec<ArrayRef> {
        (self.len, self.id_count) = (0, 0);
        vec![
            column(&mut self.time_ns),
            column(&mut self.stream),
            column(&mut self.flow),
            Arc::new(self.source.finish()),
            Arc::new(self.destination.finish()),
            column(&mut self.protocol),
            column(&mut self.rule),
            column(&mut self.flags),
            Arc::new(self.ids.finish()),
        ]
    }
}
