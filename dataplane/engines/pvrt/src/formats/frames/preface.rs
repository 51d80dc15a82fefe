//! The first message of a transfer. Big-endian.
//!
//! `PVRT`, u8 version 1, u8 flags (1: an anchor is there), u16 channels, u16 number of this channel,
//! and each after a byte with its length: transfer, blob (`name:size:seed`), object (SHA-256 in
//! hexadecimal), shared key, and by flag the anchor of 8 bytes.
//!
//! The key goes over the wire as it is. That is the original's; the transfers of pfs do nothing of
//! the kind.

use crate::formats::cursor::Cursor;
use crate::formats::error::{Fault, FormatError, Unwritable};

const FORMAT: &str = "PVRT preface";
const MAGIC: &[u8; 4] = b"PVRT";
const VERSION: u8 = 1;
const WITH_ANCHOR: u8 = 1;

/// A preface. Each text may have 255 bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Preface {
    /// Channels of the transfer.
    pub channels: u16,
    /// Which of them this is.
    pub channel: u16,
    /// The transfer.
    pub transfer: Vec<u8>,
    /// The blob.
    pub blob: Vec<u8>,
    /// The file.
    pub object: Vec<u8>,
    /// The shared key.
    pub psk: Vec<u8>,
    /// What offsets count from.
    pub anchor: Option<u64>,
}

impl Preface {
    /// Reads all of `bytes`.
    ///
    /// # Errors
    /// When they are not exactly one preface.
    pub fn read(bytes: &[u8]) -> Result<Self, FormatError> {
        let mut cursor = Cursor::new(FORMAT, bytes);
        cursor.magic(MAGIC)?;
        let start = cursor.clone();
        let version = cursor.u8()?;
        if version != VERSION {
            return Err(start.fail(Fault::Version(version.into())));
        }
        let flags = cursor.u8()?;
        if flags > WITH_ANCHOR {
            return Err(start.fail(Fault::Unknown { what: "flags", value: flags.into() }));
        }
        let channels = cursor.u16_be()?;
        let channel = cursor.u16_be()?;
        let mut text = || -> Result<Vec<u8>, FormatError> {
            let len = cursor.u8()?;
            Ok(cursor.take(len.into())?.to_vec())
        };
        let [transfer, blob, object, psk] = [text()?, text()?, text()?, text()?];
        let mut anchor = None;
        if flags & WITH_ANCHOR != 0 {
            let len = cursor.u8()?;
            if len != 8 {
                let what = "bytes of the anchor";
                return Err(cursor.fail(Fault::Differs { what, value: len.into(), want: 8 }));
            }
            anchor = Some(cursor.u64_be()?);
        }
        cursor.finish()?;
        Ok(Self { channels, channel, transfer, blob, object, psk, anchor })
    }

    /// The preface.
    ///
    /// # Errors
    /// When a text is longer than 255 bytes.
    pub fn write(&self) -> Result<Vec<u8>, Unwritable> {
        let mut out = MAGIC.to_vec();
        out.extend_from_slice(&[VERSION, u8::from(self.anchor.is_some())]);
        out.extend_from_slice(&self.channels.to_be_bytes());
        out.extend_from_slice(&self.channel.to_be_bytes());
        for text in [&self.transfer, &self.blob, &self.object, &self.psk] {
            let len = u8::try_from(text.len()).map_err(|_| Unwritable::TooMuch {
                format: FORMAT,
                what: "bytes of a text",
                value: text.len() as u64,
                most: 255,
            })?;
            out.push(len);
            out.extend_from_slice(text);
        }
        if let Some(anchor) = self.anchor {
            out.push(8);
            out.extend_from_slice(&anchor.to_be_bytes());
        }
        Ok(out)
    }
}
