//! The pcap format: a file header of 24 bytes, then records of 16 bytes and a packet each.

use super::bytes::{Bytes, Order};
use super::link::Link;
use super::reader::{CaptureError, Fault, MAX_PACKET, Packet, order_of};

/// What the file header says.
#[derive(Clone, Debug)]
pub(super) struct Classic {
    order: Order,
    /// Nanoseconds in one tick of a record's fraction: 1 or 1,000.
    tick_ns: u64,
    longest: u32,
    link: Link,
}

impl Classic {
    /// Bytes of the file header.
    pub(super) const HEADER: u64 = 24;
    const RECORD: u64 = 16;

    pub(super) fn open(bytes: Bytes<'_>, magic: [u8; 4]) -> Result<Self, CaptureError> {
        let (little, tick_ns) = match magic {
            [0xd4, 0xc3, 0xb2, 0xa1] => (true, 1000),
            [0xa1, 0xb2, 0xc3, 0xd4] => (false, 1000),
            [0x4d, 0x3c, 0xb2, 0xa1] => (true, 1),
            [0xa1, 0xb2, 0x3c, 0x4d] => (false, 1),
            other => return Err(foreign(other).at(0)),
        };
        let order = order_of(little);
        let cut = Fault::Cut { what: "file header", need: Self::HEADER, have: bytes.len() };
        let [_, version, _, _, snaplen, link] =
            bytes.words::<6>(0, order).ok_or_else(|| cut.at(0))?;
        // Two 16-bit fields, major first in the file.
        let (major, minor) = match order {
            Order::Little => (version as u16, (version >> 16) as u16),
            Order::Big => ((version >> 16) as u16, version as u16),
        };
        if (major, minor) != (2, 4) {
            return Err(Fault::Version(major, minor).at(4));
        }
        // The upper bits say whether a frame check sequence is kept.
        let link = Link::of(link as u16).map_err(|fault| fault.at(20))?;
        Ok(Self { order, tick_ns, longest: snaplen.max(MAX_PACKET), link })
    }

    #[inline]
    pub(super) fn next(
        &self,
        bytes: Bytes<'_>,
        at: u64,
    ) -> Result<Option<(Packet, u64)>, CaptureError> {
        let Some([seconds, fraction, captured, wire]) = bytes.words::<4>(at, self.order) else {
            return match bytes.after(at) {
                0 => Ok(None),
                have => Err(Fault::Cut { what: "record header", need: Self::RECORD, have }.at(at)),
            };
        };
        let offset = at + Self::RECORD;
        if captured > self.longest {
            return Err(Fault::PacketLength { len: captured, limit: self.longest }.at(at));
        }
        let have = bytes.after(offset);
        if u64::from(captured) > have {
            return Err(Fault::Cut { what: "packet", need: captured.into(), have }.at(at));
        }
        let mut packet = Packet {
            offset,
            captured,
            wire: wire.max(captured),
            stamp_ns: Some(u64::from(seconds) * 1_000_000_000 + u64::from(fraction) * self.tick_ns),
            link: self.link,
            ether_type: None,
        };
        self.link.strip(&mut packet, bytes.get(offset));
        Ok(Some((packet, offset + u64::from(captured))))
    }
}

/// Names what a file is that is no capture we read.
const fn foreign(magic: [u8; 4]) -> Fault {
    match magic {
        [0x1f, 0x8b, ..] => Fault::Packed("gzip"),
        [0x28, 0xb5, 0x2f, 0xfd] => Fault::Packed("zstd"),
        [0xfd, b'7', b'z', b'X'] => Fault::Packed("xz"),
        [0x04, 0x22, 0x4d, 0x18] => Fault::Packed("lz4"),
        other => Fault::Magic(other),
    }
}
