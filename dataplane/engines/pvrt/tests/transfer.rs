//! Trees over loopback, both ends in this process.

mod transfer_common;

use std::fs;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use pfs_pvrt::blob::{Blob, ChunkSizes, Settings};
use pfs_pvrt::transfer::control::Security;
use pfs_pvrt::transfer::control::keys::SharedKey;
use pfs_pvrt::transfer::frames::Faults;
use pfs_pvrt::transfer::{Compress, Gauge, RecvOptions, SendOptions, TransferError, send};
use pfs_pvrt::{Identity, Profile};
use transfer_common::{
    Random, assert_same, look, make_tree, receive, receive_with, shared, transfer, try_transfer,
};

#[test]
fn a_tree_arrives_whole() {
    let folder = tempfile::tempdir().expect("a folder");
    let (from, to) = (folder.path().join("from"), folder.path().join("to"));
    make_tree(&from, 1, 60);
    let (sent, received) = transfer(&from, &to, Faults::default());
    assert_same(&from, &to);
    assert_eq!((sent.files, sent.bytes), (received.files, received.bytes));
    println!("{sent:?}");
}

#[test]
fn an_unchanged_tree_costs_nearly_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let (from, to) = (folder.path().join("from"), folder.path().join("to"));
    fs::create_dir(&from).expect("makes");
    let bytes: Vec<u8> = (0..1 << 17).flat_map(|at: u64| Random(at).next().to_le_bytes()).collect();
    for name in 0..20 {
        fs::write(from.join(format!("f{name}")), &bytes[name..]).expect("writes");
    }
    transfer(&from, &to, Faults::default());
    let (sent, _) = transfer(&from, &to, Faults::default());
    assert_same(&from, &to);
    println!("{sent:?}");
    assert!(sent.wire.total() * 2000 < sent.bytes, "{:?} of {}", sent.wire, sent.bytes);
    // A few bytes in the midst of one.
    let mut changed = bytes[3..].to_vec();
    changed.splice(500_000..500_010, *b"some other bytes");
    fs::write(from.join("f3"), &changed).expect("writes");
    let (sent, _) = transfer(&from, &to, Faults::default());
    assert_same(&from, &to);
    println!("{sent:?}");
    assert!(sent.wire.total() < 20_000, "{:?}", sent.wire);
}

#[test]
fn an_older_version_at_the_sender_saves() {
    let folder = tempfile::tempdir().expect("a folder");
    let [old, new, plain, with] = ["old", "new", "plain", "with"].map(|name| {
        let path = folder.path().join(name);
        fs::create_dir(&path).expect("makes");
        path
    });
    let bytes: Vec<u8> = (0..1 << 16).flat_map(|at: u64| Random(at).next().to_le_bytes()).collect();
    // Changed all over, so that only who has both sees how little: each hundredth byte.
    let mut changed = bytes.clone();
    changed.iter_mut().step_by(100).for_each(|byte| *byte ^= 0x55);
    fs::write(old.join("f"), &bytes).expect("writes");
    fs::write(old.join("other"), b"of no use").expect("writes");
    fs::write(new.join("f"), &changed).expect("writes");
    for to in [&plain, &with] {
        fs::write(to.join("f"), &bytes).expect("writes");
    }
    let sent = |to: &Path, older: Vec<PathBuf>| {
        let receiving = receive(to, shared());
        let options =
            SendOptions { older, compress: Compress::Level(9), ..SendOptions::new(shared()) };
        let gauge = Arc::new(Gauge::default());
        let sent = send(&[new.join("")], receiving.to, options, &gauge).expect("sends");
        receiving.thread.join().expect("no panic").expect("receives");
        assert_same(&new, to);
        assert_eq!(sent.synced, 1);
        sent.wire.total()
    };
    let (plain, with) = (sent(&plain, Vec::new()), sent(&with, vec![old.clone()]));
    println!("{plain} without, {with} with");
    assert!(with * 2 < plain, "{with} of {plain}");
    let error = {
        let receiving = receive(&new, shared());
        let options =
            SendOptions { older: vec![folder.path().join("no")], ..SendOptions::new(shared()) };
        let sent = send(&[old.join("")], receiving.to, options, &Arc::new(Gauge::default()));
        drop(receiving.thread.join().expect("no panic"));
        sent.expect_err("there is none")
    };
    assert!(error.to_string().contains("no"), "{error}");
}

#[test]
fn what_is_in_the_receivers_blob_does_not_come() {
    let folder = tempfile::tempdir().expect("a folder");
    let [from, to, blob] = ["from", "to", "blob"].map(|name| folder.path().join(name));
    fs::create_dir(&from).expect("makes");
    let bytes: Vec<u8> = (0..1 << 16).flat_map(|at: u64| Random(at).next().to_le_bytes()).collect();
    let (name, profile) = ("shelf".to_owned(), Profile::Prand);
    let identity = Identity { name, profile, layout: 1, size: 1 << 20, seed: 7 };
    let mut shelf =
        Blob::create(&blob, &Settings::new(identity, 16 << 20), &mut |_, _| {}).expect("room");
    let mut put = |name: &str, mut bytes: &[u8]| {
        shelf.put_object(name, &mut bytes, ChunkSizes::default()).expect("room");
    };
    put("another name.bin", &bytes);
    put("changed-1.bin", &bytes[100..300_000]);
    shelf.sync().expect("a disk");
    drop(shelf);
    // As it is under another name; changed, and found by its name; changed, and found by its chunks.
    fs::write(from.join("f"), &bytes).expect("writes");
    let mut changed = bytes[100..300_000].to_vec();
    changed.splice(150_000..150_010, *b"some other bytes");
    fs::write(from.join("changed-2.bin"), &changed).expect("writes");
    changed.splice(0..0, *b"more at the begin");
    fs::write(from.join("g"), &changed).expect("writes");
    fs::write(from.join("empty"), b"").expect("writes");

    let options = RecvOptions { blob: Some(blob.clone()), ..RecvOptions::new(shared()) };
    let receiving = receive_with(&to, options);
    let options = SendOptions::new(shared());
    let sent = send(&[from.join("")], receiving.to, options, &Arc::new(Gauge::default()));
    receiving.thread.join().expect("no panic").expect("receives");
    let sent = sent.expect("sends");
    assert_same(&from, &to);
    println!("{sent:?}");
    assert!(sent.wire.total() < 30_000, "{:?} of {}", sent.wire, sent.bytes);

    let options = RecvOptions { blob: Some(from.clone()), ..RecvOptions::new(shared()) };
    let receiving = receive_with(&to, options);
    let sent = send(
        &[from.join("")],
        receiving.to,
        SendOptions::new(shared()),
        &Arc::new(Gauge::default()),
    );
    let received = receiving.thread.join().expect("no panic");
    assert!(sent.is_err());
    let error = received.expect_err("a folder without blob").to_string();
    assert!(error.contains("opening the blob"), "{error}");
}

#[test]
fn loss_repeats_and_reordering_do_no_harm() {
    let folder = tempfile::tempdir().expect("a folder");
    let from = folder.path().join("from");
    make_tree(&from, 2, 60);
    for seed in 0..3 {
        let faults = Faults::parse("loss=0.05,dup=0.03,reorder=0.1").expect("good");
        let to = folder.path().join(format!("to{seed}"));
        let (sent, _) = transfer(&from, &to, Faults { seed, ..faults });
        assert_same(&from, &to);
        assert!(sent.wire.repair > 0, "{:?}", sent.wire);
        println!("{sent:?}");
    }
}

#[test]
fn a_transfer_that_was_stopped_goes_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let (from, to) = (folder.path().join("from"), folder.path().join("to"));
    fs::create_dir(&from).expect("makes");
    let size = 24 << 20;
    let bytes: Vec<u8> =
        (0..size / 8).flat_map(|at: u64| Random(at).next().to_le_bytes()).collect();
    fs::write(from.join("large"), &bytes).expect("writes");
    let receiving = receive(&to, shared());
    let gauge = Arc::new(Gauge::default());
    let (watched, stopped) = (Arc::clone(&gauge), Arc::new(AtomicU64::new(0)));
    let noted = Arc::clone(&stopped);
    let watcher = thread::spawn(move || {
        while watched.done.load(Ordering::Relaxed) < size / 3 {
            thread::sleep(Duration::from_millis(1));
        }
        noted.store(watched.done.load(Ordering::Relaxed), Ordering::Relaxed);
        watched.stop.store(true, Ordering::Relaxed);
    });
    let options = SendOptions { rate: Some(20_000_000), ..SendOptions::new(shared()) };
    let sent = send(&[from.join("")], receiving.to, options, &gauge);
    assert!(matches!(sent, Err(TransferError::Stopped)), "{sent:?}");
    let received = receiving.thread.join().expect("no panic").expect_err("the sender stopped");
    assert!(received.to_string().contains("stopped"), "{received}");
    watcher.join().expect("no panic");
    assert!(!to.join("large").exists(), "half a file under its name");
    // All that the sender had heard of is kept, so not sent again.
    let (sent, _) = transfer(&from, &to, Faults::default());
    assert_same(&from, &to);
    let left = size - stopped.load(Ordering::Relaxed);
    assert!(sent.wire.raw < left + left / 20, "{} of {left} left", sent.wire.raw);
}

#[test]
fn what_an_earlier_run_left_is_checked() {
    let folder = tempfile::tempdir().expect("a folder");
    let (from, to) = (folder.path().join("from"), folder.path().join("to"));
    fs::create_dir(&from).expect("makes");
    let bytes = Random(1).bytes(3 << 20);
    fs::write(from.join("large"), &bytes).expect("writes");
    let receiving = receive(&to, shared());
    let gauge = Arc::new(Gauge::default());
    let watched = Arc::clone(&gauge);
    let watcher = thread::spawn(move || {
        while watched.done.load(Ordering::Relaxed) < 1 << 20 {
            thread::sleep(Duration::from_millis(1));
        }
        watched.stop.store(true, Ordering::Relaxed);
    });
    let options = SendOptions { rate: Some(4_000_000), ..SendOptions::new(shared()) };
    send(&[from.join("")], receiving.to, options, &gauge).expect_err("stopped");
    receiving.thread.join().expect("no panic").expect_err("stopped");
    watcher.join().expect("no panic");
    // As a loss of power may leave it: the journal says there, the bytes are not.
    let staging = to.join(".pfs-recv");
    let mut names = fs::read_dir(&staging).expect("stays").map(|item| item.expect("reads").path());
    let part = names.find(|path| path.extension().is_some_and(|ext| ext == "part")).expect("there");
    let mut torn = fs::read(&part).expect("reads");
    torn[1000..200_000].fill(0);
    fs::write(&part, &torn).expect("writes");
    transfer(&from, &to, Faults::default());
    assert_same(&from, &to);
}

#[test]
fn a_sparse_file_stays_sparse() {
    let folder = tempfile::tempdir().expect("a folder");
    let (from, to) = (folder.path().join("from"), folder.path().join("to"));
    fs::create_dir(&from).expect("makes");
    let size = 20 << 30;
    for (name, islands) in [("holes", &[(5 << 30, 100_000), (size - 7, 7)][..]), ("nothing", &[])] {
        let file = fs::File::create(from.join(name)).expect("makes");
        file.set_len(size).expect("sets");
        for (at, length) in islands {
            file.write_all_at(&vec![7; *length], *at).expect("writes");
        }
    }
    let receiving = receive(&to, shared());
    let sent = send(
        &[from.join("")],
        receiving.to,
        SendOptions::new(shared()),
        &Arc::new(Gauge::default()),
    )
    .expect("sends");
    receiving.thread.join().expect("no panic").expect("receives");
    assert!(sent.wire.total() < 300_000, "{:?}", sent.wire);
    for name in ["holes", "nothing"] {
        let (one, other) = (fs::metadata(from.join(name)), fs::metadata(to.join(name)));
        let (one, other) = (one.expect("there"), other.expect("there"));
        assert_eq!(
            (one.len(), one.modified().expect("set")),
            (other.len(), other.modified().expect("set"))
        );
        assert!(other.blocks() * 512 < 1 << 20, "{} blocks", other.blocks());
    }
    let file = fs::File::open(to.join("holes")).expect("opens");
    let mut bytes = vec![0; 100_002];
    file.read_exact_at(&mut bytes, (5 << 30) - 1).expect("reads");
    assert!(
        bytes[0] == 0 && bytes[1..100_001].iter().all(|byte| *byte == 7) && bytes[100_001] == 0
    );
    file.read_exact_at(&mut bytes[..8], size - 8).expect("reads");
    assert_eq!(bytes[..8], [0, 7, 7, 7, 7, 7, 7, 7]);
}

#[test]
fn single_files_and_empty_ones_arrive_under_their_names() {
    let folder = tempfile::tempdir().expect("a folder");
    let (from, to) = (folder.path().join("from"), folder.path().join("to"));
    fs::create_dir_all(from.join("sub/empty")).expect("makes");
    for (name, bytes) in [("one", &b"1"[..]), ("none", b""), ("sub/two", b"22")] {
        fs::write(from.join(name), bytes).expect("writes");
    }
    let receiving = receive(&to, Security::Plain);
    let sources = ["one", "none", "sub"].map(|name| from.join(name));
    send(&sources, receiving.to, SendOptions::new(Security::Plain), &Arc::new(Gauge::default()))
        .expect("sends");
    receiving.thread.join().expect("no panic").expect("receives");
    assert_same(&from, &to);
}

#[test]
fn a_wrong_key_is_told_at_both_ends() {
    let folder = tempfile::tempdir().expect("a folder");
    let receiving = receive(&folder.path().join("to"), shared());
    let other = Security::Shared(SharedKey::new(b"quite another secret").expect("long enough"));
    let error =
        send(&[folder.path().join("")], receiving.to, SendOptions::new(other), &Arc::default());
    for error in
        [error.expect_err("wrong"), receiving.thread.join().expect("no panic").expect_err("wrong")]
    {
        assert!(error.to_string().contains("different keys"), "{error}");
    }
}

#[test]
fn what_stands_in_the_way_is_named_and_stays() {
    let folder = tempfile::tempdir().expect("a folder");
    let (from, to) = (folder.path().join("from"), folder.path().join("to"));
    fs::create_dir_all(&from).expect("makes");
    fs::create_dir_all(to.join("thing")).expect("makes");
    fs::write(to.join("thing/kept"), "kept").expect("writes");
    fs::write(from.join("thing"), "a file").expect("writes");
    let (sent, received) = try_transfer(&from, &to, Faults::default());
    for error in [sent.expect_err("in the way"), received.expect_err("in the way")] {
        assert!(error.to_string().contains("thing in the target is a folder"), "{error}");
    }
    assert_eq!(fs::read(to.join("thing/kept")).expect("reads"), b"kept");
}

#[test]
fn a_second_sender_is_told_to_wait() {
    let folder = tempfile::tempdir().expect("a folder");
    let (from, to) = (folder.path().join("from"), folder.path().join("to"));
    fs::create_dir(&from).expect("makes");
    fs::write(from.join("large"), Random(1).bytes(4 << 20)).expect("writes");
    let (one, two) = (receive(&to, shared()), receive(&to, shared()));
    let gauge = Arc::new(Gauge::default());
    let (first, watched) = (from.join(""), Arc::clone(&gauge));
    let slow = thread::spawn(move || {
        let options = SendOptions { rate: Some(4_000_000), ..SendOptions::new(shared()) };
        send(&[first], one.to, options, &watched)
    });
    while gauge.done.load(Ordering::Relaxed) == 0 {
        thread::sleep(Duration::from_millis(1));
    }
    let error = send(&[from.join("")], two.to, SendOptions::new(shared()), &Arc::default())
        .expect_err("busy");
    assert!(error.to_string().contains("another transfer into"), "{error}");
    slow.join().expect("no panic").expect("goes on");
    one.thread.join().expect("no panic").expect("goes on");
    assert!(two.thread.join().expect("no panic").is_err());
    assert_same(&from, &to);
}

#[test]
fn a_full_disk_is_told_and_nothing_is_lost() {
    let folder = tempfile::tempdir().expect("a folder");
    let (from, to) = (folder.path().join("from"), folder.path().join("to"));
    for made in [&from, &to] {
        fs::create_dir(made).expect("makes");
    }
    for name in ["a", "b", "c"] {
        fs::write(from.join(name), Random(1).bytes(6 << 20)).expect("writes");
    }
    // In a thread, whose mounts nobody else sees; threads that it starts have them too.
    let done = thread::spawn(move || {
        let private = nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNS);
        let mount = |flags, options: &str| {
            nix::mount::mount(Some("none"), &to, Some("tmpfs"), flags, Some(options))
        };
        let none: Option<&str> = None;
        let own = nix::mount::MsFlags::MS_REC | nix::mount::MsFlags::MS_PRIVATE;
        let ready = private
            .and_then(|()| nix::mount::mount(none, "/", none, own, none))
            .and_then(|()| mount(nix::mount::MsFlags::empty(), "size=10m"));
        if let Err(error) = ready {
            println!("skipped: mounting a small disk: {error}");
            return;
        }
        let (sent, received) = try_transfer(&from, &to, Faults::default());
        for error in [sent.expect_err("full"), received.expect_err("full")] {
            assert!(error.to_string().contains("no space left on the receiver's disk"), "{error}");
        }
        for (path, thing) in look(&to) {
            assert!(
                path.starts_with(".pfs-recv") || look(&from).get(&path) == Some(&thing),
                "{path:?}"
            );
        }
        mount(nix::mount::MsFlags::MS_REMOUNT, "size=50m").expect("grows");
        transfer(&from, &to, Faults::default());
        assert_same(&from, &to);
    });
    done.join().expect("no panic");
}
