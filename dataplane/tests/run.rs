//! Hostile and odd conditions of whole runs: nothing is lost without being counted.

mod common;

use std::net::{Ipv4Addr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use common::oracle::Expected;
use common::{
    Mode, PROGRAM, Random, all, assert_sound, link_sources, modes, open, rounds, run, run_live,
    save, send, spec, testdata, udp_frame,
};
use pfs_dataplane::books::Books;
use pfs_dataplane::netns::{NetNs, VethOptions, ip};
use pfs_dataplane::packet::{Action, Rule, RuleMatch};
use pfs_dataplane::receivers::af_packet::AfPacketSpec;
use pfs_dataplane::receivers::memory::MemorySpec;
use pfs_dataplane::receivers::pcap::PcapSpec;
use pfs_dataplane::receivers::udp::{UdpReceiver, UdpSpec};
use pfs_dataplane::receivers::{Receiver, SourceSpec};
use pfs_dataplane::run::start;
use pfs_dataplane::transmitters::Transmit;
use pfs_dataplane::transmitters::af_packet::{AfPacketTransmitter, AfPacketTxSpec};
use pfs_dataplane::transmitters::frames::GenerateSpec;

/// Some nanoseconds a byte: serial digests, one after the other.
const SLOW: &str = "fnv64:chain,fnv64:packetfs-chain,fnv64:chain,fnv64:packetfs-chain,hist8";

fn generated(size: &str, flows: u32, packets: Option<u64>) -> SourceSpec {
    let generate = GenerateSpec {
        flows,
        frames: 1024,
        ..GenerateSpec::of_size(size.parse().expect("a size"))
    };
    SourceSpec::Memory(MemorySpec::generated(generate, packets))
}

fn lanes_or_skip() -> bool {
    modes().len() > 1
}

#[test]
fn a_full_lane_holds_a_lossless_source_up_and_loses_nothing() {
    if !lanes_or_skip() {
        return;
    }
    let from = generated("1518", 7, Some(20_000));
    let behind = run(open(&from), &all(SLOW), Mode::Lane(64));
    let inline = run(open(&from), &all(SLOW), Mode::Inline);
    for (report, what) in [(&behind, "lane"), (&inline, "inline")] {
        assert_sound(report, what);
        assert_eq!((report.books.dropped(), report.books.consumed), (0, 20_000), "{what}");
    }
    // One lane keeps the order, so even digests over all bytes in a row are equal.
    assert_eq!(behind.results[0].results, inline.results[0].results);
}

/// Asserts that what was lost was lost where a receiver may lose, and that some was.
#[track_caller]
fn assert_overloaded(books: &Books, sent: u64, lost: u64) {
    assert_eq!((books.residual, books.in_flight, books.offered), (0, 0, sent), "{books:?}");
    assert_eq!(books.delivered, books.consumed, "{books:?}");
    assert!(lost > 0 && books.consumed > 0, "the worker is too fast to be overloaded: {books:?}");
    assert_eq!(books.dropped_malformed + books.dropped_nic + books.filtered, 0, "{books:?}");
}

#[test]
fn an_overloaded_udp_source_loses_in_the_lane_or_in_the_socket_and_counts_it() {
    if !lanes_or_skip() {
        return;
    }
    let listen = (Ipv4Addr::LOCALHOST, 0).into();
    let asked = UdpSpec { frame_bytes: 65_536, frames: 512, ..UdpSpec::new(listen) };
    let receiver = UdpReceiver::open(&asked).expect("binds");
    let to = receiver.local_addr();
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("binds");
    let report = run_live(spec(Receiver::Udp(receiver), &all(SLOW), Mode::Lane(64)), || {
        let payload = vec![7; 60_000];
        (0..2000).filter(|_| socket.send_to(&payload, to).is_ok()).count() as u64
    });
    let books = report.books;
    assert_eq!(report.errors, Vec::<String>::new());
    assert_overloaded(&books, 2000, books.dropped_ring_full + books.dropped_kernel);
    assert_eq!(books.dropped_ring_full + books.dropped_kernel, 2000 - books.consumed, "{books:?}");
}

/// 3,000 frames of 9,000 bytes at once to a packet socket with so many frames.
fn overload_af_packet(frames: u32) -> Option<Books> {
    let namespace = NetNs::enter().map_err(|reason| println!("skipped: {reason}")).ok()?;
    namespace.veth_pair("tx0", "rx0", VethOptions { queues: 1, mtu: 9000 }).expect("a pair");
    let from = SourceSpec::AfPacket(AfPacketSpec { frames, ..AfPacketSpec::new("rx0") });
    let mut sink = AfPacketTransmitter::open(&AfPacketTxSpec::new("tx0")).expect("opens");
    let packets = vec![udp_frame((9, 9), &[7; 8900]); 3000];
    let report = run_live(spec(open(&from), &all(SLOW), Mode::Lane(64)), || {
        send(&mut sink, &packets);
        sink.counters().sent
    });
    assert_eq!(report.errors, Vec::<String>::new());
    assert_eq!(sink.counters().sent, 3000);
    Some(report.books)
}

#[test]
fn an_overloaded_packet_socket_loses_in_the_lane_and_counts_it() {
    if lanes_or_skip()
        && let Some(books) = overload_af_packet(1024)
    {
        assert_overloaded(&books, 3000, books.dropped_ring_full);
    }
}

#[test]
fn an_overloaded_packet_socket_without_frames_counts_that() {
    if lanes_or_skip()
        && let Some(books) = overload_af_packet(32)
    {
        assert_overloaded(&books, 3000, books.dropped_no_frame);
        assert_eq!(books.dropped_ring_full, 0, "32 frames cannot fill 64 slots: {books:?}");
    }
}

#[test]
fn a_run_stopped_at_any_moment_accounts_for_every_packet() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for round in 0..rounds(12) {
        for mode in modes() {
            let from = match random.below(4) {
                0 => generated("64", 100, None),
                1 => generated("imix", 100, None),
                2 => generated("1518", 100, None),
                _ => SourceSpec::Pcap(PcapSpec { loops: 0, ..PcapSpec::new(testdata("dns.pcap")) }),
            };
            let program = ["len", PROGRAM, SLOW, "xor:1,add:2,crc32c"][random.below(4) as usize];
            let running = start(spec(open(&from), &all(program), mode)).expect("starts");
            thread::sleep(Duration::from_micros(random.below(8000)));
            running.stop();
            let what = format!("round {round}: {from:?} through {program}, {mode:?}");
            assert_sound(&running.join(), &what);
        }
    }
}

/// Calls `send` over and over in a thread beside, until `work` is done.
fn under_load(mut send: impl FnMut() + Send, work: impl FnOnce()) {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Relaxed) {
                send();
            }
        });
        // The sender ends however the work does.
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        over.store(true, Relaxed);
        outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
}

/// Runs what `open` gives, stops it at a random moment, and holds its books to be closed.
fn stop_at_random(turns: u64, open: impl Fn() -> Receiver) {
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    for round in 0..rounds(turns) {
        for mode in modes() {
            let program = ["len", PROGRAM, SLOW][random.below(3) as usize];
            let running = start(spec(open(), &all(program), mode)).expect("starts");
            thread::sleep(Duration::from_micros(random.below(30_000)));
            running.stop();
            assert_sound(&running.join(), &format!("round {round}: {program}, {mode:?}"));
        }
    }
}

#[test]
fn a_udp_source_stopped_under_load_accounts_for_every_packet() {
    // Each run binds a port of its own: one that was given back may be another test's by now.
    let port = AtomicU16::new(9);
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("binds");
    let send = || drop(socket.send_to(&[7; 300], (Ipv4Addr::LOCALHOST, port.load(Relaxed))));
    under_load(send, || {
        stop_at_random(6, || {
            let spec = UdpSpec { frames: 256, ..UdpSpec::new((Ipv4Addr::LOCALHOST, 0).into()) };
            let receiver = UdpReceiver::open(&spec).expect("binds");
            port.store(receiver.local_addr().port(), Relaxed);
            Receiver::Udp(receiver)
        });
    });
}

#[test]
fn a_link_source_stopped_under_load_accounts_for_every_packet() {
    let namespace = match NetNs::enter() {
        Ok(namespace) => namespace,
        Err(reason) => return println!("skipped: {reason}"),
    };
    namespace.veth_pair("tx0", "rx0", VethOptions { queues: 1, mtu: 9000 }).expect("a pair");
    let mut sink = AfPacketTransmitter::open(&AfPacketTxSpec::new("tx0")).expect("opens");
    let frames: Vec<_> = [20, 300, 1400, 5000].map(|len| udp_frame((1, 2), &vec![7; len])).into();
    let send = || send(&mut sink, &frames);
    under_load(send, || {
        for from in link_sources("rx0") {
            stop_at_random(1, || open(&from));
        }
    });
}

#[test]
fn an_interface_removed_mid_run_is_an_error_and_leaves_the_books_closed() {
    for at in 0..link_sources("rx0").len() {
        let Ok(namespace) = NetNs::enter().map_err(|reason| println!("skipped: {reason}")) else {
            return;
        };
        namespace.veth_pair("tx0", "rx0", VethOptions::default()).expect("a pair");
        let from = link_sources("rx0").swap_remove(at);
        let mode = *modes().last().expect("one at least");
        let running = start(spec(open(&from), &all(PROGRAM), mode)).expect("starts");
        let mut sink = AfPacketTransmitter::open(&AfPacketTxSpec::new("tx0")).expect("opens");
        send(&mut sink, &vec![udp_frame((1, 2), b"before the end"); 100]);
        ip("link del dev rx0").expect("removed");
        // It ends by itself: nobody tells it to stop.
        let report = running.join();
        assert_eq!(report.errors.len(), 1, "{from:?}: {:?}", report.errors);
        assert!(report.errors[0].contains("rx0"), "{:?}", report.errors);
        let books = &report.books;
        assert_eq!((books.residual, books.in_flight), (0, 0), "{from:?}: {books:?}");
        assert_eq!(books.offered, books.consumed, "nothing is lost by that: {books:?}");
    }
}

/// Frames to 64 ports in a random order, with payloads of 0 to 599 bytes.
fn to_64_ports(random: &mut Random) -> Vec<(u16, Vec<u8>)> {
    let packet = |_| {
        let port = random.below(64) as u16;
        let payload = (0..random.below(600)).map(|_| random.below(256) as u8).collect();
        (port, payload)
    };
    (0..3000).map(packet).collect()
}

/// What a rule's program makes of a payload before its results are taken.
const TRANSFORMS: [(&str, u8, u8); 3] = [("", 0, 0), ("xor:15,", 15, 0), ("add:200,", 0, 200)];

fn rule_of_port(port: u16) -> Rule {
    let text = format!(r#"{{"protocol": "udp", "destination_ports": "{}"}}"#, 1000 + port);
    let matches: RuleMatch = serde_json::from_str(&text).expect("a match");
    let (transform, ..) = TRANSFORMS[usize::from(port) % TRANSFORMS.len()];
    let program = format!("{transform}{PROGRAM}");
    Rule { matches, program, ..Rule::all(format!("port {port}")) }
}

#[test]
fn sixty_four_rules_in_one_batch_find_what_each_finds_alone() {
    let packets = to_64_ports(&mut Random(7));
    let frames: Vec<_> =
        packets.iter().map(|(port, payload)| udp_frame((5, 1000 + port), payload)).collect();
    let (_folder, path) = save(&frames);
    let rules: Vec<_> = (0..64).map(rule_of_port).collect();
    for mode in modes() {
        let report = run(open(&SourceSpec::Pcap(PcapSpec::new(&path))), &rules, mode);
        assert_sound(&report, "64 rules");
        assert_eq!(report.books.consumed, 3000);
        for (port, rule) in (0u16..).zip(&report.results) {
            let (_, xor, add) = TRANSFORMS[usize::from(port) % TRANSFORMS.len()];
            let mine: Vec<Vec<u8>> = packets
                .iter()
                .filter(|(to, _)| *to == port)
                .map(|(_, payload)| payload.iter().map(|b| (b ^ xor).wrapping_add(add)).collect())
                .collect();
            assert_eq!(Expected::found(rule), Expected::of(&mine), "{} {mode:?}", rule.rule);
        }
    }
}

#[test]
fn rules_that_pass_or_drop_filter() {
    let packets = to_64_ports(&mut Random(11));
    let frames: Vec<_> =
        packets.iter().map(|(port, payload)| udp_frame((5, 1000 + port), payload)).collect();
    let (_folder, path) = save(&frames);
    let rules = [
        Rule { action: Action::Pass, ..rule_of_port(0) },
        Rule { action: Action::Drop, ..rule_of_port(1) },
        rule_of_port(3),
    ];
    let count = |wanted: u16| packets.iter().filter(|(port, _)| *port == wanted).count() as u64;
    assert!(count(0) > 0 && count(1) > 0 && count(3) > 0);
    for mode in modes() {
        let report = run(open(&SourceSpec::Pcap(PcapSpec::new(&path))), &rules, mode);
        assert_sound(&report, "three rules");
        assert_eq!((report.books.consumed, report.books.filtered), (count(3), 3000 - count(3)));
        let messages: Vec<_> = report.results.iter().map(|rule| rule.results.messages).collect();
        assert_eq!(messages, [0, 0, count(3)]);
    }
}

#[test]
fn a_sample_is_of_whole_flows_and_of_the_size_asked() {
    for percent in [1u32, 25, 50, 90] {
        for mode in modes() {
            // Five packets of each of 4,096 flows.
            let generate = GenerateSpec { flows: 4096, frames: 4096, ..GenerateSpec::default() };
            let from = SourceSpec::Memory(MemorySpec::generated(generate, Some(5 * 4096)));
            let mut spec = spec(open(&from), &all("len"), mode);
            spec.sampled = (u64::from(u32::MAX) * u64::from(percent) / 100) as u32;
            let report = start(spec).expect("starts").join();
            assert_sound(&report, "a sample");
            let books = report.books;
            assert_eq!((books.consumed + books.filtered, books.consumed % 5), (5 * 4096, 0));
            let share = books.consumed as f64 / books.offered as f64;
            let asked = f64::from(percent) / 100.0;
            // Four standard deviations of a fair draw of 4,096 flows.
            let slack = 4.0 * (asked * (1.0 - asked) / 4096.0).sqrt();
            assert!((share - asked).abs() < slack, "{share} instead of {asked}");
        }
    }
}
