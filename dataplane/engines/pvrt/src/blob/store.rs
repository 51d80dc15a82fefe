//! Chunks: put, found, kept and let go.

use std::collections::HashMap;
use std::io::Read;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::disk;
use super::disk::journal::PENDING_MAX;
use super::disk::record::Record;
use super::index::Entry;
use super::{Blob, BlobError, ChunkSizes, Digest, chunk};

/// Where a chunk is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkRef {
    /// Its BLAKE3.
    pub digest: Digest,
    /// Address of its first byte.
    pub offset: u64,
    /// Bytes; at least 1.
    pub len: u32,
}

impl From<&Entry> for ChunkRef {
    fn from(entry: &Entry) -> Self {
        Self { digest: entry.digest, offset: entry.offset, len: entry.len }
    }
}

/// What [`Blob::gc`] gave back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    /// Chunks.
    pub chunks: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// How full a blob is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Chunks, and their bytes.
    pub chunks: u64,
    /// Bytes of all chunks.
    pub chunk_bytes: u64,
    /// Bytes of chunks that nothing refers to, pinned or not.
    pub garbage_bytes: u64,
    /// Free bytes.
    pub free_bytes: u64,
    /// The longest free stretch.
    pub free_longest: u64,
    /// Objects.
    pub objects: u64,
    /// Bytes of the journal on disk.
    pub journal_bytes: u64,
}

/// How often each chunk is pinned, by its number.
#[derive(Debug, Default)]
pub(super) struct Pins(Mutex<HashMap<u32, u32>>);

impl Pins {
    fn map(&self) -> MutexGuard<'_, HashMap<u32, u32>> {
        // Counts are whole after each change, whatever panicked.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Chunks that stay as long as this lives, whatever is released or collected.
#[derive(Debug)]
#[must_use = "chunks stay only as long as it lives"]
pub struct Pin {
    pins: Arc<Pins>,
    chunks: Vec<u32>,
}

impl Drop for Pin {
    fn drop(&mut self) {
        let mut map = self.pins.map();
        for chunk in &self.chunks {
            if let Some(count) = map.get_mut(chunk) {
                *count -= 1;
                if *count == 0 {
                    map.remove(chunk);
                }
            }
        }
    }
}

impl Blob {
    /// Stores `bytes` as one chunk, if they are not there yet, and retains it once.
    ///
    /// # Errors
    /// [`BlobError::Full`] when no free stretch is as long; [`BlobError::ChunkSize`]; what
    /// [`Self::sync`] fails with, as that is made unasked now and then.
    pub fn put(&mut self, bytes: &[u8]) -> Result<ChunkRef, BlobError> {
        let number = self.insert(bytes)?;
        self.retain_number(number)?;
        self.sync_if_much()?;
        Ok(self.state.index.get(number).into())
    }

    /// Cuts what `reader` gives into chunks and puts each; where they are, in order.
    ///
    /// # Errors
    /// As [`Self::put`], or what reading fails with; then none of them is retained.
    pub fn put_stream(
        &mut self,
        reader: &mut dyn Read,
        sizes: ChunkSizes,
    ) -> Result<Vec<ChunkRef>, BlobError> {
        let mut chunks = Vec::new();
        let done = chunk::stream(reader, sizes, |bytes| {
            chunks.push(self.put(bytes)?);
            Ok::<(), BlobError>(())
        });
        if let Err(error) = done {
            for chunk in chunks {
                self.release(&chunk.digest)?;
            }
            return Err(error);
        }
        Ok(chunks)
    }

    /// Where the chunk with that digest is, if it is there.
    #[must_use]
    pub fn get(&self, digest: &Digest) -> Option<ChunkRef> {
        self.state.index.look(digest).map(ChunkRef::from)
    }

    /// A chunk's bytes, if it is there. They are not hashed again.
    #[must_use]
    pub fn chunk(&self, digest: &Digest) -> Option<&[u8]> {
        super::state::slice(self.bytes(), self.state.index.look(digest)?)
    }

    /// All chunks, in no order.
    pub fn chunks(&self) -> impl Iterator<Item = ChunkRef> {
        self.state.index.iter().map(|(_, entry)| entry.into())
    }

    /// Keeps a chunk once more.
    ///
    /// # Errors
    /// [`BlobError::Unknown`] when it is not there.
    pub fn retain(&mut self, digest: &Digest) -> Result<(), BlobError> {
        let number = self.state.index.find(digest).ok_or(BlobError::Unknown(*digest))?;
        self.retain_number(number)?;
        self.sync_if_much()
    }

    /// Takes back one [`Self::put`] or [`Self::retain`]. The chunk stays until [`Self::gc`].
    ///
    /// # Errors
    /// [`BlobError::Unknown`] when it is not there, [`BlobError::NotRetained`] when it is not
    /// retained.
    pub fn release(&mut self, digest: &Digest) -> Result<(), BlobError> {
        self.writable()?;
        let number = self.state.index.find(digest).ok_or(BlobError::Unknown(*digest))?;
        let entry = self.state.index.get_mut(number);
        entry.refs = entry.refs.checked_sub(1).ok_or(BlobError::NotRetained(*digest))?;
        let refs = entry.refs;
        self.push(&Record::Refs { digest: *digest, refs });
        self.sync_if_much()
    }

    /// Keeps chunks in place as long as the pin lives, without a word to the disk: for what a
    /// running transfer refers to.
    ///
    /// # Errors
    /// [`BlobError::Unknown`] when one is not there.
    pub fn pin<'a>(&self, digests: impl IntoIterator<Item = &'a Digest>) -> Result<Pin, BlobError> {
        let find =
            |digest: &Digest| self.state.index.find(digest).ok_or(BlobError::Unknown(*digest));
        let chunks: Vec<u32> = digests.into_iter().map(find).collect::<Result<_, _>>()?;
        let mut map = self.pins.map();
        for chunk in &chunks {
            *map.entry(*chunk).or_insert(0) += 1;
        }
        drop(map);
        Ok(Pin { pins: Arc::clone(&self.pins), chunks })
    }

    /// Makes all that was done durable. Of a blob in memory: does nothing.
    ///
    /// # Errors
    /// When the disk is full (free some space and sync again) or fails (open the blob again).
    pub fn sync(&mut self) -> Result<(), BlobError> {
        self.sync_records()?;
        let long = self.journal().is_some_and(|journal| journal.is_long());
        if long { self.compact() } else { Ok(()) }
    }

    /// Gives back the space of all chunks that nothing refers to and nobody pinned, and syncs.
    ///
    /// # Errors
    /// [`BlobError::Readers`] while another process reads the blob; as [`Self::sync`]. Then
    /// nothing is given back.
    pub fn gc(&mut self) -> Result<Collected, BlobError> {
        self.writable()?;
        let _alone = self.disk.as_ref().map(|disk| disk::no_readers(&disk.folder)).transpose()?;
        let garbage: Vec<u32> = {
            let pinned = self.pins.map();
            let chunks = self.state.index.iter();
            let garbage =
                chunks.filter(|(at, entry)| entry.is_garbage() && !pinned.contains_key(at));
            garbage.map(|(number, _)| number).collect()
        };
        let mut collected = Collected::default();
        // The disk knows of it before anything else can lie there.
        for some in garbage.chunks(PENDING_MAX / 64) {
            self.sync_records()?;
            for number in some {
                let digest = self.state.index.get(*number).digest;
                self.push(&Record::Free { digest });
            }
            if let Err(error) = self.sync_records() {
                self.journal().into_iter().for_each(|journal| journal.forget(0));
                return Err(error);
            }
            for number in some {
                let &Entry { offset, len, .. } = self.state.index.get(*number);
                self.state.index.remove(*number);
                self.state.free.give(offset, len.into());
                collected.chunks += 1;
                collected.bytes += u64::from(len);
            }
        }
        self.sync()?;
        Ok(collected)
    }

    /// How full it is.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let mut stats = Stats::default();
        for (_, entry) in self.state.index.iter() {
            stats.chunks += 1;
            stats.chunk_bytes += u64::from(entry.len);
            stats.garbage_bytes += if entry.is_garbage() { u64::from(entry.len) } else { 0 };
        }
        (stats.free_bytes, stats.free_longest) = self.state.free.totals();
        stats.objects = self.state.objects.len() as u64;
        let journal = self.disk.as_ref().and_then(|disk| disk.journal.as_ref());
        stats.journal_bytes = journal.map_or(0, super::Journal::len);
        stats
    }

    /// The number of the chunk of `bytes`, which is written if it is not there.
    pub(super) fn insert(&mut self, bytes: &[u8]) -> Result<u32, BlobError> {
        self.writable()?;
        let digest = Digest::of(bytes);
        if let Some(number) = self.state.index.find(&digest) {
            return Ok(number);
        }
        let size = bytes.len() as u64;
        let len = u32::try_from(size).ok().filter(|len| *len > 0);
        let len = len.ok_or(BlobError::ChunkSize(size))?;
        let Some(offset) = self.state.free.take(size) else { return Err(self.full(size)) };
        let start = offset as usize;
        let into = self.region.bytes_mut().ok_or(BlobError::ReadOnly)?;
        into[start..start + bytes.len()].copy_from_slice(bytes);
        self.dirty = true;
        self.push(&Record::Chunk { digest, offset, len });
        Ok(self.state.index.insert(Entry { digest, offset, len, refs: 0, parts: 0 }))
    }

    fn full(&self, need: u64) -> BlobError {
        let stats = self.stats();
        let (free, longest) = (stats.free_bytes, stats.free_longest);
        BlobError::Full { need, free, longest, garbage: stats.garbage_bytes }
    }

    fn retain_number(&mut self, number: u32) -> Result<(), BlobError> {
        self.writable()?;
        let entry = self.state.index.get_mut(number);
        // A chunk that is retained that often is never let go.
        entry.refs = entry.refs.saturating_add(1);
        let (digest, refs) = (entry.digest, entry.refs);
        self.push(&Record::Refs { digest, refs });
        Ok(())
    }

    /// Refuses to change a blob that is only read, or whose disk failed.
    pub(super) fn writable(&self) -> Result<(), BlobError> {
        match &self.disk {
            None => Ok(()),
            Some(disk) => disk.journal.as_ref().ok_or(BlobError::ReadOnly)?.check(),
        }
    }

    pub(super) fn journal(&mut self) -> Option<&mut super::Journal> {
        self.disk.as_mut().and_then(|disk| disk.journal.as_mut())
    }

    /// Has the journal say so at the next sync.
    pub(super) fn push(&mut self, record: &Record<'_>) {
        if let Some(journal) = self.journal() {
            journal.push(record);
        }
    }

    /// Keeps what waits for a sync small.
    pub(super) fn sync_if_much(&mut self) -> Result<(), BlobError> {
        let much = self.journal().is_some_and(|journal| journal.pending() > PENDING_MAX);
        if much { self.sync() } else { Ok(()) }
    }

    /// Bytes first, then the records that say that they are there.
    fn sync_records(&mut self) -> Result<(), BlobError> {
        self.writable()?;
        if self.disk.is_some() && self.dirty {
            let synced = self.region.sync();
            if let (Err(error), Some(journal)) = (&synced, self.journal()) {
                journal.give_up(error);
            }
            synced?;
        }
        self.dirty = false;
        self.journal().map_or(Ok(()), super::Journal::sync)
    }

    /// Writes the journal anew, without what is no longer so.
    pub(super) fn compact(&mut self) -> Result<(), BlobError> {
        let records = self.state.records();
        self.journal().map_or(Ok(()), |journal| journal.compact(&records))
    }
}
