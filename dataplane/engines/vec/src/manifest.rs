//! The manifest: a collection's settings, and which segments belong to it.
//!
//! One small file, replaced whole: written beside, synced, renamed, and the folder synced.
//!
//! | bytes | what |
//! |---|---|
//! | 8 | magic `PFSVMAN\0` |
//! | 4 | version |
//! | 4 | dimension |
//! | 1, 1, 1, 1 | metric (0 cosine, 1 dot, 2 L2); kept of vectors (0 f32, 1 bf16, 2 bytes, 3 nothing); extra bits; 1 for graphs from level 2 on |
//! | 4, 4, 4 | records of level 0; segments that are merged; segments that follow |
//! | 8 | microseconds that ended versions are kept |
//! | 8, 8 | key of the hash of ids; seed of the rotation |
//! | 8, 8 | last change that the segments hold; first change that the log is to be read from |
//! | 8 | time of the last write |
//! | 8 | versions that ended before this time may be missing |
//! | 8 | number of the next segment or marks file |
//! | 8, 8, 4, 4 each | segment, number of its marks file (0 for none), level, 0 |
//! | 4 | CRC-32C of all before it |

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::collection::error::{IoContext, StoreError};
use crate::collection::settings::{Raw, Settings};
use crate::metric::Metric;
use crate::quantize::ExtraBits;

const MAGIC: &[u8; 8] = b"PFSVMAN\0";
const VERSION: u32 = 1;
const HEAD: usize = 96;
const ENTRY: usize = 24;

/// A segment that belongs to a collection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) id: u64,
    /// Which file holds its marks; 0 for none.
    pub(crate) marks: u64,
    pub(crate) level: u8,
}

/// What a manifest says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Manifest {
    pub(crate) settings: Settings,
    pub(crate) key: u64,
    pub(crate) seed: u64,
    /// The last change that the segments hold.
    pub(crate) applied: u64,
    /// The first change that the log is to be read from: a transaction that was open may begin
    /// before `applied`.
    pub(crate) log_from: u64,
    pub(crate) time: u64,
    pub(crate) forgotten: u64,
    /// The number of the next file.
    pub(crate) next: u64,
    /// Oldest first.
    pub(crate) segments: Vec<Entry>,
}

/// The manifest's path.
pub(crate) fn path(folder: &Path) -> PathBuf {
    folder.join("manifest")
}

impl Manifest {
    fn encode(&self) -> Vec<u8> {
        let settings = &self.settings;
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&(settings.dim as u32).to_le_bytes());
        let metric = match settings.metric {
            Metric::Cosine => 0,
            Metric::Dot => 1,
            Metric::L2 => 2,
        };
        let raw = match settings.raw {
            Raw::F32 => 0,
            Raw::Bf16 => 1,
            Raw::I8 => 2,
            Raw::None => 3,
        };
        let extra = match settings.extra {
            ExtraBits::Four => 4,
            ExtraBits::Eight => 8,
        };
        bytes.extend_from_slice(&[metric, raw, extra, u8::from(settings.graph)]);
        let count = self.segments.len();
        for number in [settings.memory_rows, settings.fanout, count] {
            bytes.extend_from_slice(&(number as u32).to_le_bytes());
        }
        let history = settings.history.as_micros() as u64;
        for number in [
            history,
            self.key,
            self.seed,
            self.applied,
            self.log_from,
            self.time,
            self.forgotten,
            self.next,
        ] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        for entry in &self.segments {
            bytes.extend_from_slice(&entry.id.to_le_bytes());
            bytes.extend_from_slice(&entry.marks.to_le_bytes());
            bytes.extend_from_slice(&u64::from(entry.level).to_le_bytes());
        }
        let crc = checksum(&bytes);
        bytes.extend_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads what [`Self::encode`] wrote.
    fn decode(bytes: &[u8]) -> Result<Self, &'static str> {
        let (body, crc) = bytes.split_last_chunk::<4>().ok_or("it is too short")?;
        if checksum(body) != u32::from_le_bytes(*crc) {
            return Err("it is damaged");
        }
        if body.len() < HEAD || !body.starts_with(MAGIC) {
            return Err("it is no manifest");
        }
        let word = |at: usize| bytemuck::pod_read_unaligned::<u32>(&body[at..at + 4]);
        let long = |at: usize| bytemuck::pod_read_unaligned::<u64>(&body[at..at + 8]);
        if word(8) != VERSION {
            return Err("it has another version");
        }
        let entries = &body[HEAD..];
        if entries.len() != word(28) as usize * ENTRY {
            return Err("its length is not what it says");
        }
        let settings = decode_settings(body)?;
        let entry = |bytes: &[u8]| {
            let long = |at: usize| bytemuck::pod_read_unaligned::<u64>(&bytes[at..at + 8]);
            let level = u8::try_from(long(16)).map_err(|_| "it names a level that is none")?;
            Ok(Entry { id: long(0), marks: long(8), level })
        };
        Ok(Self {
            settings,
            key: long(40),
            seed: long(48),
            applied: long(56),
            log_from: long(64),
            time: long(72),
            forgotten: long(80),
            next: long(88),
            segments: entries.chunks_exact(ENTRY).map(entry).collect::<Result<_, &str>>()?,
        })
    }

    /// Reads the manifest of the collection in `folder`.
    ///
    /// # Errors
    /// [`StoreError::Missing`] when there is none, [`StoreError::Broken`].
    pub(crate) fn load(folder: &Path) -> Result<Self, StoreError> {
        let path = path(folder);
        match std::fs::read(&path) {
            Ok(bytes) => {
                let manifest = Self::decode(&bytes);
                manifest.map_err(|why| StoreError::Broken { path, why })
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                Err(StoreError::Missing(folder.to_owned()))
            }
            Err(error) => Err(error).doing("reading", &path),
        }
    }

    /// Replaces the manifest of the collection in `folder`.
    ///
    /// # Errors
    /// [`StoreError::Io`]; the old one is then still there.
    pub(crate) fn save(&self, folder: &Path) -> Result<(), StoreError> {
        write_whole(&path(folder), &self.encode())
    }
}

fn decode_settings(body: &[u8]) -> Result<Settings, &'static str> {
    let word = |at: usize| bytemuck::pod_read_unaligned::<u32>(&body[at..at + 4]);
    let metric = match body[16] {
        0 => Metric::Cosine,
        1 => Metric::Dot,
        2 => Metric::L2,
        _ => return Err("it names a metric that is none"),
    };
    let raw = match body[17] {
        0 => Raw::F32,
        1 => Raw::Bf16,
        2 => Raw::I8,
        3 => Raw::None,
        _ => return Err("it names an element that is none"),
    };
    let extra = match body[18] {
        4 => ExtraBits::Four,
        8 => ExtraBits::Eight,
        _ => return Err("it has neither 4 nor 8 extra bits"),
    };
    let settings = Settings {
        dim: word(12) as usize,
        metric,
        raw,
        extra,
        history: Duration::from_micros(bytemuck::pod_read_unaligned(&body[32..40])),
        memory_rows: word(20) as usize,
        fanout: word(24) as usize,
        graph: body[19] == 1,
    };
    settings.check().map_err(|_| "its settings are out of range")?;
    Ok(settings)
}

fn checksum(bytes: &[u8]) -> u32 {
    crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, bytes) as u32
}

/// Writes `bytes` to `path` so that it has all of them or what it had, whenever power fails.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let fresh = path.with_extension("tmp");
    let mut file = std::fs::File::create(&fresh).doing("making", &fresh)?;
    let done = file.write_all(bytes).and_then(|()| file.sync_all()).doing("writing", &fresh);
    if done.is_err() {
        // On a full disk the half of it would be in the way; that it is there harms nobody.
        let _ = std::fs::remove_file(&fresh);
    }
    done?;
    publish(&fresh, path)
}

/// Gives a whole and synced file its name.
pub(crate) fn publish(fresh: &Path, path: &Path) -> Result<(), StoreError> {
    std::fs::rename(fresh, path).doing("naming", path)?;
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::File::open(folder).and_then(|folder| folder.sync_all()).doing("syncing", folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_comes_back_and_no_changed_one_does() {
        let manifest = Manifest {
            settings: Settings {
                metric: Metric::L2,
                raw: Raw::I8,
                extra: ExtraBits::Eight,
                history: Duration::from_secs(9),
                ..Settings::new(384)
            },
            key: 1,
            seed: 2,
            applied: 3,
            log_from: 4,
            time: 5,
            forgotten: 6,
            next: 7,
            segments: vec![
                Entry { id: 8, marks: 0, level: 0 },
                Entry { id: 9, marks: 10, level: 2 },
            ],
        };
        let bytes = manifest.encode();
        assert_eq!(Manifest::decode(&bytes).as_ref(), Ok(&manifest));
        for bit in 0..8 * bytes.len() {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(Manifest::decode(&damaged).is_err(), "bit {bit}");
        }
        (0..bytes.len()).for_each(|cut| assert!(Manifest::decode(&bytes[..cut]).is_err()));
        let folder = tempfile::tempdir().expect("a folder");
        assert!(matches!(Manifest::load(folder.path()), Err(StoreError::Missing(_))));
        manifest.save(folder.path()).expect("saves");
        assert_eq!(Manifest::load(folder.path()).expect("loads"), manifest);
    }
}
