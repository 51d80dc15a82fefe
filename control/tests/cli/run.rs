//! `pfs run` on sources that need no privilege.

use std::io::Read;
use std::net::UdpSocket;
use std::process::Stdio;

use nix::sys::signal::Signal;

use crate::common::{
    Live, accumulators, books, capture, done, file, folder, json_file, names, pfs, run,
    unprivileged, until,
};

#[test]
fn files_and_memory_give_the_same_results_with_and_without_privilege() {
    let dns = capture("dns.pcap");
    let flags = |from: &str| format!("run --json --prog crc32c,counteq:0,fnv64 --from {from}");
    let first = run(&flags(&format!("pcap:{dns}"))).json();
    assert_eq!(books(&first), 818);
    for from in [format!("pcap:{dns}"), format!("memory:,content.capture.path={dns}")] {
        for mode in ["", " --run-to-completion", " --ring-slots 64 --wait spin"] {
            let words = flags(&from) + mode;
            let report = run(&words).json();
            assert_eq!(accumulators(&report), accumulators(&first), "{words}");
            assert_eq!(books(&report), 818);
            let report = done(unprivileged(&words)).json();
            assert_eq!(accumulators(&report), accumulators(&first), "{words}");
        }
    }
    let generated = run(&flags("memory:imix,packets=12345")).json();
    assert_eq!(books(&generated), 12345);
}

#[test]
fn long_runs_close_their_books() {
    for mode in ["", " --run-to-completion"] {
        // More packets than a return ring's burst, and less than, as many as, more than a lane.
        for packets in [1, 63, 257, 1000, 4096, 5000, 50_000] {
            let words = format!("run --json --prog len --from memory:64,packets={packets}{mode}");
            assert_eq!(books(&run(&words).json()), packets);
        }
    }
}

#[test]
fn the_report_is_the_same_on_paper_and_on_standard_output() {
    let folder = folder();
    let (report, plan) = (folder.path().join("r.json"), folder.path().join("p.json"));
    let words = format!(
        "run --json --from memory:64,packets=99 --report {} --plan-out {}",
        report.display(),
        plan.display()
    );
    let printed = run(&words).json();
    assert_eq!(json_file(&report), printed);
    assert_eq!(json_file(&plan)["sinks"]["report"], report.display().to_string());
    assert_eq!(names(folder.path()), ["p.json", "r.json"], "and nothing else");
}

#[test]
fn the_table_shows_books_results_and_where_they_ran() {
    let text = run("run --from memory:64,packets=99 --prog crc32c,hist8").ok();
    for part in ["memory in place", "books: offered 99 ", "residual 0", "R0 crc32c", "hist8:"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let widest = text.lines().map(|line| line.chars().count()).max().unwrap_or(0);
    assert!(widest <= 100, "{widest} columns: {text}");
}

#[test]
fn a_live_line_goes_to_the_log_once_a_second_unless_it_is_quiet() {
    let words = "run --from udp:127.0.0.1:0 --seconds 2.5";
    let told = run(words);
    assert_eq!(told.err.matches(" s  in ").count(), 2, "{told:?}");
    assert!(!told.err.contains('\u{1b}'), "no escape codes in a log: {told:?}");
    let quiet = run("run --from udp:127.0.0.1:0 --seconds 1.2 --quiet");
    assert!(!quiet.err.contains(" s  in "), "{quiet:?}");
}

#[test]
fn udp_without_privilege_receives_serves_metrics_and_stops_on_a_signal() {
    let port =
        UdpSocket::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("free").port();
    let words =
        format!("run --from udp:127.0.0.1:{port} --prog crc32c -v --json --metrics 127.0.0.1:0");
    let live = Live::spawn(unprivileged(&words));
    let sender = UdpSocket::bind("127.0.0.1:0").expect("binds");
    for n in 0..300_u32 {
        sender.send_to(&vec![n as u8; n as usize], ("127.0.0.1", port)).expect("sends");
        if n % 50 == 0 {
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
    }
    until("all packets", || live.counters()["pfs_worker_consumed_packets_total"] == 300);
    let counters = live.counters();
    live.signal(Signal::SIGINT);
    let report = live.end().json();
    assert_eq!(books(&report), 300);
    let worker = &report["workers"][0]["counters"];
    assert_eq!(counters["pfs_worker_consumed_bytes_total"], 300 * 299 / 2);
    assert_eq!(worker["consumed_bytes"], 300 * 299 / 2);
    for (name, of) in [
        ("pfs_source_offered_packets_total", &report["books"]["offered"]),
        ("pfs_receiver_delivered_packets_total", &report["books"]["delivered"]),
        (
            "pfs_receiver_delivered_bytes_total",
            &report["receivers"][0]["counters"]["delivered_bytes"],
        ),
    ] {
        assert_eq!(counters[name], *of, "{name}");
    }
    assert_eq!(counters["pfs_residual_packets"], 0);
}

#[test]
fn an_address_that_is_taken_is_named() {
    let taken = UdpSocket::bind("127.0.0.1:0").expect("binds");
    let address = taken.local_addr().expect("bound");
    run(&format!("run --from udp:{address} --seconds 1"))
        .fails(1, &[&address.to_string(), "in use"]);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("binds");
    let address = taken.local_addr().expect("bound");
    let words = format!("run --from memory:64,packets=1 --metrics {address}");
    run(&words).fails(1, &[&address.to_string(), "--metrics"]);
}

#[test]
fn a_broken_capture_still_gives_its_books() {
    let done = run(&format!("run --from pcap:{}", capture("bad/record-cut-16.pcap")));
    assert!(done.out.contains("books: offered 2 "), "{done:?}");
    done.fails(1, &["record-cut-16.pcap", "at byte 284"]);
    let report = run(&format!("run --json --from pcap:{}", capture("bad/record-cut-16.pcap")));
    let parsed: serde_json::Value = serde_json::from_str(&report.out).expect("a report");
    assert_eq!(books(&parsed), 2);
    assert!(parsed["errors"][0].as_str().expect("said").contains("byte 284"), "{parsed}");
    for (name, at) in [("bad/empty.pcap", "0"), ("bad/header-cut-23.pcap", "0")] {
        let words = format!("run --from pcap:{}", capture(name));
        run(&words).fails(1, &[name.trim_start_matches("bad/"), &format!("at byte {at}")]);
    }
}

#[test]
fn a_reader_that_goes_away_ends_nothing() {
    for words in [
        "run --from memory:64,packets=99 --prog crc32c",
        "run --json --from memory:64,packets=99",
        "plan schema",
        "plan make --from memory:64",
        "doctor",
        "completions zsh",
        "man",
        "tx --help",
    ] {
        let mut command = pfs(words);
        let mut child =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starts");
        drop(child.stdout.take());
        let mut err = String::new();
        child.stderr.take().expect("piped").read_to_string(&mut err).expect("reads");
        let status = child.wait().expect("ends");
        assert!(status.success() && !err.contains("panicked"), "{words}: {status} {err}");
    }
}

#[test]
fn standard_error_that_is_gone_ends_nothing() {
    let mut command = pfs("run --from udp:127.0.0.1:0 --seconds 1.3 -vv");
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starts");
    drop(child.stderr.take());
    let mut out = String::new();
    child.stdout.take().expect("piped").read_to_string(&mut out).expect("reads");
    assert!(child.wait().expect("ends").success());
    assert!(out.contains("residual 0"), "{out}");
}

#[test]
fn memory_is_as_it_was_asked_for() {
    let plan = |flags: &str| run(&format!("plan make --from memory:64,packets=9 {flags}")).json();
    assert_eq!(plan("--pages max:2m")["memory"]["pages"], serde_json::json!({"at_most": "2m"}));
    let folder = folder();
    let out = folder.path().join("plan.json");
    let words = "run --json --from memory:64,packets=9 --pages 4k --lock --plan-out";
    let told = run(&format!("{words} {}", out.display()));
    if told.err.contains("locking memory") {
        return println!("skipped: {}", told.err);
    }
    assert_eq!(books(&told.json()), 9);
    let effective = json_file(&out);
    assert_eq!(
        effective["sources"][0]["from"]["memory"]["pages"],
        serde_json::json!({"exact": "4k"})
    );
    let told = done(unprivileged("run --from memory:1518,packets=9 --lock"));
    if told.code != 0 {
        told.fails(1, &["locking memory", "ulimit -l", "cap_ipc_lock"]);
    }
}

#[test]
fn kept_payload_is_what_the_program_left() {
    let folder = folder();
    let kept = folder.path().join("kept.pcap");
    let words = |from: &str, prog: &str| format!("run --json --from {from} --prog {prog}");
    for name in ["dns.pcap", "jumbo.pcap"] {
        for mode in ["", " --run-to-completion"] {
            let from = format!("pcap:{}", capture(name));
            let first = run(&format!(
                "{} --keep {}{mode}",
                words(&from, "xor:90,crc32c,len"),
                kept.display()
            ));
            let first = first.json();
            let sink = &first["workers"][0]["sinks"][0];
            assert_eq!((&sink["packets"], &sink["lost"]), (&first["books"]["consumed"], &0.into()));
            let again = run(&words(&format!("pcap:{}", kept.display()), "crc32c,len")).json();
            assert_eq!(accumulators(&first), accumulators(&again), "{name}{mode}");
            // And back to what the capture holds.
            let plain = run(&words(&from, "crc32c")).json();
            let back = run(&words(&format!("pcap:{}", kept.display()), "xor:90,crc32c")).json();
            assert_eq!(accumulators(&plain), accumulators(&back), "{name}{mode}");
        }
    }
    assert_eq!(names(folder.path()), ["kept.pcap"]);
}

#[test]
fn each_worker_keeps_a_file_of_its_own_and_each_rule_its_sink() {
    let folder = folder();
    let mut command = pfs("plan make --run-to-completion --cores 0,1");
    command.args(["--from", "memory:64,packets=500", "--from", "memory:imix,packets=300"]);
    let mut plan = done(command).json();
    let at = |name: &str| folder.path().join(name);
    plan["sinks"]["payload"] = serde_json::json!([
        {"name": "low", "path": at("low.pcap")}, {"name": "rest", "path": at("rest.pcap")},
    ]);
    plan["rules"] = serde_json::json!([
        {"name": "none", "match": {"vlan": 7}, "program": "len", "sink": "low"},
        {"name": "all", "program": "len", "sink": "rest"},
    ]);
    let path = file(folder.path(), "plan.json", plan.to_string());
    let done = run(&format!("run --json --plan {}", path.display()));
    if done.err.contains("core 1") {
        return println!("skipped: {}", done.err);
    }
    assert_eq!(books(&done.json()), 800);
    let want = ["low.pcap.0", "low.pcap.1", "plan.json", "rest.pcap.0", "rest.pcap.1"];
    assert_eq!(names(folder.path()), want);
    for (name, packets) in [("low.pcap.0", 0), ("rest.pcap.0", 500), ("rest.pcap.1", 300)] {
        let report = run(&format!("run --json --from pcap:{}", at(name).display())).json();
        assert_eq!(books(&report), packets, "{name}");
    }
}
