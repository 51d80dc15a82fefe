//! `pfs bench` becomes `pfs-bench`: found beside it, then on `PATH`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::common::Done;

/// A program that says which one it is and what it was given.
fn place(folder: &Path, says: &str) {
    fs::create_dir_all(folder).expect("makes a folder");
    let path = folder.join("pfs-bench");
    fs::write(&path, format!("#!/bin/sh\necho {says} \"$@\"\nexit 7\n")).expect("writes");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("is set");
}

#[test]
fn it_is_found_beside_pfs_then_on_the_path_else_missed() {
    let folder = tempfile::tempdir().unwrap();
    let (home, path) = (folder.path().join("home"), folder.path().join("path"));
    fs::create_dir_all(&home).unwrap();
    let pfs = home.join("pfs");
    fs::copy(env!("CARGO_BIN_EXE_pfs"), &pfs).unwrap();
    let run = |words: &[&str]| {
        let mut command = Command::new(&pfs);
        command.arg("bench").args(words).env("PATH", format!("{}:/bin:/usr/bin", path.display()));
        Done::from(command.output().unwrap())
    };
    let missing = run(&["ring"]);
    assert_eq!(missing.code, 1);
    assert!(missing.err.contains("just build"), "{}", missing.err);
    place(&path, "on-path");
    let found = run(&["ring", "--rounds", "3"]);
    assert_eq!((found.code, found.out.as_str()), (7, "on-path ring --rounds 3\n"));
    place(&home, "beside");
    assert_eq!(run(&["--help"]).out, "beside --help\n");
}
