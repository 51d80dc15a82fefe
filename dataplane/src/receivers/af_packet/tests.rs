//! Against a real veth pair and a real loopback, each test in a namespace of its own.

use std::io::Write;
use std::os::fd::AsRawFd;
use std::time::{SystemTime, UNIX_EPOCH};

use super::*;
use crate::testing::{NetNs, VethOptions, bytes_of, frame, ip, run};
use crate::transmitters::Transmit;
use crate::transmitters::af_packet::{AfPacketTransmitter, AfPacketTxSpec};

const PATIENCE: Duration = Duration::from_secs(5);

/// A small ring, so that tests fill it quickly.
fn spec(interface: &str) -> AfPacketSpec {
    AfPacketSpec { block_bytes: 128 << 10, blocks: 8, retire_ms: 2, ..AfPacketSpec::new(interface) }
}

fn send(interface: &str, frames: &[Vec<u8>]) {
    // Past the queueing discipline a frame would not show to sockets as outgoing.
    let spec = AfPacketTxSpec { qdisc_bypass: false, ..AfPacketTxSpec::new(interface) };
    let mut transmitter = AfPacketTransmitter::open(&spec).unwrap();
    let frames: Vec<&[u8]> = frames.iter().map(Vec::as_slice).collect();
    let mut rest = frames.as_slice();
    while !rest.is_empty() {
        let taken = transmitter.send(rest).unwrap();
        rest = &rest[taken..];
    }
    transmitter.flush().unwrap();
    assert_eq!(transmitter.counters().sent, frames.len() as u64);
}

/// What one receiver gave: bytes and descriptor of each frame, nothing returned yet.
type Taken = Vec<(Vec<u8>, Desc, u32)>;

/// One poll, copied out.
fn take(receiver: &mut AfPacketReceiver, taken: &mut Taken) -> usize {
    let mut batch = Batch::default();
    let added = receiver.poll(&mut batch).unwrap();
    assert_eq!(added, batch.len());
    for (desc, &wire_len) in batch.descs().iter().zip(batch.wire_lens()) {
        taken.push((bytes_of(receiver, desc), *desc, wire_len));
    }
    added
}

/// Polls until `count` frames have come; keeps them on loan.
fn hold(receiver: &mut AfPacketReceiver, count: usize) -> Taken {
    let mut taken = Taken::new();
    let deadline = Instant::now() + PATIENCE;
    while taken.len() < count {
        assert!(Instant::now() < deadline, "{} of {count} frames came", taken.len());
        if take(receiver, &mut taken) == 0 {
            receiver.wait(Duration::from_millis(50)).unwrap();
        }
    }
    taken
}

fn give_back(receiver: &mut AfPacketReceiver, taken: &Taken) {
    let tokens: Vec<_> = taken.iter().map(|(_, desc, _)| desc.frame).collect();
    receiver.recycle(&tokens);
}

/// Polls and returns until `count` frames have come.
fn receive(receiver: &mut AfPacketReceiver, count: usize) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    while all.len() < count {
        let taken = hold(receiver, 1);
        give_back(receiver, &taken);
        all.extend(taken.into_iter().map(|(bytes, ..)| bytes));
    }
    all
}

/// Detaches and takes what is left.
fn drain(receiver: &mut AfPacketReceiver) -> Vec<Vec<u8>> {
    receiver.detach();
    let deadline = Instant::now() + PATIENCE;
    let mut all = Vec::new();
    while !receiver.finished() {
        assert!(Instant::now() < deadline, "the drain does not end: {:?}", receiver.counters());
        let mut taken = Taken::new();
        if take(receiver, &mut taken) == 0 {
            receiver.wait(Duration::from_millis(5)).unwrap();
        }
        give_back(receiver, &taken);
        all.extend(taken.into_iter().map(|(bytes, ..)| bytes));
    }
    all
}

fn assert_books_close(receiver: &mut AfPacketReceiver) -> SourceCounters {
    let counts = receiver.counters();
    let known =
        counts.polled + counts.dropped_kernel + counts.dropped_no_frame + counts.dropped_malformed;
    assert_eq!(counts.offered, known, "{counts:?}");
    counts
}

#[test]
fn frames_arrive_as_sent() {
    let Some(ns) = NetNs::enter() else { return };
    ns.veth_pair("a", "b", VethOptions { mtu: 9000, ..VethOptions::default() });
    let mut receiver = AfPacketReceiver::open(&spec("b")).unwrap();
    let sizes = (14..=130).chain([256, 1499, 1513, 1514, 1515, 2048, 4096, 8191, 9013, 9014]);
    let sent: Vec<_> = sizes.zip(0..).map(|(size, tag)| frame(size, tag)).collect();
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
    let before = now();
    send("a", &sent);
    let taken = hold(&mut receiver, sent.len());
    // Stamps are times modulo 2^32 ns, comparable within a bit more than four seconds.
    let took = u32::try_from(now() - before).unwrap_or(u32::MAX);
    for ((bytes, desc, wire_len), sent) in taken.iter().zip(&sent) {
        assert_eq!(bytes, sent);
        assert!(desc.stamp.wrapping_sub(before as u32) <= took);
        assert_eq!((desc.len as usize, *wire_len as usize), (sent.len(), sent.len()));
        assert_eq!(desc.flags, Desc::SOM | Desc::EOM | Desc::STAMP_KERNEL);
    }
    give_back(&mut receiver, &taken);
    assert!(drain(&mut receiver).is_empty());
    let counts = assert_books_close(&mut receiver);
    assert_eq!((counts.offered, counts.polled), (sent.len() as u64, sent.len() as u64));
}

#[test]
fn tags_are_put_back() {
    let Some(ns) = NetNs::enter() else { return };
    ns.veth_pair("a", "b", VethOptions::default());
    let mut receiver = AfPacketReceiver::open(&spec("b")).unwrap();
    let tags: [&[u8]; 4] = [
        &[0x81, 0x00, 0x60, 0x2a],
        &[0x88, 0xa8, 0x0f, 0xff, 0x81, 0x00, 0xe0, 0x01],
        &[0x81, 0x00, 0x00, 0x00, 0x81, 0x00, 0x00, 0x07, 0x81, 0x00, 0x00, 0x08],
        &[],
    ];
    let sent: Vec<_> = (0..40usize)
        .map(|at| {
            let plain = frame(60 + 20 * at, at as u32);
            [&plain[..12], tags[at % tags.len()], &plain[12..]].concat()
        })
        .collect();
    // The largest tagged frame that the link takes.
    let plain = frame(1514, 99);
    let largest = [&plain[..12], tags[0], &plain[12..]].concat();
    let sent = [sent, vec![largest]].concat();
    send("a", &sent);
    let taken = hold(&mut receiver, sent.len());
    for ((bytes, _, wire_len), sent) in taken.iter().zip(&sent) {
        assert_eq!(bytes, sent);
        assert_eq!(*wire_len as usize, sent.len());
    }
    assert_books_close(&mut receiver);
}

#[test]
fn overload_is_counted_to_the_frame() {
    let Some(ns) = NetNs::enter() else { return };
    ns.veth_pair("a", "b", VethOptions::default());
    let mut receiver = AfPacketReceiver::open(&AfPacketSpec { blocks: 2, ..spec("b") }).unwrap();
    let sent: Vec<_> = (0..2000).map(|tag| frame(1000, tag)).collect();
    send("a", &sent);
    let got = drain(&mut receiver);
    assert!(!got.is_empty() && got[..] == sent[..got.len()], "the newest are dropped");
    let counts = assert_books_close(&mut receiver);
    assert_eq!((counts.offered, counts.polled), (2000, got.len() as u64));
    assert!(counts.dropped_kernel > 1000 && receiver.details().stalls > 0);
}

#[test]
fn blocks_come_back_in_any_order() {
    let Some(ns) = NetNs::enter() else { return };
    ns.veth_pair("a", "b", VethOptions::default());
    // A round takes three blocks or, where the timer hands some over half full, a few more.
    let mut receiver = AfPacketReceiver::open(&AfPacketSpec { blocks: 16, ..spec("b") }).unwrap();
    let per_round = 300;
    for round in 0..20 {
        let sent: Vec<_> = (0..per_round).map(|at| frame(1000, round * per_round + at)).collect();
        send("a", &sent);
        let mut taken = hold(&mut receiver, sent.len());
        assert!(taken.iter().map(|(bytes, ..)| bytes).eq(&sent), "round {round}");
        // Newest first, a few at a time, across the borders of blocks.
        taken.reverse();
        for part in taken.chunks(7) {
            give_back(&mut receiver, &part.to_vec());
        }
    }
    assert_eq!(assert_books_close(&mut receiver).dropped_kernel, 0);
}

#[test]
fn a_block_on_loan_is_not_written_to() {
    let Some(ns) = NetNs::enter() else { return };
    ns.veth_pair("a", "b", VethOptions::default());
    let mut receiver = AfPacketReceiver::open(&AfPacketSpec { blocks: 2, ..spec("b") }).unwrap();
    send("a", &[frame(500, 7)]);
    let held = hold(&mut receiver, 1);
    // Far more than the rest of the ring takes: the kernel must stop at the held block.
    for round in 0..5 {
        let sent: Vec<_> = (0..300).map(|tag| frame(1000, round * 300 + tag)).collect();
        send("a", &sent);
        let mut taken = Taken::new();
        while take(&mut receiver, &mut taken) > 0 {}
        give_back(&mut receiver, &taken);
    }
    assert_eq!(bytes_of(&receiver, &held[0].1), frame(500, 7));
    // A ring that only looks readable must not keep a waiting caller spinning or stuck.
    receiver.wait(Duration::from_millis(1)).unwrap();
    give_back(&mut receiver, &held);
    drain(&mut receiver);
    assert!(assert_books_close(&mut receiver).dropped_kernel > 0);
}

#[test]
fn tokens_that_are_not_on_loan_are_refused() {
    let Some(ns) = NetNs::enter() else { return };
    ns.veth_pair("a", "b", VethOptions::default());
    let mut receiver = AfPacketReceiver::open(&AfPacketSpec { frames: 16, ..spec("b") }).unwrap();
    receiver.recycle(&[0, 15, 16, u32::MAX]);
    send("a", &[frame(60, 1), frame(60, 2)]);
    let taken = hold(&mut receiver, 2);
    give_back(&mut receiver, &taken);
    give_back(&mut receiver, &taken);
    assert_eq!(receiver.counters().refused_tokens, 6);
    send("a", &[frame(60, 3)]);
    assert_eq!(receive(&mut receiver, 1), [frame(60, 3)]);
}

#[test]
fn frames_beyond_the_pool_are_dropped_and_counted() {
    let Some(ns) = NetNs::enter() else { return };
    ns.veth_pair("a", "b", VethOptions::default());
    let mut receiver = AfPacketReceiver::open(&AfPacketSpec { frames: 8, ..spec("b") }).unwrap();
    let sent: Vec<_> = (0..200).map(|tag| frame(60, tag)).collect();
    send("a", &sent);
    let held = hold(&mut receiver, 8);
    assert!(drain(&mut receiver).is_empty(), "no frame is free");
    assert!(held.iter().map(|(bytes, ..)| bytes).eq(&sent[..8]));
    let counts = assert_books_close(&mut receiver);
    assert_eq!((counts.offered, counts.polled, counts.dropped_no_frame), (200, 8, 192));
}

#[test]
fn frames_are_cut_on_request() {
    let Some(ns) = NetNs::enter() else { return };
    ns.veth_pair("a", "b", VethOptions::default());
    let snap = AfPacketSpec { snap_bytes: Some(64), ..spec("b") };
    let mut receiver = AfPacketReceiver::open(&snap).unwrap();
    let sent = [frame(64, 1), frame(65, 2), frame(1514, 3)];
    send("a", &sent);
    for ((bytes, desc, wire_len), sent) in hold(&mut receiver, 3).iter().zip(&sent) {
        assert_eq!(bytes, &sent[..64]);
        assert_eq!(*wire_len as usize, sent.len());
        assert_eq!(desc.flags & Desc::ERR != 0, sent.len() > 64);
    }
}

#[test]
fn loopback_counts_each_frame_once() {
    let Some(_ns) = NetNs::enter() else { return };
    let fanout = Fanout { group: 9, mode: FanoutMode::Lb, defrag: false };
    for fanout in [None, Some(fanout)] {
        let spec = AfPacketSpec { blocks: 64, fanout, ..spec("lo") };
        let mut receiver = AfPacketReceiver::open(&spec).unwrap();
        let sent: Vec<_> = (0..100).map(|tag| frame(60 + tag as usize * 600, tag)).collect();
        send("lo", &sent);
        assert_eq!(receive(&mut receiver, sent.len()), sent);
        assert!(drain(&mut receiver).is_empty());
        assert_eq!(assert_books_close(&mut receiver).offered, 100);
    }
}

/// The next number of a xorshift sequence, below `bound`.
fn random(state: &mut u64, bound: usize) -> usize {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    (*state % bound as u64) as usize
}

/// Workers that return late, out of order, twice, or what was never theirs: whatever they do,
/// no frame is altered, doubled or out of order, and the books close.
#[test]
fn books_close_whatever_workers_do() {
    let Some(ns) = NetNs::enter() else { return };
    ns.veth_pair("a", "b", VethOptions::default());
    let rounds = std::env::var("PFS_TEST_ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(60);
    let small = AfPacketSpec { blocks: 4, retire_ms: 1, frames: 250, ..spec("b") };
    let mut receiver = AfPacketReceiver::open(&small).unwrap();
    let mut transmitter = AfPacketTransmitter::open(&AfPacketTxSpec::new("a")).unwrap();
    let (mut state, mut sent, mut last) = (0x9e37_79b9_7f4a_7c15, 0u32, None);
    let mut held = Taken::new();
    for _ in 0..rounds {
        for _ in 0..random(&mut state, 200) {
            let frame = frame(18 + random(&mut state, 1400), sent);
            assert_eq!(transmitter.send(&[&frame]).unwrap(), 1);
            sent += 1;
        }
        transmitter.flush().unwrap();
        receiver.wait(Duration::from_millis(2)).unwrap();
        let first_new = held.len();
        for _ in 0..random(&mut state, 6) {
            take(&mut receiver, &mut held);
        }
        for (bytes, ..) in &held[first_new..] {
            let tag = u32::from_be_bytes(bytes[14..18].try_into().unwrap());
            assert!(last < Some(tag), "{tag} comes after {last:?}");
            last = Some(tag);
            assert!(*bytes == frame(bytes.len(), tag));
        }
        while !held.is_empty() && random(&mut state, 30) != 0 {
            let (bytes, desc, _) = held.swap_remove(random(&mut state, held.len()));
            assert!(bytes == bytes_of(&receiver, &desc), "changed while on loan");
            receiver.recycle(&[desc.frame, desc.frame, 250 + desc.frame]);
        }
    }
    give_back(&mut receiver, &held);
    drain(&mut receiver);
    let counts = assert_books_close(&mut receiver);
    assert_eq!(counts.offered, u64::from(sent));
    assert_eq!(receiver.pool.on_loan(), 0);
}

/// A UDP datagram's frame, or one fragment of it: `more` and `offset` (in 8-byte units) as in
/// the IPv4 header.
fn ipv4(source_port: u16, id: u16, more: bool, offset: u16, payload: &[u8]) -> Vec<u8> {
    let mut header = vec![0x45, 0];
    let fragment = offset | if more { 0x2000 } else { 0 };
    header.extend((20 + payload.len() as u16).to_be_bytes());
    for word in [id, fragment, 0x4011, 0] {
        header.extend(word.to_be_bytes());
    }
    header.extend([10, 0, 0, (source_port % 50) as u8, 10, 0, 1, 1]);
    let words = header.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1]));
    let sum = words.sum::<u32>();
    let check = !((sum & 0xffff) + (sum >> 16)) as u16;
    header[10..12].copy_from_slice(&check.to_be_bytes());
    let mut frame = frame(14, 0);
    frame[12..14].copy_from_slice(&[8, 0]);
    [frame, header, payload.to_vec()].concat()
}

fn udp(source_port: u16, len: u16) -> Vec<u8> {
    let mut datagram = Vec::new();
    for word in [source_port, 9, 8 + len, 0] {
        datagram.extend(word.to_be_bytes());
    }
    datagram.extend((0..len).map(|at| at as u8));
    datagram
}

fn pair(mode: FanoutMode, defrag: bool) -> [AfPacketReceiver; 2] {
    let fanout = Some(Fanout { group: 5, mode, defrag });
    [(); 2].map(|()| AfPacketReceiver::open(&AfPacketSpec { fanout, ..spec("b") }).unwrap())
}

#[test]
fn fanout_gives_each_frame_to_one_socket() {
    use FanoutMode::{Cpu, Hash, Lb, Qm, Rollover};
    let Some(ns) = NetNs::enter() else { return };
    ns.veth_pair("a", "b", VethOptions::default());
    let sent: Vec<_> = (0..640u16)
        .map(|at| ipv4(1000 + at % 64, at, false, 0, &udp(1000 + at % 64, 64)))
        .collect();
    for mode in [Hash, Cpu, Lb, Rollover, Qm] {
        let mut receivers = pair(mode, true);
        send("a", &sent);
        let shares = receivers.each_mut().map(drain);
        let counts = receivers.each_mut().map(assert_books_close);
        assert_eq!(counts[0].offered + counts[1].offered, 640, "{mode:?}");
        let mut got = shares.concat();
        got.sort();
        let mut expected = sent.clone();
        expected.sort();
        assert!(got == expected, "{mode:?} loses, doubles or alters frames");
        if matches!(mode, Hash | Lb) {
            assert!(shares.iter().all(|share| share.len() > 64), "{mode:?} does not split");
        }
        if mode == Hash {
            let flow = |frame: &Vec<u8>| frame[34..36].to_vec();
            let both = |frame| shares[1].iter().map(flow).any(|other| other == flow(frame));
            assert!(!shares[0].iter().any(both), "a flow is split");
        }
    }
}

#[test]
fn fragments_of_a_datagram_go_to_one_socket() {
    let Some(ns) = NetNs::enter() else { return };
    ns.veth_pair("a", "b", VethOptions::default());
    let datagrams: Vec<_> = (0..40u16).map(|id| (id, udp(2000 + id, 2992))).collect();
    let fragments = datagrams.iter().flat_map(|(id, datagram)| {
        let parts = datagram.chunks(1000).zip([(true, 0), (true, 125), (false, 250)]);
        parts.map(|(part, (more, at))| ipv4(2000 + id, *id, more, at, part)).collect::<Vec<_>>()
    });
    let sent: Vec<_> = fragments.collect();

    let mut receivers = pair(FanoutMode::Hash, false);
    send("a", &sent);
    let shares = receivers.each_mut().map(drain);
    for receiver in &mut receivers {
        assert_books_close(receiver);
    }
    let ids = shares
        .each_ref()
        .map(|share| share.iter().map(|frame| frame[18..20].to_vec()).collect::<Vec<_>>());
    assert_eq!(ids[0].len() + ids[1].len(), sent.len());
    assert!(ids.iter().all(|ids| !ids.is_empty()), "all to one socket");
    assert!(!ids[0].iter().any(|id| ids[1].contains(id)), "a datagram is split");

    drop(receivers);
    let mut receivers = pair(FanoutMode::Hash, true);
    send("a", &sent);
    let whole = receivers.each_mut().map(drain).concat();
    for receiver in &mut receivers {
        assert_books_close(receiver);
    }
    assert_eq!(whole.len(), datagrams.len(), "the kernel reassembles");
    for frame in &whole {
        let id = u16::from_be_bytes([frame[18], frame[19]]);
        assert_eq!(frame[34..], datagrams[usize::from(id)].1);
    }
}

#[test]
fn detach_ends_arrivals_and_loses_nothing() {
    let Some(ns) = NetNs::enter() else { return };
    ns.veth_pair("a", "b", VethOptions::default());
    let mut receiver = AfPacketReceiver::open(&spec("b")).unwrap();
    let sent: Vec<_> = (0..500).map(|tag| frame(900, tag)).collect();
    send("a", &sent);
    receiver.detach();
    assert!(!receiver.finished());
    send("a", &sent);
    assert!(drain(&mut receiver) == sent);
    let counts = assert_books_close(&mut receiver);
    assert_eq!((counts.offered, counts.polled), (500, 500));
}

#[test]
fn a_view_that_outlives_the_receiver_stays_readable() {
    let Some(ns) = NetNs::enter() else { return };
    ns.veth_pair("a", "b", VethOptions::default());
    let mut receiver = AfPacketReceiver::open(&spec("b")).unwrap();
    send("a", &[frame(700, 5)]);
    let held = hold(&mut receiver, 1);
    let view = receiver.region();
    drop(receiver);
    send("a", &(0..2000).map(|tag| frame(1000, tag)).collect::<Vec<_>>());
    // SAFETY: the span was on loan when its receiver went; nobody else has it.
    assert_eq!(unsafe { view.bytes_mut(&held[0].1) }.unwrap(), frame(700, 5));
}

/// Waits until the receiver reports an error.
fn wait_for_error(receiver: &mut AfPacketReceiver) -> ReceiveError {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let mut taken = Taken::new();
        while take(receiver, &mut taken) > 0 {}
        give_back(receiver, &taken);
        if let Err(error) = receiver.wait(Duration::from_millis(20)) {
            return error;
        }
        assert!(Instant::now() < deadline, "no error is reported");
    }
}

#[test]
fn a_link_set_down_is_reported_and_may_come_back() {
    let Some(ns) = NetNs::enter() else { return };
    ns.veth_pair("a", "b", VethOptions::default());
    let mut receiver = AfPacketReceiver::open(&spec("b")).unwrap();
    send("a", &[frame(100, 1)]);
    ip("link set dev b down");
    let error = wait_for_error(&mut receiver);
    assert!(matches!(&error, ReceiveError::Link(LinkError::Down(name)) if name == "b"), "{error}");
    assert!(error.to_string().contains("ip link set dev b up"), "{error}");
    receiver.wait(Duration::from_millis(5)).expect("reported once");
    ip("link set dev b up");
    send("a", &[frame(100, 2)]);
    assert_eq!(receive(&mut receiver, 1), [frame(100, 2)]);
    assert_eq!(assert_books_close(&mut receiver).polled, 2);
    ip("link set dev b down");
    wait_for_error(&mut receiver);
    ip("link del dev b");
    let error = wait_for_error(&mut receiver);
    assert!(matches!(error, ReceiveError::Link(LinkError::Missing(_))), "{error}");
}

#[test]
fn a_caller_that_never_waits_is_told_too() {
    let Some(ns) = NetNs::enter() else { return };
    ns.veth_pair("a", "b", VethOptions::default());
    let mut receiver = AfPacketReceiver::open(&spec("b")).unwrap();
    ip("link set dev b down");
    let mut batch = Batch::default();
    let told = (0..=POLLS_PER_LINK_CHECK).find_map(|_| receiver.poll(&mut batch).err());
    assert!(matches!(told, Some(ReceiveError::Link(LinkError::Down(_)))));
}

#[test]
fn a_removed_interface_is_reported_and_drained() {
    let Some(ns) = NetNs::enter() else { return };
    ns.veth_pair("a", "b", VethOptions::default());
    let mut receiver = AfPacketReceiver::open(&spec("b")).unwrap();
    let sent: Vec<_> = (0..10).map(|tag| frame(100, tag)).collect();
    send("a", &sent);
    ip("link del dev b");
    let deadline = Instant::now() + PATIENCE;
    while receiver.wait(Duration::from_millis(1)).is_ok() && !receiver.ring.ready() {
        assert!(Instant::now() < deadline, "neither frames nor an error");
    }
    assert_eq!(receive(&mut receiver, 10), sent, "what had arrived is still there");
    for _ in 0..2 {
        let error = wait_for_error(&mut receiver);
        assert!(matches!(&error, ReceiveError::Link(LinkError::Missing(n)) if n == "b"), "{error}");
    }
    assert!(drain(&mut receiver).is_empty());
    assert_books_close(&mut receiver);
}

#[test]
fn an_interface_that_cannot_be_used() {
    let Some(ns) = NetNs::enter() else { return };
    let open = |name: &str| AfPacketReceiver::open(&spec(name)).unwrap_err();
    let error = open("nowhere0");
    assert!(matches!(&error, ReceiveError::Link(LinkError::Missing(_))), "{error}");
    assert!(error.to_string().contains("nowhere0"), "{error}");
    ns.veth_pair("a", "b", VethOptions::default());
    ip("link set dev b down");
    assert!(matches!(open("b"), ReceiveError::Link(LinkError::Down(_))));
}

#[test]
fn a_tunnel_gives_bare_ip_packets() {
    let Some(_ns) = NetNs::enter() else { return };
    let tun = std::fs::File::options().read(true).write(true).open("/dev/net/tun");
    let Ok(mut tun) = tun else { return println!("skipped: no /dev/net/tun") };
    // SAFETY: plain old data; zeros are a value of it.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    request.ifr_name[..2].copy_from_slice(&[b't'.cast_signed(), b'0'.cast_signed()]);
    request.ifr_ifru.ifru_flags = (libc::IFF_TUN | libc::IFF_NO_PI) as i16;
    // SAFETY: TUNSETIFF reads and writes one `ifreq`, which is ours.
    let rc = unsafe { libc::ioctl(tun.as_raw_fd(), libc::TUNSETIFF, &raw mut request) };
    assert_eq!(rc, 0, "{}", std::io::Error::last_os_error());
    ip("link set dev t0 up");
    let mut receiver = AfPacketReceiver::open(&spec("t0")).unwrap();
    assert_eq!(receiver.framing(), Framing::Ip);
    let packet = &ipv4(1, 1, false, 0, &udp(1, 100))[14..];
    tun.write_all(packet).unwrap();
    assert_eq!(receive(&mut receiver, 1), [packet]);
    let error = AfPacketTransmitter::open(&AfPacketTxSpec::new("t0")).unwrap_err().to_string();
    assert!(error.contains("t0 does not carry Ethernet"), "{error}");
}

#[test]
fn settings_that_cannot_be() {
    let Some(_ns) = NetNs::enter() else { return };
    let good = spec("lo");
    for (bad, word) in [
        (AfPacketSpec { block_bytes: 64 << 10, ..good.clone() }, "block_bytes 65536"),
        (AfPacketSpec { block_bytes: (128 << 10) + 1, ..good.clone() }, "multiple of 4096"),
        (AfPacketSpec { blocks: 1, ..good.clone() }, "at least 2 blocks"),
        (AfPacketSpec { blocks: 1 << 15, ..good.clone() }, "4 GiB"),
        (AfPacketSpec { frames: 0, ..good.clone() }, "frames"),
        (AfPacketSpec { snap_bytes: Some(13), ..good.clone() }, "snap_bytes"),
    ] {
        let error = AfPacketReceiver::open(&bad).unwrap_err();
        assert!(matches!(error, ReceiveError::Unsupported { .. }), "{error}");
        assert!(error.to_string().contains(word), "{error}");
    }
    let fanout = |mode| Some(Fanout { group: 3, mode, defrag: false });
    let first = AfPacketSpec { fanout: fanout(FanoutMode::Hash), ..good.clone() };
    let _first = AfPacketReceiver::open(&first).unwrap();
    let other = AfPacketSpec { fanout: fanout(FanoutMode::Lb), ..good };
    let error = AfPacketReceiver::open(&other).unwrap_err().to_string();
    assert!(error.contains("fanout group 3") && error.contains("another number"), "{error}");
}

#[test]
fn promiscuous_mode_ends_with_the_receiver() {
    let Some(ns) = NetNs::enter() else { return };
    ns.veth_pair("a", "b", VethOptions::default());
    let shown = || run("ip", &["-d", "link", "show", "dev", "b"]).unwrap();
    let spec = AfPacketSpec { promiscuous: true, ..spec("b") };
    let receiver = AfPacketReceiver::open(&spec).unwrap();
    assert!(shown().contains("promiscuity 1"), "{}", shown());
    drop(receiver);
    assert!(shown().contains("promiscuity 0"), "{}", shown());
}

/// Runs `job` on a thread of its own that has given up capabilities, in this namespace.
fn without<T: Send>(give_up: impl Fn() + Send, job: impl Fn() -> T + Send) -> T {
    std::thread::scope(|scope| {
        scope.spawn(move || (give_up(), job()).1).join().expect("the job does not panic")
    })
}

#[test]
fn without_the_right_to_open_the_error_says_what_grants_it() {
    let Some(_ns) = NetNs::enter() else { return };
    let drop_all = || crate::privilege::drop_all().unwrap();
    let error = without(drop_all, || AfPacketReceiver::open(&spec("lo")).unwrap_err().to_string());
    let exe = std::env::current_exe().unwrap();
    let fix = format!("sudo setcap cap_net_raw+ep {}", exe.display());
    assert!(error.contains("packet socket for lo") && error.contains(&fix), "{error}");
}

#[test]
fn an_open_receiver_needs_no_privilege() {
    let Some(_ns) = NetNs::enter() else { return };
    let mut receiver = AfPacketReceiver::open(&spec("lo")).unwrap();
    send("lo", &[frame(60, 1)]);
    std::thread::scope(|scope| {
        let run = || {
            crate::privilege::drop_all().unwrap();
            assert_eq!(receive(&mut receiver, 1), [frame(60, 1)]);
            assert!(drain(&mut receiver).is_empty());
            assert_books_close(&mut receiver);
        };
        scope.spawn(run).join().expect("it runs");
    });
}

#[test]
fn a_ring_that_may_not_be_locked_works_and_says_so() {
    use crate::privilege::{CAP_IPC_LOCK, has};
    let Some(_ns) = NetNs::enter() else { return };
    let spec = AfPacketSpec { block_bytes: 1 << 20, blocks: 16, ..spec("lo") };
    let notes = without(drop_ipc_lock, || {
        assert!(!has(CAP_IPC_LOCK));
        let mut receiver = AfPacketReceiver::open(&spec).unwrap();
        send("lo", &[frame(60, 1)]);
        assert_eq!(receive(&mut receiver, 1), [frame(60, 1)]);
        receiver.granted().notes
    });
    let limit = nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_MEMLOCK);
    let (limit, _) = limit.unwrap();
    assert_eq!(notes.len(), usize::from(limit < spec.ring_bytes()), "{notes:?}");
    assert!(notes.iter().all(|note| note.contains("CAP_IPC_LOCK")), "{notes:?}");
}

/// Takes CAP_IPC_LOCK out of the calling thread's effective set.
fn drop_ipc_lock() {
    // capset(2), version 3: version and thread, then effective, permitted, inheritable twice.
    let header = [0x2008_0522u32, 0];
    let mut data = [0u32; 6];
    // SAFETY: version 3 reads 8 bytes of header, and writes or reads 24 bytes of data.
    let done = unsafe {
        let got = libc::syscall(libc::SYS_capget, header.as_ptr(), data.as_mut_ptr());
        data[0] &= !(1 << crate::privilege::CAP_IPC_LOCK);
        got + libc::syscall(libc::SYS_capset, header.as_ptr(), data.as_ptr())
    };
    assert_eq!(done, 0);
}

#[test]
fn the_plan_form_has_defaults_and_refuses_unknown_fields() {
    let spec: AfPacketSpec = serde_json::from_str(r#"{"interface": "eth0"}"#).unwrap();
    assert_eq!(spec, AfPacketSpec::new("eth0"));
    assert_eq!((spec.block_bytes, spec.blocks, spec.frames), (1 << 20, 64, 65536));
    let text = r#"{"interface": "eth0", "fanout": {"group": 7, "mode": "qm"}}"#;
    let spec: AfPacketSpec = serde_json::from_str(text).unwrap();
    assert_eq!(spec.fanout, Some(Fanout { group: 7, mode: FanoutMode::Qm, defrag: true }));
    let again = serde_json::from_str(&serde_json::to_string(&spec).unwrap()).unwrap();
    assert_eq!(spec, again);
    for bad in [r#"{"interface": "eth0", "ring": 1}"#, r#"{"interface": "e", "fanout": {}}"#] {
        assert!(serde_json::from_str::<AfPacketSpec>(bad).is_err());
    }
}
