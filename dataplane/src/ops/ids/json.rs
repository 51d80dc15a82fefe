//! Ids as JSON lines.

use std::io::Write as _;
use std::path::Path;

use super::sink::{Lost, Write};
use super::{IdRecord, IdSinkError, OutFile};

/// Writes a line for each record. Lines of several workers never mix: each is written whole.
#[derive(Debug)]
pub(super) struct JsonWriter {
    out: OutFile,
    text: Vec<u8>,
}

impl JsonWriter {
    pub(super) fn create(path: &Path) -> Result<Self, IdSinkError> {
        Ok(Self { out: OutFile::create(path)?, text: Vec::new() })
    }

    fn line(&mut self, record: &IdRecord, ids: &[u32]) -> std::io::Result<()> {
        let text = &mut self.text;
        write!(text, "{{\"time_ns\":{},\"rule\":{}", record.time_ns, record.rule)?;
        if record.stream > 0 {
            write!(text, ",\"stream\":{}", record.stream)?;
            let flag = |bit| record.flags & bit != 0;
            for (name, bit) in [("start", IdRecord::START), ("end", IdRecord::END)] {
                if flag(bit) {
                    write!(text, ",\"{name}\":true")?;
                }
            }
        }
        write!(text, ",\"flow\":{}", record.flow)?;
        let (source, destination) = (record.ends.source_text(), record.ends.destination_text());
        if !source.is_empty() {
            write!(text, ",\"source\":\"{source}\",\"destination\":\"{destination}\"")?;
            write!(text, ",\"protocol\":{}", record.ends.protocol)?;
        }
        text.extend_from_slice(b",\"ids\":[");
        for (at, id) in ids.iter().enumerate() {
            write!(text, "{}{id}", if at > 0 { "," } else { "" })?;
        }
        text.extend_from_slice(b"]}\n");
        Ok(())
    }
}

impl Write for JsonWriter {
    fn write(&mut self, records: &[IdRecord], mut ids: &[u32]) -> Result<Lost, IdSinkError> {
        self.text.clear();
        for record in records {
            let (mine, rest) = ids.split_at(ids.len().min(record.count as usize));
            ids = rest;
            // Writing to a Vec cannot fail.
            let _ = self.line(record, mine);
        }
        self.out.put(&self.text)?;
        if self.out.is_regular() {
            return Ok(Lost::default());
        }
        // A pipe's reader wants them now, and whole lines.
        self.out.write_out().map(|()| Lost::default())
    }

    fn close(self: Box<Self>) -> Result<(), IdSinkError> {
        self.out.publish(&[])
    }
}
