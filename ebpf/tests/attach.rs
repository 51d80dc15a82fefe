//! The program on real interfaces: veth pairs in a network namespace that each test makes for
//! itself.

#![allow(clippy::unwrap_used, reason = "a test's helpers fail the test")]

mod common;

use std::io::{BufRead as _, BufReader};
use std::os::fd::AsFd;
use std::process::{Child, Command, Stdio};

use common::frames::{ethernet, ipv4, udp};
use common::{foreign, ip, own_netns, send, veth, wait_until};
use pfs_ebpf::rules::{PortRange, XdpAction, XdpRule};
use pfs_ebpf::{
    AttachMode, Attached, Loader, OBJECT, Program, Variant, XdpError, XdpMode, attached_program,
    detach, load,
};

const ROUNDS: usize = 40;

fn raw(action: XdpAction) -> XdpRule {
    XdpRule { ether_type: Some(0x88B5), action, ..XdpRule::default() }
}

fn raw_frame() -> Vec<u8> {
    ethernet(&[], 0x88B5, &[9; 86])
}

fn dns() -> Vec<u8> {
    ethernet(&[], 0x0800, &ipv4(17, 0, 0, &udp(53, b"hello, this is longer than a minimum frame")))
}

/// Attached to `b`, or what refused; a missing privilege ends the test with a note.
fn attach(mode: XdpMode, rules: &[XdpRule]) -> Option<Attached> {
    match load("b", mode, rules) {
        Ok(attached) => Some(attached),
        Err(e @ XdpError::Permission { .. }) if common::unprivileged() => {
            println!("skipped: {e}");
            None
        }
        Err(e) => panic!("{e}"),
    }
}

fn nothing_on(iface: &str) -> bool {
    attached_program(iface).unwrap().is_none()
}

#[test]
fn traffic_is_counted_in_both_modes() {
    for (mode, granted) in [
        (XdpMode::Auto, AttachMode::Native),
        (XdpMode::Native, AttachMode::Native),
        (XdpMode::Generic, AttachMode::Generic),
    ] {
        if !veth(1) {
            return;
        }
        let rules = [
            XdpRule {
                dst_ports: Some(PortRange::one(53)),
                action: XdpAction::Pass,
                ..XdpRule::default()
            },
            raw(XdpAction::Drop),
        ];
        let Some(mut attached) = attach(mode, &rules) else { return };
        assert_eq!(attached.granted().mode, granted);
        assert!(attached.is_attached());
        let known = attached_program("b").unwrap().unwrap();
        assert!(known.ours && known.mode == granted && known.link.is_some(), "{known}");
        assert_eq!(known.id, attached.granted().program);
        assert!(known.holders.iter().any(|h| h.pid == std::process::id()), "{known}");

        send("a", &raw_frame(), ROUNDS);
        send("a", &dns(), ROUNDS);
        wait_until("the last frame", || {
            attached.counters(0).unwrap().pass.packets == ROUNDS as u64
        });
        attached.detach().unwrap();
        attached.detach().unwrap();
        assert!(!attached.is_attached() && nothing_on("b"));
        send("a", &raw_frame(), 1);

        let queue = attached.counters(0).unwrap();
        assert_eq!(queue.drop.packets, ROUNDS as u64);
        assert_eq!(queue.drop.bytes, (ROUNDS * raw_frame().len()) as u64);
        assert_eq!(queue.pass.bytes, (ROUNDS * dns().len()) as u64);
        assert_eq!(queue.redirect.packets + queue.no_socket.packets + queue.malformed.packets, 0);
        let by_rule = attached.rule_counters();
        assert_eq!((by_rule[0].pass, by_rule[1].drop), (queue.pass, queue.drop));
    }
}

#[test]
fn each_queue_has_its_own_socket_and_books() {
    for mode in [XdpMode::Native, XdpMode::Generic] {
        if !veth(2) {
            return;
        }
        let Some(attached) = attach(mode, &[raw(XdpAction::Redirect)]) else { return };
        let socket = common::xsk::Socket::bind(common::ifindex("b"), 0).unwrap();
        attached.set_socket(0, socket.as_fd()).unwrap();
        let frame = raw_frame();
        send("a", &frame, ROUNDS);
        let both = || [0, 1].map(|queue| attached.counters(queue).unwrap());
        wait_until("all frames", || {
            both().iter().map(|q| (q.redirect + q.no_socket).packets).sum::<u64>() == ROUNDS as u64
        });
        let [first, second] = both();
        assert_eq!(first.no_socket.packets, 0);
        assert_eq!(second.redirect.packets, 0, "queue 1 has no socket");
        wait_until("the socket", || socket.received().len() as u64 == first.redirect.packets);
        assert!(socket.received().iter().all(|&len| len as usize == frame.len()));

        attached.clear_socket(0).unwrap();
        send("a", &frame, 1);
        wait_until("one more", || {
            both().iter().map(|q| q.total().packets - q.unmatched.packets).sum::<u64>()
                == ROUNDS as u64 + 1
        });
        assert_eq!(both()[0].redirect, first.redirect, "no socket any more");
    }
}

#[test]
fn jumbo_frames_go_through_the_native_program() {
    if !veth(1) || !["a", "b"].iter().all(|l| ip(&format!("link set dev {l} mtu 9000"))) {
        return;
    }
    let Some(mut attached) = attach(XdpMode::Native, &[raw(XdpAction::Drop)]) else { return };
    if !attached.granted().multi_buffer {
        println!("skipped: {:?}", attached.granted().notes);
        return;
    }
    let frame = ethernet(&[], 0x88B5, &[1; 8986]);
    send("a", &frame, ROUNDS);
    wait_until("all frames", || attached.counters(0).unwrap().drop.packets == ROUNDS as u64);
    assert_eq!(attached.counters(0).unwrap().drop.bytes, (ROUNDS * 9000) as u64);
    attached.detach().unwrap();

    let single = Program::load_object(OBJECT, Variant::Single, Loader::Aya, &[]).unwrap();
    let refused = single.attach("b", XdpMode::Native).unwrap_err();
    assert!(matches!(&refused, XdpError::Refused { mode: AttachMode::Native, .. }));
    let text = refused.to_string();
    assert!(text.contains("MTU 9000 is too large for driver veth"), "{text}");
    assert!(text.contains("ip link set dev b mtu 1500"), "{text}");
    let single = Program::load_object(OBJECT, Variant::Single, Loader::Aya, &[]).unwrap();
    let granted = single.attach("b", XdpMode::Auto).unwrap().granted().clone();
    assert_eq!(granted.mode, AttachMode::Generic);
    assert!(granted.notes.iter().any(|n| n.contains("MTU 9000")), "{granted:?}");
    assert!(nothing_on("b"));
}

#[test]
fn a_driver_without_native_xdp_gets_generic_and_says_so() {
    if !own_netns() {
        return;
    }
    let refused = match load("lo", XdpMode::Native, &[]) {
        Err(e @ XdpError::Permission { .. }) if common::unprivileged() => {
            println!("skipped: {e}");
            return;
        }
        other => other.unwrap_err().to_string(),
    };
    assert!(refused.contains("native mode") && refused.contains("use generic mode"), "{refused}");
    let attached = load("lo", XdpMode::Auto, &[]).unwrap();
    let granted = attached.granted();
    assert_eq!(granted.mode, AttachMode::Generic);
    assert!(granted.notes[0].contains("native was refused"), "{granted:?}");
    drop(attached);
    assert!(nothing_on("lo"));
}

#[test]
fn missing_and_down_interfaces_are_told() {
    if !veth(1) {
        return;
    }
    for name in ["nosuch0", "", "a-name-that-is-far-too-long-for-one", "nul\0byte"] {
        let text = load(name, XdpMode::Auto, &[]).unwrap_err().to_string();
        assert!(text.contains("no interface") && text.contains("ip -br link"), "{text}");
        assert!(matches!(attached_program(name), Err(XdpError::NoInterface { .. })));
        assert!(matches!(detach(name, false), Err(XdpError::NoInterface { .. })));
    }
    assert!(ip("link set dev b down"));
    let Some(attached) = attach(XdpMode::Auto, &[]) else { return };
    let notes = &attached.granted().notes;
    assert!(notes.iter().any(|n| n.contains("ip link set dev b up")), "{notes:?}");
    assert!(ip("link del dev b"));
    assert!(!attached.is_attached());
    let mut attached = attached;
    attached.detach().unwrap();
}

#[test]
fn a_second_attach_is_refused_by_name() {
    if !veth(1) {
        return;
    }
    let Some(first) = attach(XdpMode::Generic, &[]) else { return };
    for mode in [XdpMode::Auto, XdpMode::Native, XdpMode::Generic] {
        // Also past the first look, where only the kernel's refusal is left.
        for error in [
            load("b", mode, &[]).unwrap_err(),
            Program::load(&[]).unwrap().attach("b", mode).unwrap_err(),
        ] {
            let text = error.to_string();
            assert!(matches!(error, XdpError::Occupied { .. }), "{text}");
            assert!(text.contains("pfs_xdp") && text.contains("pfs detach b"), "{text}");
            assert!(text.contains(&format!("pid {}", std::process::id())), "{text}");
        }
    }
    assert!(first.is_attached());
    // Its own kind is detached from outside without force, though a link holds it.
    let gone = detach("b", false).unwrap().unwrap();
    assert!(gone.ours && gone.link.is_some());
    assert!(!first.is_attached() && nothing_on("b"));
    assert_eq!(detach("b", false).unwrap(), None);
}

#[test]
fn a_foreign_program_on_a_link_stays() {
    if !veth(1) {
        return;
    }
    let Ok((program, id)) = foreign::load("somebody") else {
        println!("skipped: no right to load a program");
        return;
    };
    let link = foreign::link(&program, common::ifindex("b")).unwrap();
    for error in [load("b", XdpMode::Auto, &[]).unwrap_err(), detach("b", false).unwrap_err()] {
        let text = error.to_string();
        assert!(text.contains(&format!("program somebody (id {id}, tag ")), "{text}");
        assert!(text.contains("bpftool link detach id"), "{text}");
        assert!(text.contains("attached native by link"), "{text}");
    }
    assert_eq!(attached_program("b").unwrap().unwrap().id, id);
    assert_eq!(detach("b", true).unwrap().unwrap().id, id);
    assert!(nothing_on("b"));
    drop(link);
}

#[test]
fn a_foreign_program_by_netlink_stays() {
    for (word, mode) in [("xdpdrv", AttachMode::Native), ("xdpgeneric", AttachMode::Generic)] {
        if !veth(1) {
            return;
        }
        let Ok((_program, id)) = foreign::load("somebody") else {
            println!("skipped: no right to load a program");
            return;
        };
        let attach = format!("net attach {word} id {id} dev b");
        match Command::new("bpftool").args(attach.split(' ')).status() {
            Ok(status) if status.success() => {}
            other => {
                println!("skipped: bpftool {attach}: {other:?}");
                return;
            }
        }
        for mode in [XdpMode::Auto, XdpMode::Native, XdpMode::Generic] {
            let text = load("b", mode, &[]).unwrap_err().to_string();
            assert!(text.contains("program somebody"), "{text}");
            assert!(text.contains(&format!("ip link set dev b {word} off")), "{text}");
        }
        let found = attached_program("b").unwrap().unwrap();
        assert_eq!((found.id, found.mode, found.link), (id, mode, None));
        assert!(matches!(detach("b", false), Err(XdpError::Foreign { .. })));
        assert_eq!(attached_program("b").unwrap().unwrap().id, id);
        assert_eq!(detach("b", true).unwrap().unwrap().id, id);
        assert!(nothing_on("b"));
    }
}

/// Not a test: the process that the next two start. Attaches to `b`, says so, and stays.
#[test]
#[ignore = "run as a child by other tests"]
fn child_that_attaches() {
    let attached = load("b", XdpMode::Auto, &[raw(XdpAction::Drop)]).unwrap();
    println!("\nattached {}", attached.granted().program);
    loop {
        std::thread::park();
    }
}

fn child() -> (Child, u32) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child_that_attaches", "--ignored", "--nocapture"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let id = lines.map_while(Result::ok).find_map(|l| l.strip_prefix("attached ")?.parse().ok());
    (child, id.expect("the child attached"))
}

#[test]
fn kill_9_leaves_nothing() {
    if !veth(1) || common::unprivileged() {
        return;
    }
    for _ in 0..2 {
        let (mut child, id) = child();
        let found = attached_program("b").unwrap().unwrap();
        assert_eq!((found.id, found.ours), (id, true));
        let text = load("b", XdpMode::Auto, &[]).unwrap_err().to_string();
        assert!(text.contains(&format!("held by pid {} attach", child.id())), "{text}");
        child.kill().unwrap();
        child.wait().unwrap();
        // The link's last descriptor is closed by then; freeing it may be deferred.
        wait_until("the link to go", || nothing_on("b"));
    }
    let again = attach(XdpMode::Native, &[]);
    assert!(again.is_some());
}

#[test]
fn another_process_is_detached_from_outside() {
    if !veth(1) || common::unprivileged() {
        return;
    }
    let (mut child, id) = child();
    let gone = detach("b", false).unwrap().unwrap();
    assert_eq!(gone.id, id);
    assert_eq!(gone.holders.iter().map(|h| h.pid).collect::<Vec<_>>(), [child.id()]);
    assert!(nothing_on("b"));
    child.kill().unwrap();
    child.wait().unwrap();
}

/// Leaves the calling thread without the capabilities in `drop`, by number.
fn drop_capabilities(drop: &[u32]) {
    let header = [0x2008_0522_u32, 0];
    let mut sets = [0_u32; 6];
    // SAFETY: version 3 has a header of two words and six words of sets, and both are live.
    let rc = unsafe { libc::syscall(libc::SYS_capget, header.as_ptr(), sets.as_mut_ptr()) };
    assert_eq!(rc, 0);
    for &cap in drop {
        // Effective, permitted and inheritable of the low word, then of the high one.
        sets[3 * (cap as usize / 32)] &= !(1 << (cap % 32));
    }
    // SAFETY: as above.
    let rc = unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), sets.as_ptr()) };
    assert_eq!(rc, 0);
}

#[test]
fn a_missing_capability_is_named() {
    const CASES: [(&[u32], &str); 4] = [
        (&[12, 21, 38, 39], "missing CAP_NET_ADMIN, CAP_PERFMON, CAP_BPF;"),
        (&[21, 39], "missing CAP_BPF;"),
        (&[12, 21], "missing CAP_NET_ADMIN;"),
        (&[21, 38], "missing CAP_PERFMON;"),
    ];
    for (drop, missing) in CASES {
        if !veth(1) || common::unprivileged() {
            return;
        }
        let foreign = foreign::load("somebody").unwrap().0;
        let link = foreign::link(&foreign, common::ifindex("a")).unwrap();
        // Capabilities belong to the thread, so another one loses them.
        let (texts, seen, kept) = std::thread::scope(|scope| {
            let work = scope.spawn(|| {
                drop_capabilities(drop);
                let attach = load("b", XdpMode::Auto, &[]).unwrap_err().to_string();
                (attach, attached_program("a").unwrap().unwrap(), detach("a", false).unwrap_err())
            });
            work.join().unwrap()
        });
        assert!(texts.contains(missing) && texts.contains("setcap cap_"), "{texts}");
        assert_eq!(seen.mode, AttachMode::Native, "seen without privilege too");
        assert!(matches!(kept, XdpError::Permission { .. } | XdpError::Foreign { .. }), "{kept}");
        assert!(!nothing_on("a"));
        std::mem::drop(link);
    }
}

#[test]
fn the_handle_needs_no_capability() {
    let strict = std::fs::read_to_string("/proc/sys/kernel/unprivileged_bpf_disabled");
    if strict.is_ok_and(|s| s.trim() != "0") && common::kernel() < (5, 19) {
        println!("skipped: this kernel asks for CAP_BPF on every bpf call");
        return;
    }
    if !veth(1) || common::unprivileged() {
        return;
    }
    let mut attached = attach(XdpMode::Auto, &[raw(XdpAction::Redirect)]).unwrap();
    let socket = common::xsk::bare().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            drop_capabilities(&(0..41).collect::<Vec<_>>());
            assert!(load("a", XdpMode::Auto, &[]).is_err(), "capabilities are gone");
            attached.set_socket(0, socket.as_fd()).unwrap();
            attached.clear_socket(0).unwrap();
            attached.set_rules(&[raw(XdpAction::Drop)]).unwrap();
            assert_eq!(attached.rule_counters().len(), 1);
            assert!(attached.is_attached());
            attached.detach().unwrap();
            assert!(!attached.is_attached());
            attached.counters(0).unwrap();
        });
    });
    assert!(nothing_on("b"));
}
