//! `pfs doctor`, `pfs detach`, and what the command line says of itself.

use nix::sys::signal::Signal;
use pfs_dataplane::netns::run as shell;

use crate::common::{Live, books, done, has_af_xdp, run, unprivileged, with_veth};

#[test]
fn doctor_prints_a_line_for_each_thing() {
    for told in [run("doctor").ok(), done(unprivileged("doctor")).ok()] {
        for line in told.lines() {
            let lack = line.strip_prefix("LACK  ");
            // Cause, consequence, command.
            assert!(lack.is_none_or(|lack| lack.split("; ").count() >= 3), "{line}");
        }
        for subject in ["kernel:", "capability:", "cores:", "clock:", "kernels:", "looked at"] {
            assert!(told.contains(subject), "{subject}: {told}");
        }
    }
    let lacking = done(unprivileged("doctor --json")).json();
    let findings = lacking.as_array().expect("a list");
    let raw = findings.iter().find(|f| f["found"] == "cap_net_raw is not held").expect("said");
    assert_eq!((&raw["ok"], &raw["subject"]), (&false.into(), &"capability".into()));
    assert!(raw["command"].as_str().is_some_and(|command| command.contains("setcap")), "{raw}");
    assert!(!raw["consequence"].is_null());
}

#[test]
fn doctor_looks_at_an_interface() {
    with_veth(|| {
        let told = run("doctor --iface rx0 --iface tx0").ok();
        assert!(told.contains("veth") && told.contains("rx0") && told.contains("tx0"), "{told}");
        run("doctor --iface nosuch0").fails(1, &["nosuch0 does not exist", "ip -br link"]);
        if !has_af_xdp() {
            return;
        }
        let live = Live::start("--from af_xdp:rx0 --prog len");
        let told = run("doctor --iface rx0").ok();
        assert!(told.contains("pfs"), "whose program it is: {told}");
        live.signal(Signal::SIGINT);
        books(&live.end().json());
    });
}

#[test]
fn detach_takes_ours_and_leaves_others() {
    with_veth(|| {
        assert!(run("detach rx0").ok().contains("no XDP program"));
        run("detach nosuch0").fails(1, &["nosuch0"]);
        let object = std::env::temp_dir().join(format!("pfs-foreign-{}.o", std::process::id()));
        if !foreign(&object) {
            return;
        }
        let object_text = object.display().to_string();
        let attach = ["link", "set", "dev", "rx0", "xdpgeneric", "obj", &object_text, "sec", "xdp"];
        let attached = shell("ip", &attach);
        let _ = std::fs::remove_file(&object);
        if let Err(error) = attached {
            return println!("skipped: attaching a foreign program: {error}");
        }
        run("detach rx0").fails(1, &["rx0", "not pfs's", "ip link set dev rx0 xdpgeneric off"]);
        if has_af_xdp() {
            run("run --from af_xdp:rx0 --seconds 1").fails(1, &["rx0"]);
        }
        assert!(!crate::live::is_bare(), "it is still there");
        run("detach rx0 --force").ok();
        assert!(crate::live::is_bare());
    });
}

/// Compiles an XDP program that is not ours; says why where that cannot be done.
fn foreign(object: &std::path::Path) -> bool {
    let source = object.with_extension("c");
    let text = "__attribute__((section(\"xdp\"), used)) int foreign(void *c) { return 2; }\nchar _l[] __attribute__((section(\"license\"), used)) = \"GPL\";\n";
    std::fs::write(&source, text).expect("writes");
    let words = ["-O2", "-g", "-target", "bpf", "-c"];
    let done =
        std::process::Command::new("clang").args(words).arg(&source).arg("-o").arg(object).output();
    let _ = std::fs::remove_file(&source);
    let compiled = done.is_ok_and(|done| done.status.success());
    if !compiled {
        println!("skipped: clang cannot compile for bpf here");
    }
    compiled
}

#[test]
fn completions_and_the_manual_page_are_whole() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let text = run(&format!("completions {shell}")).ok();
        assert!(text.contains("pfs") && text.contains("worker-cores"), "{shell}");
    }
    run("completions csh").fails(2, &["csh", "zsh"]);
    let page = run("man").ok();
    assert!(page.contains(".TH pfs 1") && page.contains("doctor"), "{page}");
}

#[test]
fn help_names_the_flags_and_misuse_is_exit_2() {
    for (command, flags) in [
        ("smoke", &["--captures", "--out", "--only", "--json"][..]),
        (
            "run",
            &[
                "--plan",
                "--from",
                "--prog",
                "--plan-out",
                "--metrics",
                "--json",
                "--quiet",
                "--keep",
            ],
        ),
        ("plan make", &["--from", "--rule", "--hint", "--worker-cores", "--output"]),
        ("plan check", &["<PLAN>"]),
        ("plan explain", &["<PLAN>"]),
        ("plan schema", &["--help"]),
        (
            "tx",
            &[
                "--to",
                "--payload",
                "--generate",
                "--pps",
                "--gbps",
                "--loop",
                "--speed",
                "--dst-mac",
            ],
        ),
        ("doctor", &["--iface", "--json"]),
        ("detach", &["--force", "<INTERFACE>"]),
    ] {
        let help = run(&format!("{command} --help")).ok();
        for flag in flags {
            assert!(help.contains(flag), "{flag} in the help of {command}: {help}");
        }
        assert!(help.lines().all(|line| line.chars().count() <= 100), "{help}");
        run(&format!("{command} --no-such-flag")).fails(2, &["--no-such-flag"]);
    }
    run("").fails(2, &["Usage"]);
    run("sniff").fails(2, &["sniff"]);
    run("detach").fails(2, &["<INTERFACE>"]);
    assert!(run("--version").ok().starts_with("pfs 0."));
}
