//! Recovery against a model, from logs that were cut, flipped, mixed up or taken away.

use std::collections::BTreeMap;
use std::fs;
use std::time::Instant;

use proptest::prelude::*;
use tempfile::TempDir;

use super::files::list;
use super::segment::LEAD;
use super::*;
use crate::op::{Condition, Expiry, Op, OpError, Replies, Reply, Space};
use crate::shard::{Scan, ShardSettings};

const S: Space = Space(0);
type Model = BTreeMap<Vec<u8>, Vec<u8>>;

fn settings(fsync: Fsync) -> DurableSettings {
    DurableSettings { fsync, segment_bytes: 8192, snapshot_bytes: 1 << 30, salvage: false }
}

fn open(folder: &Path) -> Result<DurableShard, DurableError> {
    open_with(folder, settings(Fsync::Never))
}

fn open_with(folder: &Path, settings: DurableSettings) -> Result<DurableShard, DurableError> {
    DurableShard::open(folder, ShardSettings::single(16 << 20), settings)
}

fn run(shard: &mut DurableShard, ops: &[Op<'_>]) -> Vec<Reply> {
    let mut replies = Replies::new();
    let ticket = shard.execute(ops, &mut replies);
    shard.flush().unwrap();
    assert!(shard.acknowledged(ticket));
    replies.iter().collect()
}

fn put(shard: &mut DurableShard, key: &[u8], value: &[u8]) {
    assert_eq!(run(shard, &[Op::put(S, key, value)]), [Reply::Done]);
}

fn state(shard: &DurableShard) -> Model {
    let scan = Scan { hidden: true, ..Scan::default() };
    shard.shard().scan(&scan).map(|row| (row.key.to_vec(), row.value.to_vec())).collect()
}

/// A folder in memory where there is such a thing: what is tested here is not the disk.
fn scratch() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// A copy of what a killed process would leave.
fn copy(folder: &Path) -> TempDir {
    let copy = scratch();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, copy.path().join(path.file_name().unwrap())).unwrap();
    }
    copy
}

fn last_log(folder: &Path) -> PathBuf {
    list(folder).unwrap().segments.pop().unwrap().1
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), ..ProptestConfig::default() })]

    #[test]
    fn any_operations_equal_a_model_across_crashes(
        ops in prop::collection::vec((0u8..20, prop::collection::vec(0u8..4, 0..4), 0usize..600), 1..120),
    ) {
        let mut folder = scratch();
        let mut shard = open(folder.path()).unwrap();
        let mut model = Model::new();
        for (index, (kind, key, len)) in ops.iter().enumerate() {
            let value = vec![index as u8; *len];
            match kind {
                0..10 => {
                    put(&mut shard, key, &value);
                    model.insert(key.clone(), value);
                }
                10..14 => {
                    run(&mut shard, &[Op::delete(S, key)]);
                    model.remove(key);
                }
                14 | 15 => {
                    shard.purge(S, key, 1000).unwrap();
                    model.retain(|other, _| !other.starts_with(key));
                }
                16 => shard.snapshot().unwrap(),
                17 | 18 => {
                    shard.flush().unwrap();
                    let crashed = copy(folder.path());
                    drop(shard);
                    folder = crashed;
                    shard = open(folder.path()).unwrap();
                    prop_assert_eq!(shard.recovered().cut_bytes, 0);
                }
                _ => {
                    drop(shard);
                    shard = open(folder.path()).unwrap();
                }
            }
            prop_assert_eq!(state(&shard), model.clone());
        }
    }
}

fn cases() -> u32 {
    std::env::var("PFS_TEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(12)
}

/// A log of a few frames, and the state after each.
fn small_log() -> (TempDir, Vec<Model>) {
    let folder = scratch();
    let mut shard = open_with(folder.path(), settings(Fsync::Always)).unwrap();
    let mut states = vec![state(&shard)];
    for n in 0..6u8 {
        let value = [n; 9];
        let (key, other) = ([b'k', n % 4], [n]);
        let ops = [Op::put(S, &key, &value), Op::put(S, &other, b"")];
        run(&mut shard, &ops);
        states.push(state(&shard));
    }
    let folder = copy(folder.path());
    (folder, states)
}

#[test]
fn a_log_cut_at_any_byte_gives_the_frames_before_it() {
    let (folder, states) = small_log();
    let path = last_log(folder.path());
    let whole = fs::read(&path).unwrap();
    let end = whole.len() - whole.iter().rev().take_while(|&&byte| byte == 0).count();
    let mut seen = 0;
    // The last value is empty: its length ends in zeros.
    for cut in (LEAD..=end + 8).rev() {
        let crashed = copy(folder.path());
        fs::write(last_log(crashed.path()), &whole[..cut]).unwrap();
        let shard = open(crashed.path()).unwrap();
        let found = shard.recovered().clone();
        assert_eq!(state(&shard), states[found.frames as usize], "cut at {cut}");
        // Zeros at the end are not told from what was never written.
        let left = &whole[LEAD + found.log_bytes as usize..cut];
        let zeros = left.iter().rev().take_while(|&&byte| byte == 0).count();
        assert_eq!(found.cut_bytes, (left.len() - zeros) as u64);
        seen |= 1 << found.frames;
        drop(shard);
        let again = open(crashed.path()).unwrap();
        assert_eq!(again.recovered().cut_bytes, 0, "the cut is mended");
        assert_eq!(state(&again), states[found.frames as usize]);
    }
    assert_eq!(seen, (1 << states.len()) - 1);
    for cut in 0..LEAD {
        let crashed = copy(folder.path());
        fs::write(last_log(crashed.path()), &whole[..cut]).unwrap();
        assert!(matches!(open(crashed.path()), Err(DurableError::Damaged { .. })));
    }
}

#[test]
fn any_flipped_bit_is_found() {
    let (folder, states) = small_log();
    let path = last_log(folder.path());
    let whole = fs::read(&path).unwrap();
    let end = whole.len() - whole.iter().rev().take_while(|&&byte| byte == 0).count();
    let step = if std::env::var("PFS_TEST_CASES").is_ok() { 1 } else { 3 };
    let (mut refused, mut cut) = (0, 0);
    for bit in (0..(end + 8) * 8).step_by(step) {
        let crashed = copy(folder.path());
        let mut bytes = whole.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        fs::write(last_log(crashed.path()), &bytes).unwrap();
        match open(crashed.path()) {
            Ok(shard) => {
                let found = shard.recovered();
                // Nothing that was durable when a later frame was written is missing.
                assert!(found.frames >= 5, "bit {bit}: {found:?}");
                assert_eq!(state(&shard), states[found.frames as usize], "bit {bit}");
                assert!(found.cut_bytes > 0, "bit {bit} went unseen");
                cut += 1;
            }
            Err(DurableError::Damaged { .. }) => refused += 1,
            Err(error) => panic!("bit {bit}: {error}"),
        }
    }
    assert!(refused > 0 && cut > 0, "{refused} {cut}");
}

#[test]
fn salvage_keeps_what_is_before_the_damage_and_goes_on() {
    let (folder, states) = small_log();
    let path = last_log(folder.path());
    let mut bytes = fs::read(&path).unwrap();
    bytes[LEAD + 200] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let error = open(folder.path()).unwrap_err().to_string();
    assert!(error.contains("salvage"), "{error}");
    let salvage = DurableSettings { salvage: true, ..settings(Fsync::Always) };
    let mut shard = open_with(folder.path(), salvage).unwrap();
    let found = shard.recovered().clone();
    assert_eq!(found.lost.len(), 1);
    assert_eq!(state(&shard), states[found.frames as usize]);
    put(&mut shard, b"after", b"salvage");
    let want = state(&shard);
    drop(shard);
    assert_eq!(state(&open(folder.path()).unwrap()), want);
}

#[test]
fn missing_and_foreign_files_are_refused() {
    let folder = scratch();
    let mut shard = open(folder.path()).unwrap();
    for n in 0..100u32 {
        put(&mut shard, &n.to_be_bytes(), &[1; 500]);
    }
    drop(shard);
    let segments = list(folder.path()).unwrap().segments;
    assert!(segments.len() > 5);
    for (index, (_, path)) in segments.iter().enumerate() {
        let taken = copy(folder.path());
        fs::remove_file(taken.path().join(path.file_name().unwrap())).unwrap();
        let error = open(taken.path()).map(|shard| state(&shard).len()).unwrap_err();
        let refused = matches!(error, DurableError::Missing { .. } | DurableError::Damaged { .. });
        assert!(refused, "segment {index}: {error}");
    }
    let mixed = copy(folder.path());
    fs::copy(&segments[1].1, mixed.path().join("00000000000000009999.log")).unwrap();
    assert!(open(mixed.path()).is_err());
    for name in ["notes.txt", "1.log", "x.snap"] {
        let mixed = copy(folder.path());
        fs::write(mixed.path().join(name), b"hello").unwrap();
        let error = open(mixed.path()).unwrap_err();
        assert!(matches!(error, DurableError::Foreign { .. }), "{error}");
    }
    let settings = ShardSettings { shards: 2, ..ShardSettings::single(16 << 20) };
    let error =
        DurableShard::open(folder.path(), settings, DurableSettings::default()).unwrap_err();
    assert!(matches!(error, DurableError::Shards { was: 1, asked: 2, .. }), "{error}");
}

#[test]
fn snapshots_shorten_the_log_and_damage_to_one_is_found() {
    let folder = scratch();
    let settings = DurableSettings { snapshot_bytes: 40_000, ..settings(Fsync::Never) };
    let mut shard = open_with(folder.path(), settings).unwrap();
    for n in 0..2000u32 {
        put(&mut shard, &(n % 300).to_be_bytes(), &[n as u8; 200]);
        if n % 10 == 0 {
            let insert = Op::Insert { space: Space(2), value: &n.to_be_bytes() };
            assert_eq!(run(&mut shard, &[insert]), [Reply::Absolute(u64::from(n) / 10 + 1)]);
        }
    }
    run(&mut shard, &[Op::Remove { space: Space(2), absolute: 200 }]);
    shard.snapshot().unwrap();
    let want = state(&shard);
    drop(shard);
    let bytes: u64 = fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().metadata().unwrap().len())
        .sum();
    assert!(bytes < 300_000, "{bytes} bytes for 300 keys");
    let mut shard = open(folder.path()).unwrap();
    assert_eq!(state(&shard), want);
    assert!(shard.recovered().snapshot.is_some() && shard.recovered().frames < 100);
    assert_eq!(shard.shard().read(Space(2), 199), Some(&1980u32.to_be_bytes()[..]));
    let insert = Op::Insert { space: Space(2), value: b"" };
    assert_eq!(run(&mut shard, &[insert]), [Reply::Absolute(201)], "200 is not given out again");
    drop(shard);
    let path = list(folder.path()).unwrap().snapshots.pop().unwrap().1;
    let whole = fs::read(&path).unwrap();
    for byte in (0..whole.len()).step_by(whole.len() / 40) {
        let mut bytes = whole.clone();
        bytes[byte] ^= 4;
        fs::write(&path, &bytes).unwrap();
        let error = open(folder.path()).unwrap_err();
        assert!(matches!(error, DurableError::Damaged { .. }), "byte {byte}: {error}");
        fs::write(&path, &whole[..byte]).unwrap();
        assert!(open(folder.path()).is_err());
    }
}

#[test]
fn groups_are_acknowledged_when_they_are_synced() {
    let folder = scratch();
    let group = Fsync::Group { max_us: 60_000_000, max_bytes: 3000 };
    let mut shard = open_with(folder.path(), settings(group)).unwrap();
    let mut replies = Replies::new();
    let first = shard.execute(&[Op::put(S, b"a", &[1; 100])], &mut replies);
    assert!(first > Ticket(0) && !shard.acknowledged(first));
    let second = shard.execute(&[Op::put(S, b"b", &[1; 100]), Op::get(S, b"a")], &mut replies);
    assert_eq!(first, second, "both are in one group");
    assert!(!shard.acknowledged(second));
    let crashed = copy(folder.path());
    assert_eq!(state(&open(crashed.path()).unwrap()).len(), 0);
    let third = shard.execute(&[Op::put(S, b"c", &[1; 4000])], &mut replies);
    let deadline = Instant::now() + Duration::from_secs(10);
    while !shard.acknowledged(third) && Instant::now() < deadline {
        std::thread::yield_now();
    }
    assert!(shard.acknowledged(third), "the full group was synced in the background");
    let fourth = shard.execute(&[Op::delete(S, b"none"), Op::put(S, b"d", b"")], &mut replies);
    assert!(!shard.acknowledged(fourth));
    shard.wait(fourth).unwrap();
    assert!(shard.acknowledged(fourth));
    shard.execute(&[Op::delete(S, b"d")], &mut replies);
    shard.flush().unwrap();
    let crashed = copy(folder.path());
    assert_eq!(state(&open(crashed.path()).unwrap()).len(), 3);
    let reads = shard.execute(&[Op::get(S, b"a")], &mut replies);
    assert!(shard.acknowledged(reads));
}

#[test]
fn a_second_opening_names_the_process() {
    let folder = scratch();
    let shard = open(folder.path()).unwrap();
    match open(folder.path()) {
        Err(DurableError::Locked { pid, .. }) => assert_eq!(pid, std::process::id()),
        other => panic!("{other:?}"),
    }
    drop(shard);
    open(folder.path()).unwrap();
}

#[test]
fn expiry_and_hidden_keys_survive() {
    let folder = scratch();
    let mut shard = open(folder.path()).unwrap();
    let far = unix_ms() + 1_000_000;
    let put = |key: &'static [u8], at| Op::Put {
        space: S,
        key,
        value: b"v",
        expiry: Expiry::At(at),
        condition: Condition::Always,
        hidden: true,
    };
    run(&mut shard, &[put(b"gone", 5), put(b"later", far), put(b"moved", far)]);
    run(&mut shard, &[Op::Expire { space: S, key: b"moved", expiry: Expiry::Never }]);
    for snapshot in [false, true] {
        if snapshot {
            shard.snapshot().unwrap();
        }
        drop(shard);
        shard = open(folder.path()).unwrap();
        assert_eq!(run(&mut shard, &[Op::get(S, b"gone")]), [Reply::Missing]);
        assert_eq!(run(&mut shard, &[Op::get(S, b"later")]), [Reply::Value { expiry: far }]);
        assert_eq!(run(&mut shard, &[Op::get(S, b"moved")]), [Reply::Value { expiry: 0 }]);
        assert_eq!(shard.shard().scan(&Scan::default()).count(), 0);
        assert_eq!(state(&shard).len(), 2);
    }
}

/// A file system of 1 MiB; none without the right to mount one.
struct SmallDisk(TempDir);

impl SmallDisk {
    fn mount() -> Option<Self> {
        let folder = scratch();
        let flags = nix::mount::MsFlags::empty();
        let mounted =
            nix::mount::mount(Some("tmpfs"), folder.path(), Some("tmpfs"), flags, Some("size=1m"));
        if let Err(error) = mounted {
            println!("skipped: mounting a small file system: {error}; run as root");
            return None;
        }
        Some(Self(folder))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        nix::mount::umount(self.0.path()).unwrap();
    }
}

#[test]
fn a_full_disk_makes_the_store_read_only_until_there_is_space() {
    let Some(disk) = SmallDisk::mount() else { return };
    let (ballast, folder) = (disk.0.path().join("ballast"), disk.0.path().join("kv"));
    fs::write(&ballast, vec![1; 300 << 10]).unwrap();
    let settings = DurableSettings { segment_bytes: 64 << 10, ..settings(Fsync::Always) };
    let mut shard = open_with(&folder, settings).unwrap();
    let mut replies = Replies::new();
    let mut stored = 0u32;
    loop {
        shard.execute(
            &[Op::put(S, &stored.to_be_bytes(), &[1; 1000]), Op::get(S, b"x")],
            &mut replies,
        );
        match replies.get(0) {
            Some(Reply::Done) => stored += 1,
            other => break assert_eq!(other, Some(Reply::Failed(OpError::ReadOnly))),
        }
        assert!(stored < 2000);
    }
    assert!(stored > 100, "{stored}");
    assert_eq!(replies.get(1), Some(Reply::Missing), "reads of the same burst go on");
    assert!(shard.is_full() && !shard.is_poisoned());
    assert_eq!(state(&shard).len(), stored as usize);
    fs::remove_file(&ballast).unwrap();
    std::thread::sleep(Duration::from_millis(60));
    put(&mut shard, &stored.to_be_bytes(), &[1; 1000]);
    assert!(!shard.is_full());
    drop(shard);
    let shard = open_with(&folder, settings).unwrap();
    assert_eq!(state(&shard).len(), stored as usize + 1);
}

#[test]
fn a_full_disk_is_no_reason_not_to_open() {
    let Some(disk) = SmallDisk::mount() else { return };
    let (ballast, folder) = (disk.0.path().join("ballast"), disk.0.path().join("kv"));
    let settings = DurableSettings { segment_bytes: 64 << 10, ..settings(Fsync::Always) };
    // Room for small files, and none for a segment.
    fs::write(&ballast, vec![1; (1 << 20) - (32 << 10)]).unwrap();
    for _ in 0..2 {
        let mut shard = open_with(&folder, settings).unwrap();
        let refused = run(&mut shard, &[Op::put(S, b"early", b"1")]);
        assert_eq!(refused, [Reply::Failed(OpError::ReadOnly)]);
        assert!(shard.is_full() && !shard.is_poisoned());
    }
    fs::remove_file(&ballast).unwrap();
    let mut shard = open_with(&folder, settings).unwrap();
    put(&mut shard, b"key", b"value");
    drop(shard);
    // Room for nothing.
    assert!(fs::write(&ballast, vec![1; 1 << 20]).is_err());
    let mut shard = open_with(&folder, settings).unwrap();
    let full = [Op::get(S, b"key"), Op::put(S, b"more", &[1; 1000])];
    let replies = run(&mut shard, &full);
    assert!(matches!(replies[..], [Reply::Value { .. }, Reply::Failed(OpError::ReadOnly)]));
    fs::remove_file(&ballast).unwrap();
    std::thread::sleep(Duration::from_millis(60));
    put(&mut shard, b"more", b"value");
    drop(shard);
    assert_eq!(state(&open_with(&folder, settings).unwrap()).len(), 2);
}

#[test]
fn mangled_logs_and_snapshots_break_no_promise() {
    let (folder, _) = small_log();
    let log = fs::read(last_log(folder.path())).unwrap();
    let mut shard = open(folder.path()).unwrap();
    shard.snapshot().unwrap();
    let path = list(folder.path()).unwrap().snapshots.pop().unwrap().1;
    let snapshot = fs::read(path).unwrap();
    let mut seed = 5u64;
    let mut next = |below: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (seed >> 33) as usize % below
    };
    for _ in 0..cases() * 4 {
        for (bytes, target) in [
            (&log[LEAD..1024], crate::fuzzing::log_recovery as fn(&[u8])),
            (&snapshot[..], crate::fuzzing::snapshot_read),
        ] {
            let mut bytes = bytes.to_vec();
            for _ in 0..next(4) {
                let (at, from) = (next(bytes.len()), next(bytes.len()));
                match next(3) {
                    0 => bytes[at] ^= 1 << next(8),
                    1 => bytes.truncate(at + 1),
                    _ => bytes.copy_within(from.min(at)..at, from / 2),
                }
            }
            target(&bytes);
        }
    }
}

/// `/dev/null` takes every write and refuses every sync; `/dev/full` refuses writes. What was
/// acknowledged before stays, what comes after is refused, and reads go on.
#[test]
fn a_failed_write_or_sync_ends_the_writes_until_the_store_is_opened_again() {
    let group = Fsync::Group { max_us: 100, max_bytes: 1 << 20 };
    for device in ["/dev/null", "/dev/full"] {
        for fsync in [Fsync::Always, group] {
            let folder = scratch();
            let mut shard = open_with(folder.path(), settings(fsync)).unwrap();
            put(&mut shard, b"before", b"1");
            shard.write_to(Path::new(device));
            let (woken, wakes) = std::sync::mpsc::channel();
            let woken = std::sync::Mutex::new(woken);
            shard.wake_with(Box::new(move || woken.lock().unwrap().send(()).unwrap()));
            let mut replies = Replies::new();
            let ticket = shard.execute(&[Op::put(S, b"lost", b"2")], &mut replies);
            if fsync == Fsync::Always {
                assert_eq!(replies.get(0), Some(Reply::Failed(OpError::Poisoned)));
            } else {
                shard.commit();
            }
            if fsync == group && device == "/dev/null" {
                // A sync that fails wakes as well: connections wait for it.
                wakes.recv().unwrap();
            }
            assert!(matches!(shard.wait(ticket), Err(DurableError::Poisoned)));
            assert!(shard.is_poisoned() && !shard.acknowledged(ticket));
            shard.execute(&[Op::put(S, b"later", b"3")], &mut replies);
            assert_eq!(replies.get(0), Some(Reply::Failed(OpError::Poisoned)));
            assert!(matches!(shard.purge(S, b"", 9), Err(OpError::Poisoned)));
            assert!(matches!(shard.flush(), Err(DurableError::Poisoned)));
            assert_eq!(shard.shard().get(S, b"before"), Some(&b"1"[..]));
            drop(shard);
            let mut again = open(folder.path()).unwrap();
            assert_eq!(state(&again).into_keys().collect::<Vec<_>>(), [b"before"]);
            put(&mut again, b"after", b"4");
        }
    }
}
