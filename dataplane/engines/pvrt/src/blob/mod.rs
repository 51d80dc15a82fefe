//! The blob: bytes that references point into.
//!
//! # Its two parts
//!
//! The **deterministic part** begins at address 0 and is made from the blob's [`Identity`] alone:
//! two ends with the same [`Identity::digest`] hold the same bytes at the same addresses, without
//! having sent any. The **stored part** follows it and holds chunks, which are found by their
//! BLAKE3 [`Digest`]: where they lie is this blob's own affair.
//!
//! # What is kept of a chunk, and when
//!
//! A chunk is there once, however often it is put. It stays as long as it is retained
//! ([`Blob::put`], [`Blob::retain`]), belongs to a named object ([`Blob::put_object`]) or is pinned
//! ([`Blob::pin`]); what nothing refers to stays too, until [`Blob::gc`] gives its space back.
//! Space is reused only after the disk knows that it is free: no crash makes a chunk into another.
//!
//! A blob in a folder ([`Blob::create`], [`Blob::open`]) has a journal. What was done before a
//! [`Blob::sync`] that returned survives the end of the process and of the host's power; what was
//! done after it may be there or not. One process writes, any number may read
//! ([`Blob::open_read`]).

mod chunk;
mod digest;
mod disk;
mod error;
mod fill;
mod free;
mod fsck;
#[doc(hidden)]
pub mod fuzzing;
mod identity;
mod index;
mod md5;
mod objects;
mod region;
mod state;
mod store;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::{Identity, Space};

pub use chunk::{BadSizes, ChunkSizes, Chunks, stream};
pub use digest::{BadDigest, Digest};
pub use error::BlobError;
pub use fill::Deterministic;
pub use fsck::Findings;
pub use identity::{NAME_MAX, SIZE_MAX, SIZE_MIN};
pub use objects::NAME_MAX as OBJECT_NAME_MAX;
pub use region::Backing;
pub use state::Object;
pub use store::{ChunkRef, Collected, Pin, Stats};

use disk::header::{Header, MARK_BYTES};
use disk::journal::{self, Journal};
use disk::{Access, write_whole};
use error::Context;
use region::Region;
use state::State;
use store::Pins;

/// Told how many bytes of how many are done.
pub type Progress<'a> = &'a mut dyn FnMut(u64, u64);

/// Bytes that a thread fills or checks at once.
const STRIPE: usize = 4 << 20;

/// What a blob is to be.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Its deterministic part.
    pub identity: Identity,
    /// Bytes of its stored part; may be 0.
    pub stored: u64,
    /// A file for its bytes outside the folder, such as one in a hugetlbfs.
    pub data: Option<PathBuf>,
    /// Threads that fill the deterministic part; 0: as many as there are cores.
    pub threads: usize,
}

impl Settings {
    /// A blob of `identity`, with `stored` bytes for chunks, filled by all cores.
    #[must_use]
    pub const fn new(identity: Identity, stored: u64) -> Self {
        Self { identity, stored, data: None, threads: 0 }
    }

    fn header(&self) -> Result<Header, BlobError> {
        self.identity.check()?;
        if self.stored > SIZE_MAX - self.identity.size {
            let why = format!("{} bytes for chunks are too many", self.stored);
            return Err(BlobError::Identity(why));
        }
        let mut unique = [0; 16];
        getrandom::fill(&mut unique)
            .map_err(|error| BlobError::Identity(format!("no random numbers: {error}")))?;
        let absolute = |path: &PathBuf| std::path::absolute(path).doing("finding", path);
        let data = self.data.as_ref().map(absolute).transpose()?;
        let (identity, stored) = (self.identity.clone(), self.stored);
        Ok(Header { unique, identity, stored, data })
    }
}

/// A blob, open.
#[derive(Debug)]
pub struct Blob {
    header: Header,
    region: Region,
    state: State,
    pins: Arc<Pins>,
    disk: Option<Disk>,
    /// Chunks were written that the disk may not have yet.
    dirty: bool,
}

/// What a blob in a folder has besides.
#[derive(Debug)]
struct Disk {
    folder: PathBuf,
    /// Absent when the blob is only read.
    journal: Option<Journal>,
    _access: Access,
}

impl Blob {
    /// A blob in memory, which goes with the process: in huge pages if the pool has enough.
    ///
    /// # Errors
    /// When `settings` make no blob, or memory is short.
    pub fn memory(settings: &Settings) -> Result<Self, BlobError> {
        let header = settings.header()?;
        let mut region = Region::memory(header.total())?;
        fill(&mut region, &header.identity, settings.threads, &mut |_, _| {})?;
        Self::settled(header, region, State::new(0), None)
    }

    /// Makes a blob in `folder`, which is made if it is not there, and tells `progress` how far
    /// the deterministic part is. What an interrupted call left there is done anew.
    ///
    /// # Errors
    /// [`BlobError::Exists`] when there is one, [`BlobError::Foreign`] when other files lie there,
    /// [`BlobError::NoSpace`] when the disk has too little room; as listed there otherwise.
    pub fn create(
        folder: &Path,
        settings: &Settings,
        progress: Progress<'_>,
    ) -> Result<Self, BlobError> {
        let header = settings.header()?;
        let fresh = !folder.exists();
        let path = header.data_path(folder);
        let access = disk::prepare(folder).inspect_err(|error| {
            // Another process that makes a blob there is another error.
            if fresh && matches!(error, BlobError::Io { .. }) {
                disk::remove(folder, &path, fresh);
            }
        })?;
        if header.data.is_some() && path.exists() {
            return Err(BlobError::Foreign(path));
        }
        let made = Self::make(folder, header, access, settings.threads, progress);
        if made.is_err() {
            disk::remove(folder, &path, fresh);
        }
        made
    }

    fn make(
        folder: &Path,
        header: Header,
        access: Access,
        threads: usize,
        progress: Progress<'_>,
    ) -> Result<Self, BlobError> {
        let path = header.data_path(folder);
        let mut region = Region::create(&path, header.total() + MARK_BYTES)?;
        fill(&mut region, &header.identity, threads, progress)?;
        if let Some(end) = region.bytes_mut().and_then(|bytes| bytes.last_chunk_mut()) {
            *end = header.mark();
        }
        region.sync()?;
        let journal = Some(Journal::create(folder, header.unique, &[])?);
        // From here on there is a blob.
        write_whole(folder, "header", &header.encode())?;
        let disk = Disk { folder: folder.to_owned(), journal, _access: access };
        Self::settled(header, region, State::new(0), Some(disk))
    }

    /// Opens the blob in `folder` for reading and writing. A torn end of its journal is cut.
    ///
    /// # Errors
    /// [`BlobError::Missing`] when there is none, [`BlobError::Locked`] when another process
    /// writes it, [`BlobError::Damaged`] when what is there is not what it should be.
    pub fn open(folder: &Path) -> Result<Self, BlobError> {
        // A folder that holds none gets no lock file either.
        Header::read(folder)?;
        let access = Access::write(folder)?;
        let (header, region) = Self::parts(folder, true)?;
        let read = journal::Read::new(folder)?;
        let mut state = State::new(read.len());
        let scanned = read.scan(&header.unique, |record| state.apply(record))?;
        let journal = Some(Journal::resume(&read, header.unique, &scanned)?);
        let disk = Disk { folder: folder.to_owned(), journal, _access: access };
        Self::settled(header, region, state, Some(disk))
    }

    /// Opens the blob in `folder` as it was last synced, for reading. As long as it is open, its
    /// writer can give no space back.
    ///
    /// # Errors
    /// As [`Self::open`], without [`BlobError::Locked`].
    pub fn open_read(folder: &Path) -> Result<Self, BlobError> {
        Header::read(folder)?;
        let access = Access::read(folder)?;
        let (header, region) = Self::parts(folder, false)?;
        let read = journal::Read::new(folder)?;
        let mut state = State::new(read.len());
        read.scan(&header.unique, |record| state.apply(record))?;
        let disk = Disk { folder: folder.to_owned(), journal: None, _access: access };
        Self::settled(header, region, state, Some(disk))
    }

    /// Reads the header and maps the data, which are held against it.
    fn parts(folder: &Path, writable: bool) -> Result<(Header, Region), BlobError> {
        let header = Header::read(folder)?;
        let region = open_data(folder, &header, writable)?;
        if let Some(at) = sample(region.bytes(), &header.identity)? {
            let what = "the deterministic part is not what it should be";
            return Err(BlobError::damaged(region.path(), at, what));
        }
        Ok((header, region))
    }

    fn settled(
        header: Header,
        region: Region,
        state: State,
        disk: Option<Disk>,
    ) -> Result<Self, BlobError> {
        let pins = Arc::default();
        let mut blob = Self { header, region, state, pins, disk, dirty: false };
        blob.settle()?;
        let needed = blob.state.journal_bytes();
        blob.journal().into_iter().for_each(|journal| journal.needs(needed));
        Ok(blob)
    }

    /// Counts what refers to chunks, and what is free.
    fn settle(&mut self) -> Result<(), BlobError> {
        let bytes = address_space(&self.region, &self.header);
        let settled = self.state.settle(bytes, self.header.identity.size);
        let path = || self.disk.as_ref().map_or(PathBuf::new(), |disk| disk.folder.join("journal"));
        settled.map_err(|what| BlobError::damaged(&path(), 0, what))
    }

    /// All bytes, by address: the deterministic part, behind it the stored one.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        address_space(&self.region, &self.header)
    }

    /// The addresses that references mean bytes by.
    #[must_use]
    pub fn space(&self) -> Space<'_> {
        Space::blob(self.bytes())
    }

    /// What its deterministic part is.
    #[must_use]
    pub const fn identity(&self) -> &Identity {
        &self.header.identity
    }

    /// Bytes of its stored part.
    #[must_use]
    pub const fn stored(&self) -> u64 {
        self.header.stored
    }

    /// What its bytes lie in, and why not in huge pages if they were wished for; else empty.
    #[must_use]
    pub fn granted(&self) -> (Backing, &str) {
        (self.region.backing(), self.region.note())
    }

    /// Refuses a blob whose deterministic part is not `asked`.
    ///
    /// # Errors
    /// [`BlobError::Other`], which names the first thing that differs.
    pub fn expect(&self, asked: &Identity) -> Result<(), BlobError> {
        let has = self.identity();
        let differs = |what: &str, found: &dyn std::fmt::Display, asked: &dyn std::fmt::Display| {
            let (found, asked) = (format!("{what} {found}"), asked.to_string());
            Err(BlobError::Other { found, asked })
        };
        if has.profile != asked.profile {
            return differs("profile", &has.profile.name(), &asked.profile.name());
        }
        if has.layout != asked.layout {
            return differs("layout", &has.layout, &asked.layout);
        }
        if has.size != asked.size {
            return differs("size", &has.size, &asked.size);
        }
        if has.seed != asked.seed {
            return differs("seed", &has.seed, &asked.seed);
        }
        if has.name != asked.name {
            return differs("name", &has.name, &asked.name);
        }
        Ok(())
    }
}

/// Maps a blob's data, if they are whole and its own.
fn open_data(folder: &Path, header: &Header, writable: bool) -> Result<Region, BlobError> {
    let path = header.data_path(folder);
    let wrong = |what: String| Err(BlobError::Header { path: path.clone(), what });
    let room = header.total() + MARK_BYTES;
    match std::fs::metadata(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return wrong("the blob's data are gone".to_owned());
        }
        data if data.as_ref().is_ok_and(|data| data.len() < room) => {
            return wrong(format!("the data are cut short: they had {room} bytes or more"));
        }
        data => data.doing("looking at", &path)?,
    };
    let region = Region::open(&path, writable)?;
    if region.bytes().last_chunk() != Some(&header.mark()) {
        return wrong("the data are another blob's, or were never whole".to_owned());
    }
    Ok(region)
}

fn address_space<'a>(region: &'a Region, header: &Header) -> &'a [u8] {
    // A region is never made or opened with fewer bytes.
    &region.bytes()[..header.total() as usize]
}

/// Writes the deterministic part.
fn fill(
    region: &mut Region,
    identity: &Identity,
    threads: usize,
    progress: Progress<'_>,
) -> Result<(), BlobError> {
    let part = Deterministic::new(identity)?;
    let bytes = region.bytes_mut().ok_or(BlobError::ReadOnly)?;
    let bytes = &mut bytes[..identity.size as usize];
    let total = identity.size;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = if threads == 0 { cores } else { threads }.min(bytes.len().div_ceil(STRIPE));
    let (stripes, done) = (Mutex::new(bytes.chunks_mut(STRIPE).enumerate()), AtomicU64::new(0));
    let work = |each: &mut dyn FnMut(u64)| {
        loop {
            let stripe = stripes.lock().map_or(None, |mut stripes| stripes.next());
            let Some((number, stripe)) = stripe else { break };
            part.write((number * STRIPE) as u64, stripe);
            let len = stripe.len() as u64;
            each(done.fetch_add(len, Ordering::Relaxed) + len);
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(|| work(&mut |_| {}));
        }
        work(&mut |done| progress(done, total));
    });
    Ok(())
}

/// Holds both ends and some pages between them against what the deterministic part should be;
/// the first address that differs.
fn sample(bytes: &[u8], identity: &Identity) -> Result<Option<u64>, BlobError> {
    const PAGE: u64 = 4096;
    const PAGES: u64 = 64;
    let part = Deterministic::new(identity)?;
    let last = identity.size.saturating_sub(PAGE);
    let mut want = vec![0; PAGE as usize];
    for number in 0..=PAGES {
        let at = last / PAGES * number + last % PAGES * number / PAGES;
        let want = &mut want[..PAGE.min(identity.size) as usize];
        part.write(at, want);
        let found = &bytes[at as usize..at as usize + want.len()];
        if let Some(differs) = found.iter().zip(&*want).position(|(found, want)| found != want) {
            return Ok(Some(at + differs as u64));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests;
