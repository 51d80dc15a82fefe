//! The flags of `pfs tx`, and what they say together.

use std::net::Ipv4Addr;
use std::path::PathBuf;

use clap::{ArgGroup, Args};
use pfs_dataplane::transmitters::SinkSpec;
use pfs_dataplane::transmitters::frames::{FrameSize, Mac, UdpAddresses};
use pfs_dataplane::transmitters::pace::Pace;

use crate::failure::Failure;
use crate::settings;

/// Flags of `pfs tx`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("rate").multiple(false))]
pub(crate) struct TxArgs {
    /// Capture to send (pcap, pcapng), or with --payload any file, or - for standard input.
    #[arg(value_name = "FILE", required_unless_present = "generate", conflicts_with = "generate")]
    pub(crate) input: Option<PathBuf>,
    /// Sink: af_packet:eth0, af_xdp:eth0,queue=1, dpdk:net_ring0, udp:127.0.0.1:9000, pcap:out.pcap.
    ///
    /// After the backend and where it sends to, settings follow by comma as KEY=VALUE, as for
    /// `pfs run --from`. udp: sends payload alone, without the headers of captured frames.
    #[arg(long, value_name = "BACKEND:WHERE[,KEY=VALUE...]")]
    pub(crate) to: String,
    /// Cut FILE into payloads of this many bytes, each in a frame or datagram of its own.
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u32).range(1..=65_507))]
    pub(crate) payload: Option<u32>,
    /// Send generated UDP frames of this size (64 to 65553 bytes, check sequence included), or
    /// the mix imix.
    #[arg(long, value_name = "SIZE|imix", conflicts_with = "payload")]
    pub(crate) generate: Option<FrameSize>,
    /// Generated frames to send; without it, until SIGINT.
    #[arg(long, value_name = "N")]
    pub(crate) count: Option<u64>,
    /// Flows of generated frames [default: 64].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) flows: Option<u32>,
    /// Seed of generated payload [default: 0].
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// Times to send the capture; 0: until SIGINT.
    #[arg(long = "loop", value_name = "N", conflicts_with_all = ["generate", "payload"],
          default_value_t = 1)]
    pub(crate) rounds: u64,
    /// Send a capture at its own times, this many times as fast. The default for captures, at 1.
    #[arg(long, value_name = "X", group = "rate", conflicts_with_all = ["generate", "payload"])]
    pub(crate) speed: Option<f64>,
    /// Frames a second.
    #[arg(long, value_name = "N", group = "rate")]
    pub(crate) pps: Option<f64>,
    /// Gigabits a second on the wire: headers, check sequence, preamble and gap counted.
    #[arg(long, value_name = "N", group = "rate")]
    pub(crate) gbps: Option<f64>,
    /// As fast as the sink takes frames. The default where no capture is sent.
    #[arg(long, group = "rate")]
    pub(crate) top_speed: bool,
    /// Addresses of frames that are made.
    #[command(flatten)]
    pub(crate) made: MadeArgs,
    /// Print the report as JSON; no progress is shown.
    #[arg(long)]
    pub(crate) json: bool,
    /// Show no progress.
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

/// Headers of frames that are made, not read.
#[derive(Debug, Args)]
#[command(next_help_heading = "Headers of made frames")]
pub(crate) struct MadeArgs {
    /// Source MAC address [default: 02:00:00:00:00:01].
    #[arg(long, value_name = "MAC")]
    pub(crate) src_mac: Option<Mac>,
    /// Destination MAC address [default: 02:00:00:00:00:02].
    #[arg(long, value_name = "MAC")]
    pub(crate) dst_mac: Option<Mac>,
    /// Source address [default: 198.18.0.1].
    #[arg(long, value_name = "IPV4")]
    pub(crate) src_ip: Option<Ipv4Addr>,
    /// Destination address [default: 198.19.0.1].
    #[arg(long, value_name = "IPV4")]
    pub(crate) dst_ip: Option<Ipv4Addr>,
    /// Source UDP port, of the first flow [default: 1024].
    #[arg(long, value_name = "PORT")]
    pub(crate) src_port: Option<u16>,
    /// Destination UDP port [default: 9].
    #[arg(long, value_name = "PORT")]
    pub(crate) dst_port: Option<u16>,
    /// Put payloads into frames of EtherType 0x88B5, without IP and UDP.
    #[arg(long, requires = "payload", conflicts_with_all = ["src_ip", "dst_ip", "src_port", "dst_port"])]
    pub(crate) ether: bool,
}

impl MadeArgs {
    /// The addresses, with defaults where nothing was given.
    pub(super) fn addresses(&self) -> UdpAddresses {
        let mut all = UdpAddresses::default();
        all.src_mac = self.src_mac.unwrap_or(all.src_mac);
        all.dst_mac = self.dst_mac.unwrap_or(all.dst_mac);
        all.src.set_ip(self.src_ip.unwrap_or(*all.src.ip()));
        all.dst.set_ip(self.dst_ip.unwrap_or(*all.dst.ip()));
        all.src.set_port(self.src_port.unwrap_or(all.src.port()));
        all.dst.set_port(self.dst_port.unwrap_or(all.dst.port()));
        all
    }

    const fn any(&self) -> bool {
        self.src_mac.is_some()
            || self.dst_mac.is_some()
            || self.src_ip.is_some()
            || self.dst_ip.is_some()
            || self.src_port.is_some()
            || self.dst_port.is_some()
            || self.ether
    }
}

impl TxArgs {
    /// Whether a capture is sent.
    pub(super) const fn is_capture(&self) -> bool {
        self.generate.is_none() && self.payload.is_none()
    }

    /// What the parser of the command line cannot see.
    ///
    /// # Errors
    /// A usage error that names the flags.
    pub(super) fn check(&self) -> Result<(), Failure> {
        let stdin = self.input.as_ref().is_some_and(|path| path.as_os_str() == "-");
        if stdin && self.is_capture() {
            let why = "standard input is cut into payloads: give --payload BYTES, e.g. 1400";
            return Err(Failure::usage(why));
        }
        let only_generated = self.count.is_some() || self.flows.is_some() || self.seed.is_some();
        if self.generate.is_none() && only_generated {
            let why = "--count, --flows and --seed are for generated frames: give --generate SIZE";
            return Err(Failure::usage(why));
        }
        if self.made.any() && self.is_capture() {
            let why = "a capture's frames have their headers already: give addresses only with --payload or --generate";
            return Err(Failure::usage(why));
        }
        if self.made.any() && self.to.starts_with("udp:") {
            let why = "udp: sends through the kernel, which writes the headers: give addresses only for af_packet:, af_xdp: or pcap:";
            return Err(Failure::usage(why));
        }
        Ok(())
    }

    /// Where to send.
    ///
    /// # Errors
    /// A usage error that says what `--to` may be.
    pub(super) fn sink(&self) -> Result<SinkSpec, Failure> {
        let parsed = settings::spec(&self.to, |backend, _| match backend {
            "af_packet" | "af_xdp" => Some("interface"),
            "dpdk" => Some("device"),
            "udp" => Some("to"),
            "pcap" => Some("path"),
            _ => None,
        });
        if self.to.starts_with("af_xdp:") && !cfg!(feature = "af-xdp") {
            return Err(Failure::failed(
                "--to: this build has no af_xdp; build it with --features af-xdp (`just build` does where clang, libclang, libelf, zlib and m4 are installed)",
            ));
        }
        if self.to.starts_with("dpdk:") && !cfg!(feature = "dpdk") {
            return Err(Failure::failed(
                "--to: this build has no dpdk; build it with --features dpdk (`just build` does where libdpdk-dev is installed)",
            ));
        }
        parsed.map_err(|why| {
            Failure::usage(format!(
                "--to {}: {why}; write BACKEND:WHERE[,KEY=VALUE...], e.g. udp:127.0.0.1:9000 (backends: af_packet, af_xdp, dpdk, udp, pcap)",
                self.to
            ))
        })
    }

    /// How fast to send.
    ///
    /// # Errors
    /// A usage error when a rate is not above 0.
    pub(super) fn pace(&self) -> Result<Pace, Failure> {
        let (flag, pace, rate) = if let Some(rate) = self.pps {
            ("pps", Pace::Pps(rate), rate)
        } else if let Some(rate) = self.gbps {
            ("gbps", Pace::Gbps(rate), rate)
        } else if self.top_speed || !self.is_capture() {
            return Ok(Pace::TopSpeed);
        } else {
            let speed = self.speed.unwrap_or(1.0);
            ("speed", Pace::Original(speed), speed)
        };
        if rate > 0.0 && rate.is_finite() {
            return Ok(pace);
        }
        Err(Failure::usage(format!("--{flag} {rate}: give a number above 0")))
    }
}
