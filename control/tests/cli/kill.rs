//! `kill -9` at any moment.

use std::process::Stdio;
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::common::{Live, books, has_af_xdp, pfs, run, until, with_veth};
use crate::live::is_bare;

fn rounds() -> u64 {
    std::env::var("PFS_TEST_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(6)
}

#[test]
fn a_killed_run_leaves_no_program_and_a_new_one_starts_at_once() {
    if !has_af_xdp() {
        return;
    }
    with_veth(|| {
        for round in 0..rounds() {
            let mode = if round % 2 == 0 { "native" } else { "generic" };
            let words = format!("run --from af_xdp:rx0,mode={mode} --prog crc32c --quiet");
            let mut child = pfs(&words).stdout(Stdio::null()).spawn().expect("starts");
            // From before the program is loaded to well into the run.
            thread::sleep(Duration::from_millis(round * 37 % 200));
            child.kill().expect("is there");
            child.wait().expect("ends");
            // The kernel takes a link away when the last descriptor of it is closed, a moment
            // after the process is gone.
            until("the program to go", is_bare);
            let report = run(&format!("run --json --from af_xdp:rx0,mode={mode} --seconds 0.1"));
            books(&report.json());
            assert!(is_bare());
        }
    });
}

#[test]
fn a_killed_run_leaves_no_file() {
    let folder = crate::common::folder();
    let report = folder.path().join("r.json");
    let words = format!("--from udp:127.0.0.1:0 --report {}", report.display());
    let live = Live::start(&words);
    live.signal(Signal::SIGKILL);
    assert_eq!(live.end().code, -1);
    assert!(crate::common::names(folder.path()).is_empty());
}
