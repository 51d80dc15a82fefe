//! A disk that fills: an error that says so, and nothing lost.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::thread;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use pfs_pvrt::blob::{Blob, BlobError, ChunkSizes, Settings};
use pfs_pvrt::{Identity, Profile};

/// Runs `test` in a folder of its own that holds 1 MiB; says why where that is not allowed.
fn in_small_folder(test: impl FnOnce(&Path) + Send) {
    let folder = tempfile::tempdir().expect("a folder");
    let place = folder.path();
    let run = || {
        let (none, empty) = (None::<&str>, MsFlags::empty());
        let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
        // The mounts of this thread alone: they go with it.
        let mounted = unshare(CloneFlags::CLONE_NEWNS)
            .and_then(|()| mount(none, "/", none, private, none))
            .and_then(|()| mount(Some("tmpfs"), place, Some("tmpfs"), empty, Some("size=1m")));
        match mounted {
            Ok(()) => test(place),
            Err(errno) => println!("skipped: mounting a tmpfs: {errno}"),
        }
    };
    thread::scope(|scope| {
        if let Err(panic) = scope.spawn(run).join() {
            std::panic::resume_unwind(panic);
        }
    });
}

fn settings(size: u64) -> Settings {
    Settings::new(Identity::new("full", Profile::Prand, size, 1), 100_000)
}

#[test]
fn a_blob_that_does_not_fit_is_an_error_and_leaves_nothing() {
    in_small_folder(|place| {
        let path = place.join("blob");
        let made = Blob::create(&path, &settings(2 << 20), &mut |_, _| {});
        let error = made.expect_err("it does not fit").to_string();
        assert!(error.contains("No space left"), "{error}");
        assert_eq!(fs::read_dir(place).expect("there").count(), 0);
        Blob::create(&path, &settings(1 << 19), &mut |_, _| {}).expect("it fits");
    });
}

#[test]
fn a_journal_that_does_not_fit_waits() {
    in_small_folder(|place| {
        let path = place.join("blob");
        let mut blob = Blob::create(&path, &settings(1 << 19), &mut |_, _| {}).expect("it fits");
        let chunk = blob.put(b"some bytes").expect("room");
        blob.sync().expect("room");
        let mut filler = fs::File::create(place.join("filler")).expect("room");
        while filler.write_all(&[0; 4096]).is_ok() {}
        // The page that the journal has is full soon.
        let refused = (0..100).find_map(|number: u32| {
            let name = format!("{number}{}", "n".repeat(1000));
            blob.put_object(&name, &mut &b"more"[..], ChunkSizes::default()).expect("in memory");
            blob.sync().err()
        });
        let error = refused.expect("no room").to_string();
        assert!(error.contains("No space left"), "{error}");
        blob.release(&chunk.digest).expect("retained");
        let collected = blob.gc();
        assert!(matches!(collected, Err(BlobError::Io { .. })), "{collected:?}");
        assert_eq!(blob.chunk(&chunk.digest), Some(&b"some bytes"[..]), "nothing was given back");
        let before = blob.objects().count();
        // What is synced is whole, with what was refused left out.
        let read = Blob::open_read(&path).expect("whole");
        assert!(read.objects().count() < before && read.get(&chunk.digest).is_some());
        drop(read);
        drop(filler);
        fs::remove_file(place.join("filler")).expect("there");
        blob.sync().expect("room again");
        assert_eq!(blob.gc().expect("room again").chunks, 1);
        drop(blob);
        let blob = Blob::open(&path).expect("whole");
        assert_eq!((blob.objects().count(), blob.get(&chunk.digest)), (before, None));
    });
}
