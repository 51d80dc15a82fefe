//! The `pcap` transmitter: writes frames to a capture file with nanosecond times.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Transmit, TransmitCounters, TransmitError};
use crate::receivers::Framing;

/// A capture file as a sink.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PcapSinkSpec {
    /// Where to write; an older file is replaced.
    pub path: PathBuf,
}

/// Bytes gathered before the file is written to.
const BUFFER: usize = 256 << 10;
/// Longest packet that readers of pcap accept.
const LONGEST: usize = 262_144;
/// Magic of pcap with nanoseconds.
const MAGIC: u32 = 0xa1b2_3c4d;

/// Writes a pcap file.
///
/// The file is made under another name beside the final one. Each [`Transmit::flush`] that
/// succeeds leaves under the final name all packets so far; whatever fails after it, the file
/// goes back to that. Without one there is no file. A path that is no regular file (a pipe, a
/// device) is written to directly.
#[derive(Debug)]
pub struct PcapWriter {
    path: PathBuf,
    file: File,
    /// Name before the first flush; `None` once published, or when written to directly.
    temporary: Option<PathBuf>,
    regular: bool,
    /// Bytes in the file that a flush vouched for.
    good: u64,
    written: u64,
    buffer: Vec<u8>,
    buffered: TransmitCounters,
    counters: TransmitCounters,
    /// Counters at the last flush.
    vouched: TransmitCounters,
    failed: bool,
}

impl PcapWriter {
    /// Begins a file for frames of `framing`.
    ///
    /// # Errors
    /// When the file cannot be made, or `framing` is bare payload, which pcap has no type for.
    pub fn create(spec: &PcapSinkSpec, framing: Framing) -> Result<Self, TransmitError> {
        let link: u32 = match framing {
            Framing::Ethernet => 1,
            Framing::Ip => 101,
            Framing::Payload => {
                return Err(TransmitError::Unsupported {
                    what: "a capture file for bare payload: pcap has no link type for it".into(),
                    fix: "put it into UDP frames".into(),
                });
            }
        };
        let path = spec.path.clone();
        let regular = fs::metadata(&path).map_or(true, |meta| meta.is_file());
        let opened = if regular {
            let name = temporary_name(&path);
            File::create_new(&name).map(|file| (file, Some(name)))
        } else {
            OpenOptions::new().write(true).open(&path).map(|file| (file, None))
        };
        let (file, temporary) = opened.map_err(|source| failure("creating", &path, source))?;
        let mut buffer = Vec::with_capacity(BUFFER);
        for word in [MAGIC, 4 << 16 | 2, 0, 0, LONGEST as u32, link] {
            buffer.extend_from_slice(&word.to_le_bytes());
        }
        Ok(Self {
            path,
            file,
            temporary,
            regular,
            good: 0,
            written: 0,
            buffer,
            buffered: TransmitCounters::default(),
            counters: TransmitCounters::default(),
            vouched: TransmitCounters::default(),
            failed: false,
        })
    }

    /// Adds one packet as it was seen: `frame` of `wire` bytes, at `stamp_ns` since 1970.
    ///
    /// # Errors
    /// When the file cannot be written, or the frame has over 262,144 bytes.
    pub fn write(&mut self, frame: &[u8], wire: u32, stamp_ns: u64) -> Result<(), TransmitError> {
        if frame.len() > LONGEST {
            return Err(TransmitError::Unsupported {
                what: format!("a packet of {} bytes in a capture file", frame.len()),
                fix: format!("at most {LONGEST} bytes fit"),
            });
        }
        if self.buffer.len() + 16 + frame.len() > BUFFER {
            self.write_out()?;
        }
        let len = frame.len() as u32;
        let (seconds, fraction) = (stamp_ns / 1_000_000_000, stamp_ns % 1_000_000_000);
        for word in [seconds as u32, fraction as u32, len, wire.max(len)] {
            self.buffer.extend_from_slice(&word.to_le_bytes());
        }
        self.buffer.extend_from_slice(frame);
        self.counters.accepted += 1;
        self.buffered.sent += 1;
        self.buffered.sent_bytes += frame.len() as u64;
        Ok(())
    }

    /// Writes the buffer to the file.
    fn write_out(&mut self) -> Result<(), TransmitError> {
        let result = if self.failed {
            Err(io::Error::other("an earlier write failed"))
        } else {
            self.file.write_all(&self.buffer)
        };
        if let Err(source) = result {
            return Err(self.give_up("writing", source));
        }
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        self.counters.sent += self.buffered.sent;
        self.counters.sent_bytes += self.buffered.sent_bytes;
        self.buffered = TransmitCounters::default();
        Ok(())
    }

    /// Books the loss and takes the file back to what the last flush vouched for.
    fn give_up(&mut self, doing: &str, source: io::Error) -> TransmitError {
        self.failed = true;
        self.buffered = TransmitCounters::default();
        self.buffer.clear();
        if self.regular {
            (self.counters.sent, self.counters.sent_bytes) =
                (self.vouched.sent, self.vouched.sent_bytes);
            if self.temporary.is_none() {
                // Best effort: a file that cannot be cut either stays as it is.
                let _ = self.file.set_len(self.good);
            }
        }
        self.counters.failed = self.counters.accepted - self.counters.sent;
        failure(doing, &self.path, source)
    }

    /// Makes the file durable and gives it its name.
    fn publish(&mut self) -> io::Result<()> {
        self.file.sync_data()?;
        if let Some(name) = &self.temporary {
            fs::rename(name, &self.path)?;
            self.temporary = None;
            let folder = self.path.parent().filter(|path| !path.as_os_str().is_empty());
            File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
        }
        Ok(())
    }
}

fn failure(doing: &str, path: &Path, source: io::Error) -> TransmitError {
    let folder = path.parent().filter(|path| !path.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new(".")).display();
    let fix = match source.raw_os_error() {
        Some(libc::ENOSPC | libc::EDQUOT) => format!("make room: df -h {folder}"),
        Some(libc::ENOENT) => format!("mkdir -p {folder}"),
        _ => String::new(),
    };
    TransmitError::Io { doing: format!("{doing} {}", path.display()), source, fix }
}

/// `.NAME.PID-NANOSECONDS.tmp` beside `path`.
fn temporary_name(path: &Path) -> PathBuf {
    let nanos = SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_nanos() as u64);
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".{}-{nanos}.tmp", std::process::id()));
    path.with_file_name(name)
}

impl Transmit for PcapWriter {
    /// Adds `frames`, all with the time of this call.
    fn send(&mut self, frames: &[&[u8]]) -> Result<usize, TransmitError> {
        let now = SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_nanos() as u64);
        for frame in frames {
            self.write(frame, frame.len() as u32, now)?;
        }
        Ok(frames.len())
    }

    /// Writes what is buffered and publishes the file under its name.
    fn flush(&mut self) -> Result<(), TransmitError> {
        self.write_out()?;
        if self.regular {
            self.publish().map_err(|source| self.give_up("saving", source))?;
            self.good = self.written;
            self.vouched = self.counters;
        }
        Ok(())
    }

    fn counters(&mut self) -> TransmitCounters {
        self.counters
    }
}

impl Drop for PcapWriter {
    fn drop(&mut self) {
        if let Some(name) = &self.temporary {
            let _ = fs::remove_file(name);
        } else if self.regular && self.written > self.good {
            let _ = self.file.set_len(self.good);
        }
    }
}
