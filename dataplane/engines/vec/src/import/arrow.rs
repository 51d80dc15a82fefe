//! Records in Arrow IPC files: one batch in memory at a time.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Float16Type, Float32Type, Float64Type, Int32Type, Int64Type, TimestampMicrosecondType,
    TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType, UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_buffer::Buffer;
use arrow_ipc::reader::{FileDecoder, read_footer_length};
use arrow_ipc::{Block, convert, root_as_footer};
use arrow_schema::{ArrowError, DataType, TimeUnit};

use super::ImportError;

/// Bytes behind the footer: its length and the magic.
const TRAILER: u64 = 10;

/// What columns are called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArrowColumns {
    /// Vectors: lists or fixed-size lists of floating-point numbers of 16, 32 or 64 bits.
    pub vector: String,
    /// Ids, where there is such a column: text, bytes, or whole numbers, which become decimal digits.
    pub id: String,
    /// Texts, where there is such a column.
    pub text: String,
    /// Metadata, where there is such a column: bytes or text.
    pub metadata: String,
    /// Times, where there is such a column: timestamps, or whole numbers of microseconds since 1970.
    pub time: String,
}

impl Default for ArrowColumns {
    fn default() -> Self {
        let name = str::to_owned;
        Self {
            vector: name("vector"),
            id: name("id"),
            text: name("text"),
            metadata: name("meta"),
            time: name("time"),
        }
    }
}

/// A row of a file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ArrowRow {
    /// Its id, where the file has some.
    pub id: Option<Vec<u8>>,
    /// Its vector.
    pub vector: Vec<f32>,
    /// Its text.
    pub text: String,
    /// Its metadata.
    pub metadata: Vec<u8>,
    /// Its time in microseconds since 1970.
    pub time: Option<u64>,
}

/// An Arrow IPC file (also called Feather version 2) that is read batch by batch. Not read are
/// compressed files and columns that are dictionaries.
#[derive(Debug)]
pub struct ArrowFile<R> {
    file: R,
    decoder: FileDecoder,
    /// Batches that are still to come, last first.
    blocks: Vec<Block>,
    columns: ArrowColumns,
    batch: Option<Roles>,
    /// Row of the batch that comes next, and rows read in all.
    next: usize,
    read: u64,
    position: u64,
}

/// A batch's columns by what they are for.
#[derive(Debug)]
struct Roles {
    rows: usize,
    vector: ArrayRef,
    id: Option<ArrayRef>,
    text: Option<ArrayRef>,
    metadata: Option<ArrayRef>,
    time: Option<ArrayRef>,
}

impl ArrowFile<File> {
    /// Opens a file.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn open(path: &std::path::Path, columns: ArrowColumns) -> Result<Self, ImportError> {
        Self::new(File::open(path)?, columns)
    }
}

impl<R: Read + Seek> ArrowFile<R> {
    /// Reads the footer of `file`.
    ///
    /// # Errors
    /// [`ImportError`], when it is no such file or has no column of vectors.
    pub fn new(mut file: R, columns: ArrowColumns) -> Result<Self, ImportError> {
        let broken = |why: &str| ImportError::Arrow(why.to_owned());
        let length = file.seek(SeekFrom::End(0))?;
        let Some(end) = length.checked_sub(TRAILER) else {
            return Err(broken("it is shorter than the end of an Arrow IPC file"));
        };
        let mut trailer = [0; TRAILER as usize];
        file.seek(SeekFrom::Start(end))?;
        file.read_exact(&mut trailer)?;
        let footer = read_footer_length(trailer).map_err(refused)? as u64;
        let footer = read_at(&mut file, end.checked_sub(footer), footer, end)?;
        guarded(|| {
            let footer = root_as_footer(&footer).map_err(|why| broken(&why.to_string()))?;
            let schema = footer.schema().ok_or_else(|| broken("it has no schema"))?;
            if !schema.endianness().equals_to_target_endianness() {
                return Err(broken("it is big-endian"));
            }
            let schema = Arc::new(convert::try_fb_to_schema(schema).map_err(refused)?);
            if schema.index_of(&columns.vector).is_err() {
                return Err(ImportError::Column {
                    name: columns.vector.clone(),
                    why: "there is none of that name".to_owned(),
                });
            }
            let wanted = columns.names();
            let projection = (0..schema.fields().len())
                .filter(|at| wanted.contains(&schema.field(*at).name().as_str()));
            let decoder = FileDecoder::new(Arc::clone(&schema), footer.version());
            let decoder = decoder.with_projection(projection.collect());
            let blocks: Vec<Block> =
                footer.recordBatches().iter().flatten().rev().copied().collect();
            let batch = None;
            Ok(Self { file, decoder, blocks, columns, batch, next: 0, read: 0, position: 0 })
        })
    }

    /// Rows read so far.
    #[must_use]
    pub const fn read(&self) -> u64 {
        self.read
    }

    /// Where the last batch that was read ends in the file.
    #[must_use]
    pub const fn position(&self) -> u64 {
        self.position
    }

    /// Reads the next row into `row`; whether there was one.
    ///
    /// # Errors
    /// [`ImportError`], with the row.
    pub fn next_into(&mut self, row: &mut ArrowRow) -> Result<bool, ImportError> {
        while self.batch.as_ref().is_none_or(|batch| self.next >= batch.rows) {
            let Some(block) = self.blocks.pop() else { return Ok(false) };
            self.batch = self.decode(&block)?;
            self.next = 0;
        }
        let Some(batch) = &self.batch else { return Ok(false) };
        let (at, number) = (self.next, self.read);
        guarded(|| batch.row(at, number, row, &self.columns))?;
        self.next += 1;
        self.read += 1;
        Ok(true)
    }

    fn decode(&mut self, block: &Block) -> Result<Option<Roles>, ImportError> {
        let length = self.file.seek(SeekFrom::End(0))?;
        let [head, body] =
            [i64::from(block.metaDataLength()), block.bodyLength()].map(u64::try_from);
        let (Ok(head), Ok(body)) = (head, body) else {
            return Err(ImportError::Arrow("a batch has fewer than 0 bytes".to_owned()));
        };
        let bytes = head.saturating_add(body);
        self.position = u64::try_from(block.offset()).unwrap_or(0).saturating_add(bytes);
        let bytes = read_at(&mut self.file, u64::try_from(block.offset()).ok(), bytes, length)?;
        let bytes = Buffer::from_vec(bytes);
        let batch = guarded(|| self.decoder.read_record_batch(block, &bytes).map_err(refused))?;
        Ok(batch.as_ref().map(|batch| Roles::of(batch, &self.columns)))
    }
}

impl ArrowColumns {
    fn names(&self) -> [&str; 5] {
        [&self.vector, &self.id, &self.text, &self.metadata, &self.time]
    }
}

impl Roles {
    /// The columns of `batch`; the decoder was told to leave the others out.
    fn of(batch: &RecordBatch, columns: &ArrowColumns) -> Self {
        let column = |name: &str| batch.column_by_name(name).cloned();
        Self {
            rows: batch.num_rows(),
            // It is in the schema, so in every batch.
            vector: column(&columns.vector)
                .unwrap_or_else(|| arrow_array::new_null_array(&DataType::Null, batch.num_rows())),
            id: column(&columns.id),
            text: column(&columns.text),
            metadata: column(&columns.metadata),
            time: column(&columns.time),
        }
    }

    fn row(
        &self,
        at: usize,
        number: u64,
        row: &mut ArrowRow,
        names: &ArrowColumns,
    ) -> Result<(), ImportError> {
        let wrong = |name: &str, why: String| {
            let why = format!("row {number}: {why}");
            ImportError::Column { name: name.to_owned(), why }
        };
        row.vector.clear();
        components(&self.vector, at, &mut row.vector).map_err(|why| wrong(&names.vector, why))?;
        row.id = match &self.id {
            Some(column) => {
                let id = bytes(column, at).transpose();
                let id = id.unwrap_or_else(|| Err("it is null".to_owned()));
                Some(id.map_err(|why| wrong(&names.id, why))?)
            }
            None => None,
        };
        let optional = |column: &Option<ArrayRef>, name: &str| {
            let found = column.as_ref().map_or(Ok(None), |column| bytes(column, at));
            found.map(Option::unwrap_or_default).map_err(|why| wrong(name, why))
        };
        row.metadata = optional(&self.metadata, &names.metadata)?;
        row.text = String::from_utf8(optional(&self.text, &names.text)?)
            .map_err(|_| wrong(&names.text, "it is no UTF-8".to_owned()))?;
        row.time = match &self.time {
            Some(column) => micros(column, at).map_err(|why| wrong(&names.time, why))?,
            None => None,
        };
        Ok(())
    }
}

/// Adds the components of a list.
fn components(column: &ArrayRef, at: usize, out: &mut Vec<f32>) -> Result<(), String> {
    if column.is_null(at) {
        return Err("it is null".to_owned());
    }
    let list = match column.data_type() {
        DataType::FixedSizeList(..) => column.as_fixed_size_list().value(at),
        DataType::List(_) => column.as_list::<i32>().value(at),
        DataType::LargeList(_) => column.as_list::<i64>().value(at),
        other => return Err(format!("{other} is no list of numbers")),
    };
    if list.null_count() > 0 {
        return Err("a component is null".to_owned());
    }
    match list.data_type() {
        DataType::Float32 => out.extend_from_slice(list.as_primitive::<Float32Type>().values()),
        DataType::Float16 => {
            out.extend(list.as_primitive::<Float16Type>().values().iter().map(|v| v.to_f32()));
        }
        DataType::Float64 => {
            out.extend(list.as_primitive::<Float64Type>().values().iter().map(|v| *v as f32));
        }
        other => return Err(format!("components are {other}; they may be f16, f32 or f64")),
    }
    Ok(())
}

/// Bytes of a cell; `None` for a null.
fn bytes(column: &ArrayRef, at: usize) -> Result<Option<Vec<u8>>, String> {
    if column.is_null(at) {
        return Ok(None);
    }
    let digits = |number: &dyn std::fmt::Display| number.to_string().into_bytes();
    Ok(Some(match column.data_type() {
        DataType::Utf8 => column.as_string::<i32>().value(at).as_bytes().to_vec(),
        DataType::LargeUtf8 => column.as_string::<i64>().value(at).as_bytes().to_vec(),
        DataType::Utf8View => column.as_string_view().value(at).as_bytes().to_vec(),
        DataType::Binary => column.as_binary::<i32>().value(at).to_vec(),
        DataType::LargeBinary => column.as_binary::<i64>().value(at).to_vec(),
        DataType::FixedSizeBinary(_) => column.as_fixed_size_binary().value(at).to_vec(),
        DataType::Int32 => digits(&column.as_primitive::<Int32Type>().value(at)),
        DataType::UInt32 => digits(&column.as_primitive::<UInt32Type>().value(at)),
        DataType::Int64 => digits(&column.as_primitive::<Int64Type>().value(at)),
        DataType::UInt64 => digits(&column.as_primitive::<UInt64Type>().value(at)),
        other => return Err(format!("{other} is neither text, bytes nor whole numbers")),
    }))
}

/// Microseconds since 1970 of a cell; `None` for a null.
fn micros(column: &ArrayRef, at: usize) -> Result<Option<u64>, String> {
    if column.is_null(at) {
        return Ok(None);
    }
    let time: i128 = match column.data_type() {
        DataType::UInt64 => column.as_primitive::<UInt64Type>().value(at).into(),
        DataType::Int64 => column.as_primitive::<Int64Type>().value(at).into(),
        DataType::Timestamp(TimeUnit::Second, _) => {
            i128::from(column.as_primitive::<TimestampSecondType>().value(at)) * 1_000_000
        }
        DataType::Timestamp(TimeUnit::Millisecond, _) => {
            i128::from(column.as_primitive::<TimestampMillisecondType>().value(at)) * 1000
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            column.as_primitive::<TimestampMicrosecondType>().value(at).into()
        }
        DataType::Timestamp(TimeUnit::Nanosecond, _) => {
            i128::from(column.as_primitive::<TimestampNanosecondType>().value(at)).div_euclid(1000)
        }
        other => return Err(format!("{other} is no time")),
    };
    u64::try_from(time).map(Some).map_err(|_| format!("{time} µs is before 1970"))
}

fn refused(error: ArrowError) -> ImportError {
    ImportError::Arrow(error.to_string())
}

/// `len` bytes of a file of `length`.
fn read_at(
    file: &mut (impl Read + Seek),
    at: Option<u64>,
    len: u64,
    length: u64,
) -> Result<Vec<u8>, ImportError> {
    let end = at.and_then(|at| at.checked_add(len)).filter(|end| *end <= length);
    let (Some(at), Some(_)) = (at, end) else {
        return Err(ImportError::Arrow("a part of it lies outside of the file".to_owned()));
    };
    let mut bytes = vec![0; len as usize];
    file.seek(SeekFrom::Start(at))?;
    file.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// Lets the Arrow library's panics be errors: it asserts where a buffer's place in a file is wrong.
fn guarded<T>(read: impl FnOnce() -> Result<T, ImportError>) -> Result<T, ImportError> {
    let done = catch_unwind(AssertUnwindSafe(read));
    done.unwrap_or_else(|_| {
        Err(ImportError::Arrow("a buffer lies outside of its batch".to_owned()))
    })
}
