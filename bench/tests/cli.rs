//! The program `pfs-bench` as its users call it.

use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use pfs_bench::report::Report;

fn bench(words: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pfs-bench"));
    command.args(words.split_whitespace()).stdin(Stdio::null());
    command
}

fn ended(words: &str) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = bench(words).output().expect("it starts");
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    (status.code(), text(&stdout), text(&stderr))
}

#[test]
fn help_names_every_group_and_hides_its_own_processes() {
    let (code, out, _) = ended("--help");
    assert_eq!(code, Some(0));
    for group in ["pcores", "op", "ring", "pipeline", "rx", "compare", "gate", "op-token"] {
        assert!(out.lines().any(|line| line.trim_start().starts_with(group)), "{group}: {out}");
    }
    assert!(!out.contains("gate-child") && !out.contains("alone"));
}

#[test]
fn wrong_usage_ends_with_2_and_what_to_do() {
    for (words, why) in [
        ("pcores --cores 1000", "ask for fewer"),
        ("pcores --core-list 1020 --cores 1", "core 1020 does not exist"),
        ("pcores --range 0", "--range 0"),
        ("pcores --place 0:4K --place 2K:4K --cores 1", "overlaps"),
        ("pcores --range 1000G --cores 1", "that are free"),
        ("pcores --burst 65", "--burst 65"),
        ("pcores --mode sideways", "contiguous or scattered"),
        ("op --core 1020", "core 1020 does not exist"),
        ("ring --cores 0 1020", "core 1020 does not exist"),
        ("nonsense", "unrecognized subcommand"),
    ] {
        let (code, _, err) = ended(words);
        assert_eq!(code, Some(2), "{words}: {err}");
        assert!(err.contains(why), "{words}: {err}");
    }
}

#[test]
fn a_report_holds_samples_grants_and_plots_and_compares_with_itself() {
    let folder = tempfile::tempdir().expect("a folder");
    let json = folder.path().join("pcores.json");
    let words = format!(
        "pcores --cores 1 --range 16K --prog crc32c --mode contiguous --rounds 4 --trial-ms 2 --retries 0 --json {}",
        json.display()
    );
    let (code, out, err) = ended(&words);
    assert_eq!(code, Some(0), "{out}{err}");
    let text = std::fs::read(&json).expect("written");
    let report: Report = serde_json::from_slice(&text).expect("a report");
    assert!(report.right && !report.interrupted && !report.plots.is_empty());
    assert!(report.figures.iter().all(|figure| figure.samples.len() == 4));
    assert!(report.plans.iter().all(|plan| plan.sha256.len() == 64));
    assert!(!report.environment.kernel.is_empty() && !report.grants.memory.is_empty());
    let same = format!("compare --fail-on-regression {0} {0}", json.display());
    let (code, out, err) = ended(&same);
    assert_eq!(code, Some(0), "{out}{err}");
    assert!(out.contains("0 worse, 0 better"), "{out}");
    let (code, _, err) = ended("compare /nonexistent/a /nonexistent/b");
    assert!(code == Some(1) && err.contains("reading /nonexistent/a"), "{err}");
}

/// Waits until the process has a handler for SIGINT.
fn wait_until_it_catches(pid: u32) {
    let caught = || {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:"))?.trim();
        u64::from_str_radix(mask, 16).ok().filter(|mask| mask & 1 << (libc::SIGINT - 1) != 0)
    };
    let deadline = Instant::now() + Duration::from_secs(60);
    while caught().is_none() {
        assert!(Instant::now() < deadline, "it never catches SIGINT");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_signal_leaves_a_part_of_the_report_that_says_so() {
    interrupted("pcores --cores 1 --range 16K --rounds 1000 --trial-ms 20 --retries 0");
    interrupted("op --filter crc32c --trials 1000 --trial-ms 20 --big-mib 1 --no-costs");
    interrupted("pipeline --packets 20000 --rounds 1000 --frames 64");
    match pfs_dataplane::pin::allowed_cores().expect("the kernel tells")[..] {
        [one, two, ..] => {
            interrupted(&format!("ring --cores {one} {two} --rounds 1000 --items 65536"));
        }
        _ => println!("skipped: ring needs two cores"),
    }
}

/// Runs a group that would go on for long, and interrupts it.
fn interrupted(group: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let json = folder.path().join("part.json");
    let mut child = bench(&format!("{group} --json {}", json.display()))
        .stdout(Stdio::null())
        .spawn()
        .expect("it starts");
    wait_until_it_catches(child.id());
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGINT).expect("it runs");
    let deadline = Instant::now() + Duration::from_secs(60);
    let status = loop {
        match child.try_wait().expect("a child") {
            Some(status) => break status,
            None if Instant::now() > deadline => {
                let _ = child.kill();
                panic!("{group} goes on after a signal");
            }
            None => std::thread::sleep(Duration::from_millis(20)),
        }
    };
    assert_eq!(status.code(), Some(1), "{group}");
    let text = std::fs::read(&json).expect("a part was written");
    let report: Report = serde_json::from_slice(&text).expect("a report");
    assert!(report.interrupted && report.right, "{group}: {}", report.markdown());
    assert!(report.markdown().contains("Interrupted"), "{group}");
}
