//! `pfs blob`: a blob made, filled, read, damaged and mended.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Stdio;

use crate::common::{done, folder, pfs, run, with_full_disk};

/// Bytes that never repeat.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 56) as u8
    };
    (0..len).map(|_| next()).collect()
}

fn create(path: &Path, words: &str) {
    run(&format!("blob create {} --stored 2MiB --size 1MiB {words}", path.display())).ok();
}

#[test]
fn files_go_in_and_come_out() {
    let folder = folder();
    let at = folder.path().join("blob").display().to_string();
    let made = run(&format!("blob create {at} --size 1MiB --stored 1MiB --json")).json();
    assert_eq!(made["profile"], "prand");
    assert_eq!(made["size_bytes"], 1 << 20);
    let same = run(&format!("blob info {at} --json")).json();
    assert_eq!(same["identity"], made["identity"]);
    assert!(run(&format!("blob info {at}")).ok().contains("1,048,576 bytes, seed 1337"));
    let file = folder.path().join("file");
    let bytes = noise(300_000);
    fs::write(&file, &bytes).expect("writable");
    let put = run(&format!("blob put {at} {} --json", file.display())).json();
    assert_eq!(put[0]["bytes"], 300_000);
    // Its bytes, and the list of its chunks: at least one for each 64 KiB, at most for each 4.
    let listed = put[0]["new_bytes"].as_u64().expect("a number") - 300_000;
    assert!((5 * 32..=75 * 36).contains(&listed), "{listed}");
    let again = run(&format!("blob put {at} {} --name copy --json", file.display())).json();
    assert_eq!(again[0]["new_bytes"], 0);
    let digest = put[0]["digest"].as_str().expect("text");
    let out = folder.path().join("out");
    for what in ["copy", digest] {
        run(&format!("blob get {at} {what} -o {}", out.display())).ok();
        assert!(fs::read(&out).expect("written") == bytes);
        fs::remove_file(&out).expect("there");
    }
    let output = pfs(&format!("blob get {at} copy")).output().expect("starts");
    assert!(output.status.success() && output.stdout == bytes);
    let listed = run(&format!("blob list {at} --json")).json();
    assert_eq!(listed.as_array().map(Vec::len), Some(2));
    let chunks = run(&format!("blob list {at} --chunks --json")).json();
    let chunk = chunks[0]["digest"].as_str().expect("text");
    run(&format!("blob get {at} {chunk} -o {}", out.display())).ok();
    assert_eq!(fs::metadata(&out).expect("written").len(), chunks[0]["bytes"].as_u64().expect("n"));
    run(&format!("blob rm {at} copy nothing")).fails(1, &["no object is called nothing"]);
    run(&format!("blob rm {at} copy {}", file.display())).ok();
    assert_eq!(run(&format!("blob list {at}")).ok(), "");
    assert!(run(&format!("blob gc {at}")).ok().contains("bytes given back"));
    let info = run(&format!("blob info {at} --json")).json();
    assert_eq!((&info["chunks"], &info["objects"]), (&0.into(), &0.into()), "{info}");
    assert!(run(&format!("blob fsck {at}")).ok().contains("all is as it should be"));
}

#[test]
fn standard_input_is_stored_under_a_name() {
    let folder = folder();
    let at = folder.path().join("blob");
    create(&at, "--profile orchard --with-palette");
    let mut command = pfs(&format!("blob put {} - --name text", at.display()));
    let mut child = command.stdin(Stdio::piped()).spawn().expect("starts");
    child.stdin.take().expect("piped").write_all(b"some text").expect("it reads");
    assert!(child.wait().expect("ends").success());
    assert_eq!(run(&format!("blob get {} text", at.display())).ok(), "some text");
    run(&format!("blob put {} -", at.display())).fails(2, &["standard input needs --name"]);
}

#[test]
fn what_makes_no_sense_is_usage_and_what_fails_is_failure() {
    let folder = folder();
    let at = folder.path().join("blob").display().to_string();
    run(&format!("blob info {at}")).fails(1, &["holds no blob", "pfs blob create"]);
    run(&format!("blob create {at} --size 1")).fails(2, &["no blob can be like that"]);
    run(&format!("blob create {at} --with-palette")).fails(2, &["profile prand has layouts [1]"]);
    run(&format!("blob create {at} --profile pransd")).fails(2, &["prand, palette, orchard"]);
    assert!(!Path::new(&at).exists(), "nothing is left behind");
    create(Path::new(&at), "");
    run(&format!("blob create {at}")).fails(1, &["holds a blob already"]);
    run(&format!("blob get {at} nothing")).fails(1, &["no object is called nothing"]);
    run(&format!("blob put {at} /nowhere")).fails(1, &["reading /nowhere"]);
    run(&format!("blob put {at} /tmp")).fails(2, &["is a folder"]);
    run(&format!("blob put {at} /dev/null /dev/zero --name x")).fails(2, &["names one file"]);
    let file = folder.path().join("file");
    fs::write(&file, noise(3 << 20)).expect("writable");
    run(&format!("blob put {at} {}", file.display()))
        .fails(1, &["the blob is full", "pfs blob gc"]);
    assert!(run(&format!("blob fsck {at}")).ok().contains("0 objects"));
    assert!(run(&format!("blob gc {at} --json")).json()["bytes"].as_u64() > Some(1 << 20));
}

#[test]
fn damage_is_found_and_mended() {
    let folder = folder();
    let at = folder.path().join("blob");
    create(&at, "");
    let file = folder.path().join("file");
    fs::write(&file, noise(100_000)).expect("writable");
    run(&format!("blob put {} {} --name file", at.display(), file.display())).ok();
    let data = at.join("data");
    let mut bytes = fs::read(&data).expect("readable");
    bytes[(1 << 20) + 5] ^= 1;
    fs::write(&data, &bytes).expect("writable");
    let shown = at.display();
    run(&format!("blob fsck {shown}")).fails(1, &["is damaged", "fsck --repair"]);
    run(&format!("blob get {shown} file")).fails(1, &["is not what it was"]);
    let found = run(&format!("blob fsck {shown} --repair --json")).json();
    assert_eq!((&found["clean"], &found["repaired"]), (&false.into(), &true.into()));
    assert_eq!(found["bad_objects"][0]["name"], "file");
    assert!(run(&format!("blob fsck {shown}")).ok().contains("all is as it should be"));
    run(&format!("blob put {shown} {} --name file", file.display())).ok();
    fs::write(at.join("header"), "something else").expect("writable");
    run(&format!("blob info {shown}")).fails(1, &["header", "it is no blob's"]);
}

#[test]
fn a_full_disk_is_told_and_nothing_is_left() {
    with_full_disk(|place| {
        let blob = place.join("blob");
        let command = pfs(&format!("blob create {} --size 1MiB", blob.display()));
        done(command).fails(1, &["No space left"]);
        assert!(!blob.exists());
    });
}
