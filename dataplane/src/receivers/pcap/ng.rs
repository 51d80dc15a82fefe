//! The pcapng format: blocks, of which the ones that carry packets are read.

use super::bytes::{Bytes, Order};
use super::link::Link;
use super::reader::{CaptureError, Fault, MAX_PACKET, Packet, order_of};

const SECTION: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const OBSOLETE_PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const ENHANCED_PACKET: u32 = 6;

/// Type, length and trailing length of any block.
const FRAME: u32 = 12;

/// How an interface counts time (options `if_tsresol`, 9, and `if_tsoffset`, 14).
#[derive(Clone, Copy, Debug)]
struct Scale {
    unit: Unit,
    offset_ns: u64,
}

#[derive(Clone, Copy, Debug)]
enum Unit {
    /// A tick is this many nanoseconds.
    Multiple(u64),
    /// This many ticks are a nanosecond.
    Fraction(u128),
    /// A tick is 2^-n seconds.
    Binary(u8),
}

impl Scale {
    const MICROSECONDS: Self = Self { unit: Unit::Multiple(1000), offset_ns: 0 };

    const fn unit(resolution: u8) -> Unit {
        match resolution {
            0..=9 => Unit::Multiple(10u64.pow(9 - resolution as u32)),
            10..=47 => Unit::Fraction(10u128.pow(resolution as u32 - 9)),
            48..=127 => Unit::Fraction(u128::MAX),
            128.. => Unit::Binary(resolution & 0x7f),
        }
    }

    /// Nanoseconds since 1970, modulo 2^64: a file may hold any number.
    #[inline]
    fn nanoseconds(self, high: u32, low: u32) -> u64 {
        let ticks = u64::from(high) << 32 | u64::from(low);
        let ns = match self.unit {
            Unit::Multiple(factor) => ticks.wrapping_mul(factor),
            Unit::Fraction(divisor) => (u128::from(ticks) / divisor) as u64,
            Unit::Binary(shift) => ((u128::from(ticks) * 1_000_000_000) >> shift) as u64,
        };
        ns.wrapping_add(self.offset_ns)
    }
}

/// One interface of a section.
#[derive(Clone, Copy, Debug)]
struct Interface {
    /// Refused only when a packet comes from it.
    link: Result<Link, Fault>,
    snaplen: u32,
    scale: Scale,
}

/// State within a section.
#[derive(Clone, Debug)]
pub(super) struct Ng {
    order: Order,
    interfaces: Vec<Interface>,
}

impl Default for Ng {
    fn default() -> Self {
        Self { order: Order::Little, interfaces: Vec::new() }
    }
}

/// A block whose two lengths agree and lie within the file.
#[derive(Clone, Copy)]
struct Block {
    kind: u32,
    at: u64,
    /// Whole length, `FRAME` included.
    len: u32,
}

impl Block {
    const fn body(&self) -> u64 {
        self.at + 8
    }

    const fn body_len(&self) -> u32 {
        self.len - FRAME
    }

    const fn end(&self) -> u64 {
        self.at + self.len as u64
    }
}

impl Ng {
    /// Reads a section header at `at` and returns the offset behind it.
    pub(super) fn open_section(&mut self, bytes: Bytes<'_>, at: u64) -> Result<u64, CaptureError> {
        let cut = Fault::Cut { what: "section header", need: 28, have: bytes.after(at) };
        let magic = bytes.get::<4>(at + 8).ok_or_else(|| cut.at(at))?;
        self.order = match magic {
            [0x4d, 0x3c, 0x2b, 0x1a] => order_of(true),
            [0x1a, 0x2b, 0x3c, 0x4d] => order_of(false),
            other => return Err(Fault::ByteOrder(other).at(at + 8)),
        };
        self.interfaces.clear();
        let block = self.block(bytes, at)?.ok_or_else(|| cut.at(at))?;
        if block.body_len() < 16 {
            return Err(Fault::BlockLength { kind: SECTION, len: block.len }.at(at));
        }
        let version = |offset| bytes.get::<2>(block.body() + offset).map(|raw| self.order.u16(raw));
        match (version(4), version(6)) {
            (Some(1), Some(_)) => Ok(block.end()),
            (major, minor) => {
                Err(Fault::Version(major.unwrap_or_default(), minor.unwrap_or_default())
                    .at(block.body() + 4))
            }
        }
    }

    /// The next packet from `at` on, and the offset behind its block.
    #[inline]
    pub(super) fn next(
        &mut self,
        bytes: Bytes<'_>,
        mut at: u64,
    ) -> Result<Option<(Packet, u64)>, CaptureError> {
        loop {
            // The type of a section header reads the same in both orders.
            if bytes.get::<4>(at) == Some(SECTION.to_le_bytes()) {
                at = self.open_section(bytes, at)?;
                continue;
            }
            let Some(block) = self.block(bytes, at)? else { return Ok(None) };
            at = block.end();
            let packet = match block.kind {
                ENHANCED_PACKET | OBSOLETE_PACKET => self.packet(bytes, block)?,
                SIMPLE_PACKET => self.simple(bytes, block)?,
                INTERFACE => {
                    self.interface(bytes, block)?;
                    continue;
                }
                _ => continue,
            };
            return Ok(Some((packet, at)));
        }
    }

    #[inline]
    fn block(&self, bytes: Bytes<'_>, at: u64) -> Result<Option<Block>, CaptureError> {
        let have = bytes.after(at);
        let Some([kind, len]) = bytes.words::<2>(at, self.order) else {
            return match have {
                0 => Ok(None),
                _ => Err(Fault::Cut { what: "block header", need: 8, have }.at(at)),
            };
        };
        if len < FRAME || !len.is_multiple_of(4) {
            return Err(Fault::BlockLength { kind, len }.at(at));
        }
        let cut = Fault::Cut { what: "block", need: len.into(), have };
        let [tail] =
            bytes.words::<1>(at + u64::from(len) - 4, self.order).ok_or_else(|| cut.at(at))?;
        if tail != len {
            return Err(Fault::BlockTrailer { head: len, tail }.at(at));
        }
        Ok(Some(Block { kind, at, len }))
    }

    /// Enhanced packet block, or the obsolete one, whose interface has 16 bits.
    #[inline]
    fn packet(&self, bytes: Bytes<'_>, block: Block) -> Result<Packet, CaptureError> {
        let short = Fault::BlockLength { kind: block.kind, len: block.len }.at(block.at);
        if block.body_len() < 20 {
            return Err(short);
        }
        let [mut index, high, low, captured, wire] =
            bytes.words::<5>(block.body(), self.order).ok_or(short)?;
        if block.kind == OBSOLETE_PACKET {
            index = bytes.get::<2>(block.body()).map_or(0, |raw| self.order.u16(raw).into());
        }
        let interface = self.interface_of(index, block)?;
        let stamp = interface.scale.nanoseconds(high, low);
        let offset = block.body() + 20;
        cut_out(bytes, block, interface, (offset, captured, wire), Some(stamp))
    }

    /// Simple packet block: interface 0, no time, length by the snapshot length.
    fn simple(&self, bytes: Bytes<'_>, block: Block) -> Result<Packet, CaptureError> {
        let short = Fault::BlockLength { kind: block.kind, len: block.len }.at(block.at);
        if block.body_len() < 4 {
            return Err(short);
        }
        let [wire] = bytes.words::<1>(block.body(), self.order).ok_or(short)?;
        let interface = self.interface_of(0, block)?;
        let limit = if interface.snaplen == 0 { u32::MAX } else { interface.snaplen };
        let captured = wire.min(limit);
        cut_out(bytes, block, interface, (block.body() + 4, captured, wire), None)
    }

    #[inline]
    fn interface_of(&self, index: u32, block: Block) -> Result<&Interface, CaptureError> {
        self.interfaces.get(index as usize).ok_or(Fault::Interface(index).at(block.at))
    }

    fn interface(&mut self, bytes: Bytes<'_>, block: Block) -> Result<(), CaptureError> {
        let short = Fault::BlockLength { kind: block.kind, len: block.len }.at(block.at);
        if block.body_len() < 8 {
            return Err(short);
        }
        let link = bytes.get::<2>(block.body()).map(|raw| self.order.u16(raw)).ok_or(short)?;
        let [snaplen] = bytes.words::<1>(block.body() + 4, self.order).ok_or(short)?;
        let scale = self.scale(bytes, block.body() + 8, block.end() - 4);
        self.interfaces.push(Interface { link: Link::of(link), snaplen, scale });
        Ok(())
    }

    /// Walks the options of an interface. A malformed list ends the walk: the packets are whole.
    fn scale(&self, bytes: Bytes<'_>, mut at: u64, end: u64) -> Scale {
        let mut scale = Scale::MICROSECONDS;
        while at + 4 <= end {
            let (Some(code), Some(len)) = (bytes.get::<2>(at), bytes.get::<2>(at + 2)) else {
                break;
            };
            let (code, len) = (self.order.u16(code), u64::from(self.order.u16(len)));
            if code == 0 || at + 4 + len > end {
                break;
            }
            match (code, len) {
                (9, 1) => {
                    if let Some([resolution]) = bytes.get::<1>(at + 4) {
                        scale.unit = Scale::unit(resolution);
                    }
                }
                (14, 8) => {
                    if let Some(words) = bytes.words::<2>(at + 4, self.order) {
                        scale.offset_ns = self.seconds(words).wrapping_mul(1_000_000_000);
                    }
                }
                _ => {}
            }
            at += 4 + len.next_multiple_of(4);
        }
        scale
    }

    /// A signed 64-bit number as two's complement, from its words as they lie in the file.
    fn seconds(&self, [first, second]: [u32; 2]) -> u64 {
        let (high, low) = match self.order {
            Order::Little => (second, first),
            Order::Big => (first, second),
        };
        u64::from(high) << 32 | u64::from(low)
    }
}

/// Makes a packet of `(offset, captured, wire)` in `block`, which must hold it.
#[inline]
fn cut_out(
    bytes: Bytes<'_>,
    block: Block,
    interface: &Interface,
    (offset, captured, wire): (u64, u32, u32),
    stamp_ns: Option<u64>,
) -> Result<Packet, CaptureError> {
    let room = block.body_len() - (offset - block.body()) as u32;
    let limit = room.min(interface.snaplen.max(MAX_PACKET));
    if captured > limit {
        return Err(Fault::PacketLength { len: captured, limit }.at(block.at));
    }
    let link = interface.link.map_err(|fault| fault.at(block.at))?;
    let wire = wire.max(captured);
    let mut packet = Packet { offset, captured, wire, stamp_ns, link, ether_type: None };
    link.strip(&mut packet, bytes.get(offset));
    Ok(packet)
}
