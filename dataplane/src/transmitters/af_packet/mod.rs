//! AF_PACKET: frames out through a packet socket's transmit ring.
//!
//! Needs `CAP_NET_RAW` to open and nothing afterwards.

mod ring;
mod spec;
#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use libc::tpacket_req;
use nix::errno::Errno;

pub use spec::AfPacketTxSpec;

use self::ring::{Slot, SlotRing};
use self::spec::{ETHERNET, Layout, TAG};
use super::{Transmit, TransmitCounters, TransmitError};
use crate::link::{Link, LinkError};
use crate::packet_socket::{CallError, PacketSocket};
use crate::receivers::Framing;

/// How long `flush` waits for the kernel to take or finish one more frame.
const STALL: Duration = Duration::from_secs(2);
/// Longest single wait inside a flush, in microseconds.
const SEND_WAIT_US: i64 = 50_000;

/// A packet socket with a transmit ring; the backend `af_packet`.
///
/// [`Transmit::send`] copies frames into the ring and makes the kernel send, once per call. A
/// frame that the driver has no room for stays in the ring and is tried again by the next call.
/// What the driver itself or the far end drops later is not known here.
#[derive(Debug)]
pub struct AfPacketTransmitter {
    socket: PacketSocket,
    ring: SlotRing,
    index: u32,
    mtu: u32,
    counters: TransmitCounters,
}

impl AfPacketTransmitter {
    /// Opens a socket with a transmit ring on the interface.
    ///
    /// # Errors
    /// Interface missing or down, a setting that cannot be, no `CAP_NET_RAW`, no memory for
    /// the ring.
    pub fn open(spec: &AfPacketTxSpec) -> Result<Self, TransmitError> {
        let link = Link::find_up(&spec.interface)?;
        if link.framing != Some(Framing::Ethernet) {
            return Err(TransmitError::Unsupported {
                what: format!("{} does not carry Ethernet frames", link.name),
                fix: "name another interface: ip -br link".to_owned(),
            });
        }
        let layout = Layout::of(spec, &link)?;
        let socket = PacketSocket::open(&spec.interface)?;
        let version = libc::tpacket_versions::TPACKET_V2 as i32;
        socket.set(libc::SOL_PACKET, libc::PACKET_VERSION, &version, "choosing TPACKET_V2")?;
        if spec.qdisc_bypass {
            let what = "bypassing the queueing discipline";
            socket.set(libc::SOL_PACKET, libc::PACKET_QDISC_BYPASS, &1i32, what)?;
        }
        let wait = libc::timeval { tv_sec: 0, tv_usec: SEND_WAIT_US };
        socket.set(libc::SOL_SOCKET, libc::SO_SNDTIMEO, &wait, "limiting waits")?;
        let request = tpacket_req {
            tp_block_size: layout.block_bytes as u32,
            tp_block_nr: (layout.ring_bytes() / layout.block_bytes) as u32,
            tp_frame_size: layout.slot_bytes as u32,
            tp_frame_nr: layout.slots as u32,
        };
        let what = format!("making a transmit ring of {} bytes", layout.ring_bytes());
        socket.set(libc::SOL_PACKET, libc::PACKET_TX_RING, &request, &what)?;
        let (map, _) = socket.map(layout.ring_bytes())?;
        // Of no protocol: this socket receives nothing.
        socket.bind(&link, 0)?;
        Ok(Self {
            socket,
            ring: SlotRing::new(map, layout),
            index: link.index,
            mtu: link.mtu,
            counters: TransmitCounters::default(),
        })
    }

    fn check(&self, frame: &[u8]) -> Result<(), TransmitError> {
        let mtu = self.mtu as usize;
        let tagged = frame.get(12..14) == Some(&[0x81, 0x00]);
        let most = ETHERNET + mtu + if tagged { TAG } else { 0 };
        if (ETHERNET..=most).contains(&frame.len()) {
            return Ok(());
        }
        let name = self.socket.interface();
        let (what, fix) = if frame.len() < ETHERNET {
            ("is shorter than an Ethernet header (14)".to_owned(), String::new())
        } else {
            let fix = format!("ip link set dev {name} mtu {}, and open it again", frame.len() - 14);
            (format!("is larger than {name} takes ({most} with its MTU of {mtu})"), fix)
        };
        let what = format!("a frame of {} bytes {what}", frame.len());
        Err(TransmitError::Unsupported { what, fix })
    }

    /// Takes back the slots of frames that have left, and of those that never will.
    fn reap(&mut self) {
        while !self.ring.is_empty() {
            match self.ring.oldest() {
                Slot::Queued => return,
                Slot::Sent => {
                    self.counters.sent_bytes += u64::from(self.ring.retire());
                    self.counters.sent += 1;
                }
                Slot::Refused => {
                    self.ring.remove_refused();
                    self.counters.failed += 1;
                }
            }
        }
    }

    /// Makes the kernel send what is in the ring, with `MSG_DONTWAIT` or, with 0, waiting a
    /// while for the driver.
    fn kick(&mut self, flags: i32) -> Result<(), TransmitError> {
        let (fd, none) = (self.socket.fd(), std::ptr::null());
        // SAFETY: the message is empty: with a ring, the kernel takes the frames from there.
        let sent = Errno::result(unsafe { libc::sendto(fd, none, 0, flags, std::ptr::null(), 0) });
        match sent {
            // EMSGSIZE, EINVAL: the oldest unsent frame was refused (the MTU has shrunk since it
            // was queued); `reap` finds it. The others: no room now, try again.
            Ok(_)
            | Err(
                Errno::EAGAIN
                | Errno::ENOBUFS
                | Errno::EINTR
                | Errno::ETIMEDOUT
                | Errno::EMSGSIZE
                | Errno::EINVAL,
            ) => Ok(()),
            Err(errno @ (Errno::ENETDOWN | Errno::ENXIO | Errno::ENODEV)) => {
                let error = self.socket.look_at(self.index).err();
                let name = self.socket.interface().to_owned();
                // It may be back by now; what failed has failed all the same.
                let error = error.unwrap_or(match errno {
                    Errno::ENETDOWN => LinkError::Down(name),
                    _ => LinkError::Missing(name),
                });
                Err(error.into())
            }
            Err(errno) => {
                let doing = format!("sending on {}", self.socket.interface());
                Err(CallError::new(doing, errno, "").into())
            }
        }
    }
}

impl Transmit for AfPacketTransmitter {
    fn send(&mut self, frames: &[&[u8]]) -> Result<usize, TransmitError> {
        self.reap();
        let mut taken = 0;
        for frame in frames {
            if let Err(error) = self.check(frame) {
                self.kick(libc::MSG_DONTWAIT)?;
                return Err(error);
            }
            if self.ring.is_full() {
                self.kick(libc::MSG_DONTWAIT)?;
                self.reap();
                if self.ring.is_full() {
                    return Ok(taken);
                }
            }
            self.ring.push(frame);
            self.counters.accepted += 1;
            taken += 1;
        }
        if taken > 0 {
            self.kick(libc::MSG_DONTWAIT)?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> Result<(), TransmitError> {
        let mut progress = Instant::now();
        self.reap();
        while !self.ring.is_empty() {
            let before = self.counters;
            self.kick(0)?;
            self.reap();
            if self.counters != before {
                progress = Instant::now();
            } else if progress.elapsed() > STALL {
                let name = self.socket.interface();
                let source = std::io::Error::from(std::io::ErrorKind::TimedOut);
                let fix = format!("see whether the link has carrier: ip link show dev {name}");
                let doing = format!("waiting for {name} to send");
                return Err(CallError::new(doing, source, fix).into());
            } else {
                // With ENOBUFS the kernel comes back at once: leave the driver time.
                std::thread::sleep(Duration::from_micros(100));
            }
        }
        Ok(())
    }

    fn counters(&mut self) -> TransmitCounters {
        self.reap();
        self.counters
    }
}
