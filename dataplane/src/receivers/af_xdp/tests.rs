//! AF_XDP against a real veth pair: what comes in, what is counted, what is refused.

use crate::link::Link;
use crate::receivers::ReceiveError;
use std::net::UdpSocket;
use std::time::{Duration, Instant};

use pfs_ebpf::XdpMode;
use pfs_ebpf::rules::XdpRule;
use pfs_rings::RegionView;

use super::rig::{ETHER_TYPE, PacketSocket, frame};
use super::*;
use crate::link::LinkError;
use crate::receivers::{Batch, Receive};
use crate::testing::{NetNs, VethOptions, ip};
use crate::transmitters::Transmit;
use crate::transmitters::af_xdp::{AfXdpTransmitter, AfXdpTxSpec};

const MODES: [XdpMode; 2] = [XdpMode::Native, XdpMode::Generic];

fn rules() -> [XdpRule; 1] {
    [XdpRule { ether_type: Some(ETHER_TYPE), ..XdpRule::default() }]
}

fn small(mode: XdpMode) -> AfXdpSpec {
    AfXdpSpec { mode, frames: 1024, rx_slots: 256, huge_pages: false, ..AfXdpSpec::new("b") }
}

fn open_one(spec: &AfXdpSpec) -> AfXdpReceiver {
    let mut open = AfXdp::open(spec, &rules()).unwrap();
    assert_eq!(open.receivers.len(), 1);
    open.receivers.remove(0)
}

/// Copies the packets out of a batch, joined over their chains, and clears it.
fn packets(view: &RegionView, batch: &mut Batch, tokens: &mut Vec<u32>) -> Vec<Vec<u8>> {
    let mut out: Vec<Vec<u8>> = Vec::new();
    for (desc, &wire) in batch.descs().iter().zip(batch.wire_lens()) {
        if desc.is_som() {
            out.push(Vec::with_capacity(wire as usize));
        }
        // SAFETY: the descriptor came off `poll` and its token has not been recycled.
        let bytes = unsafe { view.bytes_mut(desc) }.unwrap();
        let packet = out.last_mut().unwrap();
        packet.extend_from_slice(bytes);
        assert_eq!(desc.is_eom(), packet.len() == packet.capacity(), "ends where it should");
        tokens.push(desc.frame);
    }
    batch.clear();
    out
}

/// Receives until `count` packets are there or nothing came for a while.
fn receive(rx: &mut AfXdpReceiver, count: usize) -> Vec<Vec<u8>> {
    let (view, mut batch, mut tokens) = (rx.region(), Batch::default(), Vec::new());
    let mut all = Vec::new();
    let deadline = Instant::now() + Duration::from_secs(2);
    while all.len() < count && Instant::now() < deadline {
        let got = rx.poll(&mut batch).unwrap();
        let new = packets(&view, &mut batch, &mut tokens);
        assert_eq!(new.len(), got);
        all.extend(new);
        rx.recycle(&tokens);
        tokens.clear();
        if got == 0 {
            rx.wait(Duration::from_millis(10)).unwrap();
        }
    }
    all
}

/// Asserts that every packet is accounted for, and returns the totals.
fn books(
    rx: &mut AfXdpReceiver,
) -> (crate::counters::SourceCounters, crate::counters::AfXdpCounters) {
    let (totals, detail) = (rx.counters(), rx.detail());
    let accounted =
        totals.filtered + totals.dropped_kernel + totals.dropped_malformed + totals.polled;
    assert_eq!(totals.offered, accounted, "{totals:?} {detail:?}");
    (totals, detail)
}

fn send(tx: &mut AfXdpTransmitter, frames: &[Vec<u8>]) {
    let slices: Vec<&[u8]> = frames.iter().map(Vec::as_slice).collect();
    let mut rest = &slices[..];
    while !rest.is_empty() {
        let taken = tx.send(rest).unwrap();
        rest = &rest[taken..];
    }
    tx.flush().unwrap();
}

fn round_trip(mode: XdpMode, queues: u32, mtu: u32, sizes: &[usize]) {
    let Some(ns) = NetNs::enter() else { return };
    ns.veth_pair("a", "b", VethOptions { queues, mtu });
    let mut open = AfXdp::open(&small(mode), &rules()).unwrap();
    assert_eq!(open.receivers.len(), queues as usize);
    for queue in 0..queues {
        // In generic mode veth does not tell which queue a packet came through: all are of 0.
        let at = if mode == XdpMode::Native { queue } else { 0 };
        let rx = &mut open.receivers[at as usize];
        let before = rx.counters().polled;
        let mut tx =
            AfXdpTransmitter::open(&AfXdpTxSpec { queue, ..AfXdpTxSpec::new("a") }).unwrap();
        let frames: Vec<_> = (0..40).map(|n| frame(n, sizes[n as usize % sizes.len()])).collect();
        for turn in 1..=12 {
            send(&mut tx, &frames);
            assert!(receive(rx, frames.len()) == frames, "turn {turn}");
        }
        let (totals, detail) = books(rx);
        assert_eq!((totals.polled - before, totals.dropped_kernel), (480, 0), "{detail:?}");
        let granted = rx.granted();
        let word = if mode == XdpMode::Native { "native copy" } else { "generic copy" };
        assert_eq!((granted.mode.as_str(), granted.queue), (word, Some(at)));
        assert_eq!(granted.region_bytes, 1024 * 2048);
    }
    for rx in &mut open.receivers {
        books(rx);
    }
}

#[test]
fn a_receiver_moves_to_another_thread() {
    fn moves<T: Send>() {}
    moves::<AfXdpReceiver>();
    moves::<AfXdpTransmitter>();
}

#[test]
fn frames_arrive_native_one_queue() {
    round_trip(XdpMode::Native, 1, 1500, &[18, 60, 1514]);
}

#[test]
fn frames_arrive_generic_one_queue() {
    round_trip(XdpMode::Generic, 1, 1500, &[18, 60, 1514]);
}

#[test]
fn frames_arrive_native_two_queues() {
    round_trip(XdpMode::Native, 2, 1500, &[64, 1400]);
}

#[test]
fn frames_arrive_generic_two_queues() {
    round_trip(XdpMode::Generic, 2, 1500, &[64, 1400]);
}

#[test]
fn jumbo_frames_arrive_as_chains_native() {
    round_trip(XdpMode::Native, 1, 9000, &[9014, 1792, 1793, 60, 9014]);
}

#[test]
fn jumbo_frames_arrive_as_chains_generic() {
    round_trip(XdpMode::Generic, 1, 9000, &[9014, 1792, 1793, 60, 9014]);
}

#[test]
fn a_chain_that_does_not_fit_waits_for_the_next_batch() {
    let Some(ns) = NetNs::enter() else { return };
    ns.veth_pair("a", "b", VethOptions { queues: 1, mtu: 9000 });
    let mut rx = open_one(&small(XdpMode::Native));
    let mut tx = AfXdpTransmitter::open(&AfXdpTxSpec::new("a")).unwrap();
    let frames: Vec<_> = (0..30).map(|n| frame(n, 9014)).collect();
    send(&mut tx, &frames);
    let (view, mut batch, mut tokens, mut seen) =
        (rx.region(), Batch::default(), Vec::new(), Vec::new());
    // 9014 bytes take 6 buffers: ten packets fill 60 of 64 places.
    for _ in 0..3 {
        assert_eq!(rx.poll(&mut batch).unwrap(), 10);
        assert_eq!(batch.len(), 60);
        assert_eq!(rx.poll(&mut batch).unwrap(), 0, "four places are no room for six buffers");
        seen.extend(packets(&view, &mut batch, &mut tokens));
    }
    assert!(seen == frames);
    rx.recycle(&tokens);
    assert_eq!(books(&mut rx).0.polled, 30);
}

/// Sends more than the rings hold while nobody polls, then takes what is there.
fn overload(spec: &AfXdpSpec, len: usize) -> crate::counters::AfXdpCounters {
    let mut rx = open_one(spec);
    let mut tx = AfXdpTransmitter::open(&AfXdpTxSpec::new("a")).unwrap();
    let frames: Vec<_> = (0..100).map(|n| frame(n, len)).collect();
    send(&mut tx, &frames);
    let left = 100 - rx_losses(&mut rx);
    let survivors = receive(&mut rx, left);
    assert!(survivors[..] == frames[..survivors.len()], "the newest are lost, the rest intact");
    let (totals, detail) = books(&mut rx);
    assert_eq!((totals.offered, totals.polled), (100, survivors.len() as u64), "{detail:?}");
    // And it goes on.
    send(&mut tx, &frames[..1]);
    assert!(receive(&mut rx, 1) == frames[..1]);
    books(&mut rx);
    detail
}

fn rx_losses(rx: &mut AfXdpReceiver) -> usize {
    let detail = rx.detail();
    (detail.rx_dropped + detail.rx_ring_full) as usize
}

#[test]
fn every_loss_has_its_cause() {
    let Some(ns) = NetNs::enter() else { return };
    ns.veth_pair("a", "b", VethOptions { queues: 1, mtu: 9000 });
    for mode in MODES {
        let full = AfXdpSpec { rx_slots: 16, fill_slots: Some(256), ..small(mode) };
        let detail = overload(&full, 64);
        assert_eq!((detail.rx_ring_full, detail.rx_dropped), (84, 0), "{mode:?} {detail:?}");
        assert_eq!(detail.fill_ring_empty, 0);

        let starved = AfXdpSpec { frames: 16, ..small(mode) };
        let detail = overload(&starved, 64);
        assert_eq!((detail.rx_ring_full, detail.rx_dropped), (0, 84), "{mode:?} {detail:?}");
        assert_eq!(detail.fill_ring_empty, 84, "the same packets");

        let starved_jumbo = AfXdpSpec { frames: 24, ..small(mode) };
        let detail = overload(&starved_jumbo, 9014);
        assert_eq!((detail.rx_ring_full, detail.rx_dropped), (0, 96), "{mode:?} {detail:?}");
        assert_eq!(detail.fill_ring_empty, 96, "one a packet, not one a buffer");

        let full_jumbo = AfXdpSpec { rx_slots: 32, fill_slots: Some(256), ..small(mode) };
        let detail = overload(&full_jumbo, 9014);
        assert_eq!((detail.rx_ring_full, detail.rx_dropped), (95, 0), "{mode:?} {detail:?}");
    }
}

#[test]
fn tokens_come_back_once() {
    let Some(ns) = NetNs::enter() else { return };
    ns.veth_pair("a", "b", VethOptions::default());
    let mut rx = open_one(&small(XdpMode::Native));
    let peer = PacketSocket::open("a");
    peer.send(&frame(1, 64));
    let mut batch = Batch::default();
    while rx.poll(&mut batch).unwrap() == 0 {
        rx.wait(Duration::from_millis(100)).unwrap();
    }
    let token = batch.descs()[0].frame;
    rx.recycle(&[token + 1, token, token, 1024, u32::MAX]);
    assert_eq!(rx.counters().refused_tokens, 4);
    for n in 0..2000 {
        peer.send(&frame(n, 64));
        assert!(receive(&mut rx, 1) == [frame(n, 64)], "no frame was lost or doubled");
    }
}

#[test]
fn everything_else_reaches_the_kernel() {
    let Some(ns) = NetNs::enter() else { return };
    for mode in MODES {
        ns.veth_pair("a", "b", VethOptions::default());
        ip("link set dev b address 02:00:00:00:00:02");
        ip("address add 10.9.0.2/24 dev b");
        let mut rx = open_one(&small(mode));
        let socket = UdpSocket::bind("10.9.0.2:4789").unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
        let mut datagram = Vec::new();
        etherparse::PacketBuilder::ethernet2([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2])
            .ipv4([10, 9, 0, 1], [10, 9, 0, 2], 9)
            .udp(4000, 4789)
            .write(&mut datagram, b"to the kernel")
            .unwrap();
        let peer = PacketSocket::open("a");
        peer.send(&datagram);
        peer.send(&frame(7, 100));
        let mut text = [0; 64];
        let len = socket.recv(&mut text).unwrap();
        assert_eq!(&text[..len], b"to the kernel");
        assert!(receive(&mut rx, 1) == [frame(7, 100)]);
        let (totals, detail) = books(&mut rx);
        assert_eq!(detail.redirected, 1);
        assert!(detail.unmatched >= 1 && totals.filtered == detail.unmatched);
        drop((rx, socket));
        ip("link del dev a");
    }
}

#[test]
fn detach_drains_what_had_arrived() {
    let Some(ns) = NetNs::enter() else { return };
    for mode in MODES {
        ns.veth_pair("a", "b", VethOptions::default());
        let mut rx = open_one(&small(mode));
        let (peer, kernel) = (PacketSocket::open("a"), PacketSocket::open("b"));
        let frames: Vec<_> = (0..200).map(|n| frame(n, 64)).collect();
        frames.iter().for_each(|frame| peer.send(frame));
        rx.detach();
        assert!(!rx.finished());
        peer.send(&frame(1000, 64));
        assert_eq!(kernel.receive().as_ref(), Some(&frame(1000, 64)), "passes to the kernel now");
        assert!(receive(&mut rx, 200) == frames);
        let mut batch = Batch::default();
        let deadline = Instant::now() + Duration::from_secs(2);
        while !rx.finished() && Instant::now() < deadline {
            assert_eq!(rx.poll(&mut batch).unwrap(), 0);
        }
        assert!(rx.finished());
        assert_eq!(books(&mut rx).1.no_socket, 1);
        drop(rx);
        ip("link del dev a");
    }
}

#[test]
fn a_dropped_receiver_leaves_queue_and_interface_free() {
    let Some(ns) = NetNs::enter() else { return };
    ns.veth_pair("a", "b", VethOptions { queues: 2, mtu: 1500 });
    let mut views = Vec::new();
    for mode in [XdpMode::Native, XdpMode::Generic, XdpMode::Native] {
        let open = AfXdp::open(&small(mode), &rules()).unwrap();
        // A worker's view keeps the memory, but neither the queue nor the program.
        views.extend(open.receivers.iter().map(Receive::region));
        let begun = Instant::now();
        drop(open);
        assert_eq!(pfs_ebpf::attached_program("b").unwrap(), None);
        AfXdpTransmitter::open(&AfXdpTxSpec::new("b")).unwrap();
        assert!(begun.elapsed() < bind::BUSY_PATIENCE);
    }
    for view in &views {
        let last = view.span(view.len() as u64 - 1, 1).unwrap();
        // SAFETY: the receivers are gone; nobody else reads or writes their memory.
        unsafe { last.write(1) };
    }
}

#[test]
fn what_cannot_be_opened_says_why() {
    let Some(ns) = NetNs::enter() else { return };
    ns.veth_pair("a", "b", VethOptions { queues: 2, mtu: 1500 });
    let refused = |spec: &AfXdpSpec| AfXdp::open(spec, &rules()).unwrap_err();
    let good = small(XdpMode::Auto);
    let missing = refused(&AfXdpSpec { interface: "nowhere".to_owned(), ..good.clone() });
    assert!(matches!(missing, ReceiveError::Link(LinkError::Missing(_))), "{missing}");
    let queues = Queues::List(vec![0, 5]);
    let queue = refused(&AfXdpSpec { queues, ..good.clone() }).to_string();
    assert!(queue.contains("no receive queue 5: it has 2"), "{queue}");
    let zero_copy = ZeroCopy::Require;
    let copied = refused(&AfXdpSpec { zero_copy, ..good.clone() }).to_string();
    assert!(copied.contains("\"veth\"") && copied.contains("zero-copy"), "{copied}");
    assert_eq!(pfs_ebpf::attached_program("b").unwrap(), None, "nothing stays behind");

    let held = AfXdpTransmitter::open(&AfXdpTxSpec { queue: 1, ..AfXdpTxSpec::new("b") }).unwrap();
    let busy = refused(&good).to_string();
    assert!(busy.contains("b queue 1") && busy.contains("another process"), "{busy}");
    drop(held);

    let first = AfXdp::open(&good, &rules()).unwrap();
    let second = refused(&good).to_string();
    assert!(second.contains("already has XDP"), "{second}");
    drop(first);
    ip("link set dev b down");
    let down = refused(&good).to_string();
    assert!(down.contains("ip link set dev b up"), "{down}");
}

#[test]
fn an_interface_may_flap_but_not_vanish() {
    let Some(ns) = NetNs::enter() else { return };
    for mode in MODES {
        ns.veth_pair("a", "b", VethOptions::default());
        let mut rx = open_one(&small(mode));
        let peer = PacketSocket::open("a");
        ip("link set dev b down");
        let mut batch = Batch::default();
        rx.wait(Duration::from_millis(150)).unwrap();
        assert_eq!(rx.poll(&mut batch).unwrap(), 0);
        ip("link set dev b up");
        while !Link::find("a").unwrap().running {
            std::thread::yield_now();
        }
        // The socket came up again with the interface; the peer's has an error to give first.
        drop(peer);
        PacketSocket::open("a").send(&frame(3, 64));
        assert!(receive(&mut rx, 1) == [frame(3, 64)]);
        books(&mut rx);
        ip("link del dev a");
        let deadline = Instant::now() + Duration::from_secs(3);
        let error = loop {
            let waited = rx.wait(Duration::from_secs(1));
            if let Err(error) = waited.and_then(|()| rx.poll(&mut batch)) {
                break error.to_string();
            }
            assert!(Instant::now() < deadline, "the interface is gone and nothing says so");
        };
        assert!(error.contains("b queue 0") && error.contains("removed"), "{error}");
    }
}

#[test]
fn a_polling_thread_also_learns_that_the_interface_is_gone() {
    let Some(ns) = NetNs::enter() else { return };
    ns.veth_pair("a", "b", VethOptions::default());
    let mut rx = open_one(&AfXdpSpec { wait: WaitMode::Spin, ..small(XdpMode::Native) });
    ip("link del dev a");
    let mut batch = Batch::default();
    let error = (0..1 << 16).find_map(|_| rx.poll(&mut batch).err()).unwrap().to_string();
    assert!(error.contains("removed"), "{error}");
    assert!(rx.detail().forced_wakeups >= 1);
}

#[test]
fn a_sleeper_is_woken() {
    let Some(ns) = NetNs::enter() else { return };
    ns.veth_pair("a", "b", VethOptions::default());
    for wait in [WaitMode::Adaptive, WaitMode::Spin] {
        let mut rx = open_one(&AfXdpSpec { wait, ..small(XdpMode::Native) });
        let peer = PacketSocket::open("a");
        let mut batch = Batch::default();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(Duration::from_millis(60));
                peer.send(&frame(1, 64));
            });
            while rx.poll(&mut batch).unwrap() == 0 {
                rx.wait(Duration::from_secs(2)).unwrap();
            }
        });
        let detail = rx.detail();
        assert_eq!(detail.sleeps > 0, wait == WaitMode::Adaptive, "{detail:?}");
    }
}

#[test]
fn without_capabilities_each_is_named() {
    let Some(ns) = NetNs::enter() else { return };
    ns.veth_pair("a", "b", VethOptions::default());
    // A thread inherits the namespace; its capabilities are its own.
    let (receive, transmit) = std::thread::spawn(|| {
        crate::privilege::drop_all().unwrap();
        let receive = AfXdp::open(&small(XdpMode::Auto), &rules()).unwrap_err().to_string();
        (receive, AfXdpTransmitter::open(&AfXdpTxSpec::new("a")).unwrap_err().to_string())
    })
    .join()
    .unwrap();
    assert!(receive.contains("CAP_BPF") && receive.contains("CAP_NET_ADMIN"), "{receive}");
    assert!(transmit.contains("CAP_NET_RAW"), "{transmit}");
}

/// The same test runs again as a child process, which opens the interface and is killed.
#[test]
fn a_killed_process_leaves_nothing() {
    const CHILD: &str = "PFS_TEST_AF_XDP_CHILD";
    if std::env::var_os(CHILD).is_some() {
        let _open = AfXdp::open(&small(XdpMode::Auto), &rules()).unwrap();
        println!("ready");
        std::thread::sleep(Duration::from_secs(20));
        return;
    }
    let Some(ns) = NetNs::enter() else { return };
    ns.veth_pair("a", "b", VethOptions { queues: 2, mtu: 1500 });
    let name = "receivers::af_xdp::tests::a_killed_process_leaves_nothing";
    let mut child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(CHILD, "1")
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().unwrap()));
    assert!(lines.any(|line| line.unwrap().contains("ready")));
    let program = pfs_ebpf::attached_program("b").unwrap().unwrap();
    assert!(program.ours, "{program}");
    child.kill().unwrap();
    child.wait().unwrap();
    let deadline = Instant::now() + Duration::from_secs(2);
    while pfs_ebpf::attached_program("b").unwrap().is_some() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(10));
    }
    let open = AfXdp::open(&small(XdpMode::Native), &rules()).unwrap();
    assert_eq!(open.receivers.len(), 2);
}

/// Gives up one capability of the calling thread.
fn give_up(capability: u32) {
    // `struct __user_cap_header_struct` and two data structs of capget(2), version 3.
    let header = [0x2008_0522_u32, 0];
    let mut sets = [[0_u32; 3]; 2];
    // SAFETY: version 3 reads a header of two words and writes two structs of three words.
    let got = unsafe { libc::syscall(libc::SYS_capget, header.as_ptr(), sets.as_mut_ptr()) };
    for set in &mut sets[capability as usize / 32] {
        *set &= !(1 << (capability % 32));
    }
    // SAFETY: as above, reading both.
    let put = unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), sets.as_ptr()) };
    assert_eq!((got, put, crate::privilege::has(capability)), (0, 0, false));
}

#[test]
fn too_little_locked_memory_is_named() {
    let Some(ns) = NetNs::enter() else { return };
    ns.veth_pair("a", "b", VethOptions::default());
    let (soft, _) =
        nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_MEMLOCK).unwrap();
    let frames = 1 << 13;
    if soft >= u64::from(frames) * 2048 {
        return println!("skipped: the limit on locked memory is {soft} bytes");
    }
    let error = std::thread::spawn(move || {
        give_up(crate::privilege::CAP_IPC_LOCK);
        AfXdp::open(&AfXdpSpec { frames, ..small(XdpMode::Auto) }, &rules()).unwrap_err()
    });
    let error = error.join().unwrap().to_string();
    assert!(error.contains("ulimit -l 16384") && error.contains("CAP_IPC_LOCK"), "{error}");
    assert_eq!(pfs_ebpf::attached_program("b").unwrap(), None);
}

#[test]
fn pages_are_what_the_host_has_and_the_default_works() {
    let Some(ns) = NetNs::enter() else { return };
    ns.veth_pair("a", "b", VethOptions::default());
    let spec = AfXdpSpec::new("b");
    let mut rx = open_one(&spec);
    let granted = rx.granted();
    assert_eq!(granted.region_bytes, u64::from(spec.frames) * u64::from(spec.frame_bytes));
    assert_eq!(rx.region().len() as u64, granted.region_bytes);
    let free = std::fs::read_to_string("/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages");
    if free.is_ok_and(|count| count.trim() == "0") {
        assert!(
            granted.notes.iter().any(|note| note.contains("12 free pages of 2 MiB")),
            "{granted:?}"
        );
    }
    PacketSocket::open("a").send(&frame(1, 64));
    assert!(receive(&mut rx, 1) == [frame(1, 64)]);
}

/// Length of the stress test's frame `number`, 60 to 1514 bytes.
fn length(number: u32) -> usize {
    60 + (number.wrapping_mul(2_654_435_761) >> 8) as usize % 1455
}

fn send_numbered(count: u32) -> crate::transmitters::TransmitCounters {
    let mut tx = AfXdpTransmitter::open(&AfXdpTxSpec::new("a")).unwrap();
    let numbers: Vec<u32> = (0..count).collect();
    for some in numbers.chunks(64) {
        let frames: Vec<_> = some.iter().map(|&n| frame(n, length(n))).collect();
        send(&mut tx, &frames);
    }
    tx.counters()
}

/// Rings too small for the traffic, a reader that dawdles, and a detach in the middle.
fn storm(mode: XdpMode, count: u32) {
    let spec = AfXdpSpec { rx_slots: 64, frames: 160, ..small(mode) };
    let open = AfXdp::open(&spec, &rules()).unwrap();
    let (attachment, mut receivers) = (open.attachment, open.receivers);
    let mut rx = receivers.remove(0);
    let (view, mut batch, mut last) = (rx.region(), Batch::default(), None);
    let mut held = std::collections::VecDeque::new();
    let sent = std::thread::scope(|scope| {
        let sender = scope.spawn(|| send_numbered(count));
        // Many times what the rings hold: so there is an overload, however slow the sender is.
        while attachment.attached().counters(0).unwrap().total().packets < 1000 {
            assert!(!sender.is_finished(), "{count} frames were sent");
            std::thread::sleep(Duration::from_millis(1));
        }
        while !rx.finished() {
            rx.poll(&mut batch).unwrap();
            let mut tokens = Vec::new();
            for packet in packets(&view, &mut batch, &mut tokens) {
                let number = u32::from_be_bytes(packet[14..18].try_into().unwrap());
                assert!(packet == frame(number, length(number)), "frame {number} is intact");
                assert!(last.replace(number) < Some(number), "frame {number} is in order");
            }
            // Hold some frames back for a while, and give them back out of step.
            held.extend(tokens);
            if held.len() > 50 {
                let back: Vec<u32> = held.drain(..40).collect();
                rx.recycle(&back);
            }
            if last > Some(count / 2) || sender.is_finished() {
                rx.detach();
            }
            rx.wait(Duration::from_millis(1)).unwrap();
        }
        sender.join().unwrap()
    });
    let (totals, detail) = books(&mut rx);
    assert_eq!(sent.accepted, u64::from(count));
    assert_eq!((sent.sent + sent.failed, sent.sent), (sent.accepted, totals.offered), "{detail:?}");
    let seen = attachment.attached().counters(0).unwrap().total();
    assert_eq!((seen.packets, seen.bytes), (sent.sent, sent.sent_bytes));
    assert!(totals.polled > 0 && totals.dropped_kernel > 0, "an overload: {detail:?}");
}

#[test]
fn books_close_under_overload_and_through_a_detach() {
    let Some(ns) = NetNs::enter() else { return };
    ns.veth_pair("a", "b", VethOptions::default());
    let rounds = std::env::var("PFS_TEST_ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(1);
    for _ in 0..rounds {
        for mode in MODES {
            storm(mode, 20_000);
        }
    }
}
