//! The bytes of each token, and from ids back to text.

use crate::Table;
use crate::formats::FormatError;
use crate::formats::sections::{SectionReader, SectionWriter, Stored};

/// Bytes that may be read after the last token, so that short tokens are copied as 16 bytes.
const PADDING: usize = 16;

/// An id that stands for no bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "id {id} at position {at} is no token of this vocabulary; decode with the vocabulary that \
     the ids come from"
)]
pub struct DecodeError {
    /// The id.
    pub id: u32,
    /// Its index among the ids.
    pub at: usize,
}

/// The bytes of tokens by id; ids may have gaps.
#[derive(Clone, Debug)]
pub(crate) struct Tokens {
    /// Where each id's bytes begin in `blob`; one more than ids. An id without bytes is none.
    starts: Table<u32>,
    /// The bytes, and 16 more.
    blob: Table<u8>,
}

impl Tokens {
    /// The table of `tokens` as (id, bytes), by strictly ascending id. Together they must be
    /// shorter than 4 GiB.
    pub(crate) fn build<'a>(tokens: impl Iterator<Item = (u32, &'a [u8])>) -> Self {
        let mut starts = vec![];
        let mut blob = vec![];
        for (id, bytes) in tokens {
            starts.resize(id as usize + 1, blob.len() as u32);
            blob.extend_from_slice(bytes);
        }
        starts.push(blob.len() as u32);
        blob.extend([0; PADDING]);
        Self { starts: starts.into(), blob: blob.into() }
    }

    /// One more than the largest id.
    pub(crate) fn end(&self) -> usize {
        self.starts.len() - 1
    }

    /// The bytes of `id`, if it is a token.
    #[inline]
    pub(crate) fn get(&self, id: u32) -> Option<&[u8]> {
        let id = id as usize;
        let (&start, &end) = (self.starts.get(id)?, self.starts.get(id + 1)?);
        self.blob.get(start as usize..end as usize).filter(|bytes| !bytes.is_empty())
    }

    /// Number of bytes of `id`; 0 if it is no token.
    #[inline]
    pub(crate) fn length(&self, id: u32) -> u32 {
        let id = id as usize;
        match (self.starts.get(id), self.starts.get(id + 1)) {
            (Some(start), Some(end)) => end - start,
            _ => 0,
        }
    }

    /// Every token as (id, bytes), by ascending id.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &[u8])> {
        (0..self.end() as u32).filter_map(|id| Some((id, self.get(id)?)))
    }

    /// Bytes of memory that it takes.
    pub(crate) fn memory(&self) -> usize {
        size_of_val(&*self.starts) + size_of_val(&*self.blob)
    }

    /// Appends the bytes of `ids` to `out`.
    ///
    /// # Errors
    /// At the first id that is no token; the bytes of those before it have been appended.
    pub(crate) fn decode_into(&self, ids: &[u32], out: &mut Vec<u8>) -> Result<(), DecodeError> {
        let (starts, blob) = (&*self.starts, &*self.blob);
        for (at, &id) in ids.iter().enumerate() {
            let bounds = starts.get(id as usize).zip(starts.get(id as usize + 1));
            let Some((&start, &end)) = bounds.filter(|(start, end)| start < end) else {
                return Err(DecodeError { id, at });
            };
            let (start, len) = (start as usize, (end - start) as usize);
            match blob.get(start..start + PADDING) {
                Some(wide) if len <= PADDING => {
                    out.reserve(PADDING);
                    let end = out.len();
                    // SAFETY: 16 bytes are reserved behind the `end` bytes of `out`, `wide` has 16
                    // and lies in another allocation; of them `len` are then kept, all written.
                    unsafe {
                        let to = out.as_mut_ptr().add(end);
                        to.copy_from_nonoverlapping(wide.as_ptr(), PADDING);
                        out.set_len(end + len);
                    }
                }
                _ => out.extend_from_slice(&blob[start..start + len]),
            }
        }
        Ok(())
    }
}

impl Stored for Tokens {
    fn write(&self, writer: &mut SectionWriter) {
        writer.put("tokstart", &self.starts);
        writer.put("tokbytes", &self.blob);
    }

    fn read(reader: &mut SectionReader) -> Result<Self, FormatError> {
        let starts = reader.get::<u32>("tokstart")?;
        let blob = reader.get::<u8>("tokbytes")?;
        let rising = starts.windows(2).all(|pair| pair[0] <= pair[1]);
        let ends = starts.last().is_some_and(|&end| end as usize + PADDING == blob.len());
        if !rising || !ends {
            let cause = "where tokens begin does not fit their bytes".to_owned();
            return Err(FormatError::Section { tag: "tokstart".into(), cause });
        }
        Ok(Self { starts, blob })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens() -> Tokens {
        let long = [b'x'; 40];
        let list: [(u32, &[u8]); 4] = [(1, b"a"), (2, b"bc"), (7, &long), (9, b"z\0")];
        Tokens::build(list.into_iter())
    }

    #[test]
    fn gaps_are_no_tokens() {
        let tokens = tokens();
        assert_eq!(tokens.get(2), Some(&b"bc"[..]));
        assert_eq!(tokens.get(9), Some(&b"z\0"[..]));
        for id in [0, 3, 6, 8, 10, u32::MAX] {
            assert_eq!(tokens.get(id), None, "{id}");
            assert_eq!(tokens.length(id), 0, "{id}");
        }
        assert_eq!(tokens.iter().map(|(id, _)| id).collect::<Vec<_>>(), [1, 2, 7, 9]);
    }

    #[test]
    fn decoding_appends_and_stops_at_what_is_no_token() {
        let mut out = b">".to_vec();
        tokens().decode_into(&[2, 7, 9, 1], &mut out).unwrap();
        assert_eq!(out, [b">bc", &[b'x'; 40][..], b"z\0a"].concat());
        let error = tokens().decode_into(&[1, 8], &mut out).unwrap_err();
        assert_eq!(error, DecodeError { id: 8, at: 1 });
        assert_eq!(out.len(), 47, "what came before is there");
    }

    #[test]
    fn it_comes_back_from_its_file() {
        let mut writer = SectionWriter::new();
        tokens().write(&mut writer);
        let mut reader = SectionReader::from_bytes(&writer.finish().unwrap()).unwrap();
        let back = Tokens::read(&mut reader).unwrap();
        assert!(back.iter().eq(tokens().iter()));
    }
}
