//! A disk that fails with EIO under a store: a file system on a loop device that is shut down, as a
//! cut cable would, with all that was not synced lost. Writes are refused with an error that says so, reads go
//! on, and after mounting again every acknowledged write is there.

mod common;

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::{ask, connect, serve};
use pfs_kv::servers::Limits;
use pfs_kv::{
    DurableError, DurableSettings, Fsync, Op, OpError, Replies, Reply, Space, Store, StoreSettings,
};
use tempfile::TempDir;

/// An ext4 file system in a file, mounted.
struct Disk {
    folder: TempDir,
    mounted: bool,
}

fn run(program: &str, args: &[&str]) -> Result<(), String> {
    let output = Command::new(program).args(args).output();
    let output = output.map_err(|error| format!("{program}: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    if output.status.success() { Ok(()) } else { Err(format!("{program}: {said}")) }
}

impl Disk {
    /// `None`, and says why, without the right or the means to mount one.
    fn make() -> Option<Self> {
        let folder = tempfile::tempdir().expect("a folder");
        let image = folder.path().join("image");
        File::create(&image).and_then(|file| file.set_len(64 << 20)).expect("a file");
        std::fs::create_dir(folder.path().join("disk")).expect("a folder");
        let mut disk = Self { folder, mounted: false };
        let made = run("mkfs.ext4", &["-q", &image.to_string_lossy()]).and_then(|()| disk.mount());
        if let Err(why) = made {
            println!("skipped: no file system that can be made to fail: {why}; run as root");
            return None;
        }
        Some(disk)
    }

    fn mount(&mut self) -> Result<(), String> {
        let (image, at) = (self.folder.path().join("image"), self.path());
        run("mount", &["-o", "loop", &image.to_string_lossy(), &at.to_string_lossy()])?;
        self.mounted = true;
        Ok(())
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("disk")
    }

    /// From now on every access to the disk fails, and what was not synced is lost.
    fn fail(&self) {
        /// `EXT4_IOC_SHUTDOWN`, and its flag `EXT4_GOING_FLAGS_NOLOGFLUSH`.
        const SHUTDOWN: libc::c_ulong = 0x8004_587d;
        static NO_FLUSH: u32 = 2;
        let root = File::open(self.path()).expect("its root");
        // SAFETY: the descriptor is open, and the call reads one u32 behind the pointer.
        let done = unsafe { libc::ioctl(root.as_raw_fd(), SHUTDOWN as _, &raw const NO_FLUSH) };
        assert_eq!(done, 0, "{}", std::io::Error::last_os_error());
    }

    /// As after a repair: what is on the disk is there.
    fn again(&mut self) {
        self.unmount();
        self.mount().expect("it was mounted before");
    }

    fn unmount(&mut self) {
        if std::mem::take(&mut self.mounted) {
            run("umount", &[&self.path().to_string_lossy()]).expect("nothing of it is open");
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        self.unmount();
    }
}

fn settings(folder: &Path, fsync: Fsync) -> StoreSettings {
    let durable = DurableSettings { fsync, segment_bytes: 1 << 20, ..Default::default() };
    StoreSettings { shards: 2, memory_bytes: 64 << 20, folder: Some(folder.join("kv")), durable }
}

const S: Space = Space(0);

#[test]
fn what_was_acknowledged_is_there_after_the_disk_failed() {
    for fsync in [Fsync::Always, Fsync::Group { max_us: 200, max_bytes: 1 << 20 }] {
        let Some(mut disk) = Disk::make() else { return };
        let settings = StoreSettings { shards: 1, ..settings(&disk.path(), fsync) };
        let mut store = Store::open(&settings).expect("a store");
        let mut replies = Replies::new();
        let key = |number: u32| number.to_be_bytes();
        for number in 0..500 {
            store.execute_one(&Op::put(S, &key(number), &[7; 100]), &mut replies);
            assert_eq!(replies.get(0), Some(Reply::Done));
        }
        store.flush().expect("the disk works");
        disk.fail();
        // Written to memory with a group, but never acknowledged.
        for number in 500..600 {
            store.execute_one(&Op::put(S, &key(number), b"lost"), &mut replies);
            if fsync == Fsync::Always {
                assert_eq!(replies.get(0), Some(Reply::Failed(OpError::Poisoned)));
            }
        }
        let error = store.flush().expect_err("nothing can be synced");
        assert!(matches!(error, DurableError::Poisoned), "{error}");
        for number in 600..610 {
            store.execute_one(&Op::put(S, &key(number), b"refused"), &mut replies);
            assert_eq!(replies.get(0), Some(Reply::Failed(OpError::Poisoned)));
        }
        assert_eq!(store.get(S, &key(3)), Some(&[7; 100][..]), "reads go on");
        drop(store);
        disk.again();
        let mut store = Store::open(&settings).expect("what is on the disk is whole");
        for number in 0..500 {
            assert_eq!(store.get(S, &key(number)), Some(&[7; 100][..]), "{number}");
        }
        store.execute_one(&Op::put(S, b"after", b"1"), &mut replies);
        assert_eq!(replies.get(0), Some(Reply::Done));
        drop(store);
    }
}

#[test]
fn clients_are_told_that_the_disk_failed() {
    for loops in [1, 2] {
        let Some(mut disk) = Disk::make() else { return };
        let settings = settings(&disk.path(), Fsync::default());
        let open = || Store::open(&settings).expect("a store");
        let server = serve(open(), Limits::default(), None, loops);
        let mut stream = connect(server.resp());
        for number in 0..200 {
            assert_eq!(ask(&mut stream, &format!("SET k{number} v{number}\r\n")), "+OK");
        }
        disk.fail();
        // What waits for the disk when it fails is never answered: the connections end.
        let mut refused = 0;
        for number in 0..40 {
            let mut stream = connect(server.resp());
            let set = format!("SET lost{number} 1\r\n");
            stream.write_all(set.as_bytes()).expect("it reads");
            let (mut reply, mut piece) = (Vec::new(), [0; 256]);
            while !reply.ends_with(b"\n") {
                match stream.read(&mut piece) {
                    Ok(0) | Err(_) => break,
                    Ok(count) => reply.extend_from_slice(&piece[..count]),
                }
            }
            let reply = String::from_utf8_lossy(&reply);
            refused += u32::from(reply.starts_with("-MISCONF the log could not be made durable"));
            assert!(reply.is_empty() || reply.starts_with("-MISCONF"), "{reply}");
        }
        assert!(refused > 20, "{refused} of 40 were told why");
        let mut stream = connect(server.resp());
        for number in 0..200 {
            assert_eq!(
                ask(&mut stream, &format!("STRLEN k{number}\r\n")),
                format!(":{}", format!("v{number}").len())
            );
        }
        drop(stream);
        server.stop().expect("the loops themselves did not fail");
        disk.again();
        let server = serve(open(), Limits::default(), None, loops);
        let mut stream = connect(server.resp());
        for number in 0..200 {
            let length = format!("v{number}").len();
            assert_eq!(ask(&mut stream, &format!("STRLEN k{number}\r\n")), format!(":{length}"));
        }
        server.stop().expect("it ran");
    }
}
