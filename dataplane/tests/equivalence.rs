//! Every capture through every backend gives what an independent computation gives.

mod common;

use std::net::Ipv4Addr;
use std::path::Path;

use common::oracle::{Expected, frames, payloads};
use common::{Mode, PROGRAM, all, captures, modes, open, run, run_live, send_gently, spec};
use pfs_dataplane::netns::{NetNs, VethOptions};
use pfs_dataplane::receivers::af_packet::AfPacketSpec;
use pfs_dataplane::receivers::memory::MemorySpec;
use pfs_dataplane::receivers::pcap::PcapSpec;
use pfs_dataplane::receivers::udp::{UdpReceiver, UdpSpec};
use pfs_dataplane::receivers::{Receiver, SourceSpec};
use pfs_dataplane::run::RunReport;
use pfs_dataplane::transmitters::af_packet::{AfPacketTransmitter, AfPacketTxSpec};
use pfs_dataplane::transmitters::udp::{UdpSender, UdpSinkSpec};

/// Packets, and what must be found in them.
struct Case {
    name: String,
    frames: Vec<Vec<u8>>,
    payloads: Vec<Vec<u8>>,
    expected: Expected,
}

impl Case {
    fn new(name: String, frames: Vec<Vec<u8>>) -> Self {
        let payloads = payloads(&frames);
        let expected = Expected::of(&payloads);
        assert!(expected.messages > 50 && expected.bytes > 5000, "{name}");
        Self { name, frames, payloads, expected }
    }

    /// One capture.
    fn of(path: &Path) -> Self {
        Self::new(path.display().to_string(), frames(path))
    }

    /// All captures, one after the other: a live source takes time to open and to close.
    fn all() -> Self {
        Self::new("all".into(), captures().iter().flat_map(|path| frames(path)).collect())
    }

    fn hold(&self, report: &RunReport, backend: &str, mode: Mode) {
        self.expected.hold(report, &format!("{} by {backend}, {mode:?}", self.name));
    }
}

#[test]
fn pcap_and_memory_find_what_the_oracle_finds() {
    for path in captures() {
        let case = Case::of(&path);
        for mode in modes() {
            for from in [
                SourceSpec::Pcap(PcapSpec::new(&path)),
                SourceSpec::Memory(MemorySpec::capture(&path, 1)),
            ] {
                let report = run(open(&from), &all(PROGRAM), mode);
                case.hold(&report, from.backend(), mode);
            }
        }
    }
}

/// Three rounds, and a program that writes: what is read again must be the file's own bytes.
#[test]
fn further_rounds_do_not_see_what_a_program_wrote() {
    let program = format!("xor:0x55,add:9,{PROGRAM}");
    let change = |payload: &Vec<u8>| payload.iter().map(|b| (b ^ 0x55).wrapping_add(9)).collect();
    for path in captures() {
        let changed: Vec<Vec<u8>> = Case::of(&path).payloads.iter().map(change).collect();
        let expected = Expected::of(&[&changed[..], &changed, &changed].concat());
        for mode in modes() {
            for from in [
                SourceSpec::Pcap(PcapSpec { loops: 3, ..PcapSpec::new(&path) }),
                SourceSpec::Memory(MemorySpec { restore: true, ..MemorySpec::capture(&path, 3) }),
            ] {
                let report = run(open(&from), &all(&program), mode);
                let what = format!("{} by {}, {mode:?}", path.display(), from.backend());
                expected.hold(&report, &what);
            }
        }
    }
}

#[test]
fn udp_finds_what_the_oracle_finds() {
    let case = Case::all();
    for gro in [false, true] {
        for mode in modes() {
            let listen = (Ipv4Addr::LOCALHOST, 0).into();
            let asked = UdpSpec { frame_bytes: 16384, frames: 1024, gro, ..UdpSpec::new(listen) };
            let receiver = UdpReceiver::open(&asked).expect("binds");
            let to = UdpSinkSpec::new(receiver.local_addr());
            let mut sink = UdpSender::open(&to).expect("binds");
            let spec = spec(Receiver::Udp(receiver), &all(PROGRAM), mode);
            let report = run_live(spec, || send_gently(&mut sink, &case.payloads));
            case.hold(&report, "udp", mode);
        }
    }
}

/// Sends all captures over a veth pair to the source that `from` says.
fn over_veth(from: &SourceSpec) {
    let namespace = match NetNs::enter() {
        Ok(namespace) => namespace,
        Err(reason) => return println!("skipped: {reason}"),
    };
    namespace.veth_pair("tx0", "rx0", VethOptions { queues: 1, mtu: 9216 }).expect("a pair");
    let case = Case::all();
    for mode in modes() {
        let spec = spec(open(from), &all(PROGRAM), mode);
        let mut sink = AfPacketTransmitter::open(&AfPacketTxSpec::new("tx0")).expect("opens");
        let report = run_live(spec, || send_gently(&mut sink, &case.frames));
        case.hold(&report, from.backend(), mode);
    }
}

#[test]
fn af_packet_finds_what_the_oracle_finds() {
    over_veth(&SourceSpec::AfPacket(AfPacketSpec::new("rx0")));
}

#[cfg(feature = "af-xdp")]
mod af_xdp {
    use pfs_dataplane::receivers::af_xdp::AfXdpSpec;
    use pfs_ebpf::XdpMode;

    use super::{SourceSpec, over_veth};

    fn by(mode: XdpMode) {
        over_veth(&SourceSpec::AfXdp(AfXdpSpec { mode, ..AfXdpSpec::new("rx0") }));
    }

    #[test]
    fn native_finds_what_the_oracle_finds() {
        by(XdpMode::Native);
    }

    #[test]
    fn generic_finds_what_the_oracle_finds() {
        by(XdpMode::Generic);
    }
}
