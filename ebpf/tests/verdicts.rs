//! The program's verdicts, asked of the kernel frame by frame (`BPF_PROG_TEST_RUN`).

#![allow(clippy::unwrap_used, reason = "a test's helpers fail the test")]

mod common;

use std::os::fd::AsFd;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use common::frames::{ethernet, extension, fragment, ipv4, ipv6, tcp, udp};
use pfs_ebpf::rules::{PortRange, XdpAction, XdpRule};
use pfs_ebpf::{Loader, OBJECT, Program, QueueCounters, Variant, XdpCode};

/// Every program by every loader, with `rules`: all must agree. Loaded once, since the verifier
/// takes its time; the lock keeps other tests' frames out of the counters.
fn programs(rules: &[XdpRule]) -> MutexGuard<'static, Vec<Program>> {
    static ALL: LazyLock<Mutex<Vec<Program>>> = LazyLock::new(|| Mutex::new(load_all()));
    let all = ALL.lock().unwrap_or_else(PoisonError::into_inner);
    for program in all.iter() {
        program.clear_socket(0).unwrap();
        program.set_rules(rules).unwrap();
    }
    all
}

fn load_all() -> Vec<Program> {
    let loaders = [
        Loader::Aya,
        #[cfg(feature = "libbpf")]
        Loader::Libbpf,
    ];
    let mut all = Vec::new();
    for loader in loaders {
        for variant in [Variant::Frags, Variant::Single] {
            match Program::load_object(OBJECT, variant, loader, &[]) {
                Ok(program) => all.push(program),
                Err(e) if common::excused(variant) => {
                    println!("skipped: {}: {e}", variant.name());
                }
                Err(e) => panic!("{loader:?}, {variant:?}: {e}"),
            }
        }
    }
    all
}

fn rule(edit: impl FnOnce(&mut XdpRule)) -> XdpRule {
    let mut rule = XdpRule { action: XdpAction::Drop, ..XdpRule::default() };
    edit(&mut rule);
    rule
}

/// Every program drops each of `hit` by rule 0, and passes each of `miss` unmatched.
fn check(rule: &XdpRule, hit: &[(&str, Vec<u8>)], miss: &[(&str, Vec<u8>)]) {
    for program in programs(std::slice::from_ref(rule)).iter() {
        for (name, frame) in hit {
            let got = delta(program, frame);
            assert_eq!(got, (XdpCode::Drop, only(|c| &mut c.drop, frame)), "{rule:?}: {name}");
        }
        for (name, frame) in miss {
            let got = delta(program, frame);
            assert_eq!(got, (XdpCode::Pass, only(|c| &mut c.unmatched, frame)), "{rule:?}: {name}");
        }
        let decided = program.rule_counters()[0].drop;
        assert_eq!(decided.packets, hit.len() as u64);
        assert_eq!(decided.bytes, hit.iter().map(|(_, f)| f.len() as u64).sum::<u64>());
    }
}

/// Every program passes `frame` as malformed, though an empty rule would drop all others.
fn malformed(name: &str, frame: &[u8]) {
    for program in programs(&[rule(|_| {})]).iter() {
        let got = delta(program, frame);
        assert_eq!(got, (XdpCode::Pass, only(|c| &mut c.malformed, frame)), "{name}");
        assert_eq!(program.rule_counters()[0], Default::default(), "{name}");
    }
}

/// One run's code, and what it added to the queue's counters.
fn delta(program: &Program, frame: &[u8]) -> (XdpCode, QueueCounters) {
    let before = program.counters(0).unwrap();
    let code = program.test_run(frame).unwrap();
    let after = program.counters(0).unwrap();
    let less = |a: pfs_ebpf::Count, b: pfs_ebpf::Count| pfs_ebpf::Count {
        packets: a.packets - b.packets,
        bytes: a.bytes - b.bytes,
    };
    let delta = QueueCounters {
        redirect: less(after.redirect, before.redirect),
        no_socket: less(after.no_socket, before.no_socket),
        pass: less(after.pass, before.pass),
        drop: less(after.drop, before.drop),
        unmatched: less(after.unmatched, before.unmatched),
        malformed: less(after.malformed, before.malformed),
    };
    (code, delta)
}

/// Counters with `frame` once in the field that `pick` gives.
fn only(pick: fn(&mut QueueCounters) -> &mut pfs_ebpf::Count, frame: &[u8]) -> QueueCounters {
    let mut counters = QueueCounters::default();
    *pick(&mut counters) = pfs_ebpf::Count { packets: 1, bytes: frame.len() as u64 };
    counters
}

fn udp4(port: u16) -> Vec<u8> {
    ethernet(&[], 0x0800, &ipv4(17, 0, 0x4000, &udp(port, b"hello")))
}

fn udp6(port: u16) -> Vec<u8> {
    ethernet(&[], 0x86DD, &ipv6(17, &udp(port, b"hello")))
}

#[test]
fn ether_type_is_the_one_behind_two_tags() {
    let raw = |tags: &[(u16, u16)]| ethernet(tags, 0x88B5, b"payload");
    check(
        &rule(|r| r.ether_type = Some(0x88B5)),
        &[
            ("untagged", raw(&[])),
            ("14 bytes", ethernet(&[], 0x88B5, &[])),
            ("802.1Q", raw(&[(0x8100, 5)])),
            ("QinQ", raw(&[(0x88A8, 5), (0x8100, 6)])),
            ("old QinQ", raw(&[(0x9100, 5), (0x8100, 6)])),
        ],
        &[
            ("three tags", raw(&[(0x88A8, 5), (0x8100, 6), (0x8100, 7)])),
            ("other type", ethernet(&[], 0x88B6, &[])),
            ("IPv4", udp4(53)),
            ("802.3 length", ethernet(&[], 46, &[0; 46])),
        ],
    );
    check(
        &rule(|r| r.ether_type = Some(0x8100)),
        &[("third tag", raw(&[(0x88A8, 5), (0x8100, 6), (0x8100, 7)]))],
        &[("second tag", raw(&[(0x88A8, 5), (0x8100, 6)])), ("untagged", raw(&[]))],
    );
}

#[test]
fn vlan_is_either_tag() {
    let frame = |tags: &[(u16, u16)]| ethernet(tags, 0x0800, &ipv4(17, 0, 0, &udp(53, b"")));
    check(
        &rule(|r| r.vlan = Some(100)),
        &[
            ("only tag", frame(&[(0x8100, 100)])),
            ("outer", frame(&[(0x88A8, 100), (0x8100, 7)])),
            ("inner", frame(&[(0x88A8, 7), (0x8100, 100)])),
        ],
        &[
            ("untagged", frame(&[])),
            ("other", frame(&[(0x8100, 101)])),
            ("third", ethernet(&[(0x88A8, 1), (0x8100, 2), (0x8100, 100)], 0x0800, b"")),
        ],
    );
    check(
        &rule(|r| r.vlan = Some(0)),
        &[("priority tag", frame(&[(0x8100, 0)]))],
        &[("untagged", frame(&[])), ("other", frame(&[(0x8100, 1)]))],
    );
    check(
        &rule(|r| (r.vlan, r.dst_ports) = (Some(7), Some(PortRange::one(53)))),
        &[("port behind two tags", frame(&[(0x88A8, 100), (0x8100, 7)]))],
        &[("no tag", frame(&[]))],
    );
}

#[test]
fn prefixes_match_their_family_only() {
    let four = [("v4", udp4(53))];
    let six = [("v6", udp6(53))];
    for src in ["10.0.0.0/8", "10.1.2.3", "10.1.2.2/31", "10.255.255.255/8", "0.0.0.0/0"] {
        check(&rule(|r| r.src = Some(src.parse().unwrap())), &four, &six);
    }
    for src in ["2001:db8::/32", "2001:db8::1", "2001:db8::/127", "::/0"] {
        check(&rule(|r| r.src = Some(src.parse().unwrap())), &six, &four);
    }
    let neither = [four.to_vec(), six.to_vec()].concat();
    for src in ["10.1.2.4/31", "11.0.0.0/8", "2001:db8::2/127", "::10.1.2.3", "::ffff:10.1.2.3"] {
        check(&rule(|r| r.src = Some(src.parse().unwrap())), &[], &neither);
    }
    for (dst, hit, miss) in [("192.0.2.0/29", &four, &six), ("2001:db8:ff::/65", &six, &four)] {
        check(&rule(|r| r.dst = Some(dst.parse().unwrap())), hit, miss);
    }
    check(
        &rule(|r| {
            r.src = Some("10.0.0.0/8".parse().unwrap());
            r.dst = Some("192.0.2.8/29".parse().unwrap());
        }),
        &[],
        &neither,
    );
}

#[test]
fn ports_need_a_whole_header_in_a_first_fragment() {
    let v4 = |protocol, options, frag, l4: &[u8]| {
        ethernet(&[], 0x0800, &ipv4(protocol, options, frag, l4))
    };
    let mut padded = v4(17, 0, 0, &udp(53, b"")[..7]);
    padded.resize(60, 0);
    check(
        &rule(|r| r.dst_ports = Some(PortRange { first: 50, last: 53 })),
        &[
            ("udp", udp4(53)),
            ("udp, low end", udp4(50)),
            ("udp6", udp6(53)),
            ("tcp", v4(6, 0, 0, &tcp(52))),
            ("sctp", v4(132, 0, 0, &udp(51, &[0; 4]))),
            ("udp-lite", v4(136, 0, 0, &udp(53, b""))),
            ("40 bytes of options", v4(17, 40, 0, &udp(53, b""))),
            ("first fragment", v4(17, 0, 0x2000, &udp(53, &[0; 8]))),
            ("udp length lies", v4(17, 0, 0, &[0, 0, 0, 53, 0xFF, 0xFF, 0, 0])),
        ],
        &[
            ("below", udp4(49)),
            ("above", udp4(54)),
            ("above, v6", udp6(54)),
            ("later fragment", v4(17, 0, 0x2001, &udp(53, &[0; 8]))),
            ("last fragment", v4(17, 0, 0x1FFF, &udp(53, b""))),
            ("7 bytes of udp", v4(17, 0, 0, &udp(53, b"")[..7])),
            ("7 bytes of udp and padding", padded),
            ("19 bytes of tcp", v4(6, 0, 0, &tcp(53)[..19])),
            ("11 bytes of sctp", v4(132, 0, 0, &udp(53, &[0; 3]))),
            ("no payload", v4(17, 0, 0, b"")),
            ("icmp", v4(1, 0, 0, &udp(53, b""))),
            ("not ip", ethernet(&[], 0x88B5, &udp(53, &[0; 40]))),
        ],
    );
    check(
        &rule(|r| (r.protocol, r.dst_ports) = (Some(6), Some(PortRange::one(0)))),
        &[("port 0", v4(6, 0, 0, &tcp(0)))],
        &[("udp", v4(17, 0, 0, &udp(0, &[0; 20])))],
    );
}

#[test]
fn protocol_holds_for_fragments_too() {
    let mut v4 = ethernet(&[], 0x0800, &ipv4(17, 0, 0x2001, b"rest"));
    check(
        &rule(|r| r.protocol = Some(17)),
        &[
            ("v4", udp4(1)),
            ("v6", udp6(1)),
            ("later fragment", v4.clone()),
            ("later fragment, v6", ethernet(&[], 0x86DD, &ipv6(44, &fragment(17, 1, b"x")))),
        ],
        &[
            ("tcp", ethernet(&[], 0x0800, &ipv4(6, 0, 0, &tcp(1)))),
            ("not ip", ethernet(&[], 0x88B5, &[17; 60])),
            ("header kinds are not walked in v4", {
                v4[23] = 60;
                v4
            }),
        ],
    );
}

#[test]
fn ipv6_chains_are_walked_six_headers_deep() {
    let dns = udp(53, b"query");
    let chain = |kinds: &[u8]| {
        let mut next = 17;
        let mut body = dns.clone();
        for &kind in kinds.iter().rev() {
            body =
                if kind == 44 { fragment(next, 0, &body) } else { extension(kind, next, 1, &body) };
            next = kind;
        }
        ethernet(&[], 0x86DD, &ipv6(next, &body))
    };
    check(
        &rule(|r| (r.protocol, r.dst_ports) = (Some(17), Some(PortRange::one(53)))),
        &[
            ("none", chain(&[])),
            ("each kind", chain(&[0, 60, 43, 44, 51, 60])),
            ("six of one", chain(&[60; 6])),
            ("first fragment", chain(&[44])),
            ("two fragment headers", chain(&[44, 44])),
            ("longest", ethernet(&[], 0x86DD, &ipv6(0, &extension(0, 17, 255, &dns)))),
            ("longest AH", ethernet(&[], 0x86DD, &ipv6(51, &extension(51, 17, 255, &dns)))),
        ],
        &[
            ("seven", chain(&[60; 7])),
            ("later fragment", ethernet(&[], 0x86DD, &ipv6(44, &fragment(17, 1, &dns)))),
            ("esp", chain(&[50])),
            ("no next header", chain(&[59])),
            ("mobility", chain(&[135])),
        ],
    );
    check(
        &rule(|r| r.protocol = Some(60)),
        &[(
            "later fragment, as it stands",
            ethernet(&[], 0x86DD, &ipv6(44, &fragment(60, 1, b""))),
        )],
        &[("walked", chain(&[60])), ("beyond the sixth", chain(&[60; 7]))],
    );
    check(
        &rule(|r| r.protocol = Some(59)),
        &[("no next header", ethernet(&[], 0x86DD, &ipv6(59, b"")))],
        &[("udp", chain(&[]))],
    );
}

#[test]
fn broken_headers_pass_as_malformed() {
    let v4 = |edit: fn(&mut Vec<u8>)| {
        let mut packet = ipv4(17, 4, 0, &udp(53, b"hello"));
        edit(&mut packet);
        ethernet(&[], 0x0800, &packet)
    };
    let v6 = |next, body: &[u8]| ethernet(&[], 0x86DD, &ipv6(next, body));
    malformed("one tag without a type", &ethernet(&[(0x8100, 1)], 0, b"")[..16]);
    malformed("tag id cut", &ethernet(&[(0x8100, 1)], 0, b"")[..15]);
    malformed("TPID alone", &ethernet(&[], 0x8100, b""));
    malformed("second tag cut", &ethernet(&[(0x88A8, 1), (0x8100, 2)], 0x0800, b"")[..20]);
    malformed("no IPv4 header", &ethernet(&[], 0x0800, b""));
    malformed("19 bytes of IPv4", &v4(|_| {})[..33]);
    malformed("IHL 4", &v4(|p| p[0] = 0x44));
    malformed("IHL 0", &v4(|p| p[0] = 0x40));
    malformed("version 5", &v4(|p| p[0] = 0x56));
    malformed(
        "IHL beyond the frame",
        &ethernet(&[], 0x0800, &{
            let mut packet = ipv4(17, 0, 0, b"");
            packet[0] = 0x4F;
            packet
        }),
    );
    malformed("total_length below the header", &v4(|p| p[3] = 23));
    malformed("total_length 0", &v4(|p| p[3] = 0));
    malformed("total_length beyond the frame", &v4(|p| p[3] += 1));
    malformed("total_length 65535", &v4(|p| (p[2], p[3]) = (255, 255)));
    malformed("39 bytes of IPv6", &v6(17, b"")[..53]);
    malformed(
        "version 4 as IPv6",
        &ethernet(&[], 0x86DD, &ipv4(17, 20, 0, &udp(1, b"long enough"))),
    );
    malformed("payload_length beyond the frame", &v6(17, &udp(53, b"x"))[..62]);
    malformed("chain ends where a header should begin", &v6(0, b""));
    malformed("chain ends within 8 bytes", &v6(60, &[17, 0, 0, 0, 0, 0, 0]));
    malformed("header longer than the packet", &v6(43, &[17, 1, 0, 0, 0, 0, 0, 0]));
    malformed("second header missing", &v6(60, &extension(60, 60, 0, b"")));
    malformed("fragment header cut", &v6(44, &fragment(17, 0, b"")[..7]));
    malformed("AH longer than the packet", &v6(51, &extension(51, 17, 4, b"")[..20]));
    malformed("header in the padding", &{
        let mut packet = ipv6(60, &extension(60, 17, 0, b""));
        packet[5] = 0;
        ethernet(&[], 0x86DD, &packet)
    });
    malformed("loop in a short packet", &v6(60, &[60, 0, 0, 0, 0, 0, 0, 0].repeat(3)));
}

#[test]
fn a_loop_in_a_long_packet_has_no_protocol() {
    let looping = ethernet(&[], 0x86DD, &ipv6(60, &[60, 0, 0, 0, 0, 0, 0, 0].repeat(20)));
    check(&rule(|_| {}), &[("empty rule", looping.clone())], &[]);
    check(&rule(|r| r.protocol = Some(60)), &[], &[("unknown", looping)]);
}

#[test]
fn frames_of_0_to_13_bytes_do_not_reach_a_test_run() {
    for program in programs(&[]).iter() {
        let before = program.counters(0).unwrap();
        for len in 0..14 {
            assert!(program.test_run(&vec![0; len]).is_err(), "{len} bytes");
        }
        assert_eq!(program.counters(0).unwrap(), before);
    }
}

#[test]
fn first_match_decides_and_rules_change_at_run_time() {
    let pass_dns = XdpRule {
        dst_ports: Some(PortRange::one(53)),
        action: XdpAction::Pass,
        ..XdpRule::default()
    };
    let rules = [pass_dns.clone(), rule(|r| r.protocol = Some(17)), rule(|_| {})];
    for program in programs(&rules).iter() {
        let tcp = ethernet(&[], 0x0800, &ipv4(6, 0, 0, &tcp(53)));
        assert_eq!(delta(program, &udp4(53)), (XdpCode::Pass, only(|c| &mut c.pass, &udp4(53))));
        assert_eq!(delta(program, &udp4(54)), (XdpCode::Drop, only(|c| &mut c.drop, &udp4(54))));
        assert_eq!(delta(program, &tcp), (XdpCode::Pass, only(|c| &mut c.pass, &tcp)));
        let by_rule = program.rule_counters();
        let packets: Vec<_> = by_rule.iter().map(|r| (r.pass.packets, r.drop.packets)).collect();
        assert_eq!(packets, [(2, 0), (0, 1), (0, 0)]);

        for round in 0..3 {
            program.set_rules(&[rule(|_| {})]).unwrap();
            assert_eq!(program.rule_counters(), [Default::default()], "{round}");
            assert_eq!(program.test_run(&udp4(53)).unwrap(), XdpCode::Drop);
            program.set_rules(&[]).unwrap();
            assert_eq!(program.rule_counters(), []);
            assert_eq!(program.test_run(&udp4(53)).unwrap(), XdpCode::Pass);
        }
        assert!(program.set_rules(&vec![rule(|_| {}); 65]).is_err());
        assert_eq!(program.test_run(&udp4(53)).unwrap(), XdpCode::Pass);
    }
}

#[test]
fn the_64th_rule_is_reached() {
    let mut rules: Vec<_> = (0..63).map(|i| rule(|r| r.vlan = Some(i))).collect();
    rules.push(rule(|r| r.dst_ports = Some(PortRange::one(53))));
    for program in programs(&rules).iter() {
        assert_eq!(program.test_run(&udp4(53)).unwrap(), XdpCode::Drop);
        assert_eq!(program.test_run(&udp4(54)).unwrap(), XdpCode::Pass);
        assert_eq!(program.rule_counters()[63].drop.packets, 1);
    }
}

#[test]
fn redirect_goes_to_the_socket_or_passes_without_one() {
    let redirect = XdpRule { protocol: Some(17), ..XdpRule::default() };
    let frame = udp4(53);
    for program in programs(&[redirect]).iter() {
        let none = (XdpCode::Pass, only(|c| &mut c.no_socket, &frame));
        assert_eq!(delta(program, &frame), none);
        let socket = common::xsk::bare().unwrap();
        program.set_socket(0, socket.as_fd()).unwrap();
        let taken = (XdpCode::Redirect, only(|c| &mut c.redirect, &frame));
        assert_eq!(delta(program, &frame), taken);
        program.clear_socket(0).unwrap();
        program.clear_socket(0).unwrap();
        assert_eq!(delta(program, &frame), none);
        let by_rule = program.rule_counters()[0];
        assert_eq!((by_rule.redirect.packets, by_rule.no_socket.packets), (1, 2));

        assert!(program.set_socket(pfs_ebpf::MAX_QUEUES, socket.as_fd()).is_err());
        assert!(program.counters(pfs_ebpf::MAX_QUEUES).is_err());
        assert!(program.set_socket(0, std::io::stdin().as_fd()).is_err(), "not an AF_XDP socket");
    }
}

#[test]
fn a_frame_over_several_buffers_counts_whole() {
    let payload = vec![7; 8900];
    let frame = ethernet(&[], 0x0800, &ipv4(17, 0, 0, &udp(53, &payload)));
    let longer = {
        let mut frame = frame.clone();
        frame[17] += 1;
        frame
    };
    let dns = rule(|r| r.dst_ports = Some(PortRange::one(53)));
    let program = match Program::load_object(OBJECT, Variant::Frags, Loader::Aya, &[dns]) {
        Err(e) if common::excused(Variant::Frags) => {
            println!("skipped: {e}");
            return;
        }
        other => other.unwrap(),
    };
    assert_eq!(delta(&program, &frame), (XdpCode::Drop, only(|c| &mut c.drop, &frame)));
    assert_eq!(delta(&program, &longer), (XdpCode::Pass, only(|c| &mut c.malformed, &longer)));
}
