//! TCP streams in order only (RFC 9293 §3.4): what a segment adds, and what is missing before it.
//!
//! Nothing is kept to be put in its place later. A segment that comes before an earlier one shows
//! as a gap; the earlier one, when it comes, shows as a retransmission and is dropped.

/// Sequence numbers further back than any window reaches are another connection's.
const FARTHEST_BACK: u32 = 1 << 30;

const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;

/// What of a segment's header decides about its payload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpHeader {
    /// Sequence number of the first byte; with `syn`, of the byte before it.
    pub sequence: u32,
    /// Opens the connection.
    pub syn: bool,
    /// The sender sends no more after it.
    pub fin: bool,
    /// Ends the connection at once.
    pub rst: bool,
}

impl TcpHeader {
    /// Reads the header at the front of `bytes`; `None` when it is cut.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let [_, _, _, _, s0, s1, s2, s3, _, _, _, _, _, flags] = *bytes.first_chunk::<14>()?;
        Some(Self {
            sequence: u32::from_be_bytes([s0, s1, s2, s3]),
            syn: flags & SYN != 0,
            fin: flags & FIN != 0,
            rst: flags & RST != 0,
        })
    }
}

/// How far a TCP stream has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpTrack {
    /// Sequence number of the next byte.
    next: u32,
    state: State,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// Nothing seen yet.
    #[default]
    New,
    /// Bytes are expected.
    Open,
    /// A FIN or RST came; only what was there before, or a new connection, can follow.
    Closed,
}

/// What is to be done with a segment, in the order of the fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpAdvance {
    /// What was before ends here: bytes are missing, or another connection begins.
    pub cut: bool,
    /// Bytes missing before this segment; 0 where their number is not known.
    pub gap: Option<u32>,
    /// Payload bytes at the segment's front that the stream has already.
    pub repeated: u32,
    /// The stream ends after the segment's remaining payload.
    pub ends: bool,
}

impl TcpTrack {
    /// Takes a segment with `len` bytes of payload.
    pub fn advance(&mut self, header: &TcpHeader, len: u32) -> TcpAdvance {
        let mut step = TcpAdvance::default();
        let first = header.sequence.wrapping_add(u32::from(header.syn));
        let behind = self.next.wrapping_sub(first);
        // A SYN that comes twice announces what is there already.
        let anew = header.syn && (self.state != State::Open || behind != 0);
        if self.state == State::New || anew {
            step.cut = self.state != State::New;
            self.next = first;
            self.state = State::Open;
        } else if behind == 0 {
            // In order: the common case.
        } else if behind <= FARTHEST_BACK {
            step.repeated = behind.min(len);
        } else if len > 0 || header.fin {
            let ahead = behind.wrapping_neg();
            step.cut = true;
            step.gap = Some(if ahead <= FARTHEST_BACK { ahead } else { 0 });
            self.next = first;
            self.state = State::Open;
        }
        self.next = self.next.wrapping_add(len - step.repeated);
        if header.fin || header.rst {
            step.ends = self.state == State::Open;
            self.state = State::Closed;
        } else if self.state == State::Closed && len > step.repeated {
            // Data after the end in sequence: the end was a stray one.
            self.state = State::Open;
        }
        step
    }

    /// Forgets everything.
    pub fn reset(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(sequence: u32) -> TcpHeader {
        TcpHeader { sequence, ..TcpHeader::default() }
    }

    #[test]
    fn bytes_in_order_go_through_also_where_numbers_wrap() {
        let mut track = TcpTrack::default();
        let syn = TcpHeader { syn: true, ..at(u32::MAX - 10) };
        assert_eq!(track.advance(&syn, 0), TcpAdvance::default());
        assert_eq!(track.advance(&syn, 0), TcpAdvance::default(), "a SYN that comes twice");
        assert_eq!(track.advance(&at(u32::MAX - 9), 100), TcpAdvance::default());
        let fin = TcpHeader { fin: true, ..at(90) };
        assert_eq!(track.advance(&fin, 5), TcpAdvance { ends: true, ..TcpAdvance::default() });
    }

    #[test]
    fn what_came_before_is_dropped_and_what_is_new_behind_it_is_not() {
        let mut track = TcpTrack::default();
        track.advance(&at(1000), 100);
        let repeated = |repeated| TcpAdvance { repeated, ..TcpAdvance::default() };
        assert_eq!(track.advance(&at(1000), 100), repeated(100));
        assert_eq!(track.advance(&at(1050), 80), repeated(50));
        assert_eq!(track.advance(&at(1129), 1), repeated(1), "a keep-alive");
        assert_eq!(track.advance(&at(1130), 10), repeated(0));
    }

    #[test]
    fn missing_bytes_cut_and_late_ones_are_dropped() {
        let mut track = TcpTrack::default();
        track.advance(&at(1000), 100);
        let gap = TcpAdvance { cut: true, gap: Some(50), ..TcpAdvance::default() };
        assert_eq!(track.advance(&at(1150), 10), gap);
        let late = TcpAdvance { repeated: 50, ..TcpAdvance::default() };
        assert_eq!(track.advance(&at(1100), 50), late);
        assert_eq!(track.advance(&at(1160), 1), TcpAdvance::default());
        let elsewhere = TcpAdvance { cut: true, gap: Some(0), ..TcpAdvance::default() };
        assert_eq!(track.advance(&at(1161u32.wrapping_sub((1 << 30) + 1)), 1), elsewhere);
        assert_eq!(track.advance(&at(7), 0), TcpAdvance::default(), "a bare ACK tells nothing");
    }

    #[test]
    fn after_the_end_old_bytes_are_dropped_and_a_new_connection_begins() {
        let mut track = TcpTrack::default();
        track.advance(&at(10), 5);
        assert!(track.advance(&TcpHeader { fin: true, ..at(15) }, 5).ends);
        let again = track.advance(&TcpHeader { fin: true, ..at(15) }, 5);
        assert_eq!(again, TcpAdvance { repeated: 5, ..TcpAdvance::default() });
        let syn = TcpHeader { syn: true, ..at(9000) };
        assert_eq!(track.advance(&syn, 0), TcpAdvance { cut: true, ..TcpAdvance::default() });
        assert_eq!(track.advance(&at(9001), 5), TcpAdvance::default());
        assert!(track.advance(&TcpHeader { rst: true, ..at(9006) }, 0).ends);
    }

    #[test]
    fn a_cut_header_is_none() {
        assert_eq!(TcpHeader::read(&[0; 13]), None);
        let mut bytes = [0; 14];
        bytes[4..8].copy_from_slice(&[1, 2, 3, 4]);
        bytes[13] = SYN | RST;
        let read = TcpHeader { sequence: 0x0102_0304, syn: true, rst: true, fin: false };
        assert_eq!(TcpHeader::read(&bytes), Some(read));
    }
}
