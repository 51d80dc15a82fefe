//! Plans that cannot be: each is refused with its place and what mends it.

use serde_json::{Value, json};

use crate::common::{file, folder, pfs, run};

/// A plan that runs, to be spoiled.
fn sound() -> Value {
    run("plan make --from memory:64,packets=100 --prog crc32c --cores 0 --worker-cores 1").json()
}

/// Holds what `plan check` and `run` say of `text`.
#[track_caller]
fn refused(text: &str, check: i32, words: &[&str]) {
    let folder = folder();
    let plan = file(folder.path(), "plan.json", text).display().to_string();
    let checked = run(&format!("plan check {plan}"));
    for word in words {
        assert!(checked.out.contains(word) || checked.err.contains(word), "{word}: {checked:?}");
    }
    checked.fails(check, &[]);
    run(&format!("run --plan {plan}")).fails(2, words);
}

#[test]
fn forms_that_are_not_plans() {
    let mut plan = sound();
    plan["lanes"]["ring_slot"] = json!(64);
    refused(&plan.to_string(), 2, &["unknown field `ring_slot`", "line 1", "pfs plan schema"]);
    let mut plan = sound();
    plan["schema_version"] = json!(7);
    refused(&plan.to_string(), 2, &["schema_version 7", "reads 1", "pfs plan make"]);
    let text = sound().to_string();
    refused(&text[..text.len() / 2], 2, &["line 1 column", "pfs plan schema"]);
    refused("", 2, &["EOF", "pfs plan schema"]);
    refused("{}", 2, &["missing field `schema_version`"]);
    run("run --plan /nonexistent.json").fails(1, &["reading /nonexistent.json", "No such file"]);
    run("plan check /").fails(1, &["reading /:"]);
}

#[test]
fn settings_that_cannot_be() {
    type Spoil = fn(&mut Value);
    let cases: [(Spoil, &[&str]); 13] = [
        (
            |p| p["rules"][0]["program"] = json!("crc32c,xro:1"),
            &["rules[0].program", "xro", "hist8"],
        ),
        (|p| p["rules"][0]["program"] = json!("xor:300"), &["rules[0].program", "300"]),
        (|p| p["rules"][0]["program"] = json!(""), &["rules[0].program"]),
        (|p| p["rules"][0]["sink"] = json!("s"), &["rules[0]", "sinks.payload"]),
        (|p| p["rules"] = json!([]), &["rules", "a plan needs a rule"]),
        (|p| p["sources"] = json!([]), &["sources", "a plan needs a source"]),
        (|p| p["lanes"]["worker_cores"] = json!([0]), &["lanes.worker_cores", "core 0", "its own"]),
        (|p| p["lanes"]["worker_cores"] = json!([777]), &["lanes.worker_cores", "777", "online"]),
        (|p| p["sources"][0]["cores"] = json!([0, 1]), &["sources[0]", "name one core"]),
        (|p| p["lanes"]["ring_slots"] = json!(100), &["lanes.ring_slots", "100", "power of two"]),
        (|p| p["limits"]["seconds"] = json!(0.0), &["limits.seconds", "above 0"]),
        (
            |p| p["sources"][0]["from"] = json!({"pcap": {"path": "/nonexistent.pcap"}}),
            &["sources[0]", "/nonexistent.pcap", "No such file"],
        ),
        (
            |p| p["sources"][0]["from"] = json!({"af_packet": {"interface": "nosuch0"}}),
            &["sources[0]", "nosuch0 does not exist", "ip -br link"],
        ),
    ];
    for (spoil, words) in cases {
        let mut plan = sound();
        spoil(&mut plan);
        refused(&plan.to_string(), 1, words);
    }
}

#[test]
fn flags_that_make_no_plan() {
    for (flags, words) in [
        ("--from nothing", ["--from nothing", "pcap:trace.pcap"]),
        (
            "--from dpkg:eth0",
            ["no backend is called dpkg", "af_packet, af_xdp, dpdk, udp, pcap, memory"],
        ),
        ("--from memory:63,packets=1", ["63", "64 to 65553"]),
        ("--from memory:64,pakets=1", ["unknown field `pakets`", "packets"]),
        ("--from memory:64,packets=1 --prog crc32d", ["crc32d", "crc32c"]),
        ("--from memory:64,packets=1 --wait long", ["--wait long", "spin, adaptive"]),
        ("--from memory:64,packets=1 --pages 3m", ["--pages", "3m"]),
        ("--from memory:64 --packets=-1", ["--packets", "-1"]),
        ("--from memory:64 --cores 0;1", ["--cores", "0;1"]),
        ("--nonsense", ["--nonsense", "--help"]),
    ] {
        let code = if flags.contains("memory:63") { 1 } else { 2 };
        run(&format!("run {flags}")).fails(code, &words);
    }
    let mut command = pfs("run --from memory:64,packets=1 --rule");
    command.arg("protocol=udp crc32c");
    crate::common::done(command).fails(2, &["--rule", "=>"]);
}

#[test]
fn a_core_outside_the_cpuset_is_named() {
    let mut command = std::process::Command::new("taskset");
    command.args(["-c", "0", env!("CARGO_BIN_EXE_pfs")]);
    command.args("run --from memory:64,packets=9 --cores 1".split(' '));
    let Ok(output) = command.output() else { return println!("skipped: taskset is missing") };
    crate::common::Done::from(output).fails(2, &["core 1", "cpuset", "taskset -c 1"]);
}
