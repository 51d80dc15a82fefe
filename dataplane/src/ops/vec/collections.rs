//! The collections that all workers of an op share.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use pfs_vec::frame::NAME_MAX;
use pfs_vec::wal::Fsync;
use pfs_vec::{Collection, Maintenance, Options, Settings, StoreError};

use super::trial::DIM;

/// Open collections by name, each with a thread that keeps it in order.
#[derive(Debug)]
pub struct RunCollections {
    opened: Vec<Opened>,
    _trial: Option<TrialFolder>,
}

/// One of them.
#[derive(Debug)]
struct Opened {
    name: Vec<u8>,
    /// Ends before the collection does.
    upkeep: Maintenance,
    collection: Arc<Collection>,
}

impl RunCollections {
    /// Opens the collection in `dir`, or those in the folders of `dir`; each is called as its folder.
    ///
    /// # Errors
    /// Of [`Collection::open`]; [`StoreError::Missing`] when there is none.
    pub fn open(dir: &Path, fsync: Fsync) -> Result<Self, StoreError> {
        let options = Options { fsync, ..Options::default() };
        let mut opened = Vec::new();
        match Collection::open(dir, options) {
            Ok(collection) => {
                // A name such as `.` or `..` is that of no folder.
                let path = fs::canonicalize(dir).unwrap_or_else(|_| dir.to_owned());
                opened.push(Opened::new(name_of(&path), collection)?);
            }
            Err(StoreError::Missing(_)) => {
                for path in folders(dir) {
                    match Collection::open(&path, options) {
                        Ok(collection) => opened.push(Opened::new(name_of(&path), collection)?),
                        Err(StoreError::Missing(_)) => {}
                        Err(error) => return Err(error),
                    }
                }
            }
            Err(error) => return Err(error),
        }
        if opened.is_empty() {
            return Err(StoreError::Missing(dir.to_owned()));
        }
        Ok(Self { opened, _trial: None })
    }

    /// One in a folder of its own, which goes with it: for frames of [`super::trial_frame`].
    ///
    /// # Errors
    /// When no folder can be had for it.
    pub fn trial() -> Result<Self, StoreError> {
        let folder = TrialFolder::new();
        let options = Options { fsync: Fsync::Never, ..Options::default() };
        let collection = Collection::create(&folder.0, &Settings::new(DIM), options)?;
        Ok(Self { opened: vec![Opened::new(b"trial", collection)?], _trial: Some(folder) })
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.opened.len()
    }

    /// Whether there are none; never.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.opened.is_empty()
    }

    /// The place of the one called `name`.
    pub(super) fn find(&self, name: &[u8]) -> Option<usize> {
        self.opened.iter().position(|opened| opened.name == name)
    }

    /// The one at `at`.
    pub(super) fn at(&self, at: usize) -> &Collection {
        &self.opened[at].collection
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Collection>> {
        self.opened.iter().map(|opened| &opened.collection)
    }

    /// Says what went wrong behind the workers' backs.
    pub(super) fn tell_errors(&self) {
        for opened in &self.opened {
            if let Some(error) = opened.upkeep.error() {
                let name = String::from_utf8_lossy(&opened.name).into_owned();
                tracing::error!(%error, name, "keeping a collection in order");
            }
        }
    }
}

impl Opened {
    fn new(name: &[u8], collection: Collection) -> Result<Self, StoreError> {
        if name.is_empty() || name.len() > NAME_MAX {
            return Err(StoreError::Settings(
                "frames name a collection as its folder is called: in 1 to 64 bytes",
            ));
        }
        let collection = Arc::new(collection);
        Ok(Self { name: name.to_vec(), upkeep: Maintenance::start(&collection)?, collection })
    }
}

/// What the collection in the folder `path` is called.
fn name_of(path: &Path) -> &[u8] {
    path.file_name().unwrap_or_default().as_encoded_bytes()
}

/// Folders in `dir`, by name; none when it cannot be read.
fn folders(dir: &Path) -> Vec<PathBuf> {
    let listing = fs::read_dir(dir).into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> =
        listing.map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    found.sort();
    found
}

/// A folder that is removed when this is dropped.
#[derive(Debug)]
struct TrialFolder(PathBuf);

impl TrialFolder {
    fn new() -> Self {
        static TRIALS: AtomicU32 = AtomicU32::new(0);
        let trial = TRIALS.fetch_add(1, Ordering::Relaxed);
        let name = format!("pfs-vec-trial-{}-{trial}", std::process::id());
        Self(std::env::temp_dir().join(name))
    }
}

impl Drop for TrialFolder {
    fn drop(&mut self) {
        // Left over at worst: the folder is this process's own.
        let _ = fs::remove_dir_all(&self.0);
    }
}
