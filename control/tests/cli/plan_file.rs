//! `pfs plan-file`: what it writes rebuilds to the file.

use std::fs;

use pfs_pvrt::formats::Opened;
use pfs_pvrt::rebuild::{FileOptions, file};
use pfs_pvrt::{Space, blob};

use crate::common::{done, folder, unprivileged};

#[test]
fn an_edited_program_refers_to_the_older_one() {
    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    let mut bytes = fs::read(env!("CARGO_BIN_EXE_pfs")).expect("reads");
    bytes.truncate(3 << 20);
    fs::write(at("old"), &bytes).expect("writes");
    bytes.splice(1_000_000..1_000_003, *b"something else");
    fs::write(at("new"), &bytes).expect("writes");
    for (threads, train) in [(1, ""), (3, "--train")] {
        let words = format!(
            "plan-file {} --older {} -o {} --threads {threads} {train} --json",
            at("new").display(),
            at("old").display(),
            at("program").display()
        );
        let told = done(unprivileged(&words)).json();
        assert_eq!(told["bytes"], bytes.len());
        assert!(told["raw_bytes"].as_u64().expect("told") < 1000, "{told}");
        assert!(told["payload_bytes"].as_u64().expect("told") < 4000, "{told}");
        let program = fs::read(at("program")).expect("reads");
        let old = fs::read(at("old")).expect("reads");
        let mut space = Space::blob(&[]);
        space.add(Space::BESIDE, &old).expect("free");
        let opened = Opened::open(&program, None).expect("opens");
        let made = file(&opened, &space, &at("made"), FileOptions::default()).expect("rebuilds");
        assert!(made.checked);
        assert!(fs::read(at("made")).expect("reads") == bytes);
    }
}

#[test]
fn chunks_and_banks_of_a_blob_are_found() {
    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    let mut noise = vec![0; 500_000];
    let mut state = 1_u64;
    noise.iter_mut().for_each(|byte| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        *byte = (state >> 56) as u8;
    });
    fs::write(at("stored"), &noise).expect("writes");
    let blob_at = at("blob");
    let create = format!("blob create {} --size 1MiB --stored 8MiB", blob_at.display());
    done(unprivileged(&create)).ok();
    done(unprivileged(&format!("blob put {} {}", blob_at.display(), at("stored").display()))).ok();
    let bank = blob::Blob::open_read(&blob_at).expect("opens").bytes()[5000..60_000].to_vec();
    let bank: Vec<u8> = bank.iter().map(|byte| byte.wrapping_add(5)).collect();
    fs::write(at("new"), [&noise[1000..], &bank].concat()).expect("writes");
    let words = format!("plan-file {} --blob {} --json", at("new").display(), blob_at.display());
    let told = done(unprivileged(&words)).json();
    assert!(told["raw_bytes"].as_u64().expect("told") < 500, "{told}");
    assert!(told["add"]["bytes"].as_u64().expect("told") > 54_000, "{told}");
}

#[test]
fn what_cannot_be_is_said() {
    let folder = folder();
    let missing = folder.path().join("missing");
    let words = |more: &str| format!("plan-file {} {more}", missing.display());
    done(unprivileged(&words(""))).fails(1, &["missing"]);
    let here = folder.path().display();
    done(unprivileged(&format!("plan-file {here}"))).fails(1, &[&here.to_string()]);
    let file = env!("CARGO_BIN_EXE_pfs");
    done(unprivileged(&format!("plan-file {file} --window 17MiB"))).fails(1, &["17825792"]);
    let out = folder.path().join("no/program");
    let words = format!("plan-file {file} -o {}", out.display());
    done(unprivileged(&words)).fails(1, &["program"]);
    assert!(!out.exists());
}
