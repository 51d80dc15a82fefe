//! `pfs smoke`.

use std::process::Command;

use serde_json::Value;

use crate::common::{Done, books, capture, done, folder, json_file, pfs, run, unprivileged};

fn captures() -> String {
    let dns = capture("dns.pcap");
    dns.trim_end_matches("/dns.pcap").to_owned()
}

/// Holds that a leg has the documented shape, and that it is well.
#[track_caller]
fn holds(leg: &Value) {
    for field in ["name", "backend", "mode", "digest"] {
        assert!(leg[field].as_str().is_some_and(|text| !text.is_empty()), "{field} of {leg}");
    }
    for field in ["packets", "bytes"] {
        assert!(leg[field].as_u64() > Some(0), "{field} of {leg}");
    }
    assert_eq!((&leg["ok"], &leg["residual"]), (&true.into(), &0.into()), "{leg}");
    assert_eq!(books(leg), leg["packets"].as_u64().expect("checked"));
}

/// Virtual devices of DPDK that a build has.
const DEVICES: usize = if cfg!(feature = "dpdk") { 6 } else { 0 };

#[test]
fn it_leaves_a_report_and_a_plan_that_runs() {
    let folder = folder();
    let words =
        format!("smoke --only dns --captures {} --out {}", captures(), folder.path().display());
    let text = run(&words).ok();
    for line in text.lines().filter(|line| !line.starts_with("left out")) {
        assert!(line.chars().count() <= 100, "{} columns: {line}", line.chars().count());
    }
    let report = json_file(&folder.path().join("report.json"));
    assert_eq!(report["ok"], true, "{text}");
    let legs = report["legs"].as_array().expect("legs");
    let left_out = report["left_out"].as_array().expect("a list").len();
    // Of the six virtual devices of DPDK, each brings this capture.
    assert_eq!(legs.len() + left_out, 6 + DEVICES, "{text}");
    for leg in legs {
        holds(leg);
        assert_eq!(leg["digest"], legs[0]["digest"]);
        assert!(leg["name"].as_str().expect("text").starts_with("capture/dns.pcap/"), "{leg}");
    }
    let plan = folder.path().join("plan.json");
    run(&format!("plan check {}", plan.display())).ok();
    let again = run(&format!("run --json --plan {}", plan.display())).json();
    assert_eq!(books(&again), legs[0]["packets"].as_u64().expect("checked"));
    assert_eq!(again["results"][0]["results"]["r"], legs[0]["results"][0]["results"]["r"]);
}

#[test]
fn a_store_is_read_back_from_every_backend() {
    let folder = folder();
    let words =
        format!("smoke --only store/ --captures {} --out {}", captures(), folder.path().display());
    let text = run(&words).ok();
    let report = json_file(&folder.path().join("report.json"));
    let legs = report["legs"].as_array().expect("legs");
    // Devices of DPDK bring captures alone.
    let left_out = report["left_out"].as_array().expect("a list").iter();
    let left_out =
        left_out.filter(|why| !why.as_str().is_some_and(|why| why.starts_with("dpdk-"))).count();
    assert_eq!(legs.len() + left_out, 6, "{text}");
    for leg in legs {
        holds(leg);
        assert_eq!(leg["results"][0]["results"]["r"][0], 100_000, "{leg}");
        assert_eq!(leg["digest"], legs[0]["digest"]);
    }
}

#[test]
fn this_projects_sources_become_the_trees_of_a_live_parse() {
    let folder = folder();
    let words =
        format!("smoke --only trees/ --captures {} --out {}", captures(), folder.path().display());
    let text = run(&words).ok();
    let report = json_file(&folder.path().join("report.json"));
    let legs = report["legs"].as_array().expect("legs");
    assert!(legs.len() >= 3, "{text}");
    for leg in legs {
        holds(leg);
        assert_eq!(leg["results"][0]["results"]["r"][0], 9, "{leg}");
        assert_eq!(leg["digest"], legs[0]["digest"]);
    }
}

#[test]
fn vectors_are_found_from_every_backend() {
    let folder = folder();
    let words =
        format!("smoke --only vec/ --captures {} --out {}", captures(), folder.path().display());
    let text = run(&words).ok();
    let report = json_file(&folder.path().join("report.json"));
    let legs = report["legs"].as_array().expect("legs");
    assert!(legs.len() >= 3, "memory, pcap and udp need no privilege: {text}");
    for leg in legs {
        holds(leg);
        assert_eq!(leg["results"][0]["results"]["r"][0], 10_000, "{leg}");
        assert_eq!(leg["digest"], legs[0]["digest"]);
        assert!(leg["note"].as_str().is_some_and(|note| note.contains("recall@10")), "{leg}");
    }
}

#[test]
fn without_privilege_it_says_what_it_left_out() {
    let folder = folder();
    let words = format!("smoke --captures {} --out {}", captures(), folder.path().display());
    let text = done(unprivileged(&words)).ok();
    for lack in ["af_packet", "af_xdp-native", "af_xdp-generic"] {
        let line = text.lines().find(|line| line.starts_with(&format!("left out: {lack}")));
        assert!(line.is_some_and(|line| line.contains("CAP_NET_RAW")), "{lack}: {text}");
    }
    let report = json_file(&folder.path().join("report.json"));
    let all = report["legs"].as_array().expect("legs");
    all.iter().for_each(holds);
    let legs: Vec<_> = all.iter().filter(|leg| leg["backend"] != "dpdk").collect();
    // A text, too, through those whose packets have headers.
    for (backend, expected) in [("memory", 12), ("pcap", 12), ("udp", 11)] {
        let count = legs.iter().filter(|leg| leg["backend"] == backend).count();
        assert_eq!(count, expected, "{backend}: {text}");
    }
    assert_eq!(legs.len(), 35);
}

#[test]
fn it_runs_on_one_core() {
    let folder = folder();
    let mut command = Command::new("taskset");
    command.args(["-c", "0", env!("CARGO_BIN_EXE_pfs"), "smoke", "--only", "dns", "--json"]);
    command.args(["--captures", &captures(), "--out"]).arg(folder.path());
    let Ok(output) = command.output() else { return println!("skipped: taskset is missing") };
    let report = Done::from(output).json();
    assert_eq!(report["ok"], true);
    report["legs"].as_array().expect("legs").iter().for_each(holds);
}

#[test]
fn a_corrupt_capture_is_named_with_its_place() {
    let (folder, out) = (folder(), folder());
    let bad = capture("bad/record-cut-16.pcap");
    std::fs::copy(bad, folder.path().join("bad.pcap")).expect("copies");
    let at = |path: &std::path::Path| path.display().to_string();
    let words = format!("smoke --captures {} --out {}", at(folder.path()), at(out.path()));
    run(&words).fails(1, &["bad.pcap", "at byte 284"]);
    let empty = crate::common::folder();
    let words = format!("smoke --captures {} --out {}", at(empty.path()), at(out.path()));
    run(&words).fails(1, &["no .pcap", "--captures"]);
    run("smoke --captures /nonexistent").fails(1, &["/nonexistent", "--captures"]);
    let words = format!("smoke --captures {} --only nothing --out {}", captures(), at(out.path()));
    run(&words).fails(1, &["no leg ran", "--only"]);
    let words = format!("smoke --only dns --captures {} --out /proc/x", captures());
    run(&words).fails(1, &["/proc/x", "--out"]);
}

#[test]
fn a_table_that_nobody_reads_is_no_failure() {
    let folder = folder();
    let words = format!(
        "smoke --only dns.pcap/memory --captures {} --out {}",
        captures(),
        folder.path().display()
    );
    let mut command = pfs(&words);
    let mut child = command.stdout(std::process::Stdio::piped()).spawn().expect("starts");
    drop(child.stdout.take());
    assert!(child.wait().expect("ends").success());
    assert!(folder.path().join("report.json").exists());
}
