//! The receiver's blob as a shelf of older files: what is in it need not come over the wire.
//!
//! What a sync refers to it names by digest, so the two ends need not have the same blob, nor know
//! each other's: no address in it goes over the wire.

use std::borrow::Cow;
use std::fs::File;
use std::io;
use std::path::Path;

use crate::blob::Blob;
use crate::sync;
use crate::transfer::error::TransferError;

/// Bytes of objects that are looked through; a sync reads all of them once.
const BYTES: u64 = 4 << 30;

/// Objects of a blob, by number.
#[derive(Debug)]
pub(super) struct Shelf {
    blob: Blob,
    names: Vec<String>,
}

impl Shelf {
    /// The objects of the blob in `folder`, as many in order of their names as [`BYTES`] allow; other
    /// processes may read it meanwhile, none may write.
    pub(super) fn open(folder: &Path) -> Result<Self, TransferError> {
        let blob = Blob::open_read(folder).map_err(|error| {
            TransferError::io(
                format!("opening the blob {}", folder.display()),
                io::Error::other(error),
            )
        })?;
        let mut left = BYTES;
        let fits = |(name, size): (&str, u64)| {
            let fits = size > 0 && size <= left;
            left -= if fits { size } else { 0 };
            fits.then(|| name.to_owned())
        };
        let names =
            blob.objects().map(|(name, object)| (name, object.size)).filter_map(fits).collect();
        Ok(Self { blob, names })
    }

    pub(super) const fn len(&self) -> usize {
        self.names.len()
    }

    /// Names for each of `paths` that has no base yet the object that it most likely comes from, if
    /// any; objects are numbered from `first` on.
    pub(super) fn bases(&self, paths: &[&[u8]], bases: &mut [Option<usize>], first: usize) {
        let paths: Vec<String> =
            paths.iter().map(|path| String::from_utf8_lossy(path).into_owned()).collect();
        for (base, object) in bases.iter_mut().zip(sync::bases(&paths, &self.names)) {
            *base = base.or_else(|| object.map(|object| first + object));
        }
    }

    /// All bytes of object `number`, each chunk held against its digest.
    pub(super) fn read(&self, number: usize) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.write(number, &mut bytes)?;
        Ok(bytes)
    }

    /// Writes object `number` to `to`.
    pub(super) fn write(&self, number: usize, to: &mut dyn io::Write) -> io::Result<()> {
        let name = self.names.get(number).ok_or(io::ErrorKind::NotFound)?;
        self.blob.get_object(name, to).map(drop).map_err(io::Error::other)
    }
}

/// Older files, and behind them the objects of the shelf.
#[derive(Debug)]
pub(super) struct WithShelf<'a, F> {
    pub(super) files: F,
    pub(super) shelf: Option<&'a Shelf>,
}

impl<F: sync::Tree> sync::Tree for WithShelf<'_, F> {
    fn count(&self) -> usize {
        self.files.count() + self.shelf.map_or(0, Shelf::len)
    }

    fn read(&self, file: usize) -> io::Result<Cow<'_, [u8]>> {
        match (self.shelf, file.checked_sub(self.files.count())) {
            (Some(shelf), Some(number)) => shelf.read(number).map(Cow::Owned),
            _ => self.files.read(file),
        }
    }
}

/// Copies object `number` into `to`.
pub(super) fn copy(shelf: Option<&Shelf>, number: usize, to: &mut File) -> io::Result<()> {
    let shelf = shelf.ok_or(io::ErrorKind::NotFound)?;
    let mut to = io::BufWriter::new(to);
    shelf.write(number, &mut to)?;
    io::Write::flush(&mut to)
}
