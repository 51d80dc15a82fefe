//! The packets of a capture, with their times.

use std::path::Path;

use pfs_rings::PageWish;

use super::Burst;
use crate::packet::{Frame, parse};
use crate::receivers::pcap::{COPY_LIMIT, CaptureFile, Packet, Reader, describe};
use crate::receivers::{BATCH, Framing, ReceiveError};

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
    /// Frames given in this round.
    given: u64,
    cut: u64,
    payload_only: bool,
    skipped: u64,
}

/// What is given of one packet: a span of the file, and when.
#[derive(Clone, Copy, Debug, Default)]
struct Piece {
    offset: u64,
    len: u32,
    stamp: u64,
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
            given: 0,
            cut: 0,
            payload_only: false,
            skipped: 0,
        })
    }

    /// Gives the payload of each frame instead of the frame, for the `udp` transmitter. Frames
    /// whose headers do not parse are skipped and counted.
    #[must_use]
    pub const fn payload_only(mut self) -> Self {
        self.payload_only = true;
        self
    }

    /// Packets of one round, found by going through the file; those before a broken record.
    #[must_use]
    pub fn packets(&self) -> u64 {
        let mut reader = self.start.clone();
        let mut packets = 0;
        while let Ok(Some(_)) = reader.next(self.file.bytes()) {
            packets += 1;
        }
        packets
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

    /// Frames skipped so far because their headers do not parse.
    #[must_use]
    pub const fn skipped(&self) -> u64 {
        self.skipped
    }

    fn next_packet(&mut self) -> Result<Option<Packet>, ReceiveError> {
        loop {
            match self.reader.next(self.file.bytes()) {
                Ok(Some(packet)) => return Ok(Some(packet)),
                Ok(None) if self.rounds > 0 && self.given > 0 => {
                    if self.rounds != u64::MAX {
                        self.rounds -= 1;
                    }
                    self.clock.round();
                    self.given = 0;
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

    /// What is given of `packet`; nothing when only its payload is wanted and cannot be told.
    fn piece(&mut self, packet: &Packet) -> Option<Piece> {
        // SAFETY: the packet was read from this view. Nothing of it is ever lent, and the slices
        // of the burst before ended with the borrow of `self`. Packets do not overlap; only in a
        // capture of fewer than 64 may one come twice in a burst, and then EtherTypes are written
        // again with the same bytes before any slice of this burst exists.
        unsafe { describe(self.file.view(), packet, 0) };
        let stamp = self.clock.stamp(packet.stamp_ns);
        let whole = Piece { offset: packet.offset, len: packet.captured, stamp };
        if !self.payload_only {
            return Some(whole);
        }
        let frame = Frame::new(self.bytes(&whole)?, 0, packet.wire);
        let payload = parse(self.framing, frame).ok()?.payload;
        Some(Piece {
            offset: packet.offset + u64::from(payload.offset),
            len: payload.len.min(packet.captured.saturating_sub(payload.offset)),
            stamp,
        })
    }

    fn bytes(&self, piece: &Piece) -> Option<&[u8]> {
        let start = self.file.view().span(piece.offset, piece.len)?;
        // SAFETY: in bounds by `span`; nobody writes while `self` is borrowed.
        Some(unsafe { std::slice::from_raw_parts(start.as_ptr(), piece.len as usize) })
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
        let mut pieces = [Piece::default(); BATCH];
        let mut count = 0;
        while count < pieces.len() {
            match self.next_packet() {
                Ok(Some(packet)) => match self.piece(&packet) {
                    Some(piece) => {
                        self.cut += u64::from(packet.captured < packet.wire);
                        self.given += 1;
                        pieces[count] = piece;
                        count += 1;
                    }
                    None => self.skipped += 1,
                },
                Ok(None) => break,
                Err(error) if count == 0 => return Err(error),
                Err(error) => {
                    self.failure = Some(error);
                    break;
                }
            }
        }
        let mut burst = Burst::default();
        for piece in &pieces[..count] {
            if let Some(bytes) = self.bytes(piece) {
                burst.push(bytes, piece.stamp);
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
