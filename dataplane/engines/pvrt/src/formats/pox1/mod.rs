//! POX1, PacketFS's container for a window. Big-endian.
//!
//! `POX1`, u8 number of sections, and for each u8 type, u32 length, content:
//!
//! | type | content |
//! |---|---|
//! | 1 RAW | the window's bytes |
//! | 2 PROTO | references packed bit by bit, see [`Proto`] |
//! | 3 BREF | u16 number, and for each u64 offset, u32 length, u8 flags, see [`Bref`] |
//!
//! What the original does and this does not: stop silently where a container is cut off, take the
//! last of two equal sections, and mask the number of references to 16 bits. Here anything that is
//! not exactly a container is refused; several BREF sections are one list, so that up to
//! 255 × 65,535 references go into a container that the original reads only the last part of.

mod bref;
mod proto;
#[cfg(test)]
mod tests;
mod window;

pub use bref::{Bref, OFFSET_FROM_ANCHOR};
pub use proto::{Proto, SYNC, Tier, Width, crc16};
pub use window::Resolved;
pub(super) use window::{brefs, pieces};

use super::cursor::Cursor;
use super::error::{Fault, FormatError, Unwritable};

const FORMAT: &str = "POX1";
const MAGIC: &[u8; 4] = b"POX1";
const RAW: u8 = 1;
const PROTO: u8 = 2;
const BREF: u8 = 3;
/// References of one section.
const SECTION_REFS: usize = 65_535;

/// A container's content.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Container<'a> {
    /// The window's bytes.
    pub raw: Option<&'a [u8]>,
    /// Packed references, to be read by [`Proto::read`], which must be told their width.
    pub proto: Option<&'a [u8]>,
    /// References.
    pub brefs: Vec<Bref>,
}

impl<'a> Container<'a> {
    /// Whether `bytes` begin as a container does.
    #[must_use]
    pub fn is(bytes: &[u8]) -> bool {
        bytes.starts_with(MAGIC)
    }

    /// Reads all of `bytes`.
    ///
    /// # Errors
    /// When they are not exactly one container.
    pub fn read(bytes: &'a [u8]) -> Result<Self, FormatError> {
        let mut cursor = Cursor::new(FORMAT, bytes);
        cursor.magic(MAGIC)?;
        let mut container = Self::default();
        for _ in 0..cursor.u8()? {
            let start = cursor.clone();
            let kind = cursor.u8()?;
            let len = cursor.u32_be()?;
            let at = cursor.at();
            let content = cursor.take(len as usize)?;
            let twice = || start.fail(Fault::Undecodable("a second section of the same type"));
            match kind {
                RAW if container.raw.is_none() => container.raw = Some(content),
                PROTO if container.proto.is_none() => container.proto = Some(content),
                RAW | PROTO => return Err(twice()),
                BREF => read_brefs(Cursor::within(FORMAT, content, at), &mut container.brefs)?,
                other => {
                    let what = "section type";
                    return Err(start.fail(Fault::Unknown { what, value: other.into() }));
                }
            }
        }
        cursor.finish()?;
        Ok(container)
    }

    /// Writes RAW, PROTO, BREF, in this order and as far as they are there; empty RAW and PROTO are
    /// left out, as in the original.
    ///
    /// # Errors
    /// When there are more references than 255 sections in all hold, or a section is longer than 4 GiB.
    pub fn write(&self) -> Result<Vec<u8>, Unwritable> {
        let raw = self.raw.filter(|raw| !raw.is_empty()).map(|raw| (RAW, raw));
        let proto = self.proto.filter(|proto| !proto.is_empty()).map(|proto| (PROTO, proto));
        let lists = self.brefs.chunks(SECTION_REFS);
        let bytes = raw.iter().chain(&proto);
        let sections = bytes.clone().count() + lists.len();
        let count = u8::try_from(sections).map_err(|_| Unwritable::TooMuch {
            format: FORMAT,
            what: "number of references",
            value: self.brefs.len() as u64,
            most: (255 - bytes.clone().count() as u64) * SECTION_REFS as u64,
        })?;
        let mut out = [MAGIC.as_slice(), &[count]].concat();
        for &(kind, content) in bytes {
            put_section(kind, content, &mut out)?;
        }
        for list in lists {
            let mut content = Vec::with_capacity(2 + list.len() * Bref::BYTES);
            content.extend_from_slice(&(list.len() as u16).to_be_bytes());
            list.iter().for_each(|bref| bref.put(&mut content));
            put_section(BREF, &content, &mut out)?;
        }
        Ok(out)
    }
}

fn put_section(kind: u8, content: &[u8], out: &mut Vec<u8>) -> Result<(), Unwritable> {
    let len = u32::try_from(content.len()).map_err(|_| Unwritable::TooMuch {
        format: FORMAT,
        what: "length of a section",
        value: content.len() as u64,
        most: u32::MAX.into(),
    })?;
    out.push(kind);
    out.extend_from_slice(&len.to_be_bytes());
    out.extend_from_slice(content);
    Ok(())
}

fn read_brefs(mut cursor: Cursor<'_>, to: &mut Vec<Bref>) -> Result<(), FormatError> {
    let count = cursor.u16_be()?;
    let count = cursor.count(count.into(), Bref::BYTES, "number of references")?;
    to.reserve(count);
    for _ in 0..count {
        to.push(Bref::take(&mut cursor)?);
    }
    cursor.finish()
}
