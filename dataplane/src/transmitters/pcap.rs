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

/// Link type 147, the first of those for private use: bare payload here, which pcap has no type
/// for.
const LINKTYPE_USER0: u32 = 147;

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
    /// When the file cannot be made.
    pub fn create(spec: &PcapSinkSpec, framing: Framing) -> Result<Self, TransmitError> {
        let link = match framing {
            Framing::Ethernet => 1,
            Framing::Ip => 101,
            Framing::Payload => LINKTYPE_USER0,
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
        self.write_parts([frame], wire, stamp_ns)
    }

    /// Adds one packet that lies in several parts, as [`Self::write`] does.
    ///
    /// # Errors
    /// As [`Self::write`].
    pub fn write_parts<'a>(
        &mut self,
        parts: impl IntoIterator<Item = &'a [u8], IntoIter: Clone>,
        wire: u32,
        stamp_ns: u64,
    ) -> Result<(), TransmitError> {
        let parts = parts.into_iter();
        let bytes: usize = parts.clone().map(<[u8]>::len).sum();
        if bytes > LONGEST {
            return Err(TransmitError::Unsupported {
                what: format!("a packet of {bytes} bytes in a capture file"),
                fix: format!("at most {LONGEST} bytes fit"),
            });
        }
        if self.buffer.len() + 16 + bytes > BUFFER {
            self.write_out()?;
        }
        let len = bytes as u32;
        let (seconds, fraction) = (stamp_ns / 1_000_000_000, stamp_ns % 1_000_000_000);
        for word in [seconds as u32, fraction as u32, len, wire.max(len)] {
            self.buffer.extend_from_slice(&word.to_le_bytes());
        }
        parts.for_each(|part| self.buffer.extend_from_slice(part));
        self.counters.accepted += 1;
        self.buffered.sent += 1;
        self.buffered.sent_bytes += bytes as u64;
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

#[cfg(test)]
mod tests {
    use super::*;
    use pcap_file::TsResolution;
    use pcap_file::pcap::PcapReader;

    fn spec(path: impl Into<PathBuf>) -> PcapSinkSpec {
        PcapSinkSpec { path: path.into() }
    }

    fn names(folder: &Path) -> Vec<OsString> {
        fs::read_dir(folder)
            .expect("lists")
            .map(|entry| entry.expect("an entry").file_name())
            .collect()
    }

    /// Packets of a file, as the crate `pcap-file` reads it.
    fn packets(path: &Path) -> Vec<(Vec<u8>, u32, u64)> {
        let mut reader = PcapReader::new(File::open(path).expect("opens")).expect("a capture");
        assert_eq!(reader.header().ts_resolution, TsResolution::NanoSecond);
        let mut packets = Vec::new();
        while let Some(packet) = reader.next_packet() {
            let packet = packet.expect("a packet");
            packets.push((
                packet.data.to_vec(),
                packet.orig_len,
                packet.timestamp.as_nanos() as u64,
            ));
        }
        packets
    }

    #[test]
    fn another_reader_finds_what_was_written() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("out.pcap");
        let mut writer = PcapWriter::create(&spec(&path), Framing::Ethernet).expect("creates");
        let known: Vec<(Vec<u8>, u32, u64)> = (0..500u32)
            .map(|n| {
                (
                    vec![n as u8; (n * 13 % 4000) as usize],
                    n * 13 % 4000 + n % 3,
                    5_000_000_007 * u64::from(n),
                )
            })
            .collect();
        for (data, wire, stamp) in &known[..400] {
            writer.write(data, *wire, *stamp).expect("writes");
        }
        assert!(!path.exists(), "not before it is whole");
        writer.flush().expect("saves");
        assert!(packets(&path) == known[..400]);
        for (data, wire, stamp) in &known[400..] {
            writer.write(data, *wire, *stamp).expect("writes");
        }
        writer.flush().expect("saves");
        assert!(packets(&path) == known);
        let counters = writer.counters();
        assert_eq!((counters.accepted, counters.sent, counters.failed), (500, 500, 0));
        assert_eq!(
            counters.sent_bytes,
            known.iter().map(|(data, ..)| data.len() as u64).sum::<u64>()
        );
        drop(writer);
        assert_eq!(names(folder.path()), ["out.pcap"]);
    }

    #[test]
    fn payload_in_parts_is_one_record_that_our_reader_takes_as_payload() {
        use crate::receivers::pcap::{PcapReceiver, PcapSpec};
        use crate::receivers::{Batch, Receive};
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("out.pcap");
        let mut writer = PcapWriter::create(&spec(&path), Framing::Payload).expect("creates");
        writer.write_parts([&b"ab"[..], b"", b"cde"], 0, 1).expect("writes");
        writer.write_parts([], 0, 2).expect("writes");
        writer.flush().expect("saves");
        let mut reader = PcapReceiver::open(&PcapSpec::new(&path)).expect("opens");
        assert_eq!(reader.framing(), Framing::Payload);
        let (mut batch, view) = (Batch::default(), reader.region());
        assert_eq!(reader.poll(&mut batch).expect("polls"), 2);
        // SAFETY: just polled, and not passed on.
        let bytes = unsafe { view.bytes_mut(&batch.descs()[0]) }.expect("in the region");
        assert_eq!((&*bytes, batch.descs()[1].len), (&b"abcde"[..], 0));
    }

    #[test]
    fn without_a_flush_there_is_no_file_and_the_older_one_stays() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("out.pcap");
        fs::write(&path, "older").expect("writes");
        let mut writer = PcapWriter::create(&spec(&path), Framing::Ip).expect("creates");
        writer.send(&[&[7u8; 60000][..]; 20]).expect("takes");
        assert_eq!(names(folder.path()).len(), 2);
        drop(writer);
        assert_eq!(names(folder.path()), ["out.pcap"]);
        assert_eq!(fs::read(&path).expect("reads"), b"older");
    }

    #[test]
    fn packets_after_the_last_flush_are_taken_back() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("out.pcap");
        let mut writer = PcapWriter::create(&spec(&path), Framing::Ethernet).expect("creates");
        writer.send(&[&[1; 100]]).expect("takes");
        writer.flush().expect("saves");
        writer.send(&[&[2u8; 60000][..]; 20]).expect("takes");
        assert!(fs::metadata(&path).expect("is there").len() > 60000);
        drop(writer);
        assert_eq!(packets(&path).len(), 1);
    }

    #[test]
    fn a_full_device_is_an_error_that_says_so() {
        let mut writer = PcapWriter::create(&spec("/dev/full"), Framing::Ethernet).expect("opens");
        writer.send(&[&[1; 100]]).expect("buffers");
        let text = writer.flush().expect_err("full").to_string();
        assert!(text.contains("writing /dev/full") && text.contains("df -h /dev"), "{text}");
        let counters = writer.counters();
        assert_eq!((counters.accepted, counters.sent, counters.failed), (1, 0, 1));
        assert!(writer.flush().is_err(), "a failed file stays failed");
        assert!(Path::new("/dev/full").exists());
    }

    /// Runs `test` in a folder of its own that holds `size`; `None` where that is not allowed.
    fn in_small_folder(size: &str, test: impl FnOnce(&Path) + Send) -> Option<()> {
        use nix::mount::{MsFlags, mount};
        use nix::sched::{CloneFlags, unshare};
        let folder = tempfile::tempdir().expect("a folder");
        std::thread::scope(|scope| {
            let run = || {
                // The mounts of this thread alone: they go with it.
                unshare(CloneFlags::CLONE_NEWNS).ok()?;
                let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
                mount(None::<&str>, "/", None::<&str>, private, None::<&str>).ok()?;
                let flags = MsFlags::empty();
                mount(Some("tmpfs"), folder.path(), Some("tmpfs"), flags, Some(size)).ok()?;
                test(folder.path());
                Some(())
            };
            scope.spawn(run).join().expect("the test passes")
        })
    }

    #[test]
    fn a_full_disk_leaves_what_the_last_flush_vouched_for() {
        let done = in_small_folder("size=1m", |folder| {
            let path = folder.join("out.pcap");
            let mut writer = PcapWriter::create(&spec(&path), Framing::Ethernet).expect("creates");
            writer.send(&[&[1u8; 1000][..]; 100]).expect("takes");
            writer.flush().expect("fits");
            let mut result = Ok(0);
            for _ in 0..2000 {
                result = result.and_then(|_| writer.send(&[&[2; 1000]]));
            }
            let text = result.expect_err("full").to_string();
            assert!(text.contains("No space left") && text.contains("df -h"), "{text}");
            assert_eq!(packets(&path).len(), 100);
            let counters = writer.counters();
            assert_eq!(counters.sent, 100);
            assert_eq!(counters.failed, counters.accepted - 100);
            drop(writer);
            let other = folder.join("other.pcap");
            let mut writer = PcapWriter::create(&spec(&other), Framing::Ethernet).expect("creates");
            let result = writer.send(&[&[3u8; 1000][..]; 2000]).and_then(|_| writer.flush());
            assert!(result.is_err());
            drop(writer);
            assert_eq!(names(folder), ["out.pcap"], "nothing half-written");
        });
        if done.is_none() {
            println!("skipped: a mount namespace needs root");
        }
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let error = PcapWriter::create(&spec("/nonexistent/x"), Framing::Ip).expect_err("refused");
        assert!(error.to_string().contains("mkdir -p /nonexistent"), "{error}");
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("out.pcap");
        let mut writer = PcapWriter::create(&spec(path), Framing::Ethernet).expect("creates");
        assert!(writer.send(&[&vec![0; LONGEST + 1]]).is_err());
    }
}
