//! A blob as its users see it; what a kill leaves is tested in `tests/blob_crash.rs`.

use std::collections::HashMap;
use std::fs;
use std::io::{self, Read};

use proptest::prelude::*;

use super::*;
use crate::Profile;

fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut bytes = vec![0; len];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

fn settings(stored: u64) -> Settings {
    Settings::new(Identity::new("test", Profile::Prand, 100_000, 7), stored)
}

fn sizes() -> ChunkSizes {
    ChunkSizes::new(256, 1024, 4096).expect("in order")
}

struct Made {
    folder: tempfile::TempDir,
    path: PathBuf,
}

impl Made {
    fn new(stored: u64) -> (Self, Blob) {
        // In memory where that is to be had: what is tested here needs no disk.
        let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
        let folder = folder.expect("a folder");
        let path = folder.path().join("blob");
        let blob = Blob::create(&path, &settings(stored), &mut |_, _| {}).expect("made");
        (Self { folder, path }, blob)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

fn object(blob: &Blob, name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    blob.get_object(name, &mut bytes).expect("it is there");
    bytes
}

#[test]
fn memory_and_folder_hold_the_same() {
    let (made, blob) = Made::new(1000);
    let memory = Blob::memory(&settings(1000)).expect("memory");
    assert_eq!(blob.bytes().len(), 101_000);
    assert!(blob.bytes() == memory.bytes());
    assert_eq!(blob.identity(), memory.identity());
    assert_eq!(&blob.bytes()[..32], &blob.identity().header());
    assert_eq!(blob.granted(), (Backing::File, ""));
    let (backing, note) = memory.granted();
    assert_eq!(backing == Backing::HugePages, note.is_empty());
    drop(blob);
    let read = Blob::open_read(&made.path).expect("whole");
    assert!(read.bytes() == memory.bytes());
    assert_eq!(read.space().get(100_999, 1), Some(&[0][..]));
}

#[test]
fn chunks_are_there_once_and_stay_while_wanted() {
    let (made, mut blob) = Made::new(10_000);
    let (one, two) = (noise(3000, 1), noise(4000, 2));
    let a = blob.put(&one).expect("room");
    assert_eq!(blob.put(&one).expect("known"), a);
    let b = blob.put(&two).expect("room");
    assert_eq!((a.offset, b.offset), (100_000, 103_000), "what is put in one go lies together");
    assert_eq!(blob.chunk(&a.digest), Some(&one[..]));
    assert_eq!(blob.get(&b.digest), Some(b));
    assert_eq!(blob.get(&Digest::of(b"")), None);
    blob.release(&b.digest).expect("retained");
    assert!(matches!(blob.release(&b.digest), Err(BlobError::NotRetained(_))));
    let pin = blob.pin([&b.digest]).expect("there");
    let again = blob.pin([&b.digest]).expect("there");
    drop(pin);
    assert_eq!(blob.gc().expect("alone"), Collected::default());
    drop(again);
    assert_eq!(blob.gc().expect("alone"), Collected { chunks: 1, bytes: 4000 });
    assert_eq!(blob.get(&b.digest), None);
    blob.release(&a.digest).expect("twice");
    assert_eq!(blob.gc().expect("alone"), Collected::default(), "it was put twice");
    assert!(matches!(blob.retain(&b.digest), Err(BlobError::Unknown(_))));
    assert!(matches!(blob.pin([&b.digest]), Err(BlobError::Unknown(_))));
    assert!(matches!(blob.put(b""), Err(BlobError::ChunkSize(0))));
    drop(blob);
    let mut blob = Blob::open(&made.path).expect("whole");
    assert_eq!(blob.chunks().collect::<Vec<_>>(), [a]);
    blob.release(&a.digest).expect("still once");
    blob.gc().expect("alone");
    assert_eq!(blob.stats().free_longest, 10_000);
}

#[test]
fn a_full_blob_says_so_and_overwrites_nothing() {
    let (_made, mut blob) = Made::new(10_000);
    let one = noise(6000, 1);
    let a = blob.put(&one).expect("room");
    let error = blob.put(&noise(6000, 2)).expect_err("no room");
    let BlobError::Full { need: 6000, free: 4000, longest: 4000, garbage: 0 } = error else {
        panic!("{error}")
    };
    assert!(blob.put_object("x", &mut &noise(6000, 3)[..], sizes()).is_err());
    assert!(blob.object("x").is_none());
    assert_eq!(blob.chunk(&a.digest), Some(&one[..]));
    blob.release(&a.digest).expect("retained");
    blob.gc().expect("alone");
    blob.put(&noise(10_000, 4)).expect("all of it is free");
    assert!(blob.check(&mut |_, _| {}).expect("a blob").is_clean());
}

#[test]
fn objects_come_back_and_share_chunks() {
    let (made, mut blob) = Made::new(300_000);
    let bytes = noise(100_000, 1);
    let mut changed = bytes.clone();
    changed[50_000] ^= 1;
    let put = blob.put_object("a", &mut &bytes[..], sizes()).expect("room");
    assert_eq!((put.size, put.digest), (100_000, Digest::of(&bytes)));
    let before = blob.stats().chunk_bytes;
    blob.put_object("b", &mut &changed[..], sizes()).expect("room");
    assert!(blob.stats().chunk_bytes - before < 15_000, "what is the same is shared");
    blob.put_object("nothing", &mut &b""[..], sizes()).expect("room");
    blob.put_object("a", &mut &bytes[..], sizes()).expect("the same in its place");
    blob.sync().expect("disk");
    drop(blob);
    let mut blob = Blob::open(&made.path).expect("whole");
    assert!(object(&blob, "a") == bytes && object(&blob, "b") == changed);
    assert_eq!(object(&blob, "nothing"), b"");
    assert_eq!(blob.objects().map(|(name, _)| name).collect::<Vec<_>>(), ["a", "b", "nothing"]);
    blob.remove_object("a").expect("there");
    assert!(matches!(blob.remove_object("a"), Err(BlobError::NoObject(_))));
    blob.gc().expect("alone");
    assert!(object(&blob, "b") == changed);
    blob.remove_object("b").expect("there");
    blob.gc().expect("alone");
    assert_eq!((blob.stats().chunks, blob.stats().free_longest), (0, 300_000));
    for name in [String::new(), "n".repeat(OBJECT_NAME_MAX + 1)] {
        let refused = blob.put_object(&name, &mut &b"x"[..], sizes());
        assert!(matches!(refused, Err(BlobError::ObjectName(_))));
    }
}

/// Gives some bytes, then fails.
struct Breaks(usize);

impl Read for Breaks {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let len = self.0.min(into.len());
        self.0 -= len;
        into[..len].fill(self.0 as u8);
        if len == 0 { Err(io::Error::other("the source is gone")) } else { Ok(len) }
    }
}

#[test]
fn a_source_that_fails_leaves_nothing_retained() {
    let (_made, mut blob) = Made::new(3 << 20);
    let failed = blob.put_stream(&mut Breaks(2 << 20), sizes());
    assert!(matches!(failed, Err(BlobError::Transfer(_))));
    assert!(blob.put_object("x", &mut Breaks(2 << 20), sizes()).is_err());
    blob.gc().expect("alone");
    assert_eq!(blob.stats().chunks, 0);
    let chunks = blob.put_stream(&mut &noise(100_000, 1)[..], sizes()).expect("room");
    let whole: Vec<u8> = chunks
        .iter()
        .flat_map(|chunk| blob.chunk(&chunk.digest).expect("there").to_vec())
        .collect();
    assert!(whole == noise(100_000, 1));
}

#[test]
fn one_writes_and_many_read() {
    let (made, mut blob) = Made::new(10_000);
    let a = blob.put(&noise(1000, 1)).expect("room");
    blob.sync().expect("disk");
    let error = Blob::open(&made.path).expect_err("taken");
    assert!(error.to_string().contains(&format!("process {}", std::process::id())), "{error}");
    let mut reader = Blob::open_read(&made.path).expect("readers are let in");
    let other = Blob::open_read(&made.path).expect("as many as come");
    assert_eq!(reader.chunk(&a.digest), Some(&noise(1000, 1)[..]));
    blob.release(&a.digest).expect("retained");
    assert!(matches!(blob.gc(), Err(BlobError::Readers(_))));
    assert_eq!(reader.chunk(&a.digest), Some(&noise(1000, 1)[..]));
    for refused in [
        reader.put(b"x").map(drop),
        reader.release(&a.digest),
        reader.gc().map(drop),
        reader.remove_object("x").map(drop),
        reader.sync(),
    ] {
        assert!(matches!(refused, Err(BlobError::ReadOnly)));
    }
    drop((reader, other));
    assert_eq!(blob.gc().expect("alone again").chunks, 1);
    assert!(matches!(Blob::repair(&made.path, &mut |_, _| {}), Err(BlobError::Locked { .. })));
}

#[test]
fn another_identity_than_asked_is_named() {
    let blob = Blob::memory(&settings(0)).expect("memory");
    let has = blob.identity().clone();
    blob.expect(&has).expect("the same");
    for (asked, what) in [
        (Identity { profile: Profile::Orchard, ..has.clone() }, "profile prand, not orchard"),
        (Identity { layout: 2, ..has.clone() }, "layout 1, not 2"),
        (Identity { size: 1, ..has.clone() }, "size 100000, not 1"),
        (Identity { seed: 8, ..has.clone() }, "seed 7, not 8"),
        (Identity { name: "other".into(), ..has.clone() }, "name test, not other"),
    ] {
        let error = blob.expect(&asked).expect_err("another").to_string();
        assert!(error.contains(what), "{error}");
    }
}

#[test]
fn what_an_interrupted_create_left_is_done_anew() {
    let (made, blob) = Made::new(1000);
    let want = blob.bytes().to_vec();
    drop(blob);
    fs::remove_file(made.file("header")).expect("it is there");
    fs::write(made.file("data"), b"half").expect("writable");
    fs::write(made.file("header.tmp"), b"half").expect("writable");
    assert!(matches!(Blob::open(&made.path), Err(BlobError::Missing(_))));
    let blob = Blob::create(&made.path, &settings(1000), &mut |_, _| {}).expect("made anew");
    assert!(blob.bytes() == want);
    drop(blob);
    let again = Blob::create(&made.path, &settings(1000), &mut |_, _| {});
    assert!(matches!(again, Err(BlobError::Exists(_))));
    let foreign = made.folder.path().join("foreign");
    fs::create_dir(&foreign).expect("writable");
    fs::write(foreign.join("data.txt"), b"mine").expect("writable");
    let refused = Blob::create(&foreign, &settings(0), &mut |_, _| {});
    assert!(matches!(refused, Err(BlobError::Foreign(_))));
    assert!(matches!(Blob::open(&foreign), Err(BlobError::Missing(_))));
    assert_eq!(fs::read_dir(&foreign).expect("there").count(), 1, "nothing is added");
}

#[test]
fn data_may_lie_elsewhere() {
    let folder = tempfile::tempdir().expect("a folder");
    let (path, data) = (folder.path().join("blob"), folder.path().join("bytes"));
    let with = Settings { data: Some(data.clone()), ..settings(1000) };
    drop(Blob::create(&path, &with, &mut |_, _| {}).expect("made"));
    assert!(!path.join("data").exists() && data.exists());
    drop(Blob::open(&path).expect("whole"));
    let taken = Blob::create(&folder.path().join("other"), &with, &mut |_, _| {});
    assert!(matches!(taken, Err(BlobError::Foreign(_))));
    Blob::open(&path).expect("the file is as it was");
    fs::remove_file(&data).expect("there");
    let error = Blob::open(&path).expect_err("gone").to_string();
    assert!(error.contains("gone"), "{error}");
}

#[test]
fn data_of_another_blob_or_cut_short_are_refused() {
    let (made, blob) = Made::new(1000);
    drop(blob);
    let (other, blob) = Made::new(1000);
    drop(blob);
    let whole = fs::read(made.file("data")).expect("readable");
    for len in [0, 1, 4096, whole.len() - 4096, whole.len() - 1] {
        fs::write(made.file("data"), &whole[..len]).expect("writable");
        assert!(matches!(Blob::open(&made.path), Err(BlobError::Header { .. })), "{len}");
        assert!(matches!(Blob::repair(&made.path, &mut |_, _| {}), Err(BlobError::Header { .. })));
    }
    fs::copy(other.file("data"), made.file("data")).expect("writable");
    assert!(matches!(Blob::open(&made.path), Err(BlobError::Header { .. })));
    fs::write(made.file("data"), &whole).expect("writable");
    fs::copy(other.file("journal"), made.file("journal")).expect("writable");
    assert!(matches!(Blob::open(&made.path), Err(BlobError::Damaged { .. })));
    fs::remove_file(made.file("journal")).expect("there");
    assert!(matches!(Blob::open(&made.path), Err(BlobError::Damaged { .. })));
    fs::copy(other.file("header"), made.file("header")).expect("writable");
    assert!(matches!(Blob::open(&made.path), Err(BlobError::Header { .. })));
    fs::write(made.file("header"), b"#!/bin/sh").expect("writable");
    assert!(matches!(Blob::open(&made.path), Err(BlobError::Header { .. })));
}

/// Three frames, then what is waited for; the journal's bytes and what each frame ends with.
fn journaled() -> (Made, Vec<u8>, Vec<(usize, u64)>) {
    let (made, mut blob) = Made::new(100_000);
    let mut ends = Vec::new();
    for frame in 0..3 {
        for chunk in 0..3 {
            blob.put(&noise(100, frame * 10 + chunk)).expect("room");
        }
        blob.put_object("object", &mut &noise(5000, 100 + frame)[..], sizes()).expect("room");
        blob.sync().expect("disk");
        let stats = blob.stats();
        ends.push((stats.journal_bytes as usize, stats.chunks));
    }
    drop(blob);
    let journal = fs::read(made.file("journal")).expect("readable");
    (made, journal, ends)
}

#[test]
fn a_journal_cut_anywhere_is_read_up_to_its_last_whole_frame() {
    let (made, journal, ends) = journaled();
    for len in 64..=journal.len() {
        fs::write(made.file("journal"), &journal[..len]).expect("writable");
        let blob = Blob::open(&made.path).expect("a torn end is cut");
        let want = ends.iter().rev().find(|(end, _)| *end <= len).map_or(0, |(_, chunks)| *chunks);
        assert_eq!(blob.stats().chunks, want, "{len}");
        assert_eq!(blob.object("object").is_some(), want > 0);
        drop(blob);
        let kept = fs::metadata(made.file("journal")).expect("there").len() as usize;
        assert!(kept <= len && (kept == 64 || ends.iter().any(|(end, _)| *end == kept)));
    }
    for len in 0..64 {
        fs::write(made.file("journal"), &journal[..len]).expect("writable");
        assert!(matches!(Blob::open(&made.path), Err(BlobError::Damaged { .. })), "{len}");
    }
}

#[test]
fn a_bit_flipped_anywhere_in_the_journal_is_noticed_or_costs_the_last_frame() {
    let (made, journal, ends) = journaled();
    for bit in (0..journal.len() * 8).step_by(7) {
        let mut bytes = journal.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        fs::write(made.file("journal"), &bytes).expect("writable");
        match Blob::open_read(&made.path) {
            Ok(blob) => {
                assert!(bit / 8 >= ends[1].0, "{bit}");
                assert_eq!(blob.stats().chunks, ends[1].1);
            }
            Err(BlobError::Damaged { .. }) => assert!(bit / 8 < ends[1].0, "{bit}"),
            Err(error) => panic!("{bit}: {error}"),
        }
    }
}

#[test]
fn repair_keeps_what_is_whole() {
    let (made, journal, ends) = journaled();
    let mut bytes = journal.clone();
    // In the middle of the second frame: its chunks are lost, and with it no other.
    bytes[(ends[0].0 + ends[1].0) / 2] ^= 1;
    fs::write(made.file("journal"), &bytes).expect("writable");
    let mut data = fs::read(made.file("data")).expect("readable");
    data[50_000] ^= 1;
    fs::write(made.file("data"), &data).expect("writable");
    let (blob, findings) = Blob::repair(&made.path, &mut |_, _| {}).expect("repaired");
    assert!(findings.journal > 0);
    assert_eq!(findings.deterministic, [(0, 100_000)]);
    assert!(findings.bad_chunks.is_empty());
    assert!(object(&blob, "object") == noise(5000, 102));
    let first: Vec<_> = (0..3).map(|chunk| Digest::of(&noise(100, chunk))).collect();
    assert!(first.iter().all(|digest| blob.chunk(digest).is_some()));
    assert!(blob.check(&mut |_, _| {}).expect("a blob").is_clean());
    drop(blob);
    let (mut blob, findings) = Blob::repair(&made.path, &mut |_, _| {}).expect("whole");
    assert!(findings.is_clean(), "{findings:?}");
    // A chunk of the object is damaged: the object goes, other chunks stay.
    let chunk = blob.get(&first[0]).expect("there");
    let mut parts = Vec::new();
    blob.read_object("object", |bytes| {
        parts.push(Digest::of(bytes));
        Ok(())
    })
    .expect("whole");
    let part = blob.get(&parts[0]).expect("there");
    blob.sync().expect("disk");
    drop(blob);
    let mut data = fs::read(made.file("data")).expect("readable");
    data[part.offset as usize] ^= 1;
    fs::write(made.file("data"), &data).expect("writable");
    let blob = Blob::open(&made.path).expect("a chunk's bytes are not read at opening");
    let found = blob.check(&mut |_, _| {}).expect("a blob");
    assert_eq!(found.bad_chunks, [part.digest]);
    assert_eq!(found.bad_objects.len(), 1);
    let error = blob.get_object("object", &mut Vec::new()).expect_err("damaged").to_string();
    assert!(error.contains("is not what it was"), "{error}");
    drop(blob);
    let (blob, _) = Blob::repair(&made.path, &mut |_, _| {}).expect("repaired");
    assert!(blob.object("object").is_none() && blob.get(&part.digest).is_none());
    assert_eq!(blob.get(&chunk.digest), Some(chunk));
}

#[test]
fn a_bit_flipped_anywhere_in_the_data_is_found() {
    let (made, mut blob) = Made::new(3000);
    blob.put(&noise(3000, 1)).expect("room");
    blob.sync().expect("disk");
    drop(blob);
    let data = fs::read(made.file("data")).expect("readable");
    for at in (0..103_000).step_by(997).chain([0, 31, 32, 99_999, 100_000, 102_999]) {
        let mut data = data.clone();
        data[at] ^= 1 << (at % 8);
        fs::write(made.file("data"), &data).expect("writable");
        // The cheap look at opening may see it already.
        let Ok(blob) = Blob::open_read(&made.path) else { continue };
        let found = blob.check(&mut |_, _| {}).expect("a blob");
        let chunks = if at < 100_000 { 0 } else { 1 };
        assert_eq!(
            (found.deterministic.len(), found.bad_chunks.len()),
            (1 - chunks, chunks),
            "{at}"
        );
    }
}

#[test]
fn a_journal_is_written_anew_when_most_of_it_is_superfluous() {
    let (made, mut blob) = Made::new(100_000);
    let a = blob.put(&noise(100, 1)).expect("room");
    let mut longest = 0;
    for _ in 0..300_000 {
        blob.retain(&a.digest).expect("there");
        blob.release(&a.digest).expect("retained");
        longest = longest.max(blob.stats().journal_bytes);
    }
    blob.put_object("object", &mut &noise(5000, 2)[..], sizes()).expect("room");
    blob.sync().expect("disk");
    // Each of them took 37 bytes when it was written: 22 MB.
    assert!(longest < 1 << 20, "{longest}");
    drop(blob);
    let mut blob = Blob::open(&made.path).expect("whole");
    assert!(object(&blob, "object") == noise(5000, 2));
    blob.release(&a.digest).expect("once");
    assert!(blob.release(&a.digest).is_err());
}

/// What a blob must hold.
#[derive(Default)]
struct Model {
    refs: HashMap<u64, u32>,
    objects: HashMap<u64, u64>,
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    #[test]
    fn it_holds_what_a_model_holds(
        steps in prop::collection::vec((0_u8..8, 0_u64..12, 1_usize..4000), 1..120)
    ) {
        let (made, mut blob) = Made::new(60_000);
        let mut model = Model::default();
        let bytes = |seed: u64| noise(300 + 400 * seed as usize, seed);
        let contents = |seed: u64| noise(500 * seed as usize, 1000 + seed);
        for (step, seed, _) in steps {
            match step {
                0 | 1 => match blob.put(&bytes(seed)) {
                    Ok(_) => *model.refs.entry(seed).or_default() += 1,
                    Err(error) => prop_assert!(matches!(error, BlobError::Full { .. }), "{}", error),
                },
                2 => {
                    let released = blob.release(&Digest::of(&bytes(seed))).is_ok();
                    let refs = model.refs.entry(seed).or_default();
                    prop_assert_eq!(released, *refs > 0);
                    *refs = refs.saturating_sub(1);
                }
                3 => {
                    let name = (seed % 3).to_string();
                    match blob.put_object(&name, &mut &contents(seed)[..], sizes()) {
                        Ok(_) => drop(model.objects.insert(seed % 3, seed)),
                        Err(error) => prop_assert!(matches!(error, BlobError::Full { .. }), "{}", error),
                    }
                }
                4 => {
                    let removed = blob.remove_object(&(seed % 3).to_string()).is_ok();
                    prop_assert_eq!(removed, model.objects.remove(&(seed % 3)).is_some());
                }
                5 => drop(blob.gc().expect("alone")),
                6 => {
                    blob.sync().expect("disk");
                    drop(blob);
                    blob = Blob::open(&made.path).expect("whole");
                }
                _ => blob.compact_now().expect("disk"),
            }
        }
        for (seed, refs) in &model.refs {
            if *refs > 0 {
                prop_assert_eq!(blob.chunk(&Digest::of(&bytes(*seed))), Some(&bytes(*seed)[..]));
            }
        }
        for (name, seed) in &model.objects {
            prop_assert!(object(&blob, &name.to_string()) == contents(*seed));
        }
        let found = blob.check(&mut |_, _| {}).expect("a blob");
        prop_assert!(found.is_clean());
        let stats = blob.stats();
        prop_assert_eq!(stats.chunk_bytes + stats.free_bytes, 60_000);
        for (seed, refs) in &model.refs {
            for _ in 0..*refs {
                blob.release(&Digest::of(&bytes(*seed))).expect("retained");
            }
        }
        for name in model.objects.keys() {
            blob.remove_object(&name.to_string()).expect("there");
        }
        blob.gc().expect("alone");
        prop_assert_eq!(blob.stats().free_longest, 60_000);
    }
}

impl Blob {
    /// As [`Blob::sync`] does when the journal is long.
    fn compact_now(&mut self) -> Result<(), BlobError> {
        self.sync()?;
        self.compact()
    }
}
