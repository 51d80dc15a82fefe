//! A ring of DPDK between two cores of pfs: one sends into `net_ring`, the other receives from it.
//!
//! The sender copies each frame into an mbuf of the port's pool; the receiver's thread runs the
//! program and gives the mbuf back. So the pool's free mbufs cross between the cores too.

use std::thread;
use std::time::{Duration, Instant};

use pfs_dataplane::dpdk::DpdkSpec;
use pfs_dataplane::packet::Rule;
use pfs_dataplane::receivers::dpdk::DpdkReceiver;
use pfs_dataplane::receivers::{Framing, Receiver};
use pfs_dataplane::run::{ReceiverSlot, Workers, start};
use pfs_dataplane::transmitters::Transmit;
use pfs_dataplane::transmitters::dpdk::DpdkTransmitter;

use crate::host::{run_on, two_cores};
use crate::spec::spec;

/// Bytes of a frame without its check sequence: 64 on the wire.
const FRAME: usize = 60;
/// Frames handed over at once.
const BURST: usize = 64;
/// How long what is in the ring is given to come out: a thousand times what it takes.
const REST: Duration = Duration::from_millis(100);

/// What came through.
#[derive(Clone, Copy, Debug)]
pub struct Crossed {
    /// Packets sent, and received.
    pub packets: u64,
    /// For how long.
    pub seconds: f64,
}

/// Sends frames of 64 bytes through a `net_ring` for so long, on the second core, to the program
/// `len` on the first; `eal` as in plans.
///
/// # Errors
/// What DPDK refuses, or a packet that did not come through.
pub fn run(length: Duration, eal: Option<String>) -> Result<Crossed, String> {
    let [core, sender] = two_cores();
    let port =
        DpdkSpec { eal, framing: Framing::Payload, frames: 16384, ..DpdkSpec::new("net_ring0") };
    let mut transmitter = DpdkTransmitter::open(&port).map_err(|error| error.to_string())?;
    let receivers = DpdkReceiver::open(&port).map_err(|error| error.to_string())?;
    let slots = receivers.into_iter().map(|source| ReceiverSlot {
        name: "ring".into(),
        core,
        source: Receiver::Dpdk(source),
    });
    let running = spec(slots.collect(), Rule::all("all"), "len", Workers::RunToCompletion)
        .and_then(|spec| start(spec).map_err(|error| error.to_string()))?;
    run_on(&[sender])?;
    let (frame, began) = ([0x5a; FRAME], Instant::now());
    let frames = [&frame[..]; BURST];
    while began.elapsed() < length {
        // The clock is read once for many bursts.
        for _ in 0..256 {
            transmitter.send(&frames).map_err(|error| error.to_string())?;
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    thread::sleep(REST);
    running.stop();
    let report = running.join();
    let (books, sent) = (report.books, transmitter.counters().accepted);
    let bytes = report.results.first().and_then(|rule| rule.results.get("len"));
    if books.consumed != sent || books.residual != 0 || bytes != Some(sent * FRAME as u64) {
        return Err(format!("{sent} sent, {bytes:?} bytes counted, {books:?} {:?}", report.errors));
    }
    Ok(Crossed { packets: sent, seconds })
}
