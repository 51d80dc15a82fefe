//! The tables of byte-pair encoding in a v3 file.

use super::pairs::Pairs;
use super::{Bpe, MOST_NUMBERS, NONE};
use crate::formats::FormatError;
use crate::formats::sections::{SectionReader, SectionWriter, Stored};
use crate::split::Level;
use crate::trie::Trie;

impl Stored for Bpe {
    fn write(&self, writer: &mut SectionWriter) {
        let (cells, pilots, hash) = self.pairs.parts();
        writer.put("bpebytes", &self.bytes);
        writer.put("bpepairs", cells);
        writer.put("bpepilot", pilots);
        writer.put("bpehash", &hash);
        writer.put("bpeids", &self.ids);
        writer.put("bpehalf", &self.halves);
        writer.put("bpelen", &self.lengths);
        writer.put("bpeshort", &self.shorter);
        writer.put("bpeinfo", &[u32::from(self.rising), self.longest as u32]);
        self.trie.write(writer);
    }

    fn read(reader: &mut SectionReader) -> Result<Self, FormatError> {
        let wrong = |cause: &str| FormatError::Section { tag: "bpe".into(), cause: cause.into() };
        let info = reader.get::<u32>("bpeinfo")?;
        let &[rising, longest] = &*info else { return Err(wrong("two facts expected")) };
        let hash = reader.get::<u64>("bpehash")?;
        let &[factor, shift] = &*hash else {
            return Err(wrong("two numbers of the hash expected"));
        };
        let (cells, pilots) = (reader.get("bpepairs")?, reader.get("bpepilot")?);
        let pairs = Pairs::from_parts(cells, pilots, [factor, shift])
            .ok_or_else(|| wrong("the pairs do not lie where they are looked for"))?;
        let bpe = Self {
            bytes: reader.get("bpebytes")?,
            pairs,
            ids: reader.get("bpeids")?,
            halves: reader.get("bpehalf")?,
            lengths: reader.get("bpelen")?,
            shorter: reader.get("bpeshort")?,
            trie: Trie::read(reader)?,
            rising: rising != 0,
            longest: longest as usize,
            certain: None,
            level: Level::detect(),
        };
        check(&bpe)?;
        Ok(bpe)
    }
}

/// Refuses tables that refer to numbers that are not there, or contradict each other.
fn check(bpe: &Bpe) -> Result<(), FormatError> {
    let count = bpe.ids.len();
    let all = [bpe.halves.len(), bpe.lengths.len(), bpe.shorter.len(), bpe.trie.len()];
    if !(256..=MOST_NUMBERS).contains(&count)
        || all.iter().any(|&len| len != count)
        || bpe.bytes.len() != 1 << 16
    {
        let cause = "tables of different lengths".to_owned();
        return Err(FormatError::Section { tag: "bpe".into(), cause });
    }
    check_numbers(bpe)?;
    check_pairs(bpe)?;
    for (number, bytes) in bpe.trie.tokens() {
        let mut spelled = Vec::new();
        if (number as usize) < count {
            bpe.spell(number, &mut spelled);
        }
        if spelled != bytes {
            let cause = "the trie spells it otherwise than its halves";
            return Err(FormatError::Cell { table: "bpe", cell: number as usize, cause });
        }
    }
    Ok(())
}

/// Halves, lengths and shorter tokens: each leads to shorter bytes, so that no walk is endless.
fn check_numbers(bpe: &Bpe) -> Result<(), FormatError> {
    let count = bpe.ids.len() as u32;
    let mut longest = 0;
    for number in 0..count {
        let wrong = |cause| FormatError::Cell { table: "bpe", cell: number as usize, cause };
        let [left, right] = bpe.halves[number as usize];
        let length = bpe.lengths[number as usize];
        longest = longest.max(length as usize);
        if number < 256 {
            if [left, right] != [number; 2] || length != 1 {
                return Err(wrong("a byte that is not itself"));
            }
        } else if left >= count || right >= count {
            return Err(wrong("a half that is not there"));
        } else if bpe.rising && left.max(right) >= number {
            return Err(wrong("a half that comes later"));
        } else {
            let halves = [left, right].map(|half| u64::from(bpe.lengths[half as usize]));
            // Lengths are at least 1: a byte's is, and each other's is a sum of two.
            if halves.contains(&0) || halves[0] + halves[1] != u64::from(length) {
                return Err(wrong("a length that is not its halves'"));
            }
        }
        let shorter = bpe.shorter[number as usize];
        if shorter != NONE && (shorter >= count || bpe.lengths[shorter as usize] >= length) {
            return Err(wrong("a shorter token that is not there, or not shorter"));
        }
    }
    if longest != bpe.longest {
        let cause = "the longest token is not as long as it says".to_owned();
        return Err(FormatError::Section { tag: "bpe".into(), cause });
    }
    Ok(())
}

/// The pair tables: every entry is some number's halves, and all numbers' are there.
fn check_pairs(bpe: &Bpe) -> Result<(), FormatError> {
    let count = bpe.ids.len() as u32;
    let wrong = |cell, cause| FormatError::Cell { table: "bpe pairs", cell, cause };
    let mut entries = 0;
    for (at, (left, right, result)) in bpe.pairs.entries().enumerate() {
        if result < 256 || result >= count || bpe.halves[result as usize] != [left, right] {
            return Err(wrong(at, "not the halves of what it merges into"));
        }
        entries += 1;
    }
    if entries != count - 256 {
        return Err(wrong(entries as usize, "pairs are missing"));
    }
    for number in 256..count {
        let [left, right] = bpe.halves[number as usize];
        if bpe.pairs.get(left, right) != number {
            return Err(wrong(number as usize, "its pair is not found"));
        }
    }
    for (at, &number) in bpe.bytes.iter().enumerate() {
        if number != bpe.pairs.get(at as u32 >> 8, at as u32 & 255) {
            return Err(wrong(at, "bytes merge otherwise than their numbers"));
        }
    }
    Ok(())
}
