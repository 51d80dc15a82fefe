//! Whole files by a formula, against the sums of those that the original has made: 100 MiB out of a
//! blob of 100 MiB.

use std::path::Path;
use std::process::Command;

use pfs_pvrt::blob::{Blob, Settings};
use pfs_pvrt::formats::blueprint::Formula;
use pfs_pvrt::rebuild::{FileOptions, file};
use pfs_pvrt::{Identity, Profile};

const SIZE: u64 = 100 << 20;

/// Sum of a file by the host's own program.
fn md5(path: &Path) -> Option<String> {
    let output = Command::new("md5sum").arg(path).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    text.split(' ').next().map(ToOwned::to_owned)
}

#[test]
fn files_are_those_that_the_original_makes() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("out");
    std::fs::write(&path, "abc").expect("written");
    if md5(&path).as_deref() != Some("900150983cd24fb0d6963f7d28e17f72") {
        println!("skipped: there is no md5sum");
        return;
    }
    let identity = Identity::new("pfs_vblob_test", Profile::Prand, SIZE, 1337);
    let blob = Blob::memory(&Settings::new(identity, 0)).expect("memory");
    for (count, seg_len, stride, delta, want) in [
        (262_144, 384, 8_191, 0, "6a6915dae315829f5246409b1cff4f02"),
        (262_144, 384, 8_191, 7, "4a28d33982e6ece518bf4493313034d1"),
        (1_310_720, 80, 80, 0, "42ac7d50fe232769a2e711176b544658"),
    ] {
        let formula = Formula::new(SIZE, count, seg_len, 0, stride, delta);
        let source = formula.source(Some(SIZE)).expect("segments");
        let rebuilt = file(&source, &blob.space(), &path, FileOptions::default());
        assert_eq!(rebuilt.expect("in the blob").bytes, SIZE);
        assert_eq!(md5(&path).as_deref(), Some(want), "{seg_len} bytes at {stride} plus {delta}");
    }
}
