//! Ends that die, and disks that fill: nothing half-written has a final name, and it goes on.

use std::process::Stdio;
use std::thread;
use std::time::Duration;

use nix::mount::{MsFlags, mount};

use super::{Places, make_tree, noise};
use crate::common::{file, names, pfs, run, until, with_disk};

fn rounds() -> u64 {
    std::env::var("PFS_TEST_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(4)
}

/// Bytes of a file that is sent slowly.
const SIZE: usize = 6 << 20;

#[test]
fn a_transfer_whose_sender_is_killed_goes_on() {
    let places = Places::new();
    file(&places.from, "large", noise(1, SIZE));
    let receiver = places.receiver("");
    let words = places.words(&receiver.at, "--rate 1500k --compress off");
    let mut sender = pfs(&words).stderr(Stdio::null()).spawn().expect("starts");
    until("a part to arrive", || places.windows_here() >= 20);
    sender.kill().expect("is there");
    sender.wait().expect("ends");
    assert!(!places.to.join("large").exists());
    let here = places.windows_here();
    // The receiver sees it end before it takes the next one.
    let again = run(&places.words(&receiver.at, "--json --compress off")).json();
    places.hold();
    let raw = again["wire_bytes"]["raw"].as_u64().expect("a number");
    let left = SIZE as u64 - u64::from(here) * 60 * 1024;
    assert!(raw < left + left / 20, "{raw} for {left} bytes: {again}");
}

#[test]
fn a_transfer_whose_receiver_is_killed_goes_on() {
    let places = Places::new();
    file(&places.from, "large", noise(2, SIZE));
    let mut receiver = places.receiver("");
    let words = places.words(&receiver.at, "--rate 1500k --compress off");
    let sender = pfs(&words).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("starts");
    until("a part to arrive", || places.windows_here() >= 20);
    receiver.kill();
    let told: crate::common::Done = sender.wait_with_output().expect("ends").into();
    told.fails(1, &["run it again"]);
    assert!(!places.to.join("large").exists());
    let here = places.windows_here();
    let again = places.send("--compress off");
    places.hold();
    let raw = again["wire_bytes"]["raw"].as_u64().expect("a number");
    let left = SIZE as u64 - u64::from(here) * 60 * 1024;
    assert!(raw < left + left / 20, "{raw} for {left} bytes: {again}");
}

#[test]
fn whoever_dies_whenever_no_file_is_half_there() {
    let places = Places::new();
    make_tree(&places.from);
    for round in 0..rounds() {
        let mut receiver = places.receiver("");
        let words = places.words(&receiver.at, "--rate 8M --faults loss=0.02,seed=9");
        let mut sender =
            pfs(&words).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("starts");
        // From before the handshake to well after the last byte.
        thread::sleep(Duration::from_millis(round * 137 % 600));
        if round % 2 == 0 {
            receiver.kill();
        }
        sender.kill().expect("is ours");
        sender.wait().expect("ends");
        places.hold_so_far();
    }
    places.send("");
    places.hold();
    assert!(!places.to.join(".pfs-recv").exists());
}

#[test]
fn a_full_disk_is_told_at_both_ends_and_what_came_is_kept() {
    with_disk("4m", |disk| {
        let places = Places { to: disk.join("to"), ..Places::new() };
        for (seed, name) in ["a", "b", "c"].into_iter().enumerate() {
            file(&places.from, name, noise(seed as u64, 1_500_000));
        }
        let receiver = places.receiver("--once");
        let full = "no space left on the receiver's disk";
        run(&places.words(&receiver.at, "--compress off")).fails(1, &[full]);
        receiver.end().fails(1, &[full]);
        places.hold_so_far();
        assert!(names(&places.to).len() < 4, "{:?}", names(&places.to));
        mount(Some("tmpfs"), disk, Some("tmpfs"), MsFlags::MS_REMOUNT, Some("size=32m"))
            .expect("grows");
        places.send("");
        places.hold();
    });
}
