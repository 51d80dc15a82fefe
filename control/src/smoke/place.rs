//! Where live legs run: on links and devices that are made for them, or on two that are given and
//! joined to each other.

use std::fs;
use std::path::Path;

use pfs_dataplane::link::Link;

use super::SmokeArgs;
use super::capture::Capture;
use crate::failure::Failure;

/// Bytes of an Ethernet header, and of a VLAN tag: a frame may have them beyond the MTU.
const HEADERS: usize = 14;
const TAG: usize = 4;

/// What sends, and what receives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pair {
    pub(super) tx: String,
    pub(super) rx: String,
}

impl Pair {
    /// Reads `TX,RX`.
    fn parse(flag: &str, text: &str) -> Result<Self, Failure> {
        let words: Vec<&str> = text.split(',').map(str::trim).collect();
        match words.as_slice() {
            [tx, rx] if !tx.is_empty() && !rx.is_empty() && tx != rx => {
                Ok(Self { tx: (*tx).to_owned(), rx: (*rx).to_owned() })
            }
            _ => Err(Failure::usage(format!(
                "{flag} {text}: name the one that sends and the one that receives, as TX,RX"
            ))),
        }
    }
}

/// What was given; legs make what they need where nothing was.
#[derive(Clone, Debug, Default)]
pub(super) struct Place {
    /// Interfaces.
    pub(super) link: Option<Pair>,
    /// Devices of DPDK.
    pub(super) device: Option<Pair>,
    /// Arguments for EAL with them.
    #[cfg_attr(not(feature = "dpdk"), allow(dead_code, reason = "devices need DPDK"))]
    pub(super) eal: Option<String>,
    /// Largest frame over all of them without its Ethernet header.
    pub(super) mtu: u32,
}

impl Place {
    /// Reads the flags, and looks at the interfaces.
    ///
    /// # Errors
    /// A flag that names no two, an interface that is missing or down, a build without DPDK.
    pub(super) fn of(args: &SmokeArgs) -> Result<Self, Failure> {
        let pair = |flag, text: &Option<String>| {
            text.as_deref().map(|text| Pair::parse(flag, text)).transpose()
        };
        let (link, device) = (pair("--link", &args.link)?, pair("--dev", &args.dev)?);
        if device.is_some() && !cfg!(feature = "dpdk") {
            return Err(Failure::failed(
                "--dev: this build has no dpdk; build it with --features dpdk (`just build` does where libdpdk-dev is installed)",
            ));
        }
        let mut mtu = u32::from(args.mtu);
        for name in link.iter().flat_map(|link| [&link.tx, &link.rx]) {
            mtu = mtu.min(Link::find_up(name).map_err(Failure::failed)?.mtu);
        }
        Ok(Self { link, device, eal: args.eal.clone(), mtu })
    }

    /// Whether anything was given.
    pub(super) const fn is_given(&self) -> bool {
        self.link.is_some() || self.device.is_some()
    }

    /// Why `capture` cannot come over what was given; `None` where it can.
    pub(super) fn lacks(&self, capture: &Capture) -> Option<String> {
        let most = self.mtu as usize + HEADERS;
        let length = |frame: &Vec<u8>| {
            frame.len() - if frame.get(12..14) == Some(&[0x81, 0]) { TAG } else { 0 }
        };
        let longest = capture.frames.iter().map(length).max().unwrap_or(0);
        let (name, mtu) = (&capture.name, self.mtu);
        (self.is_given() && longest > most)
            .then(|| format!("{name}: a frame of {longest} bytes, and the MTU is {mtu}"))
    }

    /// What was given, in a line each.
    pub(super) fn describe(&self) -> Vec<String> {
        let driver = |name: &String| Link::find(name).map(|link| link.driver).unwrap_or_default();
        let link = self.link.iter().map(|Pair { tx, rx }| {
            format!("link {tx} ({}) to {rx} ({}), MTU {}", driver(tx), driver(rx), self.mtu)
        });
        let device = self.device.iter().map(|Pair { tx, rx }| {
            format!("device {tx} ({}) to {rx} ({}), MTU {}", bound(tx), bound(rx), self.mtu)
        });
        link.chain(device).collect()
    }
}

/// The kernel's driver that has a device on the PCI bus.
fn bound(device: &str) -> String {
    let address =
        if device.matches(':').count() == 1 { format!("0000:{device}") } else { device.to_owned() };
    let link = fs::read_link(format!("/sys/bus/pci/devices/{address}/driver")).ok();
    let name = link.as_deref().and_then(Path::file_name);
    name.map_or_else(|| "virtual".into(), |name| name.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_are_named() {
        let pair = |tx: &str, rx: &str| Pair { tx: tx.into(), rx: rx.into() };
        assert_eq!(Pair::parse("--link", "eth0,eth1").unwrap(), pair("eth0", "eth1"));
        let devices = Pair::parse("--dev", "0000:00:03.0, 0000:00:04.0").unwrap();
        assert_eq!(devices, pair("0000:00:03.0", "0000:00:04.0"));
        for bad in ["", "eth0", "eth0,", "eth0,eth0", "a,b,c"] {
            let error = Pair::parse("--link", bad).unwrap_err().to_string();
            assert!(error.contains("TX,RX"), "{error}");
        }
    }
}
