//! Files that are cut, changed, or that there is no room for.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use pfs_vec::wal::Fsync;
use pfs_vec::{
    Collection, Direction, Effort, Metric, Only, Options, Put, Query, Raw, Settings, StoreError,
    Words,
};

const DIM: usize = 16;
const OPTIONS: Options = Options { fsync: Fsync::Never, least_recall: 0.0 };

fn settings() -> Settings {
    Settings { metric: Metric::L2, raw: Raw::I8, memory_rows: 1 << 14, ..Settings::new(DIM) }
}

/// Far from those of all other ids.
fn vector(id: u64) -> [f32; DIM] {
    std::array::from_fn(|at| {
        let mut mixed = (id * 64 + at as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % 20_001) as f32 - 10_000.0
    })
}

fn fill(collection: &Collection, ids: std::ops::Range<u64>) -> Result<(), StoreError> {
    let mut batch = collection.batch();
    for id in ids.clone() {
        let (name, text) = (id.to_le_bytes(), format!("text of {id}"));
        let (vector, metadata) = (vector(id), [id as u8; 3]);
        let put = Put { text: &text, metadata: &metadata, ..Put::new(&name, &vector) };
        batch.put(&put)?;
        if id > ids.start {
            batch.associate((&ids.start.to_le_bytes(), &name), 1, 1.0, 1.0)?;
        }
    }
    collection.write(&mut batch).map(drop)
}

/// Files in a folder's folder whose names end so.
fn files(folder: &Path, within: &str, end: &str) -> Vec<PathBuf> {
    let listing = std::fs::read_dir(folder.join(within)).expect("is there");
    let paths = listing.map(|entry| entry.expect("can be read").path());
    paths.filter(|path| path.to_string_lossy().ends_with(end)).collect()
}

/// Everything that can be asked; what is damaged is an error or is left out by name.
fn ask_all(collection: &Collection, ids: std::ops::Range<u64>) -> (usize, usize) {
    let (mut good, mut bad) = (0, 0);
    let mut count = |is_good: bool| if is_good { good += 1 } else { bad += 1 };
    for id in ids.clone() {
        match collection.get(&id.to_le_bytes()) {
            Ok(Some(record)) => {
                assert_eq!(record.text, format!("text of {id}"));
                assert_eq!(record.metadata, [id as u8; 3]);
                count(true);
            }
            Ok(None) => panic!("record {id} is gone, and nobody says so"),
            Err(StoreError::Damaged(_)) => count(false),
            Err(error) => panic!("{error}"),
        }
    }
    let words = Words::Prefix("te".into());
    let asked = vector(ids.start);
    for effort in [Effort::Exact, Effort::Recall(0.95)] {
        for only in [
            Only::default(),
            Only { words: Some(&words), ..Only::default() },
            Only { time: Some(0..=u64::MAX), ..Only::default() },
        ] {
            let query = Query { effort, only, ..Query::new(&asked, 3) };
            let answer = collection.search(&query).expect("goes on without what is damaged");
            if answer.refused.is_empty() {
                assert_eq!(answer.hits[0].id, ids.start.to_le_bytes());
            }
            count(answer.refused.is_empty());
        }
    }
    let first = ids.start.to_le_bytes();
    count(collection.neighbours(&first, Direction::Out, None).is_ok());
    count(collection.neighbours(&first, Direction::In, None).is_ok());
    count(collection.in_time(0..=u64::MAX, 10).is_ok());
    count(collection.with_words(&words, 10).is_ok());
    (good, bad)
}

#[test]
fn flipped_bits_are_found_by_verify_and_refused_at_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let collection = Collection::create(folder.path(), &settings(), OPTIONS).expect("creates");
    // Two segments: one of many blocks, and one that stays whole.
    fill(&collection, 0..4500).expect("writes");
    collection.compact().expect("compacts");
    fill(&collection, 10_000..10_050).expect("writes");
    collection.checkpoint().expect("checkpoints");
    drop(collection);
    let mut segments = files(folder.path(), "segments", ".seg");
    segments.sort_by_key(|path| std::fs::metadata(path).expect("is there").len());
    let path = &segments[1];
    let whole = std::fs::read(path).expect("reads");
    let mut regions = BTreeSet::new();
    let footer = whole.len() - 1024;
    let blocks = (0..footer).step_by(40_009).chain(footer..whole.len()).step_by(1);
    let places = blocks.filter(|at| *at < footer || at % 37 == 0);
    for at in places {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        std::fs::write(path, &bytes).expect("writes");
        let collection = Collection::open(folder.path(), OPTIONS).expect("opens without it");
        let damaged = collection.verify().damaged;
        assert_eq!(damaged.len(), 1, "byte {at}");
        regions.insert(damaged[0].region);
        // The other segment answers for its own.
        let query = vector(10_007);
        let answer = collection.search(&Query::new(&query, 1)).expect("searches");
        assert!(answer.hits[0].id == 10_007_u64.to_le_bytes(), "byte {at}");
        if at % 5 == 0 {
            let (good, bad) = ask_all(&collection, 0..50);
            assert!(good + bad == 60, "byte {at}: {good} {bad}");
            assert!(at < footer || bad >= 50, "byte {at}: {bad}");
        }
        drop(collection);
        if at % 7 == 0 {
            compact_a_copy(folder.path(), path, at);
        }
    }
    assert!(regions.len() >= 12, "{regions:?}");
    std::fs::write(path, &whole).expect("writes");
    let collection = Collection::open(folder.path(), OPTIONS).expect("opens");
    assert_eq!(collection.verify().damaged, []);
    assert_eq!(ask_all(&collection, 0..50), (60, 0));
}

/// A compaction refuses what is damaged, or it read nothing of it and loses nothing.
fn compact_a_copy(folder: &Path, damaged: &Path, at: usize) {
    let copy = tempfile::tempdir().expect("a folder");
    for within in ["", "log", "segments"] {
        std::fs::create_dir_all(copy.path().join(within)).expect("makes");
        for file in files(folder, within, "").iter().filter(|path| path.is_file()) {
            let to = copy.path().join(within).join(file.file_name().expect("has a name"));
            std::fs::copy(file, to).expect("copies");
        }
    }
    let collection = Collection::open(copy.path(), OPTIONS).expect("opens");
    match collection.compact() {
        // One that cannot be opened is left alone, and the others are merged.
        done @ (Err(StoreError::Damaged(_)) | Ok(_)) if !collection.verify().damaged.is_empty() => {
            let name = damaged.file_name().expect("has a name");
            assert!(copy.path().join("segments").join(name).exists(), "byte {at}: {done:?}");
        }
        Ok(Some(_)) => {
            assert_eq!(collection.len(), 4550, "byte {at}");
            assert_eq!(ask_all(&collection, 0..50), (60, 0), "byte {at}");
        }
        other => panic!("byte {at}: {other:?}"),
    }
}

#[test]
fn a_log_that_is_cut_anywhere_holds_the_batches_before_the_cut() {
    let folder = tempfile::tempdir().expect("a folder");
    let collection = Collection::create(folder.path(), &settings(), OPTIONS).expect("creates");
    let log = files(folder.path(), "log", ".wal").remove(0);
    let mut ends = Vec::new();
    for batch in 0..4 {
        fill(&collection, batch * 3..batch * 3 + 3).expect("writes");
        ends.push(std::fs::metadata(&log).expect("is there").len());
    }
    let mut open = collection.begin().expect("begins");
    let mut batch = collection.batch();
    batch.put(&Put::new(b"pending", &vector(1))).expect("is a record");
    open.add(&mut batch).expect("adds");
    std::mem::forget(open);
    drop((batch, collection));
    let whole = std::fs::read(&log).expect("reads");
    for cut in (32..=whole.len()).rev() {
        std::fs::write(&log, &whole[..cut]).expect("writes");
        let collection = Collection::open(folder.path(), OPTIONS).expect("opens");
        let batches = ends.iter().filter(|end| **end <= cut as u64).count() as u64;
        assert_eq!(collection.len(), 3 * batches, "cut at {cut}");
        assert_eq!(collection.get(b"pending").expect("reads"), None);
        if batches > 0 {
            let (good, bad) = ask_all(&collection, 0..3 * batches);
            assert_eq!((good, bad), (3 * batches as usize + 10, 0));
        }
    }
}

/// A folder in memory with room for few bytes; gone when this is dropped.
struct Small(tempfile::TempDir);

impl Small {
    fn mount() -> Result<Self, String> {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=3m", "tmpfs"])
            .arg(folder.path())
            .output();
        match mount {
            Ok(done) if done.status.success() => Ok(Self(folder)),
            Ok(done) => Err(String::from_utf8_lossy(&done.stderr).trim().to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path()).status();
    }
}

#[test]
fn a_full_disk_loses_nothing_that_was_acknowledged() {
    let small = match Small::mount() {
        Ok(small) => small,
        Err(why) => {
            eprintln!("skipped: a full disk needs a tmpfs of its own, and mount said: {why}");
            return;
        }
    };
    let folder = small.0.path().join("collection");
    let collection = Collection::create(&folder, &settings(), OPTIONS).expect("creates");
    let mut written = 0;
    let error = loop {
        match fill(&collection, written..written + 50) {
            Ok(()) => written += 50,
            Err(error) => break error,
        }
    };
    assert!(error.to_string().contains("No space left"), "{error}");
    assert!(written > 1000, "{written}");
    let refused = fill(&collection, written..written + 1).expect_err("the log has failed");
    assert!(refused.to_string().contains("open it again"), "{refused}");
    assert_eq!(collection.len(), written);
    // There is no room for a segment either; what is there stays and is found.
    let error = collection.checkpoint().expect_err("there is no room");
    assert!(!error.to_string().is_empty());
    assert_eq!(ask_all(&collection, 0..50).1, 0);
    drop(collection);
    let collection = Collection::open(&folder, OPTIONS).expect("opens");
    assert_eq!(collection.len(), written);
    assert_eq!(ask_all(&collection, 0..50), (60, 0));
    assert!(files(&folder, "segments", ".tmp").is_empty());
}
