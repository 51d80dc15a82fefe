//! Reads pcap and pcapng: one record at a time, forward only, nothing copied but headers.
//!
//! Formats: draft-ietf-opsawg-pcap and draft-ietf-opsawg-pcapng. Both byte orders, microseconds,
//! nanoseconds and any `if_tsresol`; several sections and interfaces.

use thiserror::Error;

use super::bytes::{Bytes, Order};
use super::classic::Classic;
use super::link::Link;
use super::ng::Ng;

/// Largest packet that is believed when a file states no snapshot length, or a smaller one:
/// libpcap's limit for Ethernet.
pub(super) const MAX_PACKET: u32 = 262_144;

/// One packet of a capture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Offset in the file of the frame's first byte, link pseudo-headers passed.
    pub offset: u64,
    /// Bytes that the file holds of it.
    pub captured: u32,
    /// Bytes that it had on the wire, at least `captured`.
    pub wire: u32,
    /// Nanoseconds since 1970, when the file says.
    pub stamp_ns: Option<u64>,
    /// How the frame begins.
    pub link: Link,
    /// EtherType that belongs at byte 12 of the frame, and is not there yet. Only for
    /// [`Link::Sll2`], which keeps it elsewhere.
    pub ether_type: Option<[u8; 2]>,
}

/// What is wrong with a capture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Fault {
    /// Neither format's magic number.
    #[error("not a pcap or pcapng capture: it begins with {0:02x?}")]
    Magic([u8; 4]),
    /// A packed file.
    #[error("packed with {0}")]
    Packed(&'static str),
    /// A version whose layout is not known.
    #[error("version {0}.{1} of the format is not known")]
    Version(u16, u16),
    /// The file ends inside something.
    #[error("truncated: the {what} needs {need} bytes, {have} are left")]
    Cut {
        /// What was being read.
        what: &'static str,
        /// Bytes that it takes.
        need: u64,
        /// Bytes that the file still has.
        have: u64,
    },
    /// A packet longer than its file or its block can hold.
    #[error("corrupt: a packet of {len} bytes, where at most {limit} can be")]
    PacketLength {
        /// Length as written.
        len: u32,
        /// What is possible there.
        limit: u32,
    },
    /// A block length below the block type's least, or no multiple of 4.
    #[error("corrupt: a block of type {kind:#x} with length {len}")]
    BlockLength {
        /// Block type.
        kind: u32,
        /// Length as written.
        len: u32,
    },
    /// The length before and after a block's body differ.
    #[error("corrupt: a block's length is {head} before its body and {tail} after it")]
    BlockTrailer {
        /// Length before the body.
        head: u32,
        /// Length after it.
        tail: u32,
    },
    /// A section header whose byte-order magic is neither.
    #[error("corrupt: the byte-order magic of a section is {0:02x?}")]
    ByteOrder([u8; 4]),
    /// A packet of an interface that its section does not describe.
    #[error("corrupt: a packet of interface {0}, which its section does not describe")]
    Interface(u32),
    /// A link type that is not read.
    #[error("link type {number} ({name}) is not supported")]
    LinkType {
        /// Number in the registry of tcpdump.org.
        number: u16,
        /// Its name there, or `unknown`.
        name: &'static str,
    },
    /// Ethernet and IP interfaces in one file.
    #[error("frames of {0} follow frames of {1}: one source has one framing")]
    MixedLinks(Link, Link),
}

impl Fault {
    /// Whether the file is sound and only beyond what is read here.
    pub(super) const fn is_unsupported(&self) -> bool {
        matches!(
            self,
            Self::Magic(_)
                | Self::Packed(_)
                | Self::Version(..)
                | Self::LinkType { .. }
                | Self::MixedLinks(..)
        )
    }

    /// The command that mends it; empty where there is none.
    pub(super) const fn fix(&self) -> &'static str {
        match self {
            Self::Packed(_) => "unpack it first: gunzip, zstd -d, xz -d or lz4 -d",
            Self::LinkType { .. } => "capture with `tcpdump -y EN10MB`, or on another interface",
            Self::MixedLinks(..) => "split it by interface: tshark -Y 'frame.interface_id==0' -w",
            _ => "",
        }
    }
}

/// A [`Fault`] and where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{fault} at byte {at}")]
pub struct CaptureError {
    /// What is wrong.
    pub fault: Fault,
    /// Byte offset in the file of the record or block in question.
    pub at: u64,
}

impl Fault {
    pub(super) const fn at(self, at: u64) -> CaptureError {
        CaptureError { fault: self, at }
    }
}

#[derive(Clone, Debug)]
enum Format {
    Classic(Classic),
    Ng(Ng),
}

/// A place in a capture. Holds no bytes: each call is given the same [`Bytes`].
#[derive(Clone, Debug)]
pub struct Reader {
    format: Format,
    at: u64,
    link: Option<Link>,
    ended: bool,
}

impl Reader {
    /// Reads the file's header.
    ///
    /// # Errors
    /// When the file is neither format, packed, empty or cut within its header.
    pub fn open(bytes: Bytes<'_>) -> Result<Self, CaptureError> {
        let magic = bytes
            .get::<4>(0)
            .ok_or(Fault::Cut { what: "file header", need: 24, have: bytes.len() }.at(0))?;
        let (format, at) = match magic {
            [0x0a, 0x0d, 0x0d, 0x0a] => (Format::Ng(Ng::default()), 0),
            _ => (Format::Classic(Classic::open(bytes, magic)?), Classic::HEADER),
        };
        let mut reader = Self { format, at, link: None, ended: false };
        if let Format::Ng(ng) = &mut reader.format {
            reader.at = ng.open_section(bytes, 0)?;
        }
        Ok(reader)
    }

    /// The next packet, or `None` at the end. After an error the reader has ended.
    ///
    /// # Errors
    /// When the next record is cut or corrupt, or of a link type that is not read. All packets
    /// before it were given.
    #[inline]
    pub fn next(&mut self, bytes: Bytes<'_>) -> Result<Option<Packet>, CaptureError> {
        if self.ended {
            return Ok(None);
        }
        let at = self.at;
        let step = match &mut self.format {
            Format::Classic(classic) => classic.next(bytes, at),
            Format::Ng(ng) => ng.next(bytes, at),
        };
        match step {
            Ok(Some((packet, next))) => {
                self.at = next;
                if self.link != Some(packet.link) {
                    self.set_link(packet.link, at)?;
                }
                Ok(Some(packet))
            }
            Ok(None) => {
                self.ended = true;
                Ok(None)
            }
            Err(error) => {
                self.ended = true;
                Err(error)
            }
        }
    }

    #[cold]
    fn set_link(&mut self, link: Link, at: u64) -> Result<(), CaptureError> {
        if let Some(first) = self.link.filter(|first| first.framing() != link.framing()) {
            self.ended = true;
            return Err(Fault::MixedLinks(link, first).at(at));
        }
        self.link = Some(link);
        Ok(())
    }

    /// Byte offset of the next record.
    #[must_use]
    pub const fn position(&self) -> u64 {
        self.at
    }

    /// Ends the reader where it is.
    pub(in crate::receivers) const fn end(&mut self) {
        self.ended = true;
    }

    /// Whether [`Self::next`] can give nothing more.
    #[must_use]
    pub const fn ended(&self) -> bool {
        self.ended
    }
}

/// Reads a whole capture and drops it: the body of the fuzz target `pcap_read`. Checks what the
/// receivers rely on.
///
/// # Panics
/// When a packet does not lie within `data`, behind the one before it.
pub fn pcap_read(data: &[u8]) {
    let bytes = Bytes::of_slice(data);
    let Ok(mut reader) = Reader::open(bytes) else { return };
    let mut end_of_last = 0;
    while let Ok(Some(packet)) = reader.next(bytes) {
        assert!(packet.offset >= end_of_last, "packets overlap");
        end_of_last = packet.offset + u64::from(packet.captured);
        assert!(end_of_last <= bytes.len(), "a packet runs past the end of the file");
        assert!(packet.wire >= packet.captured);
        assert!(packet.ether_type.is_none() || packet.captured >= 14);
    }
    assert!(reader.ended());
    assert_eq!(reader.next(bytes), Ok(None));
}

/// Byte order for the two formats' own use.
pub(super) const fn order_of(little: bool) -> Order {
    if little { Order::Little } else { Order::Big }
}
