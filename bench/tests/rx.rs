//! `pfs-bench rx` as its users run it: over a pair that it makes, over interfaces that are there,
//! interrupted, and wrongly asked.
//!
//! What needs root prints why it is skipped without it.

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use pfs_bench::report::Report;
use pfs_dataplane::netns::{NetNs, VethOptions};
use serde_json::Value;

/// Longest that a run of one receiver may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

fn bench(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pfs-bench"));
    command.arg("rx").args(arguments).stdin(Stdio::null());
    command
}

fn run(arguments: &[&str]) -> Output {
    bench(arguments).output().expect("runs")
}

fn words(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn report(path: &Path) -> Report {
    serde_json::from_slice(&std::fs::read(path).expect("written")).expect("a report")
}

/// A namespace of the test's own, or a printed reason.
fn namespace() -> Option<NetNs> {
    match NetNs::enter() {
        Ok(namespace) => Some(namespace),
        Err(error) => {
            println!("skipped: {error}");
            None
        }
    }
}

/// Arguments of a short run of our packet socket alone.
fn short(json: &Path) -> Vec<String> {
    let only = "--preset short --trials 4 --trial-ms 50 --no-peers --only";
    let mut words: Vec<String> = only.split(' ').map(str::to_owned).collect();
    words.extend(["af_packet crc32c".to_owned(), "--json".to_owned(), json.display().to_string()]);
    words
}

fn rows(report: &Report) -> Vec<Value> {
    report.raw.as_array().expect("rows").clone()
}

/// Every trial of a row.
fn trials(row: &Value) -> Vec<Value> {
    let list = |name: &str| row[name].as_array().expect("trials").clone();
    let waited = list("latency").into_iter().map(|waited| waited["trial"].clone());
    ["mrr", "search_trials", "curve"].into_iter().flat_map(list).chain(waited).collect()
}

#[test]
fn a_short_run_has_every_part_and_its_books_close() {
    if namespace().is_none() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let json = folder.path().join("rx.json");
    let output = bench(&[]).args(short(&json)).output().expect("runs");
    let said = words(&output.stdout) + &words(&output.stderr);
    assert!(output.status.success(), "{said}");
    let report = report(&json);
    assert!(report.right && !report.interrupted, "{said}");
    let rows = rows(&report);
    assert_eq!(rows.len(), 1);
    let row = &rows[0];
    assert_eq!(row["code"], "64b-1t1c-af_packet-crc32c");
    assert_eq!(row["granted"]["backend"], "af_packet");
    assert_eq!(row["mrr"].as_array().map(Vec::len), Some(4));
    assert_eq!(row["curve"].as_array().map(Vec::len), Some(5));
    let found = row["searched"]["found"].as_array().expect("goals");
    assert_eq!(
        (&found[0]["goal"]["name"], &found[1]["goal"]["name"]),
        (&"NDR".into(), &"PDR".into())
    );
    for trial in trials(row) {
        assert_eq!(trial["residual"], 0, "{trial}");
        assert_eq!(trial["unaccounted"], 0, "{trial}");
        assert!(trial["sent"].as_u64() > Some(0), "{trial}");
    }
    for waited in row["latency"].as_array().expect("loads") {
        let looked: u64 = waited["waits"]
            .as_array()
            .expect("a histogram")
            .iter()
            .map(|step| step[1].as_u64().expect("a count"))
            .sum();
        assert_eq!(
            Some(looked),
            waited["trial"]["delivered"].as_u64(),
            "every frame was looked at"
        );
    }
    let page = std::fs::read_to_string(json.with_extension("html")).expect("a page beside it");
    for plot in &report.plots {
        assert!(page.contains(&format!("id=\"plot-0-{}\"", plot.id)), "{}", plot.id);
    }
}

#[test]
fn interfaces_that_are_there_are_measured_over() {
    let Some(namespace) = namespace() else { return };
    namespace.veth_pair("left", "right", VethOptions::default()).expect("a pair");
    let folder = tempfile::tempdir().expect("a folder");
    let json = folder.path().join("rx.json");
    let output = bench(&["--iface", "right", "--peer-iface", "left"])
        .args(short(&json))
        .output()
        .expect("runs");
    assert!(output.status.success(), "{}{}", words(&output.stdout), words(&output.stderr));
    let report = report(&json);
    assert_eq!(rows(&report)[0]["granted"]["from"], "right");
    assert!(report.notes.iter().any(|note| note.contains("pfs udp")), "{:?}", report.notes);
}

#[test]
fn interfaces_that_are_not_wired_to_each_other_are_found_out() {
    let Some(namespace) = namespace() else { return };
    namespace.veth_pair("a", "b", VethOptions::default()).expect("a pair");
    namespace.veth_pair("c", "d", VethOptions::default()).expect("a pair");
    let folder = tempfile::tempdir().expect("a folder");
    let json = folder.path().join("rx.json");
    let output =
        bench(&["--iface", "d", "--peer-iface", "a"]).args(short(&json)).output().expect("runs");
    assert_eq!(output.status.code(), Some(1));
    let said = words(&output.stdout);
    assert!(said.contains("arrived at d; are they wired to each other?"), "{said}");
}

#[test]
fn what_cannot_be_measured_is_said_with_its_remedy() {
    for (arguments, code, says) in [
        (&["--iface", "nosuchif", "--peer-iface", "lo"][..], 1, "ip -br link"),
        (&["--iface", "lo", "--peer-iface", "lo"][..], 1, "is both ends"),
        (&["--iface", "lo"][..], 2, "--peer-iface"),
        (&["--preset", "long"][..], 2, "short, standard, csit"),
        (&["--sizes", "12"][..], 2, "12"),
        (&["--trials", "0"][..], 2, "0"),
    ] {
        let output = run(arguments);
        let said = words(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        assert!(said.contains(says), "{arguments:?}: {said}");
        assert!(!said.contains("panicked"), "{said}");
    }
    if namespace().is_some() {
        let output = run(&["--preset", "short", "--only", "nothing of this name"]);
        assert_eq!(output.status.code(), Some(1));
        assert!(words(&output.stderr).contains("pfs af_packet len"), "the names are listed");
    }
}

#[test]
fn an_interrupted_run_leaves_a_part_marked_so_and_nothing_else() {
    if namespace().is_none() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let json = folder.path().join("rx.json");
    let mut child =
        bench(&["--preset", "csit", "--sizes", "64", "--no-peers", "--only", "af_packet crc32c"])
            .arg("--json")
            .arg(&json)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("starts");
    let deadline = Instant::now() + PATIENCE;
    let mine = format!("/proc/{0}/task/{0}/children", child.id());
    let children = || std::fs::read_to_string(&mine).unwrap_or_default();
    while children().trim().is_empty() {
        assert!(Instant::now() < deadline, "its receiver does not start");
        thread::sleep(Duration::from_millis(20));
    }
    thread::sleep(Duration::from_millis(1500));
    let receiver = children().split_whitespace().next().map(str::to_owned);
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGINT).expect("is there");
    while child.try_wait().expect("is ours").is_none() {
        assert!(Instant::now() < deadline, "it does not end");
        thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(child.wait().expect("ended").code(), Some(1));
    let report = report(&json);
    assert!(report.interrupted && report.right, "{:?}", report.notes);
    let page = std::fs::read_to_string(json.with_extension("html")).expect("a page");
    assert!(page.contains("Interrupted: what is here was measured"));
    if let Some(receiver) = receiver {
        assert!(!Path::new("/proc").join(receiver).exists(), "its receiver is gone");
    }
}

#[test]
fn a_killed_run_takes_its_receiver_and_its_namespaces_along() {
    if namespace().is_none() {
        return;
    }
    let mut arguments: Vec<&str> =
        "--preset csit --sizes 64 --no-peers --only".split(' ').collect();
    arguments.push("af_packet crc32c");
    let mut child =
        bench(&arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("starts");
    let mine = format!("/proc/{0}/task/{0}/children", child.id());
    let deadline = Instant::now() + PATIENCE;
    let receiver = loop {
        let children = std::fs::read_to_string(&mine).unwrap_or_default();
        let receiver = children.split_whitespace().next().map(str::to_owned);
        let is_receiver = |pid: &String| {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            words(&line).contains("receive")
        };
        if let Some(receiver) = receiver.filter(is_receiver) {
            break receiver;
        }
        assert!(Instant::now() < deadline, "its receiver does not start");
        thread::sleep(Duration::from_millis(20));
    };
    child.kill().expect("is there");
    child.wait().expect("ended");
    let namespace = Path::new("/proc").join(receiver).join("ns/net");
    while std::fs::read_link(&namespace).is_ok() {
        assert!(Instant::now() < deadline, "its receiver lives on");
        thread::sleep(Duration::from_millis(20));
    }
}
