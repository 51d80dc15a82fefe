//! The packets of a capture, with their times.

use std::path::Path;

use pfs_rings::PageWish;

use super::Burst;
use crate::receivers::pcap::{COPY_LIMIT, CaptureFile, Packet, Reader, describe};
use crate::receivers::{Framing, ReceiveError};

/// Most time between two rounds of a capture, when the capture itself says nothing: one second.
const GAP_NS: u64 = 1_000_000_000;

/// Reads a capture to send it.
#[derive(Debug)]
pub struct CaptureFrames {
    file: CaptureFile,
    start: Reader,
    reader: Reader,
    framing: Framing,
    /// Rounds still to begin; `u64::MAX` is never counted down.
    rounds: u64,
    failure: Option<ReceiveError>,
    clock: Replay,
    cut: u64,
}

/// Turns a capture's times into nanoseconds since the first packet, over all rounds.
#[derive(Debug, Default)]
struct Replay {
    first: Option<u64>,
    last: u64,
    packets: u64,
    base: u64,
}

impl Replay {
    fn stamp(&mut self, stamp: Option<u64>) -> u64 {
        self.packets += 1;
        if let Some(stamp) = stamp {
            let first = *self.first.get_or_insert(stamp);
            // Times that go back are sent at once.
            self.last = self.last.max(stamp.saturating_sub(first));
        }
        self.base + self.last
    }

    /// The next round follows after the mean gap of this one.
    fn round(&mut self) {
        let gap = self.last.checked_div(self.packets.saturating_sub(1)).unwrap_or(0).min(GAP_NS);
        *self = Self { base: self.base + self.last + gap, ..Self::default() };
    }
}

impl CaptureFrames {
    /// Opens the capture at `path`, to be given `loops` times; 0: without end.
    ///
    /// # Errors
    /// When it cannot be read or is no capture.
    pub fn open(path: &Path, loops: u64) -> Result<Self, ReceiveError> {
        let file = CaptureFile::open(path, PageWish::default(), COPY_LIMIT)?;
        let start = Reader::open(file.bytes()).map_err(|error| file.error(error))?;
        let framing = match start.clone().next(file.bytes()) {
            Ok(Some(packet)) => packet.link.framing(),
            Ok(None) | Err(_) => Framing::Ethernet,
        };
        Ok(Self {
            reader: start.clone(),
            start,
            file,
            framing,
            rounds: if loops == 0 { u64::MAX } else { loops - 1 },
            failure: None,
            clock: Replay::default(),
            cut: 0,
        })
    }

    /// How the frames begin: only Ethernet can be sent on a link as it is.
    #[must_use]
    pub const fn framing(&self) -> Framing {
        self.framing
    }

    /// Frames given so far that the capture holds only in part: they are sent as they are.
    #[must_use]
    pub const fn cut(&self) -> u64 {
        self.cut
    }

    fn next_packet(&mut self) -> Result<Option<Packet>, ReceiveError> {
        loop {
            match self.reader.next(self.file.bytes()) {
                Ok(Some(packet)) => return Ok(Some(packet)),
                Ok(None) if self.rounds > 0 && self.clock.packets > 0 => {
                    if self.rounds != u64::MAX {
                        self.rounds -= 1;
                    }
                    self.clock.round();
                    self.reader = self.start.clone();
                }
                Ok(None) => return Ok(None),
                Err(error) => {
                    self.rounds = 0;
                    return Err(self.file.error(error));
                }
            }
        }
    }

    /// The next frames; an empty burst at the end.
    ///
    /// # Errors
    /// When the capture is cut or corrupt; the frames before that were given.
    pub fn next_burst(&mut self) -> Result<Burst<'_>, ReceiveError> {
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        self.file.check()?;
        let mut packets = [const { None }; crate::receivers::BATCH];
        let mut count = 0;
        while count < packets.len() {
            match self.next_packet() {
                Ok(Some(packet)) => {
                    packets[count] = Some((packet, self.clock.stamp(packet.stamp_ns)));
                    count += 1;
                }
                Ok(None) => break,
                Err(error) if count == 0 => return Err(error),
                Err(error) => {
                    self.failure = Some(error);
                    break;
                }
            }
        }
        let mut burst = Burst::default();
        for (packet, _) in packets.iter().take(count).flatten() {
            self.cut += u64::from(packet.captured < packet.wire);
            // SAFETY: the packet was read from this view. Nothing of it is ever lent, and the
            // slices of the burst before ended with the borrow of `self`. Packets do not overlap;
            // only in a capture of fewer than 64 may one come twice, and then EtherTypes are
            // written again with the same bytes before any slice of this burst exists.
            unsafe { describe(self.file.view(), packet, 0) };
        }
        for (packet, stamp) in packets.iter().take(count).flatten() {
            if let Some(start) = self.file.view().span(packet.offset, packet.captured) {
                // SAFETY: in bounds by `span`; nobody writes while `self` is borrowed.
                let frame =
                    unsafe { std::slice::from_raw_parts(start.as_ptr(), packet.captured as usize) };
                burst.push(frame, *stamp);
            }
        }
        Ok(burst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_follow_each_other_in_time() {
        let mut clock = Replay::default();
        let stamps: Vec<_> = [1_000, 1_200, 1_100, 1_600].map(|ns| clock.stamp(Some(ns))).into();
        assert_eq!(stamps, [0, 200, 200, 600]);
        clock.round();
        assert_eq!(clock.stamp(Some(1_000)), 800);
        assert_eq!(clock.stamp(Some(1_600)), 1_400);
    }
}
