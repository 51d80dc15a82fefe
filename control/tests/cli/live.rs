//! `pfs run` on interfaces: stopping, interfaces that go, owners, capabilities.

use std::path::Path;

use nix::sys::signal::Signal;
use pfs_dataplane::netns::{ip, run as shell};

use crate::common::{
    Done, Live, books, done, has_af_xdp, names, run, unprivileged, until, with_veth,
};

/// The backends of this build, as sources on rx0.
fn sources() -> Vec<&'static str> {
    let mut sources = vec!["af_packet:rx0"];
    if has_af_xdp() {
        sources.extend(["af_xdp:rx0,mode=native", "af_xdp:rx0,mode=generic"]);
    }
    sources
}

/// Sends `count` generated frames into tx0.
#[track_caller]
fn send(count: u64) {
    let words = format!("tx --generate 64 --count {count} --pps 20000 --quiet --to af_packet:tx0");
    run(&words).ok();
}

/// Whether no XDP program is on rx0.
pub(crate) fn is_bare() -> bool {
    !shell("ip", &["-d", "link", "show", "dev", "rx0"]).expect("looks").contains("xdp")
}

#[test]
fn signals_stop_in_order_and_leave_nothing() {
    with_veth(|| {
        let pages = || {
            if Path::new("/dev/hugepages").is_dir() {
                names(Path::new("/dev/hugepages"))
            } else {
                Vec::new()
            }
        };
        let before = pages();
        for from in sources() {
            for signal in [Signal::SIGINT, Signal::SIGTERM] {
                let live = Live::start(&format!("--from {from} --prog crc32c"));
                assert_eq!(is_bare(), from.starts_with("af_packet"), "{from}");
                send(500);
                until("packets", || live.counters()["pfs_worker_consumed_packets_total"] >= 500);
                live.signal(signal);
                let report = live.end().json();
                assert!(books(&report) >= 500, "{from}");
                assert!(is_bare(), "{from}");
            }
        }
        assert_eq!(pages(), before);
    });
}

#[test]
fn limits_end_a_live_run() {
    with_veth(|| {
        for from in sources() {
            let live = Live::start(&format!("--from {from} --prog crc32c --packets 100"));
            send(200);
            assert!(books(&live.end().json()) >= 100, "{from}");
            let report = run(&format!("run --json --from {from} --seconds 0.2")).json();
            assert!(report["elapsed_s"].as_f64().expect("said") >= 0.2);
        }
    });
}

#[test]
fn an_interface_that_goes_ends_the_run_with_its_books() {
    for how in ["link set dev rx0 down", "link del dev rx0"] {
        with_veth(|| {
            for from in sources() {
                let live = Live::start(&format!("--from {from} --prog crc32c"));
                send(100);
                until("packets", || live.counters()["pfs_worker_consumed_packets_total"] >= 100);
                ip(how).expect("goes");
                let done = live.end();
                let report = serde_json::from_str(&done.out).expect("a report");
                assert!(books(&report) >= 100, "{from}");
                let remedy =
                    if how.contains("down") { "ip link set dev rx0 up" } else { "ip -br link" };
                done.fails(1, &["rx0", remedy]);
                if how.contains("del") {
                    ip("link add name tx0 type veth peer name rx0").expect("makes");
                    ip("link set dev tx0 up").expect("up");
                }
                ip("link set dev rx0 up").expect("up");
                until("carrier", || {
                    pfs_dataplane::link::Link::find("rx0").is_ok_and(|l| l.running)
                });
            }
        });
    }
}

#[test]
fn an_interface_that_is_missing_or_down_is_named() {
    with_veth(|| {
        ip("link set dev rx0 down").expect("goes");
        for from in sources() {
            let words = format!("run --seconds 1 --from {from}");
            run(&words).fails(1, &["rx0 is down", "ip link set dev rx0 up"]);
            let words = words.replace("rx0", "rx7");
            run(&words).fails(2, &["rx7 does not exist", "ip -br link"]);
        }
    });
}

#[test]
fn the_second_on_an_interface_is_refused_and_told_who_is_there() {
    if !has_af_xdp() {
        return;
    }
    with_veth(|| {
        for mode in ["native", "generic"] {
            let live = Live::start(&format!("--from af_xdp:rx0,mode={mode} --prog crc32c"));
            let second = run(&format!("run --seconds 1 --from af_xdp:rx0,mode={mode}"));
            let second = second.fails(1, &["rx0"]);
            assert!(second.err.contains("pfs") && second.err.contains("detach"), "{second:?}");
            send(50);
            until("packets", || live.counters()["pfs_worker_consumed_packets_total"] >= 50);
            live.signal(Signal::SIGTERM);
            assert!(books(&live.end().json()) >= 50, "the first goes on");
        }
    });
}

#[test]
fn capabilities_that_are_missing_are_named() {
    with_veth(|| {
        for from in sources() {
            let told = done(unprivileged(&format!("run --seconds 1 --from {from}")));
            let wants: &[&str] = if from.starts_with("af_packet") {
                &["CAP_NET_RAW"]
            } else {
                &["CAP_NET_RAW", "CAP_NET_ADMIN", "CAP_BPF"]
            };
            assert!(wants.iter().any(|cap| told.err.to_uppercase().contains(cap)), "{told:?}");
            told.fails(1, &["source af_", "setcap"]);
        }
        let told: Done = done(unprivileged("tx --generate 64 --count 1 --to af_packet:tx0"));
        told.fails(1, &["CAP_NET_RAW", "setcap"]);
    });
}
