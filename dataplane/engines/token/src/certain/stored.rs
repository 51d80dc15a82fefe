//! The pairs and their cover in a v3 file.

use super::cover::Cover;
use super::{CertainPairs, WORDS};
use crate::Table;
use crate::formats::FormatError;
use crate::formats::sections::{SectionReader, SectionWriter, Stored};

const PAIRS: &str = "pairs";
const COVER: &str = "cover";

impl Stored for CertainPairs {
    fn write(&self, writer: &mut SectionWriter) {
        writer.put::<u64>(PAIRS, &self.inside);
        writer.put::<u32>(COVER, &[*self.cover.left, *self.cover.right].concat());
    }

    /// That the bitmap has the pairs of all tokens is not checked here, where there are none: see
    /// [`CertainPairs::lacks`].
    fn read(reader: &mut SectionReader) -> Result<Self, FormatError> {
        let wrong = |tag: &str, cause: &str| FormatError::Section {
            tag: tag.to_owned(),
            cause: cause.to_owned(),
        };
        let inside: Table<u64> = reader.get(PAIRS)?;
        if inside.len() != WORDS {
            return Err(wrong(PAIRS, "not the bits of 65,536 pairs"));
        }
        let bits: Table<u32> = reader.get(COVER)?;
        let halves = bits.split_at_checked(256);
        let arrays = halves.and_then(|(l, r)| Some((l.try_into().ok()?, r.try_into().ok()?)));
        let (left, right) = arrays.ok_or_else(|| wrong(COVER, "not the bits of 2 × 256 bytes"))?;
        let cover = Cover { left: Box::new(left), right: Box::new(right) };
        match cover.lacking(&inside) {
            Some(_) => Err(wrong(COVER, "a pair inside a token is not covered")),
            None => Ok(Self { inside, cover }),
        }
    }
}
