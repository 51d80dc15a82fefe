//! One datagram: a header of 32 bytes, then payload.
//!
//! All fields are little-endian.
//!
//! | at | bytes | field |
//! |---|---|---|
//! | 0 | 4 | CRC-32C of all that follows, payload included; 0 in an encrypted frame |
//! | 4 | 2 | `0x5750`, in memory `PW` |
//! | 6 | 1 | version, 1 |
//! | 7 | 1 | bits 0–1 [`Kind`], bit 2 encrypted; others are 0 |
//! | 8 | 4 | transfer |
//! | 12 | 4 | window; in a pack that of its first body |
//! | 16 | 8 | sequence: the sender's number of this frame |
//! | 24 | 2 | fragment: this is the payload from `fragment * step` on |
//! | 26 | 2 | step: payload bytes of each fragment but the last |
//! | 28 | 4 | total: bytes of all fragments together |
//!
//! The payload's length follows from the last three, so that no two fields can disagree. Behind the
//! payload an encrypted frame has a tag of 16 bytes; what else follows is padding.

use thiserror::Error;

/// Bytes of the header.
pub const HEADER: usize = 32;
/// Bytes of the tag behind an encrypted frame's payload.
pub const TAG: usize = 16;
/// The Ethernet type of frames that travel without IP.
pub const ETHERTYPE: u16 = 0x88B5;
/// The longest window, in bytes.
pub const WINDOW_MOST: u32 = 4 << 20;
/// The shortest step of a payload of several fragments.
pub const STEP_LEAST: u16 = 512;
/// The longest step: a payload, header, tag and what is before them must fit in a datagram.
pub const STEP_MOST: u16 = 65_000;
/// The largest total: of a window that cannot be packed, with its check.
pub const TOTAL_MOST: u32 = WINDOW_MOST + 64;

const MAGIC: [u8; 2] = *b"PW";
const VERSION: u8 = 1;
const ENCRYPTED: u8 = 4;

/// What a frame's payload is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Kind {
    /// A fragment of the window's bytes as they are, followed by their 8-byte check.
    #[default]
    Direct = 0,
    /// A fragment of a window's body.
    Part = 1,
    /// Whole bodies of one window or more, each behind its window's number and its length.
    Pack = 2,
    /// Nothing to keep: tells the sender's sequence, and whether a datagram so long arrives.
    Probe = 3,
}

/// A frame's header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Header {
    /// What the payload is.
    pub kind: Kind,
    /// Whether the payload is encrypted.
    pub encrypted: bool,
    /// Whose it is; the two ends agree on it before.
    pub transfer: u32,
    /// Which window of the file.
    pub window: u32,
    /// How many frames the sender had sent for this transfer before: never twice the same.
    pub sequence: u64,
    /// Number of this fragment, from 0.
    pub fragment: u16,
    /// Payload bytes of each fragment but the last; [`STEP_LEAST`] to [`STEP_MOST`] if there are
    /// several.
    pub step: u16,
    /// Bytes of all fragments together, 1 to [`TOTAL_MOST`].
    pub total: u32,
}

/// Bytes that are no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum FrameError {
    /// Fewer bytes than a header or than the header promises.
    #[error("{have} bytes of a frame of {want}")]
    Short {
        /// Bytes there are.
        have: usize,
        /// Bytes there must be.
        want: usize,
    },
    /// Another protocol.
    #[error("no frame: it does not begin with the magic bytes")]
    Magic,
    /// Another version of this protocol.
    #[error("a frame of version {0}, this is 1: update the older end")]
    Version(u8),
    /// Flags that this version has not.
    #[error("a frame with unknown flags {0:#04x}")]
    Flags(u8),
    /// Fragment, step and total that cannot be.
    #[error("fragment {fragment} in steps of {step} is not one of {total} bytes")]
    Fragment {
        /// Which one.
        fragment: u16,
        /// Bytes of one.
        step: u16,
        /// Bytes of all.
        total: u32,
    },
    /// Bytes have changed on the way.
    #[error("the frame's checksum is wrong: bytes changed on the way")]
    Checksum,
    /// An encrypted frame that this key did not seal.
    #[error("the frame was not sealed with this transfer's key")]
    Forged,
    /// A plain frame of an encrypted transfer or the other way about.
    #[error("the transfer is {}, the frame is not", if *.0 { "encrypted" } else { "plain" })]
    Protection(bool),
}

impl Header {
    /// Number of fragments.
    #[must_use]
    #[inline]
    pub const fn fragments(&self) -> u32 {
        if self.step == 0 { 1 } else { self.total.div_ceil(self.step as u32) }
    }

    /// Where the payload begins among all fragments' bytes.
    #[must_use]
    #[inline]
    pub const fn offset(&self) -> usize {
        self.fragment as usize * self.step as usize
    }

    /// Bytes of payload, without the tag.
    #[must_use]
    #[inline]
    pub const fn payload(&self) -> usize {
        let rest = (self.total as usize).saturating_sub(self.offset());
        if rest < self.step as usize { rest } else { self.step as usize }
    }

    /// Bytes of the whole frame, header and tag included.
    #[must_use]
    #[inline]
    pub const fn frame(&self) -> usize {
        HEADER + self.payload() + if self.encrypted { TAG } else { 0 }
    }

    /// Reads the header of `frame` and checks that it can be; not yet the checksum or the tag.
    ///
    /// # Errors
    /// What is wrong with it.
    #[inline]
    pub fn parse(frame: &[u8]) -> Result<Self, FrameError> {
        let short = FrameError::Short { have: frame.len(), want: HEADER };
        let head = frame.first_chunk::<HEADER>().ok_or(short)?;
        if head[4..6] != MAGIC {
            return Err(FrameError::Magic);
        }
        if head[6] != VERSION {
            return Err(FrameError::Version(head[6]));
        }
        let flags = head[7];
        let kind = match flags & !ENCRYPTED {
            0 => Kind::Direct,
            1 => Kind::Part,
            2 => Kind::Pack,
            3 => Kind::Probe,
            _ => return Err(FrameError::Flags(flags)),
        };
        let header = Self {
            kind,
            encrypted: flags & ENCRYPTED != 0,
            transfer: u32::from_le_bytes([head[8], head[9], head[10], head[11]]),
            window: u32::from_le_bytes([head[12], head[13], head[14], head[15]]),
            sequence: u64::from_le_bytes([
                head[16], head[17], head[18], head[19], head[20], head[21], head[22], head[23],
            ]),
            fragment: u16::from_le_bytes([head[24], head[25]]),
            step: u16::from_le_bytes([head[26], head[27]]),
            total: u32::from_le_bytes([head[28], head[29], head[30], head[31]]),
        };
        if !header.is_possible() {
            let Self { fragment, step, total, .. } = header;
            return Err(FrameError::Fragment { fragment, step, total });
        }
        let want = header.frame();
        if frame.len() < want {
            return Err(FrameError::Short { have: frame.len(), want });
        }
        Ok(header)
    }

    /// Whether fragment, step and total go together.
    #[must_use]
    #[inline]
    pub const fn is_possible(&self) -> bool {
        let several = self.total > self.step as u32;
        self.total > 0
            && self.total <= TOTAL_MOST
            && self.step > 0
            && self.step <= STEP_MOST
            && (!several || self.step >= STEP_LEAST)
            && !(several && matches!(self.kind, Kind::Pack | Kind::Probe))
            && self.offset() < self.total as usize
    }

    /// Its bytes; the checksum is 0.
    #[must_use]
    pub fn bytes(&self) -> [u8; HEADER] {
        let mut head = [0; HEADER];
        head[4..6].copy_from_slice(&MAGIC);
        head[6] = VERSION;
        head[7] = self.kind as u8 | if self.encrypted { ENCRYPTED } else { 0 };
        head[8..12].copy_from_slice(&self.transfer.to_le_bytes());
        head[12..16].copy_from_slice(&self.window.to_le_bytes());
        head[16..24].copy_from_slice(&self.sequence.to_le_bytes());
        head[24..26].copy_from_slice(&self.fragment.to_le_bytes());
        head[26..28].copy_from_slice(&self.step.to_le_bytes());
        head[28..].copy_from_slice(&self.total.to_le_bytes());
        head
    }

    /// The payload of a plain frame whose header this is, after its checksum.
    ///
    /// # Errors
    /// [`FrameError::Checksum`], [`FrameError::Short`]; [`FrameError::Protection`] for an encrypted
    /// one.
    #[inline]
    pub fn plain<'a>(&self, frame: &'a [u8]) -> Result<&'a [u8], FrameError> {
        if self.encrypted {
            return Err(FrameError::Protection(false));
        }
        let want = self.frame();
        let short = FrameError::Short { have: frame.len(), want };
        let frame = frame.get(..want).ok_or(short)?;
        let (check, covered) = frame.split_first_chunk::<4>().ok_or(short)?;
        if u32::from_le_bytes(*check) != checksum(covered) {
            return Err(FrameError::Checksum);
        }
        Ok(&covered[HEADER - 4..])
    }

    /// Appends the plain frame of a payload in two parts, of the length that the header says.
    ///
    /// # Panics
    /// When it has another length.
    pub fn write_plain(&self, payload: [&[u8]; 2], out: &mut Vec<u8>) {
        let [first, second] = payload;
        let len = first.len() + second.len();
        assert_eq!(len, self.payload(), "the header says how long its payload is");
        let begin = out.len();
        out.extend_from_slice(&Self { encrypted: false, ..*self }.bytes());
        out.extend_from_slice(first);
        out.extend_from_slice(second);
        let check = checksum(&out[begin + 4..]);
        out[begin..begin + 4].copy_from_slice(&check.to_le_bytes());
    }
}

/// CRC-32C (Castagnoli).
#[inline]
fn checksum(bytes: &[u8]) -> u32 {
    crc_fast::crc32_iscsi(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        Header {
            kind: Kind::Part,
            encrypted: false,
            transfer: 0x0102_0304,
            window: 77,
            sequence: 0x1122_3344_5566_7788,
            fragment: 2,
            step: 600,
            total: 1_300,
        }
    }

    #[test]
    fn a_frame_is_these_bytes() {
        let mut frame = Vec::new();
        Header { fragment: 0, step: 3, total: 3, ..header() }
            .write_plain([b"abc", b""], &mut frame);
        let hex: String = frame.iter().map(|byte| format!("{byte:02x}")).collect();
        let want = "50570101040302014d0000008877665544332211000003000300000061626";
        assert_eq!(hex[8..], format!("{want}3"));
        assert_eq!(frame[..4], crc_fast::crc32_iscsi(&frame[4..]).to_le_bytes());
    }

    #[test]
    fn a_frame_is_read_back_whatever_follows_it() {
        let header = header();
        let mut frame = Vec::new();
        header.write_plain([&[9; 40], &[9; 60]], &mut frame);
        frame.extend_from_slice(&[0; 14]);
        let read = Header::parse(&frame).expect("whole");
        assert_eq!((read, read.fragments(), read.offset()), (header, 3, 1_200));
        assert_eq!(read.plain(&frame), Ok(&[9; 100][..]));
    }

    #[test]
    fn each_truncation_and_each_changed_byte_is_noticed() {
        let mut frame = Vec::new();
        header().write_plain([&[9; 40], &[9; 60]], &mut frame);
        for len in 0..frame.len() {
            let want = if len < HEADER { HEADER } else { frame.len() };
            let short = Err(FrameError::Short { have: len, want });
            assert_eq!(Header::parse(&frame[..len]), short, "{len}");
        }
        for at in 0..frame.len() {
            for bit in 0..8 {
                let mut bad = frame.clone();
                bad[at] ^= 1 << bit;
                let read =
                    Header::parse(&bad).and_then(|header| header.plain(&bad).map(<[u8]>::len));
                assert!(read.is_err(), "bit {bit} of byte {at}");
            }
        }
    }

    #[test]
    fn impossible_fragments_are_refused() {
        let bad = [
            Header { total: 0, fragment: 0, ..header() },
            Header { total: TOTAL_MOST + 1, ..header() },
            Header { step: 0, ..header() },
            Header { step: STEP_MOST + 1, ..header() },
            Header { step: STEP_LEAST - 1, fragment: 0, ..header() },
            Header { fragment: 3, ..header() },
            Header { fragment: u16::MAX, step: u16::MAX, ..header() },
            Header { kind: Kind::Pack, ..header() },
            Header { kind: Kind::Probe, ..header() },
        ];
        for header in bad {
            let mut bytes = header.bytes().to_vec();
            bytes.resize(70_000, 0);
            let refused = Header::parse(&bytes);
            assert!(matches!(refused, Err(FrameError::Fragment { .. })), "{header:?}");
        }
    }
}
