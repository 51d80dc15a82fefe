//! The program against a plain reading of the contract in `rules.rs`, over random frames and
//! rules. `PFS_TEST_ROUNDS` sets how many rule lists are tried; each meets 200 frames.

#![allow(clippy::unwrap_used, reason = "a test's helpers fail the test")]

mod common;

use std::net::IpAddr;

use common::frames::{ethernet, extension, fragment, ipv4, ipv6, tcp, udp};
use pfs_ebpf::rules::{IpPrefix, PortRange, XdpAction, XdpRule};
use pfs_ebpf::{Count, Loader, OBJECT, Program, QueueCounters, Variant, XdpCode};

/// What a frame says of itself.
#[derive(Debug, Default)]
struct Facts {
    ether_type: u16,
    tags: Vec<u16>,
    addrs: Option<(IpAddr, IpAddr)>,
    protocol: Option<u8>,
    port: Option<u16>,
}

fn be(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().unwrap()))
}

/// The facts of a whole frame, or `None` when it is malformed.
fn facts(frame: &[u8]) -> Option<Facts> {
    let mut f = Facts { ether_type: be(frame, 12)?, ..Facts::default() };
    let mut at = 14;
    while f.tags.len() < 2 && [0x8100, 0x88A8, 0x9100].contains(&f.ether_type) {
        f.tags.push(be(frame, at)? & 0xFFF);
        f.ether_type = be(frame, at + 2)?;
        at += 4;
    }
    match f.ether_type {
        0x0800 => v4(&frame[at..], &mut f)?,
        0x86DD => v6(&frame[at..], &mut f)?,
        _ => {}
    }
    Some(f)
}

fn v4(packet: &[u8], f: &mut Facts) -> Option<()> {
    let fixed: [u8; 20] = packet.get(..20)?.try_into().unwrap();
    let (header, total) = (usize::from(fixed[0] & 15) * 4, usize::from(be(packet, 2)?));
    if fixed[0] >> 4 != 4 || header < 20 || total < header {
        return None;
    }
    let packet = packet.get(..total)?;
    let addr = |at: usize| IpAddr::from(<[u8; 4]>::try_from(&fixed[at..at + 4]).unwrap());
    f.addrs = Some((addr(12), addr(16)));
    f.protocol = Some(fixed[9]);
    if be(&fixed, 6)? & 0x1FFF == 0 {
        f.port = port(fixed[9], &packet[header..]);
    }
    Some(())
}

fn v6(packet: &[u8], f: &mut Facts) -> Option<()> {
    let fixed: [u8; 40] = packet.get(..40)?.try_into().unwrap();
    if fixed[0] >> 4 != 6 {
        return None;
    }
    let mut rest = packet.get(40..40 + usize::from(be(&fixed, 4)?))?;
    let addr = |at: usize| IpAddr::from(<[u8; 16]>::try_from(&fixed[at..at + 16]).unwrap());
    f.addrs = Some((addr(8), addr(24)));
    let mut next = fixed[6];
    for left in (0..=6).rev() {
        let len = match next {
            44 => 8,
            51 => 4 * (usize::from(*rest.get(1).unwrap_or(&0)) + 2),
            0 | 43 | 60 => 8 * (usize::from(*rest.get(1).unwrap_or(&0)) + 1),
            _ => {
                f.protocol = Some(next);
                f.port = port(next, rest);
                return Some(());
            }
        };
        if left == 0 {
            return Some(());
        }
        let header = rest.get(..len)?;
        if next == 44 && be(header, 2)? >> 3 != 0 {
            f.protocol = Some(header[0]);
            return Some(());
        }
        next = header[0];
        rest = &rest[len..];
    }
    Some(())
}

fn port(protocol: u8, l4: &[u8]) -> Option<u16> {
    let smallest = match protocol {
        6 => 20,
        17 | 136 => 8,
        132 => 12,
        _ => return None,
    };
    (l4.len() >= smallest).then(|| be(l4, 2))?
}

fn within(prefix: IpPrefix, addr: IpAddr) -> bool {
    let bits = |addr: IpAddr| match addr {
        IpAddr::V4(a) => u128::from(a.to_bits()) << 96,
        IpAddr::V6(a) => a.to_bits(),
    };
    let differ = bits(prefix.addr()) ^ bits(addr);
    prefix.addr().is_ipv4() == addr.is_ipv4()
        && differ.leading_zeros() >= u32::from(prefix.prefix_len())
}

fn holds(rule: &XdpRule, f: &Facts) -> bool {
    rule.ether_type.is_none_or(|e| e == f.ether_type)
        && rule.vlan.is_none_or(|v| f.tags.contains(&v))
        && rule.src.is_none_or(|p| f.addrs.is_some_and(|(src, _)| within(p, src)))
        && rule.dst.is_none_or(|p| f.addrs.is_some_and(|(_, dst)| within(p, dst)))
        && rule.protocol.is_none_or(|p| f.protocol == Some(p))
        && rule.dst_ports.is_none_or(|r| f.port.is_some_and(|p| (r.first..=r.last).contains(&p)))
}

/// The code that `rules` give `frame`, counted; there are no sockets.
fn expected(rules: &[XdpRule], frame: &[u8], sums: &mut QueueCounters) -> XdpCode {
    let (count, code) = match facts(frame) {
        None => (&mut sums.malformed, XdpCode::Pass),
        Some(f) => match rules.iter().find(|rule| holds(rule, &f)).map(|rule| rule.action) {
            None => (&mut sums.unmatched, XdpCode::Pass),
            Some(XdpAction::Drop) => (&mut sums.drop, XdpCode::Drop),
            Some(XdpAction::Pass) => (&mut sums.pass, XdpCode::Pass),
            Some(XdpAction::Redirect) => (&mut sums.no_socket, XdpCode::Pass),
        },
    };
    *count += Count { packets: 1, bytes: frame.len() as u64 };
    code
}

/// xorshift64*, so that a round is told by its number.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % n
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    fn maybe<T: Copy>(&mut self, from: &[T]) -> Option<T> {
        (self.below(3) == 0).then(|| self.pick(from))
    }

    fn rule(&mut self) -> XdpRule {
        let prefix = |text: Option<&str>| text.map(|t| t.parse().unwrap());
        let (src, dst) = if self.below(2) == 0 {
            (&["10.1.2.3/32", "10.1.0.0/15", "11.0.0.0/8"], &["192.0.2.0/30", "0.0.0.0/0"])
        } else {
            (&["2001:db8::/64", "2001:db8::1", "::/1"], &["2001:db8:ff::/47", "::/0"])
        };
        XdpRule {
            ether_type: None,
            vlan: self.maybe(&[0, 5, 4094]),
            src: prefix(self.maybe(src)),
            dst: prefix(self.maybe(dst)),
            protocol: self.maybe(&[6, 17, 60]),
            dst_ports: None,
            action: self.pick(&[XdpAction::Drop, XdpAction::Pass, XdpAction::Redirect]),
        }
    }

    /// A rule that may also name ports or an EtherType, where that makes sense.
    fn full_rule(&mut self) -> XdpRule {
        let mut rule = self.rule();
        if rule.protocol != Some(60) {
            let ranges =
                [(53, 53), (0, 60), (54, 65535)].map(|(first, last)| PortRange { first, last });
            rule.dst_ports = self.maybe(&ranges);
        }
        if rule.src.or(rule.dst).is_none() {
            rule.ether_type = self.maybe(&[0x0800, 0x86DD]);
        }
        rule
    }

    fn frame(&mut self) -> Vec<u8> {
        let tags: Vec<_> = (0..self.pick(&[0, 0, 0, 1, 2, 3]))
            .map(|_| (self.pick(&[0x8100, 0x88A8, 0x9100]), self.pick(&[0, 5, 100, 4094])))
            .collect();
        let (l4, protocol) = match self.below(4) {
            0 => (tcp(self.pick(&[53, 54, 443])), 6),
            1 => (udp(53, &[1; 12]), self.pick(&[1, 132, 136, 17])),
            _ => (udp(self.pick(&[53, 54, 60, 61]), b"payload"), 17),
        };
        let mut frame = match self.below(5) {
            0 | 1 => {
                let options = 4 * self.pick(&[0, 0, 1, 10]);
                let frag = self.pick(&[0, 0x4000, 0x2000, 0x2001, 185]);
                ethernet(&tags, 0x0800, &ipv4(protocol, options, frag, &l4))
            }
            2 | 3 => {
                let (mut body, mut next) = (l4, protocol);
                for _ in 0..self.pick(&[0, 0, 1, 2, 3, 6, 7]) {
                    let kind = self.pick(&[0, 43, 44, 51, 60, 60, 50]);
                    body = match kind {
                        44 => fragment(next, self.pick(&[0, 0, 0, 3]), &body),
                        _ => extension(kind, next, self.pick(&[0, 0, 1, 20]), &body),
                    };
                    next = kind;
                }
                ethernet(&tags, 0x86DD, &ipv6(next, &body))
            }
            _ => ethernet(&tags, self.pick(&[0x88B5, 0x0806, 46]), &[3; 46]),
        };
        match self.below(4) {
            0 => frame.truncate(14 + self.below(frame.len() - 13)),
            1 => frame.resize(frame.len() + self.below(30), 0),
            _ => {}
        }
        for _ in 0..self.pick(&[0, 0, 0, 1, 2]) {
            let at = 12 + self.below(frame.len() - 12);
            frame[at] = self.pick(&[0, 1, 4, 0x3C, 0x45, 0x44, 0x60, 0xFF, 8]);
        }
        frame
    }
}

#[test]
fn random_frames_meet_the_contract() {
    let rounds = std::env::var("PFS_TEST_ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(40);
    for variant in [Variant::Frags, Variant::Single] {
        let program = match Program::load_object(OBJECT, variant, Loader::Aya, &[]) {
            Ok(program) => program,
            Err(e) if common::excused(variant) => {
                println!("skipped: {e}");
                continue;
            }
            Err(e) => panic!("{e}"),
        };
        let mut sums = QueueCounters::default();
        for round in 1..=rounds {
            let mut random = Random(round);
            let rules: Vec<_> =
                (0..random.pick(&[1, 2, 5, 64])).map(|_| random.full_rule()).collect();
            program.set_rules(&rules).unwrap();
            for _ in 0..200 {
                let frame = random.frame();
                let want = expected(&rules, &frame, &mut sums);
                assert_eq!(
                    program.test_run(&frame).unwrap(),
                    want,
                    "{round}: {rules:?}\n{frame:x?}"
                );
            }
            assert_eq!(program.counters(0).unwrap(), sums, "{round}: {rules:?}");
        }
        // The frames are varied enough to mean something.
        for count in [sums.malformed, sums.unmatched, sums.drop, sums.pass, sums.no_socket] {
            assert!(count.packets * 40 > sums.total().packets, "{sums:?}");
        }
    }
}
