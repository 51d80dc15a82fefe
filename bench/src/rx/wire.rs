//! The link that is measured over: a veth pair between two namespaces of its own, or two
//! interfaces that are there.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

use nix::sched::{CloneFlags, setns};
use pfs_dataplane::link::Link;
use pfs_dataplane::netns::{NetNs, VethOptions, ip};
use pfs_dataplane::transmitters::frames::Mac;

/// The sender's end of a pair that is made.
const FROM: &str = "a0";
/// The receiver's end.
const TO: &str = "b0";
/// Addresses of the two ends of a pair that is made (the benchmark network of RFC 2544).
pub(super) const FROM_ADDRESS: &str = "198.18.0.1";
pub(super) const TO_ADDRESS: &str = "198.18.0.2";

/// Both ends of the link. The calling thread is at the sender's end.
#[derive(Debug)]
pub(super) struct Wire {
    /// The sender's interface.
    pub(super) from: String,
    /// The receiver's.
    pub(super) to: String,
    /// The receiver's hardware address.
    pub(super) to_mac: Mac,
    /// Of a pair that was made, its namespaces.
    made: Option<Namespaces>,
}

/// Left in the order of the fields: the sender's first, which was entered last.
#[derive(Debug)]
struct Namespaces {
    _sender: NetNs,
    _receiver: NetNs,
    sender: File,
    receiver: File,
}

impl Wire {
    /// Makes a pair of links of `mtu` between two fresh namespaces. Both go with the value, and
    /// with the process.
    ///
    /// # Errors
    /// Without root, or without `ip`.
    pub(super) fn make(mtu: u32) -> Result<Self, String> {
        let text = |error: pfs_dataplane::netns::NetNsError| error.to_string();
        let of_thread = || File::open("/proc/thread-self/ns/net").map_err(|e| e.to_string());
        let receiver_home = NetNs::enter().map_err(text)?;
        let receiver = of_thread()?;
        receiver_home
            .veth_pair(TO, FROM, VethOptions { mtu, ..VethOptions::default() })
            .map_err(text)?;
        ip(&format!("address add {TO_ADDRESS}/24 dev {TO}")).map_err(text)?;
        let to_mac = Mac(Link::find(TO).map_err(|error| error.to_string())?.mac);
        let sender_home = NetNs::enter().map_err(text)?;
        let sender = of_thread()?;
        let namespaces =
            Namespaces { _sender: sender_home, _receiver: receiver_home, sender, receiver };
        let there = format!("/proc/{}/fd/{}", std::process::id(), namespaces.sender.as_raw_fd());
        namespaces
            .at_receiver(|| ip(&format!("link set dev {FROM} netns {there}")))
            .map_err(text)?;
        ip(&format!("link set dev {FROM} up")).map_err(text)?;
        let wire = Self { from: FROM.into(), to: TO.into(), to_mac, made: Some(namespaces) };
        wire.wait_until_running()?;
        Ok(wire)
    }

    /// Takes two interfaces as they are; what is sent on `from` is to arrive at `to`.
    ///
    /// # Errors
    /// When one is missing or down, or both are one.
    pub(super) fn given(from: &str, to: &str) -> Result<Self, String> {
        if from == to {
            return Err(format!(
                "{from} is both ends; name the interface that it is wired to with --peer-iface"
            ));
        }
        let find = |name: &str| Link::find_up(name).map_err(|error| error.to_string());
        let (_, peer) = (find(from)?, find(to)?);
        let to_mac = Mac(peer.mac);
        let wire = Self { from: from.to_owned(), to: to.to_owned(), to_mac, made: None };
        wire.wait_until_running()?;
        Ok(wire)
    }

    /// Whether the pair was made here, and the kernel answers to [`TO_ADDRESS`].
    pub(super) const fn is_made(&self) -> bool {
        self.made.is_some()
    }

    /// Does `work` where the receiver's interface is.
    pub(super) fn at_receiver<T>(&self, work: impl FnOnce() -> T) -> T {
        match &self.made {
            Some(namespaces) => namespaces.at_receiver(work),
            None => work(),
        }
    }

    /// Until both ends have a carrier: until then a queueing discipline may drop what is sent.
    fn wait_until_running(&self) -> Result<(), String> {
        use std::thread::sleep;
        use std::time::{Duration, Instant};
        let deadline = Instant::now() + Duration::from_secs(5);
        loop {
            let running = |name: &str| Link::find(name).is_ok_and(|link| link.running);
            if running(&self.from) && self.at_receiver(|| running(&self.to)) {
                return Ok(());
            }
            if Instant::now() >= deadline {
                return Err(format!(
                    "{} and {} have no carrier; see: ip -br link",
                    self.from, self.to
                ));
            }
            sleep(Duration::from_millis(2));
        }
    }
}

impl Namespaces {
    fn at_receiver<T>(&self, work: impl FnOnce() -> T) -> T {
        let enter =
            |namespace: &File| setns(namespace, CloneFlags::CLONE_NEWNET).map_err(io::Error::from);
        // The thread has been in both, as root; the kernel has no reason to refuse now. Were it to,
        // what follows would be measured on no link at all: better to stop here.
        enter(&self.receiver).expect("a namespace that this thread made");
        let done = work();
        enter(&self.sender).expect("a namespace that this thread made");
        done
    }
}
