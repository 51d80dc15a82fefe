//! Frames of unusual sizes through live backends: longer than a buffer, shorter than a header.

mod common;

use std::fs::File;
use std::io::Write;
use std::os::fd::{AsRawFd, OwnedFd};
use std::thread;
use std::time::Duration;

use common::oracle::{Expected, payloads};
use common::{PROGRAM, Random, all, link_sources, modes, open, run_live, send, spec, udp_frame};
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, socket};
use pfs_dataplane::link::Link;
use pfs_dataplane::netns::{NetNs, VethOptions, ip};
use pfs_dataplane::receivers::SourceSpec;
use pfs_dataplane::receivers::af_packet::AfPacketSpec;
use pfs_dataplane::run::RunReport;
use pfs_dataplane::transmitters::Transmit;
use pfs_dataplane::transmitters::af_packet::{AfPacketTransmitter, AfPacketTxSpec};

fn enter() -> Option<NetNs> {
    NetNs::enter().map_err(|reason| println!("skipped: {reason}")).ok()
}

/// Receives `frames`, sent in bursts; gives the report and how many the kernel took.
fn receive(from: &SourceSpec, frames: &[Vec<u8>], burst: usize) -> (RunReport, u64) {
    let mode = *modes().last().expect("one at least");
    let spec = spec(open(from), &all(PROGRAM), mode);
    let mut sink = AfPacketTransmitter::open(&AfPacketTxSpec::new("tx0")).expect("opens");
    let report = run_live(spec, || {
        for burst in frames.chunks(burst) {
            send(&mut sink, burst);
            thread::sleep(Duration::from_millis(1));
        }
        sink.counters().sent
    });
    (report, sink.counters().sent)
}

/// With buffers of 2,048 bytes these are chains of one to six: their borders fall on every place
/// of a batch.
#[test]
fn chains_of_any_length_are_whole_wherever_a_batch_ends() {
    let Some(namespace) = enter() else { return };
    namespace.veth_pair("tx0", "rx0", VethOptions { queues: 1, mtu: 9000 }).expect("a pair");
    let mut random = Random(3);
    let mut frame = |_| {
        let len = [random.below(1400), random.below(8900)][random.below(2) as usize];
        udp_frame((1, 2), &(0..len).map(|_| random.below(256) as u8).collect::<Vec<_>>())
    };
    let frames: Vec<_> = (0..600).map(&mut frame).collect();
    let expected = Expected::of(&payloads(&frames));
    for from in link_sources("rx0") {
        expected.hold(&receive(&from, &frames, 40).0, from.backend());
    }
}

#[test]
fn a_frame_of_20_000_bytes_is_delivered_or_counted() {
    let Some(namespace) = enter() else { return };
    namespace.veth_pair("tx0", "rx0", VethOptions { queues: 1, mtu: 65_535 }).expect("a pair");
    for len in [20_000, 65_549] {
        let large = udp_frame((1, 2), &vec![9; len - 42]);
        let small = udp_frame((1, 2), b"small");
        let frames: Vec<_> = (0..30).flat_map(|_| [large.clone(), small.clone()]).collect();
        let expected = Expected::of(&payloads(&frames));
        for from in link_sources("rx0") {
            let (report, sent) = receive(&from, &frames, 4);
            let books = &report.books;
            assert_eq!((sent, books.offered), (60, 60), "{len}: {books:?}");
            if books.dropped() == 0 {
                expected.hold(&report, from.backend());
            } else {
                // An older kernel may not let XDP have frames over several buffers.
                assert_eq!((books.residual, books.consumed), (0, 30), "{len}: {books:?}");
            }
        }
    }
}

/// A plain packet socket: the kernel decides what it lets through.
fn send_raw(socket: &OwnedFd, frame: &[u8]) -> bool {
    nix::sys::socket::send(socket.as_raw_fd(), frame, MsgFlags::empty()) == Ok(frame.len())
}

fn raw_socket(interface: &str) -> OwnedFd {
    let flags = SockFlag::SOCK_CLOEXEC;
    let socket = socket(AddressFamily::Packet, SockType::Raw, flags, None).expect("root");
    // SAFETY: `sockaddr_ll` is plain old data.
    let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_ifindex = Link::find(interface).expect("there").index as i32;
    let size = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
    // SAFETY: `address` is a `sockaddr_ll` of `size` bytes.
    let bound = unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), size) };
    assert_eq!(bound, 0, "{}", std::io::Error::last_os_error());
    socket
}

#[test]
fn short_ethernet_frames_that_the_kernel_passes_are_counted() {
    let Some(namespace) = enter() else { return };
    namespace.veth_pair("tx0", "rx0", VethOptions::default()).expect("a pair");
    for from in link_sources("rx0") {
        let spec = spec(open(&from), &all(PROGRAM), common::Mode::Inline);
        let socket = raw_socket("tx0");
        let mut passed = Vec::new();
        let report = run_live(spec, || {
            for len in 0..=20 {
                let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x88, 0xb5];
                frame.resize(len, 7);
                if send_raw(&socket, &frame) {
                    passed.push(len);
                }
            }
            passed.len() as u64
        });
        println!("{}: lengths {passed:?}", from.backend());
        let books = &report.books;
        let short = passed.iter().filter(|len| **len < 14).count() as u64;
        let expected = (passed.len() as u64, 0, passed.len() as u64 - short);
        assert_eq!((books.offered, books.residual, books.consumed), expected, "{books:?}");
        assert!(passed.contains(&15), "whole headers pass");
    }
}

/// A tun interface, which has no Ethernet header: what is written to it is received.
fn tun(name: &str) -> Option<File> {
    let file = File::options().read(true).write(true).open("/dev/net/tun");
    let file = file.map_err(|reason| println!("skipped: /dev/net/tun: {reason}")).ok()?;
    // SAFETY: `ifreq` is plain old data.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from.cast_signed();
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_TUN | libc::IFF_NO_PI) as i16;
    // SAFETY: TUNSETIFF reads one `ifreq`.
    let made = unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF as _, &raw mut request) };
    if made != 0 {
        println!("skipped: TUNSETIFF: {}", std::io::Error::last_os_error());
        return None;
    }
    ip(&format!("link set dev {name} up")).expect("up");
    Some(file)
}

#[test]
fn ip_packets_of_1_to_13_bytes_are_malformed() {
    let Some(_namespace) = enter() else { return };
    let Some(mut tun) = tun("tun0") else { return };
    let from = SourceSpec::AfPacket(AfPacketSpec::new("tun0"));
    let report = run_live(spec(open(&from), &all(PROGRAM), common::Mode::Inline), || {
        for len in 1..=13 {
            for version in [0x45, 0x60] {
                let mut packet = vec![0; len];
                packet[0] = version;
                assert_eq!(tun.write(&packet).expect("the kernel takes it"), len);
            }
        }
        26
    });
    let books = &report.books;
    assert_eq!((books.offered, books.dropped_malformed, books.residual), (26, 26, 0), "{books:?}");
    let kinds: Vec<_> =
        report.receivers[0].malformed.iter().map(|(kind, n)| (&**kind, *n)).collect();
    assert_eq!(kinds, [("ipv4_short", 13), ("ipv6_short", 13)]);
}
