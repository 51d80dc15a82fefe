//! DPDK: frames out through a queue of a port.

use std::thread;
use std::time::{Duration, Instant};

use dpdk_sys as sys;

use super::{Transmit, TransmitCounters, TransmitError};
use crate::dpdk::{DpdkSpec, Port, TxQueue, register_thread};

/// Bytes of an Ethernet header.
const ETHERNET: usize = 14;
/// Most bytes that a tag or two, and a check sequence, add to it.
const TAGS: usize = 8;

/// How often a link that is down is looked at.
const LOOK: Duration = Duration::from_millis(10);

/// Sends through one queue of a port.
///
/// A frame that the driver took has left, as far as anybody is told here.
#[derive(Debug)]
pub struct DpdkTransmitter {
    queue: TxQueue,
    counters: TransmitCounters,
}

impl DpdkTransmitter {
    /// Opens the port of `spec`, or takes another queue of it where this process has it open.
    ///
    /// # Errors
    /// What EAL or the driver refuses, in their words, with what mends it.
    pub fn open(spec: &DpdkSpec) -> Result<Self, TransmitError> {
        let unsupported = |error: crate::receivers::ReceiveError| TransmitError::Unsupported {
            what: error.to_string(),
            fix: String::new(),
        };
        spec.check().map_err(unsupported)?;
        let queue = Port::open(spec)?.tx_queue()?;
        Ok(Self { queue, counters: TransmitCounters::default() })
    }

    /// Waits until the port's link is up, `timeout` at most; gives whether it is.
    #[must_use]
    pub fn await_link(&self, timeout: Duration) -> bool {
        let deadline = Instant::now() + timeout;
        while !self.queue.port().link().1 {
            if Instant::now() > deadline {
                return false;
            }
            thread::sleep(LOOK);
        }
        true
    }

    fn check(&self, frame: &[u8]) -> Result<(), TransmitError> {
        let port = self.queue.port();
        let mtu = usize::from(port.grant().mtu);
        let most = if mtu == 0 { usize::from(u16::MAX) } else { mtu + ETHERNET + TAGS };
        if (ETHERNET..=most).contains(&frame.len()) {
            return Ok(());
        }
        let device = &port.spec().device;
        let (what, fix) = if frame.len() < ETHERNET {
            ("is shorter than an Ethernet header (14)".to_owned(), String::new())
        } else {
            let fix = format!("set mtu={} where the device can", frame.len() - ETHERNET);
            (format!("is larger than {device} takes with its MTU of {mtu}"), fix)
        };
        Err(TransmitError::Unsupported {
            what: format!("a frame of {} bytes {what}", frame.len()),
            fix,
        })
    }
}

impl Transmit for DpdkTransmitter {
    fn send(&mut self, frames: &[&[u8]]) -> Result<usize, TransmitError> {
        if self.counters.accepted == 0 {
            register_thread();
        }
        let mut taken = 0;
        for burst in frames.chunks(usize::from(sys::BURST)) {
            let mut list = [sys::Frame { data: std::ptr::null(), len: 0 }; sys::BURST as usize];
            for (to, frame) in list.iter_mut().zip(burst) {
                self.check(frame)?;
                *to = sys::Frame { data: frame.as_ptr().cast(), len: frame.len() };
            }
            let sent = self.queue.burst(&list[..burst.len()]);
            let bytes: usize = burst[..sent].iter().map(|frame| frame.len()).sum();
            self.counters.accepted += sent as u64;
            self.counters.sent += sent as u64;
            self.counters.sent_bytes += bytes as u64;
            taken += sent;
            if sent < burst.len() {
                break;
            }
        }
        Ok(taken)
    }

    fn flush(&mut self) -> Result<(), TransmitError> {
        Ok(())
    }

    fn counters(&mut self) -> TransmitCounters {
        self.counters
    }
}
