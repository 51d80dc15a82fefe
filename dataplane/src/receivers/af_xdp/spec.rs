//! What an AF_XDP receiver is asked to be, as the plan writes it.

use pfs_ebpf::XdpMode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::receivers::ReceiveError;

/// Bytes at the start of each UMEM frame that the kernel keeps for XDP programs
/// (`XDP_PACKET_HEADROOM` of `linux/bpf.h`).
#[cfg(feature = "af-xdp")]
pub(crate) const HEADROOM: u32 = 256;

/// An AF_XDP source: one interface, one UMEM and one socket for each queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AfXdpSpec {
    /// Interface to receive from; it must be up.
    pub interface: String,
    /// Receive queues to take: `"all"`, or a list of their numbers from 0.
    #[serde(default)]
    pub queues: Queues,
    /// Where the XDP program runs.
    #[serde(default)]
    pub mode: XdpMode,
    /// Whether the driver may write into the UMEM itself.
    #[serde(default)]
    pub zero_copy: ZeroCopy,
    /// UMEM frames of each queue: those of the fill ring, and those that can be on loan beside it.
    #[serde(default = "default_frames")]
    pub frames: u32,
    /// Bytes of a UMEM frame, 2048 or 4096. The first 256 are the kernel's; a packet longer than
    /// the rest takes several frames.
    #[serde(default = "default_frame_bytes")]
    pub frame_bytes: u32,
    /// Slots of the RX ring, a power of two.
    #[serde(default = "default_rx_slots")]
    pub rx_slots: u32,
    /// Slots of the fill ring, a power of two; twice the RX ring where not given. A fill ring
    /// that runs empty loses packets, so smaller is a choice, not a saving.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fill_slots: Option<u32>,
    /// What `wait` does when nothing is there.
    #[serde(default)]
    pub wait: WaitMode,
    /// Microseconds of the first nap of adaptive waiting, 1 to 1000. Longer saves processor time and
    /// adds latency; the RX ring must hold what arrives meanwhile.
    #[serde(default = "default_nap_us")]
    pub nap_us: u32,
    /// Whether to put the UMEM into 2 MiB pages where the host has free ones.
    #[serde(default = "default_huge_pages")]
    pub huge_pages: bool,
}

/// Which receive queues.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Queues {
    /// Every queue that the interface has when it is opened.
    Every(AllQueues),
    /// These, each once.
    List(Vec<u32>),
}

/// The word `all`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AllQueues {
    /// Every queue.
    #[default]
    All,
}

impl Default for Queues {
    fn default() -> Self {
        Self::Every(AllQueues::All)
    }
}

/// Whether packets may be written to the UMEM by the driver, without the kernel's copy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ZeroCopy {
    /// On a short list of drivers; a refusal falls back to copying and is noted.
    #[default]
    Auto,
    /// Zero-copy, or an error.
    Require,
    /// Always copy.
    Never,
}

/// How a thread waits for packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WaitMode {
    /// Watches the RX ring and never sleeps: lowest latency, one core burnt.
    Spin,
    /// Naps while traffic flows, so that packets gather and their senders need not wake anyone;
    /// sleeps in poll(2) once it has stopped.
    #[default]
    Adaptive,
}

const fn default_frames() -> u32 {
    12288
}
const fn default_frame_bytes() -> u32 {
    2048
}
const fn default_rx_slots() -> u32 {
    4096
}
const fn default_nap_us() -> u32 {
    50
}
const fn default_huge_pages() -> bool {
    true
}

impl AfXdpSpec {
    /// A specification with defaults for `interface`.
    #[must_use]
    pub fn new(interface: &str) -> Self {
        Self {
            interface: interface.to_owned(),
            queues: Queues::default(),
            mode: XdpMode::default(),
            zero_copy: ZeroCopy::default(),
            frames: default_frames(),
            frame_bytes: default_frame_bytes(),
            rx_slots: default_rx_slots(),
            fill_slots: None,
            wait: WaitMode::default(),
            nap_us: default_nap_us(),
            huge_pages: default_huge_pages(),
        }
    }

    /// Slots of the fill ring: as asked, or twice the RX ring.
    #[must_use]
    pub fn fill_ring(&self) -> u32 {
        self.fill_slots.unwrap_or_else(|| self.rx_slots.saturating_mul(2))
    }

    /// Refuses settings that no kernel could serve.
    ///
    /// # Errors
    /// [`ReceiveError::Unsupported`] naming the field and its range.
    pub fn check(&self) -> Result<(), ReceiveError> {
        let fill = self.fill_ring();
        let ring = |slots: u32| slots.is_power_of_two() && (2..=1 << 20).contains(&slots);
        let bad = if !ring(self.rx_slots) {
            format!("rx_slots {} is not a power of two from 2 to 1048576", self.rx_slots)
        } else if !ring(fill) {
            format!("fill_slots {fill} is not a power of two from 2 to 1048576")
        } else if ![2048, 4096].contains(&self.frame_bytes) {
            format!("frame_bytes {} is neither 2048 nor 4096", self.frame_bytes)
        } else if !(1..=1 << 22).contains(&self.frames) {
            format!("frames {} is not from 1 to 4194304", self.frames)
        } else if !(1..=1000).contains(&self.nap_us) {
            format!("nap_us {} is not from 1 to 1000", self.nap_us)
        } else {
            return Ok(());
        };
        Err(ReceiveError::Unsupported {
            what: format!("AF_XDP on {}: {bad}", self.interface),
            fix: String::new(),
        })
    }

    /// The queues asked for, of an interface that has `there`.
    ///
    /// # Errors
    /// [`ReceiveError::Unsupported`] for a queue that does not exist, a queue named twice, or
    /// an empty list.
    pub(crate) fn queue_list(&self, there: u32) -> Result<Vec<u32>, ReceiveError> {
        let Queues::List(list) = &self.queues else { return Ok((0..there).collect()) };
        let bad = |what: String, fix: String| Err(ReceiveError::Unsupported { what, fix });
        let name = &self.interface;
        if list.is_empty() {
            return bad(format!("AF_XDP on {name}: the list of queues is empty"), String::new());
        }
        if let Some(missing) = list.iter().find(|&&queue| queue >= there) {
            return bad(
                format!("{name} has no receive queue {missing}: it has {there}, counted from 0"),
                format!("list them: ethtool -l {name}"),
            );
        }
        match list.iter().enumerate().find(|(at, queue)| list[..*at].contains(queue)) {
            Some((_, twice)) => {
                bad(format!("AF_XDP on {name}: queue {twice} is listed twice"), String::new())
            }
            None => Ok(list.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_short_and_strict() {
        let spec: AfXdpSpec = serde_json::from_str(r#"{"interface": "eth0"}"#).unwrap();
        assert_eq!(spec, AfXdpSpec::new("eth0"));
        assert_eq!(spec.fill_ring(), 2 * spec.rx_slots);
        let text =
            r#"{"interface": "eth0", "queues": [0, 3], "mode": "generic", "zero_copy": "never"}"#;
        let spec: AfXdpSpec = serde_json::from_str(text).unwrap();
        assert_eq!(spec.queues, Queues::List(vec![0, 3]));
        let all: AfXdpSpec =
            serde_json::from_str(r#"{"interface": "a", "queues": "all"}"#).unwrap();
        assert_eq!(all.queues, Queues::default());
        assert!(serde_json::from_str::<AfXdpSpec>(r#"{"interface": "a", "queue": 1}"#).is_err());
        let back = serde_json::to_string(&spec).unwrap();
        assert_eq!(serde_json::from_str::<AfXdpSpec>(&back).unwrap(), spec);
    }

    #[test]
    fn bad_settings_are_named() {
        let good = AfXdpSpec::new("a");
        assert!(good.check().is_ok());
        for (bad, named) in [
            (AfXdpSpec { rx_slots: 3, ..good.clone() }, "rx_slots 3"),
            (AfXdpSpec { rx_slots: u32::MAX, ..good.clone() }, "rx_slots"),
            (AfXdpSpec { fill_slots: Some(0), ..good.clone() }, "fill_slots 0"),
            (AfXdpSpec { frame_bytes: 9000, ..good.clone() }, "frame_bytes 9000"),
            (AfXdpSpec { frames: 0, ..good.clone() }, "frames 0"),
            (AfXdpSpec { nap_us: 0, ..good.clone() }, "nap_us 0"),
        ] {
            let error = bad.check().unwrap_err().to_string();
            assert!(error.contains(named), "{error}");
        }
    }

    #[test]
    fn queues_are_held_against_the_interface() {
        let ask = |list: &[u32]| {
            let queues = Queues::List(list.to_vec());
            AfXdpSpec { queues, ..AfXdpSpec::new("eth0") }.queue_list(2)
        };
        assert_eq!(AfXdpSpec::new("a").queue_list(3).unwrap(), [0, 1, 2]);
        assert_eq!(ask(&[1, 0]).unwrap(), [1, 0]);
        let missing = ask(&[0, 2]).unwrap_err().to_string();
        assert!(missing.contains("no receive queue 2: it has 2"), "{missing}");
        assert!(ask(&[1, 1]).unwrap_err().to_string().contains("listed twice"));
        assert!(ask(&[]).is_err());
    }
}
