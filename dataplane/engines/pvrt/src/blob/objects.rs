//! Objects: files under a name, as lists of chunks.

use std::io::{Read, Write};

use super::disk::record::Record;
use super::state::{parts, slice};
use super::{Blob, BlobError, ChunkSizes, Digest, Object, chunk};

/// Longest name of an object, in bytes.
pub const NAME_MAX: usize = 4096;

/// No recipe: the object has no byte.
const NO_RECIPE: Digest = Digest([0; 32]);

impl Blob {
    /// Stores what `reader` gives under `name`, in place of what had that name. Chunks that are
    /// there already are not stored again. Durable after the next [`Self::sync`]; a call that
    /// fails, or a process that ends in it, leaves nothing but garbage.
    ///
    /// # Errors
    /// [`BlobError::Full`], [`BlobError::ObjectName`], what reading fails with.
    pub fn put_object(
        &mut self,
        name: &str,
        reader: &mut dyn Read,
        sizes: ChunkSizes,
    ) -> Result<Object, BlobError> {
        self.writable()?;
        if !(1..=NAME_MAX).contains(&name.len()) {
            return Err(BlobError::ObjectName(name.len()));
        }
        let (mut list, mut hasher, mut size) = (Vec::new(), blake3::Hasher::new(), 0);
        chunk::stream(reader, sizes, |bytes| {
            let number = self.insert(bytes)?;
            list.extend_from_slice(&self.state.index.get(number).digest.0);
            hasher.update(bytes);
            size += bytes.len() as u64;
            self.sync_if_much()
        })?;
        let digest = Digest(*hasher.finalize().as_bytes());
        let recipe = if size == 0 { NO_RECIPE } else { self.recipe(&list)? };
        let object = Object { size, digest, recipe };
        // Now nothing can fail any more.
        for part in self.object_parts(name, &object)? {
            self.state.index.get_mut(part).parts += 1;
        }
        if let Some(old) = self.state.objects.insert(name.to_owned(), object) {
            self.let_go(name, &old);
        }
        self.push(&Record::Object { name, size, digest, recipe });
        Ok(object)
    }

    fn recipe(&mut self, list: &[u8]) -> Result<Digest, BlobError> {
        let number = self.insert(list)?;
        Ok(self.state.index.get(number).digest)
    }

    /// The object of that name.
    #[must_use]
    pub fn object(&self, name: &str) -> Option<&Object> {
        self.state.objects.get(name)
    }

    /// All objects with their names, in order of those.
    pub fn objects(&self) -> impl Iterator<Item = (&str, &Object)> {
        self.state.objects.iter().map(|(name, object)| (name.as_str(), object))
    }

    /// Gives an object's chunks to `each`, in order, each held against its digest.
    ///
    /// # Errors
    /// [`BlobError::NoObject`], [`BlobError::Damaged`] when a chunk is not what it was, what `each`
    /// fails with.
    pub fn read_object(
        &self,
        name: &str,
        mut each: impl FnMut(&[u8]) -> Result<(), BlobError>,
    ) -> Result<Object, BlobError> {
        let missing = || BlobError::NoObject(name.to_owned());
        let object = *self.state.objects.get(name).ok_or_else(missing)?;
        for part in self.object_parts(name, &object)?.into_iter().skip(1) {
            let entry = self.state.index.get(part);
            let bytes =
                slice(self.bytes(), entry).filter(|bytes| Digest::of(bytes) == entry.digest);
            each(bytes.ok_or_else(|| {
                let what = format!("the chunk {} is not what it was", entry.digest);
                BlobError::damaged(self.region.path(), entry.offset, what)
            })?)?;
        }
        Ok(object)
    }

    /// Writes an object's bytes to `writer`.
    ///
    /// # Errors
    /// As [`Self::read_object`], and what writing fails with.
    pub fn get_object(&self, name: &str, writer: &mut dyn Write) -> Result<Object, BlobError> {
        self.read_object(name, |bytes| Ok(writer.write_all(bytes)?))
    }

    /// Forgets an object; chunks that nothing else refers to go with the next [`Self::gc`].
    ///
    /// # Errors
    /// [`BlobError::NoObject`] when there is none.
    pub fn remove_object(&mut self, name: &str) -> Result<Object, BlobError> {
        self.writable()?;
        let missing = || BlobError::NoObject(name.to_owned());
        let object = self.state.objects.remove(name).ok_or_else(missing)?;
        self.let_go(name, &object);
        self.push(&Record::Forget { name });
        Ok(object)
    }

    /// Chunks of an object whose list is damaged stay until the blob is opened again.
    fn let_go(&mut self, name: &str, object: &Object) {
        for part in self.object_parts(name, object).unwrap_or_default() {
            let parts = &mut self.state.index.get_mut(part).parts;
            *parts = parts.saturating_sub(1);
        }
    }

    fn object_parts(&self, name: &str, object: &Object) -> Result<Vec<u32>, BlobError> {
        parts(&self.state.index, self.bytes(), object).map_err(|why| {
            BlobError::damaged(self.region.path(), 0, format!("object {name}: {why}"))
        })
    }
}
