//! `pfs tx`: what it says that it sent is what arrives.

use std::io::Write;
use std::net::UdpSocket;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::common::{
    Done, Live, accumulators, books, capture, done, file, folder, has_af_xdp, names, pfs, run,
    unprivileged, until, with_veth,
};

/// Runs a program over a capture and gives the report.
fn look(path: &str, prog: &str) -> Value {
    run(&format!("run --json --from pcap:{path} --prog {prog}")).json()
}

#[test]
fn a_capture_comes_out_as_it_went_in() {
    let folder = folder();
    let out = folder.path().join("out.pcap").display().to_string();
    for name in ["dns.pcap", "http.pcapng", "jumbo.pcap", "fragments.pcap"] {
        let words = format!("tx {} --top-speed --json --to pcap:{out}", capture(name));
        let sent = run(&words).json();
        let (was, is) = (look(&capture(name), "crc32c,fnv64"), look(&out, "crc32c,fnv64"));
        assert_eq!(accumulators(&was), accumulators(&is), "{name}");
        assert_eq!(sent["frames"], was["books"]["offered"], "{name}");
        assert_eq!((&sent["failed"], &sent["cut"]), (&0.into(), &0.into()));
        let twice = run(&format!("{words} --loop 2")).json();
        assert_eq!(twice["frames"].as_u64(), sent["frames"].as_u64().map(|frames| 2 * frames));
    }
    assert_eq!(names(folder.path()), ["out.pcap"]);
}

#[test]
fn generated_frames_are_those_of_the_memory_source() {
    let folder = folder();
    let out = folder.path().join("out.pcap").display().to_string();
    for (size, seed) in [("64", 0), ("imix", 7), ("1518", 1)] {
        let words =
            format!("tx --generate {size} --count 999 --flows 5 --seed {seed} --to pcap:{out}");
        run(&words).ok();
        let from = format!(
            "memory:{size},packets=999,content.generated.flows=5,content.generated.seed={seed}"
        );
        let want = run(&format!("run --json --prog crc32c,fnv64 --from {from}")).json();
        assert_eq!(accumulators(&look(&out, "crc32c,fnv64")), accumulators(&want), "{size}");
    }
}

#[test]
fn made_frames_have_the_addresses_that_were_given() {
    let folder = folder();
    let out = folder.path().join("out.pcap").display().to_string();
    let data = file(folder.path(), "data", vec![7; 5000]).display().to_string();
    let words = format!(
        "tx {data} --payload 1400 --to pcap:{out} --src-ip 10.1.2.3 --dst-ip 10.9.8.7 --src-port 4000 --dst-port 53 --src-mac 02:aa:bb:cc:dd:01 --dst-mac 02:aa:bb:cc:dd:02"
    );
    assert!(run(&words).ok().contains("sent 4 frames"));
    let matched = |rule: &str| {
        let mut command = pfs(&format!("run --json --from pcap:{out}"));
        command.args(["--rule", &format!("{rule} => len")]);
        books(&done(command).json())
    };
    assert_eq!(matched("source=10.1.2.3/32,destination=10.9.8.7/32,destination_ports=53"), 4);
    assert_eq!(matched("destination_ports=54"), 0);
    let bytes = std::fs::read(&out).expect("reads");
    assert_eq!(bytes[40..52], [2, 0xaa, 0xbb, 0xcc, 0xdd, 2, 2, 0xaa, 0xbb, 0xcc, 0xdd, 1]);
    run(&format!("tx {data} --payload 1000 --ether --to pcap:{out}")).ok();
    assert_eq!(matched("ethertype=0x88b5"), 5);
}

#[test]
fn bytes_of_a_file_and_of_standard_input_arrive_whole() {
    let content: Vec<u8> = (0..100_000_u32).map(|n| ((n * 7) >> 3) as u8).collect();
    let folder = folder();
    let path = file(folder.path(), "data", &content).display().to_string();
    for input in [path.as_str(), "-"] {
        let receiver = UdpSocket::bind("127.0.0.1:0").expect("binds");
        receiver.set_read_timeout(Some(Duration::from_secs(10))).expect("sets");
        let to = receiver.local_addr().expect("bound");
        let words = format!("tx {input} --payload 999 --pps 20000 --json --to udp:{to}");
        let mut command = unprivileged(&words);
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = piped.spawn().expect("starts");
        let mut stdin = child.stdin.take().expect("piped");
        if input == "-" {
            stdin.write_all(&content).expect("writes");
        }
        drop(stdin);
        let (mut got, mut datagram) = (Vec::new(), [0; 2000]);
        while got.len() < content.len() {
            let len = receiver.recv(&mut datagram).expect("comes");
            got.extend_from_slice(&datagram[..len]);
        }
        assert!(got == content);
        let sent = Done::from(child.wait_with_output().expect("ends")).json();
        assert_eq!((&sent["frames"], &sent["bytes"]), (&101.into(), &100_000.into()));
        assert!(sent["elapsed_s"].as_f64().expect("said") >= 0.0049, "100 gaps of 50 us: {sent}");
    }
}

#[test]
fn payload_of_a_capture_goes_to_a_socket() {
    let port =
        UdpSocket::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("free").port();
    for (name, prog) in [("dns.pcap", "crc32c,len"), ("vlan.pcap", "fnv64,counteq:0")] {
        let live = Live::start(&format!("--from udp:127.0.0.1:{port} --prog {prog}"));
        let words = format!("tx {} --pps 20000 --json --to udp:127.0.0.1:{port}", capture(name));
        let sent = run(&words).json()["frames"].as_u64().expect("said");
        until("all", || live.counters()["pfs_worker_consumed_packets_total"] == sent);
        live.signal(Signal::SIGINT);
        let report = live.end().json();
        assert_eq!(accumulators(&report), accumulators(&look(&capture(name), prog)), "{name}");
    }
    let words =
        format!("tx {} --json --top-speed --to udp:127.0.0.1:9", capture("bad/frame-ihl-4.pcap"));
    let told = done(unprivileged(&words));
    let sent: Value = serde_json::from_str(&told.out).expect("a report");
    assert_eq!(sent["skipped"], 1, "{told:?}");
}

#[test]
fn what_it_reports_is_what_the_link_counts() {
    with_veth(|| {
        let mut sinks = vec!["af_packet:tx0", "af_packet:tx0,qdisc_bypass=false"];
        if has_af_xdp() {
            sinks.push("af_xdp:tx0");
        }
        for to in sinks {
            let live = Live::start("--from af_packet:rx0 --prog crc32c,fnv64");
            let sent =
                run(&format!("tx {} --pps 20000 --json --to {to}", capture("dns.pcap"))).json();
            assert_eq!((&sent["frames"], &sent["failed"]), (&818.into(), &0.into()), "{to}");
            until("all", || live.counters()["pfs_worker_consumed_packets_total"] >= 818);
            live.signal(Signal::SIGINT);
            let report = live.end().json();
            assert_eq!(books(&report), 818);
            assert_eq!(sent["bytes"], report["receivers"][0]["counters"]["bytes"], "{to}");
            let want = look(&capture("dns.pcap"), "crc32c,fnv64");
            assert_eq!(accumulators(&report), accumulators(&want), "{to}");
        }
    });
}

#[test]
fn paces_are_kept_and_lag_is_told() {
    let folder = folder();
    let out = folder.path().join("out.pcap").display().to_string();
    // The times of the first: 200 frames, 1 ms apart, so 199 ms in all.
    let words = format!("tx --generate 64 --count 200 --pps 1000 --json --to pcap:{out}");
    let paced = run(&words).json();
    let elapsed = |report: &Value| report["elapsed_s"].as_f64().expect("said");
    assert!(elapsed(&paced) >= 0.199, "{paced}");
    assert!(paced["behind_s"].is_number(), "{paced}");
    let words = format!("tx {out} --json --to pcap:{}", folder.path().join("copy.pcap").display());
    let original = run(&words).json();
    assert!(elapsed(&original) >= 0.19, "{original}");
    assert_eq!(original["pace"]["original"], 1.0);
    let doubled = run(&format!("{words} --speed 2")).json();
    assert!(elapsed(&doubled) >= 0.095, "{doubled}");
    // 200 frames of 84 bytes on the wire are 134,400 bits; at 1 Mbit/s all but the last take
    // 133.7 ms.
    let words = format!("tx --generate 64 --count 200 --gbps 0.001 --json --to pcap:{out}");
    assert!(elapsed(&run(&words).json()) >= 0.133);
    // As many where the kernel writes the headers.
    let receiver = UdpSocket::bind("127.0.0.1:0").expect("binds");
    let to = receiver.local_addr().expect("bound");
    let words = format!("tx --generate 64 --count 200 --gbps 0.001 --json --to udp:{to}");
    assert!(elapsed(&run(&words).json()) >= 0.133);
}

#[test]
fn a_signal_ends_it_and_it_still_reports() {
    for words in [
        "tx --generate 64 --pps 5000 --json --to udp:127.0.0.1:",
        "tx - --payload 100 --json --to udp:127.0.0.1:",
    ] {
        for signal in [Signal::SIGINT, Signal::SIGTERM] {
            let receiver = UdpSocket::bind("127.0.0.1:0").expect("binds");
            let port = receiver.local_addr().expect("bound").port();
            let mut command: Command = pfs(&format!("{words}{port}"));
            let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
            let mut child = piped.spawn().expect("starts");
            let mut stdin = child.stdin.take().expect("piped");
            stdin.write_all(&[1; 1000]).expect("writes");
            receiver.set_read_timeout(Some(Duration::from_secs(10))).expect("sets");
            receiver.recv(&mut [0; 100]).expect("one comes");
            kill(Pid::from_raw(child.id() as i32), signal).expect("is there");
            let began = Instant::now();
            let report = Done::from(child.wait_with_output().expect("ends")).json();
            assert!(began.elapsed() < Duration::from_secs(5), "it did not wait for its input");
            drop(stdin);
            assert_eq!(report["stopped"], true);
            assert!(report["frames"].as_u64() > Some(0), "{report}");
        }
    }
}

#[test]
fn what_cannot_be_sent_is_named() {
    let dns = capture("dns.pcap");
    for (code, words, says) in [
        (2, "tx".to_owned(), ["--to", "FILE"]),
        (2, "tx - --to udp:127.0.0.1:9".into(), ["standard input", "--payload"]),
        (
            2,
            format!("tx {dns} --to eth:x"),
            ["no backend is called eth", "af_packet, af_xdp, dpdk, udp, pcap"],
        ),
        (2, format!("tx {dns} --to udp:127.0.0.1:9,gos=true"), ["unknown field `gos`", "gso"]),
        (2, format!("tx {dns} --pps 0 --to udp:127.0.0.1:9"), ["--pps 0", "above 0"]),
        (2, format!("tx {dns} --pps 1 --top-speed --to udp:127.0.0.1:9"), ["--pps", "--top-speed"]),
        (
            2,
            format!("tx {dns} --src-ip 1.2.3.4 --to pcap:/x"),
            ["addresses", "--payload or --generate"],
        ),
        (2, "tx --generate 63 --to pcap:/x".into(), ["63", "64 to 65553"]),
        (2, "tx --generate 64 --dst-mac 02:00 --to pcap:/x".into(), ["02:00", "six octets"]),
        (2, "tx x --count 5 --to pcap:/x".into(), ["--count", "--generate"]),
        (1, "tx /nonexistent.pcap --to pcap:/x".into(), ["/nonexistent.pcap", "No such file"]),
        (1, format!("tx {dns} --to pcap:/nonexistent/x"), ["/nonexistent/x", "mkdir -p"]),
        (1, format!("tx {dns} --to af_packet:nosuch0"), ["nosuch0 does not exist", "ip -br link"]),
        (
            1,
            format!("tx {} --to pcap:/dev/null", capture("bad/record-cut-16.pcap")),
            ["record-cut-16.pcap", "byte 284"],
        ),
    ] {
        run(&words).fails(code, &says);
    }
    let told = run(&format!("tx {} --to pcap:/dev/null", capture("bad/record-cut-16.pcap")));
    assert!(told.out.contains("sent 2 frames"), "what came before was sent: {told:?}");
}

#[test]
fn frames_that_a_link_does_not_take_are_named() {
    with_veth(|| {
        let told = run(&format!("tx {} --top-speed --to af_packet:tx0", capture("jumbo.pcap")));
        told.fails(1, &["tx0", "MTU", "ip link set dev tx0 mtu"]);
    });
    let folder = folder();
    let raw = folder.path().join("raw.pcap");
    run(&format!("run --from memory:64,packets=5 --prog len --keep {}", raw.display())).ok();
    with_veth(|| {
        let words = format!("tx {} --to af_packet:tx0", raw.display());
        run(&words).fails(1, &["payload", "Ethernet header"]);
    });
    // It goes where payload goes.
    let out = folder.path().join("out.pcap").display().to_string();
    run(&format!("tx {} --to pcap:{out}", raw.display())).ok();
    assert_eq!(
        accumulators(&look(&out, "crc32c")),
        accumulators(&look(&raw.display().to_string(), "crc32c"))
    );
}
