//! The trie in a v3 file, and what is checked when it comes back.

use super::{MOST_CELLS, NO_ID, Trie, base, id, label};
use crate::Table;
use crate::formats::FormatError;
use crate::formats::sections::{SectionReader, SectionWriter, Stored};

const TAG: &str = "trie";

impl Stored for Trie {
    fn write(&self, writer: &mut SectionWriter) {
        writer.put::<u64>(TAG, &self.cells);
    }

    fn read(reader: &mut SectionReader) -> Result<Self, FormatError> {
        let cells: Table<u64> = reader.get(TAG)?;
        let (longest, len) = check(&cells)?;
        Ok(Self::over(cells, longest, len))
    }
}

/// No cell; the parent of free cells and of the root.
const NOWHERE: u32 = u32::MAX;
/// A depth that is not known yet.
const UNKNOWN: u32 = u32::MAX;

/// Checks every cell, and gives the length of the longest token and the number of tokens.
///
/// After it every base is in range, no two nodes share one, and every node hangs below the root.
fn check(cells: &[u64]) -> Result<(usize, usize), FormatError> {
    let whole = cells.len() >= 256 && cells.len().is_multiple_of(256);
    if !whole || cells.len() > MOST_CELLS {
        let cause = format!("{} cells, a multiple of 256 up to {MOST_CELLS} expected", cells.len());
        return Err(FormatError::Section { tag: TAG.to_owned(), cause });
    }
    if id(cells[0]) != NO_ID || label(cells[0]) == 0 {
        return Err(wrong(0, "not a root"));
    }
    let parents = parents(cells)?;
    let longest = deepest(&parents)?;
    let len = cells.iter().filter(|&&cell| id(cell) != NO_ID).count();
    Ok((longest as usize, len))
}

fn wrong(cell: usize, cause: &'static str) -> FormatError {
    FormatError::Cell { table: "trie", cell, cause }
}

/// The parent of each cell, [`NOWHERE`] for the root and free cells.
fn parents(cells: &[u64]) -> Result<Vec<u32>, FormatError> {
    // By base: the cell that has it.
    let mut owner = vec![NOWHERE; cells.len()];
    for (at, &cell) in cells.iter().enumerate() {
        let base = base(cell) as usize;
        if base == 0 {
            continue;
        }
        if base < 256 || base.is_multiple_of(256) {
            return Err(wrong(at, "its base is a reserved one"));
        }
        let slot = owner.get_mut(base).ok_or_else(|| wrong(at, "its base is out of range"))?;
        if *slot != NOWHERE {
            return Err(wrong(at, "its base is that of another cell"));
        }
        *slot = at as u32;
    }
    let mut parents = vec![NOWHERE; cells.len()];
    for (at, &cell) in cells.iter().enumerate() {
        let byte = label(cell);
        let free = if at < 256 { at as u8 != byte } else { at as u8 == byte };
        if !free {
            parents[at] = owner[at ^ usize::from(byte)];
            if parents[at] == NOWHERE {
                return Err(wrong(at, "no cell has it for a child"));
            }
        } else if at != 0 && (base(cell) != 0 || id(cell) != NO_ID) {
            return Err(wrong(at, "free, but it has a base or an id"));
        }
    }
    Ok(parents)
}

/// The largest depth below the root; an error where cells hang in a cycle.
fn deepest(parents: &[u32]) -> Result<u32, FormatError> {
    let mut depth = vec![UNKNOWN; parents.len()];
    depth[0] = 0;
    let mut deepest = 0;
    let mut path = Vec::new();
    for start in 0..parents.len() {
        let mut at = start;
        // Each cell is put on a path once, for the path gives it a depth or ends the check.
        while depth[at] == UNKNOWN && parents[at] != NOWHERE {
            path.push(at);
            at = parents[at] as usize;
            if path.len() > parents.len() {
                return Err(wrong(start, "it is its own ancestor"));
            }
        }
        let first = if depth[at] == UNKNOWN { 0 } else { depth[at] + 1 };
        for (below, node) in (first..).zip(path.drain(..).rev()) {
            depth[node] = below;
            deepest = deepest.max(below);
        }
    }
    Ok(deepest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trie::cell;

    fn cells() -> Vec<u64> {
        let words: [&[u8]; 5] = [b"a", b"ab", b"abc", b"b", b"bcd"];
        Trie::build((0..).zip(words)).unwrap().cells.to_vec()
    }

    fn used(cells: &[u64]) -> Vec<usize> {
        (256..cells.len()).filter(|&at| label(cells[at]) != at as u8).collect()
    }

    #[track_caller]
    fn refused(cells: &[u64], because: &str) {
        let message = check(cells).unwrap_err().to_string();
        assert!(message.contains(because), "{message}");
    }

    #[test]
    fn what_was_written_is_read_again() {
        let trie = Trie::build([(7, &b"x"[..]), (9, b"xyz"), (1, b"\0\0")]).unwrap();
        let mut writer = SectionWriter::new();
        trie.write(&mut writer);
        let file = writer.finish().unwrap();
        let again = Trie::read(&mut SectionReader::from_bytes(&file).unwrap()).unwrap();
        assert!(again.tokens().eq(trie.tokens()));
        assert_eq!((again.len(), again.longest_token()), (3, 3));
        assert_eq!(again.longest(b"xyzz"), Some((9, 3)));
    }

    #[test]
    fn hostile_cells_are_refused() {
        let good = cells();
        assert_eq!(check(&good).unwrap(), (3, 5));
        refused(&good[..good.len() - 1], "multiple of 256");
        refused(&[], "multiple of 256");
        let used = used(&good);
        let with_base = |at: usize, base: u32| {
            let mut cells = good.clone();
            cells[at] = cell(label(cells[at]), base, id(cells[at]));
            cells
        };
        let last = used[used.len() - 1];
        refused(&with_base(last, good.len() as u32 + 1), "out of range");
        refused(&with_base(last, 17), "reserved");
        refused(&with_base(last, 256), "reserved");
        refused(&with_base(last, base(good[0])), "that of another cell");
        refused(&with_base(0, 0), "no cell has it for a child");
        let mut hidden = good.clone();
        hidden[3] = cell(label(hidden[3]), 0, 5);
        refused(&hidden, "free, but");
        let mut root = good.clone();
        root[0] = cell(1, base(root[0]), 5);
        refused(&root, "not a root");
        root[0] = cell(0, base(good[0]), NO_ID);
        refused(&root, "not a root");
    }

    #[test]
    fn a_cycle_apart_from_the_root_is_refused() {
        let mut cells = cells();
        let end = cells.len();
        cells.extend((end..end + 256).map(|at| cell(at as u8, 0, NO_ID)));
        // Two new nodes, each the other's child along byte `c`.
        let (one, two) = (end + 0x11, end + 0x22);
        for (from, to) in [(one, two), (two, one)] {
            let byte = b'c';
            cells[from] = cell(byte, (to ^ usize::from(byte)) as u32, NO_ID);
        }
        refused(&cells, "its own ancestor");
    }

    /// Any single changed bit is either refused or leaves a trie that can be walked.
    #[test]
    fn flipped_bits_never_break_a_walk() {
        let good = cells();
        for at in used(&good).into_iter().chain([0, 5, 300]) {
            for bit in 0..64 {
                let mut cells = good.clone();
                cells[at] ^= 1 << bit;
                let Ok((longest, len)) = check(&cells) else { continue };
                let trie = Trie::over(cells.into(), longest, len);
                assert!(trie.longest(b"abcd").is_none_or(|(_, n)| n <= 4));
                assert_eq!(trie.tokens().count(), len);
            }
        }
    }
}
