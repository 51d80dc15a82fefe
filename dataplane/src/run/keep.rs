//! Payload sinks: captures of what programs have left behind.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::report::SinkReport;
use crate::pcpu::SpanBatch;
use crate::receivers::Framing;
use crate::transmitters::pcap::{PcapSinkSpec, PcapWriter};
use crate::transmitters::{Transmit, TransmitError};

/// One worker's files for payload, and which rule's payload goes into which.
///
/// Opened before the worker starts and closed after it has ended, by a thread that still has its
/// capabilities; the worker only writes. A file that cannot be written ends its sink and not the
/// run: what it would have held is counted as lost.
#[derive(Debug, Default)]
pub struct PayloadSinks {
    sinks: Vec<Sink>,
    /// For each rule the sink's place in `sinks`.
    of_rule: Vec<Option<usize>>,
}

#[derive(Debug)]
struct Sink {
    name: String,
    path: PathBuf,
    writer: PcapWriter,
    /// Messages that were not given to the writer because it had failed.
    missed: u64,
    error: Option<TransmitError>,
}

impl PayloadSinks {
    /// Begins a file for each of `sinks` (name and path). `of_rule` has an entry for each rule,
    /// which is a place in `sinks`.
    ///
    /// # Errors
    /// When a file cannot be made; those before it are removed again.
    pub fn open<'a>(
        sinks: impl IntoIterator<Item = (&'a str, &'a Path)>,
        of_rule: Vec<Option<usize>>,
    ) -> Result<Self, TransmitError> {
        let sinks = sinks
            .into_iter()
            .map(|(name, path)| {
                let spec = PcapSinkSpec { path: path.to_owned() };
                let writer = PcapWriter::create(&spec, Framing::Payload)?;
                Ok(Sink { name: name.into(), path: path.into(), writer, missed: 0, error: None })
            })
            .collect::<Result<_, TransmitError>>()?;
        Ok(Self { sinks, of_rule })
    }

    /// Writes the messages of `spans`, on which the program of `rule` has run.
    #[inline]
    pub(super) fn keep(&mut self, rule: u16, spans: &SpanBatch<'_>) {
        if let Some(&Some(at)) = self.of_rule.get(usize::from(rule)) {
            self.sinks[at].write(spans);
        }
    }

    /// Publishes the files; appends to `errors` what could not be written.
    pub(super) fn close(self, errors: &mut Vec<String>) -> Vec<SinkReport> {
        self.sinks.into_iter().map(|sink| sink.close(errors)).collect()
    }
}

impl Sink {
    fn write(&mut self, spans: &SpanBatch<'_>) {
        let now = SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_nanos() as u64);
        for message in spans.each_message() {
            if self.error.is_some() {
                self.missed += 1;
            } else if let Err(error) = self.writer.write_parts(message, 0, now) {
                self.missed += 1;
                self.error = Some(error);
            }
        }
    }

    fn close(mut self, errors: &mut Vec<String>) -> SinkReport {
        if self.error.is_none() {
            self.error = self.writer.flush().err();
        }
        let written = self.writer.counters();
        let lost = self.missed + written.accepted - written.sent;
        errors.extend(self.error.map(|error| {
            format!(
                "sink {}: {error}; {lost} payloads are not in {}",
                self.name,
                self.path.display()
            )
        }));
        SinkReport {
            sink: self.name,
            path: self.path,
            packets: written.sent,
            bytes: written.sent_bytes,
            lost,
        }
    }
}
