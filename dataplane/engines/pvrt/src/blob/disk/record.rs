//! Records: what changed. A number for the kind (1), then little-endian fields.

use super::super::Digest;
use super::super::objects::NAME_MAX;
use super::Fields;

const CHUNK: u8 = 1;
const REFS: u8 = 2;
const FREE: u8 = 3;
const OBJECT: u8 = 4;
const FORGET: u8 = 5;

/// Bytes of a record of a chunk.
pub(in crate::blob) const CHUNK_BYTES: usize = 45;

/// One change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::blob) enum Record<'a> {
    /// A chunk is there: digest (32), first address (8), bytes (4).
    Chunk { digest: Digest, offset: u64, len: u32 },
    /// How often a chunk is retained: digest (32), number (4).
    Refs { digest: Digest, refs: u32 },
    /// A chunk is gone: digest (32).
    Free { digest: Digest },
    /// An object is there, in place of one of that name: length of the name (2), name, bytes (8),
    /// digest of them (32), digest of the chunk that lists its chunks (32; without bytes zeros).
    Object { name: &'a str, size: u64, digest: Digest, recipe: Digest },
    /// An object is gone: length of the name (2), name.
    Forget { name: &'a str },
}

impl<'a> Record<'a> {
    pub(in crate::blob) fn encode(&self, out: &mut Vec<u8>) {
        let text = |out: &mut Vec<u8>, name: &str| {
            // Names were checked to be short.
            out.extend_from_slice(&(name.len() as u16).to_le_bytes());
            out.extend_from_slice(name.as_bytes());
        };
        match self {
            Self::Chunk { digest, offset, len } => {
                out.push(CHUNK);
                out.extend_from_slice(&digest.0);
                out.extend_from_slice(&offset.to_le_bytes());
                out.extend_from_slice(&len.to_le_bytes());
            }
            Self::Refs { digest, refs } => {
                out.push(REFS);
                out.extend_from_slice(&digest.0);
                out.extend_from_slice(&refs.to_le_bytes());
            }
            Self::Free { digest } => {
                out.push(FREE);
                out.extend_from_slice(&digest.0);
            }
            Self::Object { name, size, digest, recipe } => {
                out.push(OBJECT);
                text(out, name);
                out.extend_from_slice(&size.to_le_bytes());
                out.extend_from_slice(&digest.0);
                out.extend_from_slice(&recipe.0);
            }
            Self::Forget { name } => {
                out.push(FORGET);
                text(out, name);
            }
        }
    }

    /// The record that `fields` begin with; `None` when they begin with none.
    pub(in crate::blob) fn decode(fields: &mut Fields<'a>) -> Option<Self> {
        let [kind] = fields.array()?;
        Some(match kind {
            CHUNK => {
                let digest = Digest(fields.array()?);
                let (offset, len) = (fields.u64()?, fields.u32()?);
                (len > 0).then_some(Self::Chunk { digest, offset, len })?
            }
            REFS => Self::Refs { digest: Digest(fields.array()?), refs: fields.u32()? },
            FREE => Self::Free { digest: Digest(fields.array()?) },
            OBJECT => {
                let (name, size) = (name(fields)?, fields.u64()?);
                let (digest, recipe) = (Digest(fields.array()?), Digest(fields.array()?));
                Self::Object { name, size, digest, recipe }
            }
            FORGET => Self::Forget { name: name(fields)? },
            _ => return None,
        })
    }
}

fn name<'a>(fields: &mut Fields<'a>) -> Option<&'a str> {
    let name = str::from_utf8(fields.text()?).ok()?;
    (1..=NAME_MAX).contains(&name.len()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read_as_written_and_no_part_of_one_is() {
        let (a, b) = (Digest([1; 32]), Digest([2; 32]));
        for record in [
            Record::Chunk { digest: a, offset: u64::MAX, len: 1 },
            Record::Refs { digest: a, refs: 7 },
            Record::Free { digest: b },
            Record::Object { name: "näme", size: 9, digest: a, recipe: b },
            Record::Forget { name: "x" },
        ] {
            let mut bytes = Vec::new();
            record.encode(&mut bytes);
            if matches!(record, Record::Chunk { .. }) {
                assert_eq!(bytes.len(), CHUNK_BYTES);
            }
            let mut fields = Fields(&bytes);
            assert_eq!(Record::decode(&mut fields), Some(record));
            assert!(fields.0.is_empty());
            for cut in 0..bytes.len() {
                assert_eq!(Record::decode(&mut Fields(&bytes[..cut])), None);
            }
        }
    }

    #[test]
    fn what_is_no_record_is_none() {
        let chunk_of_nothing = [&[CHUNK][..], &[0; 44]].concat();
        let nameless = [FORGET, 0, 0];
        let no_text = [FORGET, 1, 0, 0xFF];
        for bad in [&[0][..], &[6], &chunk_of_nothing, &nameless, &no_text] {
            assert_eq!(Record::decode(&mut Fields(bad)), None, "{bad:?}");
        }
    }
}
