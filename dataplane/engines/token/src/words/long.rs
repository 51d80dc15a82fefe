//! Whole pieces of more than 15 bytes that are one token: found by hash, compared by their bytes.

use crate::Table;
use crate::decode::Tokens;
use crate::formats::FormatError;
use crate::formats::sections::{SectionReader, SectionWriter, Stored};

use super::WORD_BYTES;

/// A free entry.
const FREE: u64 = u64::MAX;
/// Most entries that a look-up visits; the builder sees to it.
const PROBES: usize = 16;

/// The tokens of more than 15 bytes by their bytes.
///
/// An entry has the id in its low half and bits of the hash in its high half. No text can make a
/// look-up visit more than 16 entries.
#[derive(Clone, Debug)]
pub(crate) struct LongWords {
    /// A power of two of them, and 16 more so that probing needs no wrap.
    entries: Table<u64>,
    /// Bytes of the longest.
    longest: usize,
}

/// A hash of all of `bytes`; its speed does not matter, they are few.
fn hash(bytes: &[u8]) -> u64 {
    let mut state = bytes.len() as u64;
    for chunk in bytes.chunks(8) {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        let mixed = u128::from(state ^ u64::from_le_bytes(word) ^ 0x9e37_79b9_7f4a_7c15)
            * 0xd6e8_feb8_6659_fd93;
        state = mixed as u64 ^ (mixed >> 64) as u64;
    }
    state
}

impl LongWords {
    /// The table of `tokens` as (id, bytes); those of up to 15 bytes are left out.
    pub(crate) fn build<'a>(tokens: impl Iterator<Item = (u32, &'a [u8])>) -> Self {
        let long: Vec<_> = tokens.filter(|(_, bytes)| bytes.len() > WORD_BYTES).collect();
        let longest = long.iter().map(|(_, bytes)| bytes.len()).max().unwrap_or(0);
        let mut slots = (long.len() * 2).next_power_of_two();
        loop {
            let mut entries = vec![FREE; slots + PROBES];
            if long.iter().all(|&(id, bytes)| insert(&mut entries, slots, id, bytes)) {
                return Self { entries: entries.into(), longest };
            }
            slots *= 2;
        }
    }

    /// The token that is exactly `piece`, which has more than 15 bytes.
    #[inline]
    pub(crate) fn get(&self, tokens: &Tokens, piece: &[u8]) -> Option<u32> {
        if piece.len() > self.longest {
            return None;
        }
        let hash = hash(piece);
        let slots = self.entries.len() - PROBES;
        let first = hash as usize & (slots - 1);
        let tag = hash >> 32 << 32;
        self.entries[first..first + PROBES]
            .iter()
            .take_while(|&&entry| entry != FREE)
            .filter(|&&entry| entry & !0xffff_ffff == tag)
            .map(|&entry| entry as u32)
            .find(|&id| tokens.get(id) == Some(piece))
    }

    /// Bytes of memory that it takes.
    pub(crate) fn memory(&self) -> usize {
        size_of_val(&*self.entries)
    }
}

fn insert(entries: &mut [u64], slots: usize, id: u32, bytes: &[u8]) -> bool {
    let hash = hash(bytes);
    let first = hash as usize & (slots - 1);
    let free = entries[first..first + PROBES].iter_mut().find(|entry| **entry == FREE);
    free.map(|entry| *entry = hash >> 32 << 32 | u64::from(id)).is_some()
}

impl Stored for LongWords {
    fn write(&self, writer: &mut SectionWriter) {
        writer.put("longword", &self.entries);
        writer.put("longest", &[self.longest as u64]);
    }

    fn read(reader: &mut SectionReader) -> Result<Self, FormatError> {
        let entries = reader.get::<u64>("longword")?;
        let longest = reader.get_one::<u64>("longest")? as usize;
        let slots = entries.len().wrapping_sub(PROBES);
        if entries.len() <= PROBES || !slots.is_power_of_two() {
            let cause = format!("{} entries, a power of two and {PROBES} expected", entries.len());
            return Err(FormatError::Section { tag: "longword".into(), cause });
        }
        // Ids are looked up in the token table, which knows its own: any id is safe here.
        Ok(Self { entries, longest })
    }
}
