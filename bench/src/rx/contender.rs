//! The receivers that are compared: ours, and those that people use today.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use pfs_dataplane::dpdk::DpdkSpec;
use pfs_dataplane::receivers::SourceSpec;
use pfs_dataplane::receivers::af_packet::AfPacketSpec;
use pfs_dataplane::receivers::af_xdp::{AfXdpSpec, WaitMode};
use pfs_dataplane::receivers::udp::UdpSpec;
use pfs_dataplane::transmitters::frames::FrameSize;
use pfs_ebpf::XdpMode;
use serde::Serialize;

use super::receive::Ours;
use super::sender::PORT;

/// One receiver.
#[derive(Clone, Debug)]
pub struct Contender {
    /// Its row's name.
    pub name: &'static str,
    /// How it gets at packets: rows of one kind are compared.
    pub kind: Kind,
    /// XDP mode that must be found attached while it runs; `None`: no program.
    pub attached: Option<&'static str>,
    /// Whether it is searched for rates without loss; else its rate at top speed is all.
    pub searched: bool,
    /// What is run.
    pub what: What,
}

/// A way to packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A packet socket.
    PacketSocket,
    /// AF_XDP.
    Xdp,
    /// A UDP socket, behind the kernel's own stack.
    Socket,
}

/// What is run.
#[derive(Clone, Debug)]
pub enum What {
    /// This program itself, in a process of its own.
    Ours(Box<Ours>),
    /// A program of others.
    Peer(Peer),
}

impl Contender {
    /// Name of its test with frames of `size`, as CSIT names them: frame, threads and cores of the
    /// data path, and what it is: `64b-1t1c-af_xdp-native-adaptive`.
    #[must_use]
    pub fn code(&self, size: FrameSize) -> String {
        let size = match size {
            FrameSize::Bytes(bytes) => format!("{bytes}b"),
            FrameSize::Mix(_) => size.to_string(),
        };
        let name = self.name.strip_prefix("pfs ").unwrap_or(self.name);
        format!("{size}-1t1c-{}", name.replace(' ', "-"))
    }

    /// Whether it is ours.
    #[must_use]
    pub const fn is_ours(&self) -> bool {
        matches!(self.what, What::Ours(_))
    }

    /// Whether DPDK is in it, which wants huge pages.
    #[must_use]
    pub fn needs_huge_pages(&self) -> bool {
        match &self.what {
            What::Ours(ours) => matches!(ours.source, SourceSpec::Dpdk(_)),
            What::Peer(peer) => peer.dpdk,
        }
    }
}

/// A peer and how to read what it says.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Command with its arguments; the first word must be installed.
    pub command: Vec<String>,
    /// What it has printed once it receives; empty: it opens a packet socket and says nothing.
    pub ready: &'static str,
    /// Words after the number of packets received.
    pub received: Said,
    /// Words after the number of packets that it knows to be lost.
    pub lost: Said,
    /// Whether it places its threads itself, and needs huge pages.
    pub dpdk: bool,
}

/// Where a number stands in what a peer prints.
#[derive(Clone, Copy, Debug)]
pub enum Said {
    /// `NUMBER words`.
    Before(&'static str),
    /// `words NUMBER`.
    After(&'static str),
}

impl Said {
    /// The number in the last line of `text` that has it.
    #[must_use]
    pub fn find(self, text: &str) -> Option<u64> {
        // Some write a line over itself.
        let lines = text.split(['\n', '\r']).rev();
        let number = |word: Option<&str>| word.and_then(|word| word.parse().ok());
        let mut found = lines.filter_map(|line| match self {
            Self::Before(words) => {
                line.split_once(words).and_then(|(left, _)| number(left.split_whitespace().last()))
            }
            Self::After(words) => line
                .split_once(words)
                .and_then(|(_, right)| number(right.split_whitespace().next())),
        });
        found.next()
    }
}

/// All that are compared, at interface `to`; with `socket` those too that the kernel's own stack
/// serves. Of this build's own, what is left out is said in `notes`.
#[must_use]
pub fn all(to: &str, socket: bool, notes: &mut Vec<String>) -> Vec<Contender> {
    let packet = SourceSpec::AfPacket(AfPacketSpec::new(to));
    let mut all = vec![
        ours("pfs af_packet crc32c", Kind::PacketSocket, packet.clone()),
        Contender { searched: false, ..ours("pfs af_packet len", Kind::PacketSocket, packet) },
    ];
    if cfg!(feature = "af-xdp") {
        all.extend([
            xdp("pfs af_xdp native adaptive", to, XdpMode::Native, false),
            xdp("pfs af_xdp native spin", to, XdpMode::Native, true),
            xdp("pfs af_xdp generic adaptive", to, XdpMode::Generic, false),
        ]);
    } else {
        notes.push("left out: pfs af_xdp: this build has no af-xdp; `just build`".to_owned());
    }
    if socket {
        let listen = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), PORT);
        let spec = UdpSpec::new(listen);
        all.push(ours("pfs udp", Kind::Socket, SourceSpec::Udp(spec)));
    } else {
        notes.push("left out: pfs udp: given interfaces are not given addresses".to_owned());
    }
    if cfg!(feature = "dpdk") {
        let device = |args: String| SourceSpec::Dpdk(DpdkSpec::from_devargs(&args));
        let ring = format!("net_af_packet0,iface={to},blocksz=1048576,framesz=2048,framecnt=8192");
        let xsk = device(format!("net_af_xdp0,iface={to}"));
        all.push(ours("pfs dpdk net_af_packet", Kind::PacketSocket, device(ring)));
        all.push(Contender {
            attached: Some("native"),
            ..ours("pfs dpdk net_af_xdp", Kind::Xdp, xsk)
        });
    } else {
        notes.push("left out: pfs dpdk: this build has no dpdk; `just build`".to_owned());
    }
    all.extend(peers(to));
    all
}

fn ours(name: &'static str, kind: Kind, source: SourceSpec) -> Contender {
    let program = if name.ends_with("len") { "len" } else { "crc32c" }.to_owned();
    let what = What::Ours(Box::new(Ours { source, program, spin: false, waits: false }));
    Contender { name, kind, attached: None, searched: true, what }
}

fn xdp(name: &'static str, to: &str, mode: XdpMode, spin: bool) -> Contender {
    let wait = if spin { WaitMode::Spin } else { WaitMode::Adaptive };
    let source = SourceSpec::AfXdp(AfXdpSpec { mode, wait, ..AfXdpSpec::new(to) });
    let program = "crc32c".to_owned();
    let what = What::Ours(Box::new(Ours { source, program, spin, waits: false }));
    let attached = if mode == XdpMode::Generic { "generic" } else { "native" };
    Contender { name, kind: Kind::Xdp, attached: Some(attached), searched: true, what }
}

fn peers(to: &str) -> [Contender; 4] {
    let peer = |name, kind, attached, peer| Contender {
        name,
        kind,
        attached,
        searched: false,
        what: What::Peer(peer),
    };
    let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let tcpdump = Peer {
        command: words(&format!("tcpdump -i {to} -n -w /dev/null -B 65536")),
        ready: "listening on",
        received: Said::Before(" packets captured"),
        lost: Said::Before(" packets dropped by kernel"),
        dpdk: false,
    };
    let netsniff = Peer {
        command: words(&format!("netsniff-ng -i {to} -o /dev/null --silent --ring-size 64MiB")),
        ready: "",
        received: Said::Before(" packets passed filter"),
        lost: Said::Before(" packets failed filter"),
        dpdk: false,
    };
    let testpmd = |device: &str| Peer {
        command: words(&format!(
            "dpdk-testpmd -l 0,1 --main-lcore 1 --in-memory -m 96 --no-pci --no-telemetry \
             --vdev={device} -- --forward-mode=rxonly --auto-start --total-num-mbufs=16384 \
             --stats-period 100"
        )),
        ready: "packet forwarding",
        received: Said::After("RX-packets:"),
        lost: Said::After("RX-dropped:"),
        dpdk: true,
    };
    let ring = format!("net_af_packet0,iface={to},blocksz=1048576,framesz=2048,framecnt=8192");
    let xsk = format!("net_af_xdp0,iface={to}");
    [
        peer("tcpdump", Kind::PacketSocket, None, tcpdump),
        peer("netsniff-ng", Kind::PacketSocket, None, netsniff),
        peer("testpmd net_af_packet", Kind::PacketSocket, None, testpmd(&ring)),
        peer("testpmd net_af_xdp", Kind::Xdp, Some("native"), testpmd(&xsk)),
    ]
}

/// Takes out the peers that are not installed, and says so.
pub fn leave_out_missing(contenders: &mut Vec<Contender>, notes: &mut Vec<String>) {
    contenders.retain(|contender| {
        let What::Peer(peer) = &contender.what else { return true };
        let path = std::env::var_os("PATH").unwrap_or_default();
        let program = &peer.command[0];
        let there = std::env::split_paths(&path).any(|dir| dir.join(program).exists());
        if !there {
            notes.push(format!("skipped: {}: no {program}; `just bench-peers`", contender.name));
        }
        there
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_are_named_as_csit_names_them() {
        let all = all("eth0", true, &mut Vec::new());
        let codes: Vec<String> =
            all.iter().map(|contender| contender.code(FrameSize::Bytes(64))).collect();
        assert_eq!(codes[0], "64b-1t1c-af_packet-crc32c");
        let mix = all[0].code("imix".parse().expect("a mix"));
        assert_eq!(mix, "imix-1t1c-af_packet-crc32c");
        let mut unique = codes.clone();
        unique.sort();
        unique.dedup();
        assert_eq!(unique.len(), codes.len(), "a test's name is its own");
    }

    #[test]
    fn numbers_are_found_where_peers_print_them() {
        let tcpdump = "tcpdump: listening on b0\n1234 packets captured\n1300 packets received \
                       by filter\n66 packets dropped by kernel\n";
        assert_eq!(Said::Before(" packets captured").find(tcpdump), Some(1234));
        assert_eq!(Said::Before(" packets dropped by kernel").find(tcpdump), Some(66));
        let testpmd = "  RX-packets: 7        RX-missed: 0\n RX-packets: 42   RX-dropped: 3 \n";
        assert_eq!(Said::After("RX-packets:").find(testpmd), Some(42));
        assert_eq!(Said::After("RX-dropped:").find(testpmd), Some(3));
        let netsniff = "\r         100  packets incoming (0 unread on exit)\n\r          99  packets \
                        passed filter\n";
        assert_eq!(Said::Before(" packets passed filter").find(netsniff), Some(99));
        assert_eq!(Said::Before(" packets").find("none"), None);
    }
}
