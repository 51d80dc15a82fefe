//! Creating and opening a collection.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use super::Collection;
use super::error::{Damage, IoContext, StoreError};
use super::lock::Lock;
use super::settings::{Options, Settings};
use super::shape::Shape;
use super::state::{State, Written};
use super::upkeep::{Upkeep, marks_path, segment_path, segments};
use super::write::{Writer, frames};
use crate::manifest::{self, Manifest};
use crate::part::Part;
use crate::part::memory::Memory;
use crate::record::change;
use crate::segment::{Segment, marks};
use crate::wal::{Frame, Recovered, Wal, WalError};

/// How often a reader tries to see one moment of a collection that another process writes.
const READ_ATTEMPTS: u32 = 20;
/// What it waits before the second time; as much longer each time after.
const READ_PAUSE: Duration = Duration::from_millis(1);

impl Collection {
    /// Makes a collection in `folder`, which is made where missing, and opens it.
    ///
    /// # Errors
    /// [`StoreError::Settings`], [`StoreError::Exists`], [`StoreError::Locked`],
    /// [`StoreError::Io`].
    pub fn create(
        folder: &Path,
        settings: &Settings,
        options: Options,
    ) -> Result<Self, StoreError> {
        settings.check()?;
        std::fs::create_dir_all(folder).doing("making", folder)?;
        let lock = Lock::take(folder)?;
        if manifest::path(folder).exists() {
            return Err(StoreError::Exists(folder.to_owned()));
        }
        let random = || {
            let source = || std::io::Error::other("the system has no random numbers");
            getrandom::u64().map_err(|_| source()).doing("choosing a key for", folder)
        };
        let fresh = Manifest {
            settings: *settings,
            key: random()?,
            seed: random()?,
            applied: 0,
            log_from: 1,
            time: 0,
            forgotten: 0,
            next: 1,
            segments: Vec::new(),
        };
        fresh.save(folder)?;
        Self::open_locked(folder, options, lock)
    }

    /// Opens the collection in `folder`: maps its segments, and reads the log since the last
    /// checkpoint.
    ///
    /// A segment whose footer or marks are damaged is left out, and answers say so.
    ///
    /// # Errors
    /// [`StoreError::Missing`], [`StoreError::Locked`], [`StoreError::Broken`] when the manifest is
    /// damaged, [`StoreError::Wal`] when the log is, beyond a torn end.
    pub fn open(folder: &Path, options: Options) -> Result<Self, StoreError> {
        if !manifest::path(folder).exists() {
            return Err(StoreError::Missing(folder.to_owned()));
        }
        let lock = Lock::take(folder)?;
        Self::open_locked(folder, options, lock)
    }

    /// Opens the collection in `folder` to be read, beside any number of others that read it and
    /// one that writes it, and changes nothing there. What is seen is what was there at the opening,
    /// however long it stays open; of what a writer adds, nothing. Writing, syncing, checkpoints and
    /// compactions are refused.
    ///
    /// # Errors
    /// As [`Self::open`], but for [`StoreError::Locked`]; [`StoreError::Restless`] when the writer
    /// replaced files faster than they could be opened, again and again.
    pub fn open_to_read(folder: &Path) -> Result<Self, StoreError> {
        let manifest_of = || std::fs::read(manifest::path(folder)).ok();
        for attempt in 0..READ_ATTEMPTS {
            std::thread::sleep(READ_PAUSE * attempt);
            let before = manifest_of();
            let opened = Self::read_once(folder);
            // Files go only when a manifest no longer names them. The last write, under way while
            // it was read, may have looked damaged: that passes.
            let is_same = before == manifest_of();
            let passes = matches!(opened, Err(StoreError::Wal(_))) && attempt + 1 < READ_ATTEMPTS;
            if is_same && !passes {
                return opened;
            }
        }
        Err(StoreError::Restless(folder.to_owned()))
    }

    fn read_once(folder: &Path) -> Result<Self, StoreError> {
        let (manifest, shape) = load_manifest(folder)?;
        let log = folder.join("log");
        let from = manifest.log_from;
        let opened =
            Opened::replay(folder, &shape, &manifest, |apply| Wal::read(&log, from, apply))?;
        let upkeep = Upkeep { manifest };
        Ok(opened.finish(folder, shape, (Options::default(), true), upkeep, None))
    }

    fn open_locked(folder: &Path, options: Options, lock: Lock) -> Result<Self, StoreError> {
        let (manifest, shape) = load_manifest(folder)?;
        let folder_of = segments(folder);
        std::fs::create_dir_all(&folder_of).doing("making", &folder_of)?;
        let upkeep = Upkeep { manifest };
        upkeep.sweep(folder)?;
        let log = folder.join("log");
        let from = upkeep.manifest.log_from;
        let mut opened = Opened::replay(folder, &shape, &upkeep.manifest, |apply| {
            Wal::open(&log, options.fsync, from, apply)
        })?;
        // A process that ended left its transactions open: nobody can commit them any more.
        for id in &opened.left {
            opened.wal.append(frames::ROLLBACK, &id.to_le_bytes())?;
        }
        opened.wal.commit()?;
        Ok(opened.finish(folder, shape, (options, false), upkeep, Some(lock)))
    }
}

fn load_manifest(folder: &Path) -> Result<(Manifest, Arc<Shape>), StoreError> {
    let manifest = Manifest::load(folder)?;
    let shape = Arc::new(Shape::new(manifest.settings, manifest.key, manifest.seed));
    Ok((manifest, shape))
}

/// What the segments and the log have.
struct Opened {
    state: State,
    wal: Wal,
    /// Transactions that were open at the log's end.
    left: Vec<u64>,
    time: u64,
}

impl Opened {
    /// Maps the segments and makes the changes of the log again, which `open` reads.
    fn replay(
        folder: &Path,
        shape: &Arc<Shape>,
        manifest: &Manifest,
        open: impl FnOnce(&mut dyn FnMut(&Frame<'_>)) -> Result<(Wal, Recovered), WalError>,
    ) -> Result<Self, StoreError> {
        let mut state = load(folder, shape, manifest)?;
        let mut replay = Replay {
            shape,
            state: &mut state,
            applied: manifest.applied,
            open: BTreeMap::new(),
            time: manifest.time,
            foreign: None,
        };
        let (wal, _) = open(&mut |frame| replay.apply(frame))?;
        if let Some(lsn) = replay.foreign {
            let path = folder.join("log").join(format!("change {lsn}"));
            return Err(StoreError::Broken { path, why: "it is no change of this collection" });
        }
        let (left, time) = (replay.open.into_keys().collect(), replay.time);
        state.lsn = state.lsn.max(manifest.applied);
        Ok(Self { state, wal, left, time })
    }

    fn finish(
        self,
        folder: &Path,
        shape: Arc<Shape>,
        (options, read_only): (Options, bool),
        upkeep: Upkeep,
        lock: Option<Lock>,
    ) -> Collection {
        let Self { state, wal, time, .. } = self;
        Collection {
            folder: folder.to_owned(),
            shape,
            options,
            upkeep: Mutex::new(upkeep),
            writer: Mutex::new(Writer { wal, open: BTreeMap::new(), time }),
            state: RwLock::new(state),
            read_only,
            _lock: lock,
        }
    }
}

/// Maps the segments that the manifest names.
fn load(folder: &Path, shape: &Arc<Shape>, manifest: &Manifest) -> Result<State, StoreError> {
    let (mut segments, mut broken) = (Vec::new(), Vec::new());
    for entry in &manifest.segments {
        let path = segment_path(folder, entry.id);
        match load_segment(folder, &path, shape, (entry.id, entry.marks)) {
            Ok(segment) => segments.push(Arc::new(segment)),
            Err((StoreError::Broken { .. }, region)) => {
                broken.push(Damage { segment: entry.id, region, block: 0, at: 0 });
            }
            Err((error, _)) => return Err(error),
        }
    }
    Ok(State {
        active: Memory::new(shape),
        frozen: Vec::new(),
        segments,
        broken,
        lsn: manifest.applied,
        forgotten: manifest.forgotten,
    })
}

fn load_segment(
    folder: &Path,
    path: &Path,
    shape: &Arc<Shape>,
    (id, number): (u64, u64),
) -> Result<Segment, (StoreError, &'static str)> {
    let segment = Segment::open(path, shape).map_err(|error| (error, "footer"))?;
    if segment.number() != id {
        let error = StoreError::Broken { path: path.to_owned(), why: "it is another segment" };
        return Err((error, "footer"));
    }
    if number > 0 {
        let both = [segment.marks(), segment.edge_marks()];
        let rows = [segment.rows(), segment.edges()];
        marks::load(&marks_path(folder, id, number), id, both, rows)
            .map_err(|error| (error, "marks"))?;
    }
    let changes = segment.marks().changes() + segment.edge_marks().changes();
    segment.kept.store(number, Ordering::Relaxed);
    segment.kept_changes.store(changes, Ordering::Relaxed);
    Ok(segment)
}

/// Makes the changes of the log again.
struct Replay<'a> {
    shape: &'a Arc<Shape>,
    state: &'a mut State,
    /// Changes up to this one are in the segments.
    applied: u64,
    open: BTreeMap<u64, Vec<Vec<u8>>>,
    time: u64,
    /// The first frame that is none of a collection.
    foreign: Option<u64>,
}

impl Replay<'_> {
    fn apply(&mut self, frame: &Frame<'_>) {
        if self.foreign.is_none() && self.take(frame).is_none() {
            self.foreign = Some(frame.lsn);
        }
    }

    /// `None` for a frame that is none of a collection.
    fn take(&mut self, frame: &Frame<'_>) -> Option<()> {
        let long = |at: usize| {
            let bytes = frame.payload.get(at..at + 8)?;
            Some(u64::from_le_bytes(bytes.try_into().ok()?))
        };
        match frame.kind {
            frames::BATCH => {
                let (now, _) = change::read(frame.payload, self.shape.logged_bytes())?;
                self.make(frame.lsn, now, &[frame.payload]);
            }
            frames::BEGIN => drop(self.open.insert(frame.lsn, Vec::new())),
            frames::PART => {
                let payload = frame.payload.get(8..)?;
                change::read(payload, self.shape.logged_bytes())?;
                // One that began before the log does had ended at the checkpoint.
                if let Some(parts) = self.open.get_mut(&long(0)?) {
                    parts.push(payload.to_vec());
                }
            }
            frames::COMMIT => {
                let (id, now) = (long(0)?, long(8)?);
                let parts = self.open.remove(&id).unwrap_or_default();
                let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
                self.make(frame.lsn, now, &parts);
            }
            frames::ROLLBACK => drop(self.open.remove(&long(0)?)),
            _ => return None,
        }
        Some(())
    }

    fn make(&mut self, lsn: u64, now: u64, payloads: &[&[u8]]) {
        self.time = self.time.max(now);
        if lsn <= self.applied {
            return;
        }
        let mut written = Written::default();
        for payload in payloads {
            self.state.apply(self.shape, (lsn, now), payload, &mut written);
        }
        self.state.lsn = lsn;
        if self.state.active_is_full(&self.shape.settings) {
            self.state.freeze(self.shape);
        }
    }
}
