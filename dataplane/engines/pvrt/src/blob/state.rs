//! What the journal says: which chunks and objects there are.

use std::collections::BTreeMap;

use super::Digest;
use super::disk::record::{CHUNK_BYTES, Record};
use super::free::Free;
use super::index::{Entry, Index};

/// Bytes of records in a frame of a compacted journal.
const FRAME: usize = 4 << 20;

/// An object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Object {
    /// Bytes.
    pub size: u64,
    /// BLAKE3 of all of them.
    pub digest: Digest,
    /// The chunk that lists the digests of its chunks in order; zeros for an object of no byte.
    pub(super) recipe: Digest,
}

/// Chunks, objects and free space.
#[derive(Debug)]
pub(super) struct State {
    pub(super) index: Index,
    pub(super) objects: BTreeMap<String, Object>,
    pub(super) free: Free,
}

impl State {
    /// Nothing yet, with room for what a journal of `journal` bytes can say.
    pub(super) fn new(journal: usize) -> Self {
        let index = Index::new(journal / CHUNK_BYTES);
        Self { index, objects: BTreeMap::new(), free: Free::default() }
    }

    /// Does what a record says; what is wrong if that cannot be.
    pub(super) fn apply(&mut self, record: &Record<'_>) -> Result<(), String> {
        let unknown = |digest: &Digest| format!("the chunk {digest} is not there");
        match *record {
            Record::Chunk { digest, offset, len } => {
                if self.index.find(&digest).is_some() {
                    return Err(format!("the chunk {digest} is there twice"));
                }
                self.index.insert(Entry { digest, offset, len, refs: 0, parts: 0 });
            }
            Record::Refs { digest, refs } => {
                let number = self.index.find(&digest).ok_or_else(|| unknown(&digest))?;
                self.index.get_mut(number).refs = refs;
            }
            Record::Free { digest } => {
                let number = self.index.find(&digest).ok_or_else(|| unknown(&digest))?;
                self.index.remove(number);
            }
            Record::Object { name, size, digest, recipe } => {
                self.objects.insert(name.to_owned(), Object { size, digest, recipe });
            }
            Record::Forget { name } => {
                let gone = self.objects.remove(name);
                gone.ok_or_else(|| format!("the object {name} is not there"))?;
            }
        }
        Ok(())
    }

    /// Counts what objects refer to, and finds the free space of `from..bytes.len()`; what is
    /// wrong if chunks overlap or objects lack some.
    pub(super) fn settle(&mut self, bytes: &[u8], from: u64) -> Result<(), String> {
        let mut taken: Vec<_> =
            self.index.iter().map(|(_, entry)| (entry.offset, u64::from(entry.len))).collect();
        taken.sort_unstable();
        self.free = Free::around(from, bytes.len() as u64, taken).map_err(|(start, len)| {
            format!("a chunk of {len} bytes at {start} overlaps another, or lies outside")
        })?;
        let Self { index, objects, .. } = self;
        for (name, object) in objects {
            let parts = parts(index, bytes, object);
            for part in parts.map_err(|why| format!("object {name}: {why}"))? {
                index.get_mut(part).parts += 1;
            }
        }
        Ok(())
    }

    /// Bytes of a journal that says no more than is so, roughly.
    pub(super) fn journal_bytes(&self) -> u64 {
        let names: usize = self.objects.keys().map(|name| name.len() + 75).sum();
        (self.index.len() * 2 * CHUNK_BYTES + names) as u64
    }

    /// All of it as records, in as many frames as it takes.
    pub(super) fn records(&self) -> Vec<Vec<u8>> {
        let mut frames = vec![Vec::with_capacity(FRAME)];
        let mut push = |record: &Record<'_>| {
            if frames.last().is_some_and(|frame| frame.len() >= FRAME - (8 << 10)) {
                frames.push(Vec::new());
            }
            if let Some(frame) = frames.last_mut() {
                record.encode(frame);
            }
        };
        for (_, &Entry { digest, offset, len, refs, .. }) in self.index.iter() {
            push(&Record::Chunk { digest, offset, len });
            if refs > 0 {
                push(&Record::Refs { digest, refs });
            }
        }
        for (name, &Object { size, digest, recipe }) in &self.objects {
            push(&Record::Object { name, size, digest, recipe });
        }
        frames.retain(|frame| !frame.is_empty());
        frames
    }
}

/// The numbers of an object's chunks in order, behind that of its recipe; what is wrong with it.
pub(super) fn parts(index: &Index, bytes: &[u8], object: &Object) -> Result<Vec<u32>, String> {
    if object.size == 0 {
        return Ok(Vec::new());
    }
    let recipe = index.find(&object.recipe).ok_or("its list of chunks is not there")?;
    let list = slice(bytes, index.get(recipe)).ok_or("its list of chunks lies outside")?;
    if Digest::of(list) != object.recipe {
        return Err("its list of chunks is damaged".to_owned());
    }
    let (digests, rest) = list.as_chunks::<32>();
    let mut parts = Vec::with_capacity(digests.len() + 1);
    parts.push(recipe);
    let mut size = 0;
    for digest in digests {
        let part = index.find(&Digest(*digest)).ok_or("a chunk of it is not there")?;
        size += u64::from(index.get(part).len);
        parts.push(part);
    }
    if size != object.size || !rest.is_empty() {
        return Err("its chunks do not make its size".to_owned());
    }
    Ok(parts)
}

/// A chunk's bytes.
pub(super) fn slice<'a>(bytes: &'a [u8], entry: &Entry) -> Option<&'a [u8]> {
    let start = usize::try_from(entry.offset).ok()?;
    bytes.get(start..start.checked_add(entry.len as usize)?)
}
