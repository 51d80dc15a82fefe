//! Over loopback, with the kernel's own counts.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};
use std::time::Instant;

use super::*;
use crate::transmitters::Transmit;
use crate::transmitters::udp::{UdpSender, UdpSinkSpec};

fn spec() -> UdpSpec {
    UdpSpec { frames: 256, ..UdpSpec::new((Ipv4Addr::LOCALHOST, 0).into()) }
}

fn sender(receiver: &UdpReceiver) -> UdpSocket {
    let any: IpAddr = match receiver.local_addr() {
        SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    };
    let socket = UdpSocket::bind((any, 0)).expect("binds");
    socket.connect(receiver.local_addr()).expect("connects");
    socket
}

/// Polls until nothing comes, recycling; bytes, wire length and flags of each datagram.
fn drain(receiver: &mut UdpReceiver) -> Vec<(Vec<u8>, u32, u16)> {
    let view = receiver.region();
    let mut batch = Batch::default();
    let mut got = Vec::new();
    while receiver.poll(&mut batch).expect("polls") > 0 {
        for (desc, &wire) in batch.descs().iter().zip(batch.wire_lens()) {
            // SAFETY: it came from `poll` and is returned below.
            let bytes = unsafe { view.bytes_mut(desc) }.expect("in the region").to_vec();
            got.push((bytes, wire, desc.flags));
        }
        let tokens: Vec<_> = batch.descs().iter().map(|desc| desc.frame).collect();
        receiver.recycle(&tokens);
        batch.clear();
    }
    got
}

fn assert_books(receiver: &mut UdpReceiver) -> SourceCounters {
    let counters = receiver.counters();
    assert_eq!(counters.offered, counters.polled + counters.dropped_kernel, "{counters:?}");
    counters
}

#[test]
fn bursts_arrive_whole_and_in_order() {
    for address in [IpAddr::from(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()] {
        if UdpSocket::bind((address, 0)).is_err() {
            println!("skipped: no address {address}");
            continue;
        }
        let mut receiver =
            UdpReceiver::open(&UdpSpec { listen: (address, 0).into(), ..spec() }).expect("binds");
        let socket = sender(&receiver);
        for round in 0..20u32 {
            let sent: Vec<Vec<u8>> =
                (0..100u32).map(|n| vec![n as u8; (round * 7 + n) as usize % 1400]).collect();
            for datagram in &sent {
                socket.send(datagram).expect("sends");
            }
            let got: Vec<_> = drain(&mut receiver).into_iter().map(|(bytes, ..)| bytes).collect();
            assert!(got == sent, "round {round} over {address}");
        }
        let counters = assert_books(&mut receiver);
        assert_eq!((counters.polled, counters.dropped_kernel), (2000, 0));
    }
}

#[test]
fn zero_length_and_too_long_datagrams_are_delivered() {
    let mut receiver = UdpReceiver::open(&UdpSpec { frame_bytes: 100, ..spec() }).expect("binds");
    let socket = sender(&receiver);
    for len in [0, 100, 101, 65_507] {
        socket.send(&vec![9; len]).expect("sends");
    }
    let got: Vec<_> = drain(&mut receiver)
        .into_iter()
        .map(|(bytes, wire, flags)| (bytes.len(), wire, flags & Desc::ERR != 0))
        .collect();
    let want = [(0, 0, false), (100, 100, false), (100, 101, true), (100, 65_507, true)];
    assert_eq!(got, want);
    assert_eq!(assert_books(&mut receiver).polled, 4);
}

#[test]
fn an_overflowing_socket_loses_only_what_the_kernel_counts() {
    let mut receiver =
        UdpReceiver::open(&UdpSpec { receive_buffer_bytes: 4096, ..spec() }).expect("binds");
    let socket = sender(&receiver);
    let mut got = 0;
    for round in 1..=10 {
        for _ in 0..200 {
            socket.send(&[7; 500]).expect("sends");
        }
        got += drain(&mut receiver).len() as u64;
        let counters = assert_books(&mut receiver);
        assert_eq!((counters.offered, counters.polled), (200 * round, got));
        assert!(counters.dropped_kernel > 0);
        assert_eq!(receiver.counters(), counters, "reading again changes nothing");
    }
}

#[test]
fn datagrams_stay_in_the_socket_while_no_frame_is_free() {
    let mut receiver = UdpReceiver::open(&UdpSpec { frames: 4, ..spec() }).expect("binds");
    let socket = sender(&receiver);
    for n in 0..10u8 {
        socket.send(&[n]).expect("sends");
    }
    let mut batch = Batch::default();
    assert_eq!(receiver.poll(&mut batch).expect("polls"), 4);
    assert_eq!(receiver.poll(&mut batch).expect("polls"), 0);
    let begun = Instant::now();
    receiver.wait(Duration::from_secs(600)).expect("waits");
    assert!(begun.elapsed() < Duration::from_secs(60), "slept though frames may come back");
    assert_books(&mut receiver);
    let tokens: Vec<_> = batch.descs().iter().map(|desc| desc.frame).collect();
    receiver.recycle(&tokens[..1]);
    receiver.recycle(&tokens[..1]);
    receiver.recycle(&[4, u32::MAX]);
    assert_eq!(receiver.counters().refused_tokens, 3);
    assert_eq!(receiver.poll(&mut batch).expect("polls"), 1);
    receiver.recycle(&tokens[1..]);
    assert_eq!(drain(&mut receiver).len(), 5);
    assert_eq!(assert_books(&mut receiver).dropped_kernel, 0);
}

#[test]
fn merged_datagrams_are_handed_out_one_by_one() {
    let spec = UdpSpec { gro: true, frames: 8, ..spec() };
    let mut receiver = UdpReceiver::open(&spec).expect("binds");
    assert!(receiver.granted().notes.iter().any(|note| note.contains("frame_bytes 65536")));
    let mut sender = UdpSender::open(&UdpSinkSpec::new(receiver.local_addr())).expect("connects");
    let sent: Vec<Vec<u8>> =
        (0..640u32).map(|n| vec![n as u8; 100 - (n % 40 / 39) as usize]).collect();
    let slices: Vec<&[u8]> = sent.iter().map(Vec::as_slice).collect();
    for round in slices.chunks(320) {
        assert_eq!(sender.send(round).expect("sends"), round.len());
    }
    assert!(sender.gso(), "the kernel took runs of datagrams");
    // Tokens for 128 datagrams, 8 buffers: nothing may be lost for want of either.
    let got: Vec<_> = drain(&mut receiver).into_iter().map(|(bytes, ..)| bytes).collect();
    assert!(got == sent, "{} of {}", got.len(), sent.len());
    let counters = assert_books(&mut receiver);
    assert_eq!((counters.polled, counters.dropped_kernel), (640, 0));
    assert!(receiver.state.iter().all(|buffer| buffer.users == 0 && buffer.filled.is_none()));
    assert_eq!(receiver.buffers.free() + receiver.posted.len(), 8);
}

#[test]
fn a_merged_buffer_is_free_only_when_all_its_datagrams_are_back() {
    let spec = UdpSpec { gro: true, frames: 1, ..spec() };
    let mut receiver = UdpReceiver::open(&spec).expect("binds");
    let mut sender = UdpSender::open(&UdpSinkSpec::new(receiver.local_addr())).expect("connects");
    let datagrams: [&[u8]; 3] = [b"aa", b"bb", b"c"];
    sender.send(&datagrams).expect("sends");
    sender.send(&datagrams).expect("sends");
    let mut batch = Batch::default();
    assert_eq!(receiver.poll(&mut batch).expect("polls"), 3);
    for desc in batch.descs().to_vec() {
        assert_eq!(receiver.poll(&mut batch).expect("polls"), 0);
        receiver.recycle(&[desc.frame]);
    }
    assert_eq!(receiver.poll(&mut batch).expect("polls"), 3);
}

#[test]
fn after_detach_what_had_arrived_still_comes_and_nothing_else() {
    let mut receiver = UdpReceiver::open(&spec()).expect("binds");
    let socket = sender(&receiver);
    for _ in 0..100 {
        socket.send(b"before").expect("sends");
    }
    receiver.detach();
    for _ in 0..100 {
        socket.send(b"after").expect("sends");
    }
    assert!(!receiver.finished());
    let got = drain(&mut receiver);
    assert_eq!(got.len(), 100);
    assert!(got.iter().all(|(bytes, ..)| bytes == b"before"));
    assert!(receiver.finished());
    let counters = assert_books(&mut receiver);
    assert_eq!((counters.offered, counters.dropped_kernel), (100, 0));
    receiver.wait(Duration::from_secs(600)).expect("returns at once");
}

#[test]
fn sockets_that_share_an_address_share_the_senders() {
    let mut first = UdpReceiver::open(&UdpSpec { reuse_port: true, ..spec() }).expect("binds");
    let shared = UdpSpec { reuse_port: true, listen: first.local_addr(), ..spec() };
    let mut second = UdpReceiver::open(&shared).expect("binds");
    for n in 0..40u8 {
        let socket = sender(&first);
        for _ in 0..5 {
            socket.send(&[n]).expect("sends");
        }
    }
    let (left, right) = (drain(&mut first), drain(&mut second));
    assert_eq!(left.len() + right.len(), 200);
    assert!(!left.is_empty() && !right.is_empty());
    for (bytes, ..) in &left {
        assert!(right.iter().all(|(other, ..)| other != bytes), "a sender was split");
    }
}

#[test]
fn one_sender_is_one_flow() {
    let mut receiver = UdpReceiver::open(&spec()).expect("binds");
    let senders = [sender(&receiver), sender(&receiver)];
    for _ in 0..3 {
        for socket in &senders {
            socket.send(b"x").expect("sends");
        }
    }
    let mut batch = Batch::default();
    assert_eq!(receiver.poll(&mut batch).expect("polls"), 6);
    let flows: Vec<_> = batch.descs().iter().map(|desc| desc.flow).collect();
    assert_ne!(flows[0], flows[1]);
    assert!(flows.chunks(2).all(|pair| pair == &flows[..2]), "{flows:?}");
}

#[test]
fn an_address_in_use_is_named() {
    let first = UdpReceiver::open(&spec()).expect("binds");
    let again = UdpSpec { listen: first.local_addr(), ..spec() };
    let text = UdpReceiver::open(&again).expect_err("refused").to_string();
    assert!(text.contains("binding UDP 127.0.0.1") && text.contains("ss -ulpn"), "{text}");
    let none = UdpSpec { frames: 0, ..spec() };
    assert!(UdpReceiver::open(&none).is_err());
}

#[test]
fn waiting_ends_with_a_datagram() {
    let mut receiver = UdpReceiver::open(&spec()).expect("binds");
    receiver.wait(Duration::from_millis(1)).expect("times out");
    sender(&receiver).send(b"x").expect("sends");
    receiver.wait(Duration::from_secs(600)).expect("wakes");
    assert_eq!(drain(&mut receiver).len(), 1);
}
