//! A port's settings.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use pfs_rings::PageWish;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::receivers::{Framing, ReceiveError};

/// A DPDK port: a device and how it is set up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DpdkSpec {
    /// The device: an address on the PCI bus (`0000:01:00.0`), or a virtual device by its driver
    /// and a number (`net_ring0`, `net_af_packet0`).
    pub device: String,
    /// The driver's own settings, e.g. `{"iface": "veth0"}`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub args: BTreeMap<String, DevArg>,
    /// Arguments for EAL, as on a command line. EAL starts once in a process, so all ports have
    /// the same. Absent: in memory alone, with no other device than those named here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eal: Option<String>,
    /// Receive queues; a thread reads each.
    #[serde(default = "one")]
    pub queues: u16,
    /// Descriptors of each receive queue.
    #[serde(default = "default_slots")]
    pub rx_slots: u16,
    /// Descriptors of each transmit queue.
    #[serde(default = "default_slots")]
    pub tx_slots: u16,
    /// Mbufs of the port: those on loan, those in its queues, and those on their way out.
    #[serde(default = "default_frames")]
    pub frames: u32,
    /// Bytes of a frame that one mbuf holds; a longer one takes several.
    #[serde(default = "default_frame_bytes")]
    pub frame_bytes: u16,
    /// Largest frame without its Ethernet header; absent: as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u16>,
    /// Whether to take frames for other addresses.
    #[serde(default)]
    pub promiscuous: bool,
    /// Whether the device takes VLAN tags out. Rules then see no tag.
    #[serde(default)]
    pub vlan_strip: bool,
    /// How frames begin.
    #[serde(default = "ethernet")]
    pub framing: Framing,
    /// Pages that the mbufs lie in. A PCI device needs huge ones.
    #[serde(default)]
    pub pages: PageWish,
}

/// The value of a driver's setting.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum DevArg {
    /// A number.
    Number(i64),
    /// Text.
    Text(String),
}

impl fmt::Display for DevArg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Text(text) => f.write_str(text),
        }
    }
}

const fn one() -> u16 {
    1
}

const fn default_slots() -> u16 {
    1024
}

const fn default_frames() -> u32 {
    8192
}

const fn default_frame_bytes() -> u16 {
    2048
}

const fn ethernet() -> Framing {
    Framing::Ethernet
}

impl DpdkSpec {
    /// The defaults for `device`.
    #[must_use]
    pub fn new(device: &str) -> Self {
        Self {
            device: device.to_owned(),
            args: BTreeMap::new(),
            eal: None,
            queues: one(),
            rx_slots: default_slots(),
            tx_slots: default_slots(),
            frames: default_frames(),
            frame_bytes: default_frame_bytes(),
            mtu: None,
            promiscuous: false,
            vlan_strip: false,
            framing: ethernet(),
            pages: PageWish::default(),
        }
    }

    /// Reads DPDK's own way to name a device, `net_af_packet0,iface=veth0`; a setting without a
    /// value stands for 1.
    #[must_use]
    pub fn from_devargs(text: &str) -> Self {
        let mut words = text.split(',');
        let mut spec = Self::new(words.next().unwrap_or_default().trim());
        for word in words.map(str::trim).filter(|word| !word.is_empty()) {
            let (key, value) = word.split_once('=').unwrap_or((word, "1"));
            spec.args.insert(key.to_owned(), DevArg::Text(value.to_owned()));
        }
        spec
    }

    /// The device with its settings as DPDK reads them.
    #[must_use]
    pub fn devargs(&self) -> String {
        let mut text = self.device.clone();
        for (key, value) in &self.args {
            let _ = write!(text, ",{key}={value}");
        }
        text
    }

    /// Whether the device is on the PCI bus.
    #[must_use]
    pub fn is_pci(&self) -> bool {
        let hex = |text: &str, len: usize| {
            text.len() == len && text.bytes().all(|byte| byte.is_ascii_hexdigit())
        };
        let (domain, rest) = match self.device.matches(':').count() {
            2 => self.device.split_once(':').unwrap_or_default(),
            _ => ("0000", self.device.as_str()),
        };
        let (bus, slot) = rest.split_once(':').unwrap_or_default();
        let (slot, function) = slot.split_once('.').unwrap_or_default();
        hex(domain, 4) && hex(bus, 2) && hex(slot, 2) && hex(function, 1)
    }

    /// Refuses settings that no port could have.
    ///
    /// # Errors
    /// [`ReceiveError::Unsupported`] naming the field and its range.
    pub fn check(&self) -> Result<(), ReceiveError> {
        let name = |byte: u8| byte.is_ascii_graphic() && !b",=".contains(&byte);
        let least = u32::from(self.queues) * (u32::from(self.rx_slots) + u32::from(self.tx_slots));
        let bad = if self.device.is_empty() || !self.device.bytes().all(name) {
            "no device of that name can be; name a driver and a number, or a PCI address".into()
        } else if let Some(arg) = self.bad_arg() {
            format!("args.{arg} has a character that DPDK would read as the next setting")
        } else if !(1..=1024).contains(&self.queues) {
            format!("queues {} is not from 1 to 1024", self.queues)
        } else if self.rx_slots == 0 || self.tx_slots == 0 {
            "a queue has at least one slot".into()
        } else if !(512..=16_384).contains(&self.frame_bytes) {
            format!("frame_bytes {} is not from 512 to 16384", self.frame_bytes)
        } else if self.frames <= least || self.frames > 1 << 22 {
            format!(
                "frames {} is not from {} (its queues hold {least}) to 4194304",
                self.frames,
                least + 1
            )
        } else {
            return Ok(());
        };
        Err(ReceiveError::Unsupported {
            what: format!("DPDK device {:?}: {bad}", self.device),
            fix: String::new(),
        })
    }

    fn bad_arg(&self) -> Option<&String> {
        let bad = |text: &str| text.contains([',', '\0']);
        let wrong = |(key, value): &(&String, &DevArg)| {
            bad(key) || key.contains('=') || bad(&value.to_string())
        };
        self.args.iter().find(wrong).map(|(key, _)| key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_short_and_strict() {
        let spec: DpdkSpec = serde_json::from_str(r#"{"device": "net_null0"}"#).unwrap();
        assert_eq!(spec, DpdkSpec::new("net_null0"));
        let text = r#"{"device": "net_af_packet0", "args": {"iface": "veth0", "qpairs": 2}}"#;
        let spec: DpdkSpec = serde_json::from_str(text).unwrap();
        assert_eq!(spec.devargs(), "net_af_packet0,iface=veth0,qpairs=2");
        assert!(serde_json::from_str::<DpdkSpec>(r#"{"device": "a", "queue": 1}"#).is_err());
        let back = serde_json::to_string(&spec).unwrap();
        assert_eq!(serde_json::from_str::<DpdkSpec>(&back).unwrap(), spec);
    }

    #[test]
    fn devargs_are_read_and_written() {
        let text = "net_pcap0,rx_pcap=/tmp/a=b.pcap,infinite_rx=1";
        let spec = DpdkSpec::from_devargs(text);
        assert_eq!(spec.device, "net_pcap0");
        assert_eq!(spec.devargs(), "net_pcap0,infinite_rx=1,rx_pcap=/tmp/a=b.pcap");
        assert_eq!(DpdkSpec::from_devargs("net_null0,copy").devargs(), "net_null0,copy=1");
    }

    #[test]
    fn pci_addresses_are_told_from_drivers() {
        for (device, pci) in [
            ("0000:01:00.0", true),
            ("01:00.0", true),
            ("net_ring0", false),
            ("0000:01:00", false),
            ("0000:0g:00.0", false),
            ("", false),
            ("é:1:0.0", false),
        ] {
            assert_eq!(DpdkSpec::new(device).is_pci(), pci, "{device}");
        }
    }

    #[test]
    fn bad_settings_are_named() {
        let good = DpdkSpec::new("net_null0");
        assert!(good.check().is_ok());
        let arg = |value: &str| {
            let mut spec = good.clone();
            spec.args.insert("iface".into(), DevArg::Text(value.into()));
            spec
        };
        for (bad, named) in [
            (DpdkSpec::new(""), "no device"),
            (DpdkSpec::new("net null"), "no device"),
            (DpdkSpec::new("net_null0,x=1"), "no device"),
            (arg("a,b=1"), "args.iface"),
            (DpdkSpec { queues: 0, ..good.clone() }, "queues 0"),
            (DpdkSpec { rx_slots: 0, ..good.clone() }, "slot"),
            (DpdkSpec { frame_bytes: 100, ..good.clone() }, "frame_bytes 100"),
            (DpdkSpec { frames: 2048, ..good.clone() }, "from 2049"),
            (DpdkSpec { frames: u32::MAX, ..good.clone() }, "frames 4294967295"),
        ] {
            let error = bad.check().unwrap_err().to_string();
            assert!(error.contains(named), "{error}");
        }
    }
}
