//! Ids in one file and their index in another, and the reader of both.
//!
//! `PATH` holds the ids: `u32`, little-endian, one behind the other, in the order of the index.
//! `PATH.idx` is the index:
//!
//! ```text
//! offset  0  "pfs-ids\0"
//!         8  u32 version, 1 · u32 bytes of a record, 80
//!        16  u64 records · u64 ids
//!        32  32 bytes of 0
//!        64  records
//! ```
//!
//! A record is an [`IndexRecord`], all integers little-endian. The first record's ids begin at
//! id 0, each other's where those of the one before it end, and the last one's end with the file.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use bytemuck::{Pod, Zeroable};
use memmap2::Mmap;
use thiserror::Error;

use super::sink::{Lost, Write};
use super::{IdRecord, IdSinkError, OutFile};
use crate::ops::flows::Endpoints;
use crate::packet::Network;

/// What the index's name has behind that of the ids.
pub const INDEX_SUFFIX: &str = ".idx";
const MAGIC: [u8; 8] = *b"pfs-ids\0";
const VERSION: u32 = 1;
const HEADER: usize = 64;

/// One record of the index.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct IndexRecord {
    /// As [`IdRecord::time_ns`].
    pub time_ns: u64,
    /// Place of the first id in the file of ids.
    pub first: u64,
    /// As [`IdRecord::stream`].
    pub stream: u64,
    /// Source address as a little-endian number: IPv4 in the first 4 bytes, a MAC address in 6.
    pub source: [u8; 16],
    /// Destination address, likewise.
    pub destination: [u8; 16],
    /// Ids.
    pub count: u32,
    /// Symmetric flow hash.
    pub flow: u32,
    /// Source port; 0 without.
    pub source_port: u16,
    /// Destination port; 0 without.
    pub destination_port: u16,
    /// Place of the rule in the plan.
    pub rule: u16,
    /// As [`IdRecord::flags`].
    pub flags: u16,
    /// 0: no addresses, 1: MAC, 2: IPv4, 3: IPv6.
    pub network: u8,
    /// IP protocol number; 0 without IP.
    pub protocol: u8,
    /// Zero.
    pub reserved: [u8; 6],
}

const _: () = assert!(size_of::<IndexRecord>() == 80 && align_of::<IndexRecord>() == 8);

impl IndexRecord {
    fn of(record: &IdRecord, first: u64) -> Self {
        let ends = &record.ends;
        Self {
            time_ns: record.time_ns,
            first,
            stream: record.stream,
            source: ends.source.to_le_bytes(),
            destination: ends.destination.to_le_bytes(),
            count: record.count,
            flow: record.flow,
            source_port: ends.source_port,
            destination_port: ends.destination_port,
            rule: record.rule,
            flags: record.flags,
            network: ends.network as u8,
            protocol: ends.protocol,
            reserved: [0; 6],
        }
    }

    /// Who sends to whom.
    #[must_use]
    pub const fn ends(&self) -> Endpoints {
        Endpoints {
            source: u128::from_le_bytes(self.source),
            destination: u128::from_le_bytes(self.destination),
            source_port: self.source_port,
            destination_port: self.destination_port,
            network: network(self.network),
            protocol: self.protocol,
        }
    }
}

/// The kind of address that `number` stands for; unknown numbers are none.
pub(super) const fn network(number: u8) -> Network {
    match number {
        1 => Network::Link,
        2 => Network::Ipv4,
        3 => Network::Ipv6,
        _ => Network::None,
    }
}

fn header(records: u64, ids: u64) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    header[..8].copy_from_slice(&MAGIC);
    header[8..12].copy_from_slice(&VERSION.to_le_bytes());
    header[12..16].copy_from_slice(&(size_of::<IndexRecord>() as u32).to_le_bytes());
    header[16..24].copy_from_slice(&records.to_le_bytes());
    header[24..32].copy_from_slice(&ids.to_le_bytes());
    header
}

/// Writes both files.
#[derive(Debug)]
pub(super) struct ColumnsWriter {
    ids: OutFile,
    index: OutFile,
    count: u64,
    records: u64,
}

impl ColumnsWriter {
    pub(super) fn create(path: &Path) -> Result<Self, IdSinkError> {
        let ids = OutFile::create(path)?;
        let mut index = OutFile::create(&index_path(path))?;
        if !ids.is_regular() || !index.is_regular() {
            return Err(IdSinkError::Unsupported {
                what: format!("ids with an index in {}, which is no regular file", path.display()),
                fix: "name a file, or use json".into(),
            });
        }
        index.put(&header(0, 0))?;
        Ok(Self { ids, index, count: 0, records: 0 })
    }
}

impl Write for ColumnsWriter {
    fn write(&mut self, records: &[IdRecord], ids: &[u32]) -> Result<Lost, IdSinkError> {
        self.ids.put(bytemuck::cast_slice(ids))?;
        for record in records {
            self.index.put(bytemuck::bytes_of(&IndexRecord::of(record, self.count)))?;
            self.count += u64::from(record.count);
        }
        self.records += records.len() as u64;
        Ok(Lost::default())
    }

    /// The index comes last: where it is, its ids are.
    fn close(self: Box<Self>) -> Result<(), IdSinkError> {
        let header = header(self.records, self.count);
        self.ids.publish(&[])?;
        self.index.publish(&header)
    }
}

fn index_path(path: &Path) -> PathBuf {
    let mut index = path.as_os_str().to_owned();
    index.push(INDEX_SUFFIX);
    index.into()
}

/// Files that are not what the sink writes.
#[derive(Debug, Error)]
pub enum ColumnsError {
    /// A file cannot be read.
    #[error("reading {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The index, or the two together, are broken.
    #[error("{}: {why}; write it anew with `pfs run --ids u32:PATH`", path.display())]
    Broken {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
}

/// Both files, mapped and checked.
#[derive(Debug)]
pub struct Columns {
    ids: Option<Mmap>,
    index: Mmap,
}

impl Columns {
    /// Opens the ids at `path` and their index.
    ///
    /// # Errors
    /// When either cannot be read, or they are broken: all records are checked.
    pub fn open(path: &Path) -> Result<Self, ColumnsError> {
        let index_path = index_path(path);
        let broken = |why: String| ColumnsError::Broken { path: index_path.clone(), why };
        let index = map(&index_path)?
            .filter(|index| index.len() >= HEADER)
            .ok_or_else(|| broken("shorter than its header".into()))?;
        let ids = map(path)?;
        check(&index, ids.as_ref().map_or(0, |ids| ids.len()) as u64).map_err(broken)?;
        Ok(Self { ids, index })
    }

    /// The index, in the order that the worker wrote it.
    #[must_use]
    pub fn records(&self) -> &[IndexRecord] {
        // Mappings begin at a page; the length was checked.
        bytemuck::try_cast_slice(&self.index[HEADER..]).unwrap_or_default()
    }

    /// All ids.
    #[must_use]
    pub fn ids(&self) -> &[u32] {
        self.ids.as_ref().and_then(|ids| bytemuck::try_cast_slice(ids).ok()).unwrap_or_default()
    }

    /// The ids of one of [`Self::records`]; none for a record of other files that goes beyond.
    #[must_use]
    pub fn ids_of(&self, record: &IndexRecord) -> &[u32] {
        let from = record.first as usize;
        self.ids().get(from..from.saturating_add(record.count as usize)).unwrap_or_default()
    }

    /// The records of one direction of a flow, in order.
    pub fn of_flow<'a>(&'a self, ends: &'a Endpoints) -> impl Iterator<Item = &'a IndexRecord> {
        self.records().iter().filter(move |record| record.ends() == *ends)
    }

    /// The records of a stretch of time, in order.
    pub fn between(&self, ns: std::ops::Range<u64>) -> impl Iterator<Item = &IndexRecord> {
        self.records().iter().filter(move |record| ns.contains(&record.time_ns))
    }
}

/// Holds an index of at least its header's length against the bytes of its file of ids.
fn check(index: &[u8], id_bytes: u64) -> Result<(), String> {
    let (header, records) = index.split_at(HEADER);
    let word = |at: usize| {
        let bytes = header[at..].first_chunk().copied().unwrap_or_default();
        u64::from_le_bytes(bytes)
    };
    if header[..8] != MAGIC {
        return Err("is no index of ids".into());
    }
    let (version, bytes) = (word(8) as u32, (word(8) >> 32) as u32);
    if (version, bytes as usize) != (VERSION, size_of::<IndexRecord>()) {
        return Err(format!("is of version {version} with records of {bytes} bytes"));
    }
    let (count, ids) = (word(16), word(24));
    let there = records.len() as u64;
    if count.checked_mul(size_of::<IndexRecord>() as u64) != Some(there) {
        return Err(format!("has {there} bytes for {count} records"));
    }
    if ids.checked_mul(4) != Some(id_bytes) {
        return Err(format!("names {ids} ids and there are {id_bytes} bytes of them"));
    }
    let mut next = 0_u64;
    for (at, record) in records.chunks_exact(size_of::<IndexRecord>()).enumerate() {
        let record: IndexRecord = bytemuck::pod_read_unaligned(record);
        if record.first != next {
            return Err(format!("record {at} begins at id {} and not at {next}", record.first));
        }
        next += u64::from(record.count);
    }
    if next != ids {
        return Err(format!("its records have {next} ids and not {ids}"));
    }
    Ok(())
}

/// The bytes as an index, over as many ids as it says.
pub(crate) fn fuzz_index(data: &[u8]) {
    if data.len() < HEADER {
        return;
    }
    let ids = data[24..].first_chunk().copied().map_or(0, u64::from_le_bytes);
    if check(data, ids.wrapping_mul(4)).is_ok() {
        let records = data[HEADER..].chunks_exact(size_of::<IndexRecord>());
        let mut records = records.map(bytemuck::pod_read_unaligned::<IndexRecord>);
        let last = records.next_back().map_or(0, |last| last.first + u64::from(last.count));
        assert_eq!(last, ids, "the last record's ids end with the file");
    }
}

/// Maps a file; `None` when it is empty, which cannot be mapped.
fn map(path: &Path) -> Result<Option<Mmap>, ColumnsError> {
    let fail = |source| ColumnsError::Read { path: path.to_owned(), source };
    let file = File::open(path).map_err(fail)?;
    if file.metadata().map_err(fail)?.len() == 0 {
        return Ok(None);
    }
    // SAFETY: the sink writes these files under another name and never after they have this one;
    // who cuts one while it is read gets SIGBUS, as with any mapped file.
    unsafe { Mmap::map(&file) }.map(Some).map_err(fail)
}
