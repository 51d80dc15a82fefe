//! The file `header`, and the mark at the end of the data that says which blob's they are.
//!
//! Little-endian: magic (8), format (4), CRC-32C of all that follows (4), unique number (16),
//! digest of the identity (32), bytes of the stored part (8), size (8), seed (4), layout (2),
//! profile (1), then the name and the path of the data, each behind its length (2); a path of no
//! byte is `data` in the folder.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use super::super::Digest;
use super::super::error::{BlobError, Context};
use super::super::identity::{SIZE_MAX, profile_number, profile_of};
use super::{Fields, crc32c};
use crate::Identity;

const MAGIC: &[u8; 8] = b"pfsBlob\0";
const FORMAT: u32 = 1;
const MARK: &[u8; 8] = b"pfsBData";
/// Bytes of the mark: magic (8), unique number (16), address space (8), CRC-32C of these (4), zeros.
pub(in crate::blob) const MARK_BYTES: u64 = 64;

/// What a blob's folder holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::blob) struct Header {
    /// Tells this blob's files from those of another.
    pub(in crate::blob) unique: [u8; 16],
    pub(in crate::blob) identity: Identity,
    /// Bytes of the stored part.
    pub(in crate::blob) stored: u64,
    /// Where the data are, if not in the folder.
    pub(in crate::blob) data: Option<PathBuf>,
}

impl Header {
    /// Bytes of both parts.
    pub(in crate::blob) const fn total(&self) -> u64 {
        self.identity.size + self.stored
    }

    /// Where the data are.
    pub(in crate::blob) fn data_path(&self, folder: &Path) -> PathBuf {
        self.data.clone().unwrap_or_else(|| folder.join("data"))
    }

    pub(in crate::blob) fn encode(&self) -> Vec<u8> {
        let mut rest = self.unique.to_vec();
        rest.extend_from_slice(&self.identity.digest().0);
        rest.extend_from_slice(&self.stored.to_le_bytes());
        rest.extend_from_slice(&self.identity.size.to_le_bytes());
        rest.extend_from_slice(&self.identity.seed.to_le_bytes());
        rest.extend_from_slice(&self.identity.layout.to_le_bytes());
        rest.push(profile_number(self.identity.profile));
        let data = self.data.as_deref().unwrap_or(Path::new("")).as_os_str().as_bytes();
        for text in [self.identity.name.as_bytes(), data] {
            // Names and paths were checked to be short.
            rest.extend_from_slice(&(text.len() as u16).to_le_bytes());
            rest.extend_from_slice(text);
        }
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&FORMAT.to_le_bytes());
        bytes.extend_from_slice(&crc32c(&rest).to_le_bytes());
        bytes.extend_from_slice(&rest);
        bytes
    }

    /// What `bytes` say, or what is wrong with them.
    pub(in crate::blob) fn decode(bytes: &[u8]) -> Result<Self, String> {
        let short = || "it is cut short".to_owned();
        let mut fields = Fields(bytes);
        if &fields.array::<8>().ok_or_else(short)? != MAGIC {
            return Err("it is no blob's".to_owned());
        }
        let format = fields.u32().ok_or_else(short)?;
        if format != FORMAT {
            return Err(format!("it has format {format}; this program knows format {FORMAT}"));
        }
        if fields.u32().ok_or_else(short)? != crc32c(fields.0) {
            return Err("its checksum is wrong".to_owned());
        }
        let header = Self::fields(&mut fields).ok_or("it is not what a blob has")?;
        header.0.identity.check().map_err(|error| error.to_string())?;
        if !fields.0.is_empty() || header.0.stored > SIZE_MAX - header.0.identity.size {
            return Err("it is not what a blob has".to_owned());
        }
        if header.0.identity.digest() != header.1 {
            return Err("the identity's digest is another".to_owned());
        }
        Ok(header.0)
    }

    fn fields(fields: &mut Fields<'_>) -> Option<(Self, Digest)> {
        let (unique, digest) = (fields.array()?, Digest(fields.array()?));
        let (stored, size) = (fields.u64()?, fields.u64()?);
        let (seed, layout) = (fields.u32()?, fields.u16()?);
        let [profile] = fields.array()?;
        let profile = profile_of(profile)?;
        let name = str::from_utf8(fields.text()?).ok()?.to_owned();
        let data = fields.text()?;
        let data = (!data.is_empty()).then(|| OsString::from_vec(data.to_vec()).into());
        let identity = Identity { name, profile, layout, size, seed };
        Some((Self { unique, identity, stored, data }, digest))
    }

    /// Reads a folder's.
    pub(in crate::blob) fn read(folder: &Path) -> Result<Self, BlobError> {
        let path = folder.join("header");
        let bytes = match std::fs::read(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(BlobError::Missing(folder.into()));
            }
            read => read.doing("reading", &path)?,
        };
        Self::decode(&bytes).map_err(|what| BlobError::Header { path, what })
    }

    /// What ends the data.
    pub(in crate::blob) fn mark(&self) -> [u8; MARK_BYTES as usize] {
        let mut mark = [0; MARK_BYTES as usize];
        mark[..8].copy_from_slice(MARK);
        mark[8..24].copy_from_slice(&self.unique);
        mark[24..32].copy_from_slice(&self.total().to_le_bytes());
        let crc = crc32c(&mark[..32]);
        mark[32..36].copy_from_slice(&crc.to_le_bytes());
        mark
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Profile;

    fn header() -> Header {
        let identity = Identity::new("näme", Profile::Orchard, 12_345, 7);
        Header { unique: [9; 16], identity, stored: 77, data: Some("/x/y".into()) }
    }

    #[test]
    fn headers_come_back() {
        for header in [header(), Header { data: None, stored: 0, ..header() }] {
            assert_eq!(Header::decode(&header.encode()), Ok(header));
        }
    }

    #[test]
    fn no_bit_may_differ_and_no_byte_be_missing() {
        let bytes = header().encode();
        for cut in 0..bytes.len() {
            Header::decode(&bytes[..cut]).unwrap_err();
        }
        for bit in 0..bytes.len() * 8 {
            let mut bytes = bytes.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            Header::decode(&bytes).unwrap_err();
        }
        Header::decode(&[bytes, vec![0]].concat()).unwrap_err();
    }
}
