//! What `pfs tx` says when it is done.

use std::time::Duration;

use pfs_dataplane::transmitters::frames::UDP_HEADERS;
use pfs_dataplane::transmitters::pace::{Pace, WIRE_OVERHEAD};
use pfs_dataplane::transmitters::{SinkSpec, TransmitCounters};
use serde::Serialize;

use crate::failure::Failure;
use crate::out;
use crate::run::figures::{count, rate};

/// Bytes that an IPv6 header has more than an IPv4 header.
const IPV6_MORE: u64 = 20;

/// What was put out.
#[derive(Debug, Default, Serialize)]
pub(super) struct Report {
    /// Backend and where it sent to.
    to: String,
    /// What was asked for.
    pace: Pace,
    /// Frames (of `udp`, datagrams) that the kernel or the file took for good.
    frames: u64,
    /// Their bytes; of `udp`, payload alone.
    bytes: u64,
    /// Frames that the kernel refused, and those given to it whose end is not known.
    failed: u64,
    /// Frames of a capture that it holds only in part, sent as they are.
    pub(super) cut: u64,
    /// Frames of a capture whose payload cannot be told, not sent.
    pub(super) skipped: u64,
    /// Seconds from the first frame until all had left.
    elapsed_s: f64,
    packets_per_second: f64,
    /// Bits on the wire: headers, check sequence, preamble and gap counted. Of a file, its bits.
    gigabits_per_second: f64,
    /// Seconds by which the sender fell behind its pace for good.
    pub(super) behind_s: f64,
    /// Whether a signal ended it.
    pub(super) stopped: bool,
    /// What ended it early.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<String>,
    /// Bytes on the wire for each frame beside those in `bytes`.
    #[serde(skip)]
    overhead: u64,
}

/// Bytes of headers that the kernel puts before each payload.
pub(super) const fn headers(to: &SinkSpec) -> u64 {
    match to {
        SinkSpec::Udp(spec) if spec.to.is_ipv6() => UDP_HEADERS as u64 + IPV6_MORE,
        SinkSpec::Udp(_) => UDP_HEADERS as u64,
        _ => 0,
    }
}

impl Report {
    pub(super) fn new(to: &SinkSpec, pace: Pace, headers: u64) -> Self {
        let overhead = if let SinkSpec::Pcap(_) = to { 0 } else { WIRE_OVERHEAD + headers };
        let to = format!("{}:{}", to.backend(), to.target());
        Self { to, pace, overhead, ..Self::default() }
    }

    pub(super) fn sent(&mut self, counters: &TransmitCounters, elapsed: Duration) {
        self.frames = counters.sent;
        self.bytes = counters.sent_bytes;
        self.failed = counters.accepted.saturating_sub(counters.sent);
        self.elapsed_s = elapsed.as_secs_f64();
        let seconds = self.elapsed_s.max(1e-9);
        self.packets_per_second = self.frames as f64 / seconds;
        let wire = self.bytes + self.frames * self.overhead;
        self.gigabits_per_second = wire as f64 * 8e-9 / seconds;
    }

    pub(super) fn print(&self, json: bool) -> Result<(), Failure> {
        if json { out::json(self) } else { out::print(&self.text()) }
    }

    fn text(&self) -> String {
        let mut text = format!(
            "sent {} frames, {} B to {} in {:.3} s: {}, {:.3} Gbit/s\n",
            count(self.frames),
            count(self.bytes),
            self.to,
            self.elapsed_s,
            rate(self.packets_per_second, "pps"),
            self.gigabits_per_second,
        );
        if self.behind_s > 0.0 {
            text += &format!("fell {:.6} s behind its pace\n", self.behind_s);
        }
        for (what, frames) in [
            ("frames failed: the kernel refused them", self.failed),
            ("frames are cut in the capture, sent as they are", self.cut),
            ("frames skipped: their payload cannot be told", self.skipped),
        ] {
            if frames > 0 {
                text += &format!("{} {what}\n", count(frames));
            }
        }
        if self.stopped {
            text += "stopped by a signal\n";
        }
        text
    }

    pub(super) fn verdict(&self) -> Result<(), Failure> {
        match (&self.error, self.failed) {
            (Some(error), _) => Err(Failure::failed(error)),
            (None, 0) => Ok(()),
            (None, failed) => {
                Err(Failure::failed(format!("{} frames did not leave {}", count(failed), self.to)))
            }
        }
    }
}
