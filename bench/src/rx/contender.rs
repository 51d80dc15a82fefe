//! The receivers that are compared: ours, and those that people use today.

use pfs_dataplane::receivers::SourceSpec;
use pfs_dataplane::receivers::af_packet::AfPacketSpec;
use pfs_dataplane::receivers::af_xdp::{AfXdpSpec, WaitMode};
use pfs_ebpf::XdpMode;
use serde::{Deserialize, Serialize};

use crate::veth::TO;

/// One receiver.
#[derive(Clone, Debug)]
pub struct Contender {
    /// Its row's name.
    pub name: &'static str,
    /// How it gets at packets: rows of one kind are compared.
    pub kind: Kind,
    /// XDP mode that must be found attached while it runs; `None`: no program.
    pub attached: Option<&'static str>,
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
}

/// What is run.
#[derive(Clone, Debug)]
pub enum What {
    /// This program itself, in a process of its own.
    Ours(Ours),
    /// A program of others.
    Peer(Peer),
}

/// How our receiver is to run, as its process is told.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Ours {
    /// The source.
    pub source: SourceSpec,
    /// The program.
    pub program: String,
    /// Whether the thread spins.
    pub spin: bool,
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

/// All that are compared.
#[must_use]
pub fn all() -> Vec<Contender> {
    let packet = |name, program: &str| {
        let source = SourceSpec::AfPacket(AfPacketSpec::new(TO));
        let what = What::Ours(Ours { source, program: program.to_owned(), spin: false });
        Contender { name, kind: Kind::PacketSocket, attached: None, what }
    };
    let mut all =
        vec![packet("pfs af_packet len", "len"), packet("pfs af_packet crc32c", "crc32c")];
    if cfg!(feature = "af-xdp") {
        all.extend([
            xdp("pfs af_xdp native adaptive", XdpMode::Native, false),
            xdp("pfs af_xdp native spin", XdpMode::Native, true),
            xdp("pfs af_xdp generic adaptive", XdpMode::Generic, false),
        ]);
    }
    all.extend(peers());
    all
}

fn xdp(name: &'static str, mode: XdpMode, spin: bool) -> Contender {
    let wait = if spin { WaitMode::Spin } else { WaitMode::Adaptive };
    let source = SourceSpec::AfXdp(AfXdpSpec { mode, wait, ..AfXdpSpec::new(TO) });
    let what = What::Ours(Ours { source, program: "crc32c".to_owned(), spin });
    let attached = if mode == XdpMode::Generic { "generic" } else { "native" };
    Contender { name, kind: Kind::Xdp, attached: Some(attached), what }
}

fn peers() -> [Contender; 4] {
    let peer =
        |name, kind, attached, peer| Contender { name, kind, attached, what: What::Peer(peer) };
    let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let tcpdump = Peer {
        command: words(&format!("tcpdump -i {TO} -n -w /dev/null -B 65536")),
        ready: "listening on",
        received: Said::Before(" packets captured"),
        lost: Said::Before(" packets dropped by kernel"),
        dpdk: false,
    };
    let netsniff = Peer {
        command: words(&format!("netsniff-ng -i {TO} -o /dev/null --silent --ring-size 64MiB")),
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
    let ring = format!("net_af_packet0,iface={TO},blocksz=1048576,framesz=2048,framecnt=8192");
    [
        peer("tcpdump", Kind::PacketSocket, None, tcpdump),
        peer("netsniff-ng", Kind::PacketSocket, None, netsniff),
        peer("testpmd net_af_packet", Kind::PacketSocket, None, testpmd(&ring)),
        peer(
            "testpmd net_af_xdp",
            Kind::Xdp,
            Some("native"),
            testpmd(&format!("net_af_xdp0,iface={TO}")),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

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
