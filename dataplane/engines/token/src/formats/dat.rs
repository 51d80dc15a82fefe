//! Crayon's `.dat` version 2: a double array over raw bytes.
//!
//! `CRAY`, version `u32` = 2, number of cells N `u32`, then BASE, CHECK and VALUES as `i32[N]` each,
//! all little-endian. From cell s byte c leads to t = BASE\[s\] + c if CHECK\[t\] = s; the root is cell 0.
//! VALUES has the id of the token that ends in a cell, or −1. No reader of Crayon's checks any of it;
//! this one checks every cell. The companion JSON is not needed: the tokens' bytes are in the array.

use super::{FormatError, crayon};
use crate::trie::v2::{self, V2Arrays};
use crate::vocab::{MAX_ID, MAX_TOKEN_BYTES, Mode, Unknown, VocabSource};

/// Name of the format in messages.
pub(crate) const FORMAT: &str = ".dat";
/// First bytes of such a file.
pub(crate) const MAGIC: [u8; 4] = *b"CRAY";
const VERSION: u32 = 2;
const HEADER: usize = 12;
/// Most cells that are read, 768 MiB of file.
const MAX_CELLS: u32 = 1 << 26;

/// Reads a vocabulary for longest match; bytes without a token are handled as `unknown` says.
///
/// A token of no bytes, which Crayon's builder takes and its engine never matches, is left out.
///
/// # Errors
/// [`FormatError::Truncated`], [`FormatError::Version`], [`FormatError::TooLarge`];
/// [`FormatError::Cell`] for one that is out of range, in a cycle, or not reached from the root;
/// [`FormatError::Source`] for an id that two tokens have.
pub fn read(file: &[u8], name: &str, unknown: Unknown) -> Result<VocabSource, FormatError> {
    let arrays = arrays(file)?;
    let depths = depths(&arrays)?;
    let mut tokens = Vec::new();
    for (cell, &value) in arrays.values.iter().enumerate().skip(1) {
        match u32::try_from(value) {
            Ok(id) if id <= MAX_ID && depths[cell] > 0 => {
                tokens.push((id, spelled(&arrays, cell, depths[cell])));
            }
            Ok(_) if depths[cell] == 0 => return Err(at(cell, "a free cell has an id")),
            Err(_) if value == -1 => {}
            _ => return Err(at(cell, "its id is out of range")),
        }
    }
    tokens.sort_by_key(|(id, _)| *id);
    let source = crayon::greedy(name, tokens, unknown);
    source.check().map_err(|source| FormatError::Source { format: FORMAT, source })?;
    Ok(source)
}

/// The `.dat` file of a vocabulary for longest match. Its handling of unknown bytes is not in the
/// format; Crayon's engine gives id 1 for them.
///
/// # Errors
/// [`FormatError::Unsupported`] for BPE; [`FormatError::Invalid`] when the tokens do not fit.
pub fn write(source: &VocabSource) -> Result<Vec<u8>, FormatError> {
    if source.mode != Mode::Greedy {
        let supported = "it holds tokens for longest match alone; write .v3 instead";
        let found = "byte-pair encoding".to_owned();
        return Err(FormatError::Unsupported { format: FORMAT, found, supported });
    }
    let tokens = source.tokens.iter().map(|(id, bytes)| (*id, bytes.as_slice()));
    let arrays = v2::arrays(tokens).map_err(|e| FormatError::invalid(FORMAT, e.to_string()))?;
    let mut file = Vec::with_capacity(HEADER + arrays.base.len() * 12);
    file.extend_from_slice(&MAGIC);
    file.extend_from_slice(&VERSION.to_le_bytes());
    file.extend_from_slice(&(arrays.base.len() as u32).to_le_bytes());
    for array in [&arrays.base, &arrays.check, &arrays.values] {
        array.iter().for_each(|value| file.extend_from_slice(&value.to_le_bytes()));
    }
    Ok(file)
}

fn at(cell: usize, cause: &'static str) -> FormatError {
    FormatError::Cell { table: FORMAT, cell, cause }
}

/// The arrays as the file has them, of the length that it says.
fn arrays(file: &[u8]) -> Result<V2Arrays, FormatError> {
    let have = file.len() as u64;
    let truncated = |need| FormatError::Truncated { format: FORMAT, need, have };
    let (header, body) = file.split_first_chunk::<HEADER>().ok_or_else(|| truncated(12))?;
    let [magic, version, cells] = *header.as_chunks::<4>().0 else {
        return Err(truncated(HEADER as u64));
    };
    if magic != MAGIC {
        return Err(FormatError::Unrecognized { start: header[..8].to_vec() });
    }
    let version = u32::from_le_bytes(version);
    if version != VERSION {
        return Err(FormatError::Version { format: FORMAT, found: version, known: VERSION });
    }
    let cells = u32::from_le_bytes(cells);
    if cells > MAX_CELLS {
        let (what, found, limit) = ("the number of cells", cells.into(), MAX_CELLS.into());
        return Err(FormatError::TooLarge { format: FORMAT, what, found, limit });
    }
    let array = cells as usize * 4;
    if body.len() < 3 * array {
        return Err(truncated((HEADER + 3 * array) as u64));
    }
    if body.len() > 3 * array {
        return Err(FormatError::invalid(FORMAT, format!("bytes follow the {cells} cells")));
    }
    let words =
        |part: &[u8]| part.as_chunks::<4>().0.iter().map(|w| i32::from_le_bytes(*w)).collect();
    let (base, rest) = body.split_at(array);
    let (check, values) = rest.split_at(array);
    Ok(V2Arrays { base: words(base), check: words(check), values: words(values) })
}

/// How many bytes lead to each cell; 0 for the root and for free cells.
///
/// Every other cell's chain of parents is shown to end in the root within [`MAX_TOKEN_BYTES`] steps,
/// each along a byte.
fn depths(arrays: &V2Arrays) -> Result<Vec<u32>, FormatError> {
    match arrays.check.first() {
        // Crayon 2 has the root as its own parent, Crayon 5 as a cell without one.
        Some(0 | -1) => {}
        Some(_) => return Err(at(0, "the root has a parent other than itself")),
        None => return Err(FormatError::invalid(FORMAT, "it has no root")),
    }
    if let Some(cell) = arrays.base.iter().position(|&base| base < 0) {
        return Err(at(cell, "its base is negative"));
    }
    if arrays.base[0] == 0 && arrays.check[0] == 0 {
        return Err(at(0, "the root's base is 0, so that byte 0 leads back to it"));
    }
    let mut depths = vec![0u32; arrays.check.len()];
    let mut chain = Vec::new();
    for start in 1..depths.len() {
        if arrays.check[start] == -1 || depths[start] > 0 {
            continue;
        }
        let mut cell = start;
        while cell != 0 && depths[cell] == 0 {
            if chain.len() == MAX_TOKEN_BYTES {
                return Err(at(start, "its parents form a cycle, or a token is too long"));
            }
            chain.push(cell);
            cell = parent(arrays, cell)?;
        }
        let mut depth = depths[cell];
        while let Some(cell) = chain.pop() {
            depth += 1;
            depths[cell] = depth;
        }
        if depth as usize > MAX_TOKEN_BYTES {
            return Err(at(start, "its parents form a cycle, or a token is too long"));
        }
    }
    Ok(depths)
}

/// The cell from which a byte leads to `cell`, which is not the root.
fn parent(arrays: &V2Arrays, cell: usize) -> Result<usize, FormatError> {
    let parent = usize::try_from(arrays.check[cell])
        .ok()
        .filter(|&parent| parent < arrays.check.len())
        .ok_or_else(|| at(cell, "its parent is out of range, or free"))?;
    match cell.checked_sub(arrays.base[parent] as usize) {
        Some(0..=255) => Ok(parent),
        _ => Err(at(cell, "no byte leads to it from its parent")),
    }
}

/// The bytes that lead from the root to `cell`, as [`depths`] has checked.
fn spelled(arrays: &V2Arrays, mut cell: usize, depth: u32) -> Vec<u8> {
    let mut bytes = vec![0; depth as usize];
    for byte in bytes.iter_mut().rev() {
        let parent = arrays.check[cell] as usize;
        *byte = (cell - arrays.base[parent] as usize) as u8;
        cell = parent;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By hand: `a` = 5, `ab` = 0. Root base 1, so `a` is cell 98; its base 1, so `b` is cell 99.
    fn by_hand() -> (Vec<i32>, Vec<i32>, Vec<i32>) {
        let (mut base, mut check, mut values) = (vec![1; 100], vec![-1; 100], vec![-1; 100]);
        check[0] = 0;
        check[98] = 0;
        values[98] = 5;
        base[98] = 1;
        check[99] = 98;
        values[99] = 0;
        (base, check, values)
    }

    fn file((base, check, values): &(Vec<i32>, Vec<i32>, Vec<i32>)) -> Vec<u8> {
        let mut file = b"CRAY\x02\0\0\0".to_vec();
        file.extend_from_slice(&(base.len() as u32).to_le_bytes());
        for word in base.iter().chain(check).chain(values) {
            file.extend_from_slice(&word.to_le_bytes());
        }
        file
    }

    fn parse(file: &[u8]) -> Result<VocabSource, FormatError> {
        read(file, "test", Unknown::AddBytes)
    }

    #[test]
    fn a_file_made_by_hand_is_read_and_written_tokens_come_back() {
        let source = parse(&file(&by_hand())).unwrap();
        assert_eq!(source.tokens, [(0, b"ab".to_vec()), (5, b"a".to_vec())]);
        let mut later = by_hand();
        later.1[0] = -1;
        assert_eq!(parse(&file(&later)).unwrap(), source, "as Crayon 5 writes the root");
        let words: [&[u8]; 5] = [b"\0", b"\xff\xff", b"abc", b"ab", &[7; 300]];
        let tokens = (0..).zip(words.map(<[u8]>::to_vec)).collect();
        let source = crayon::greedy("test", tokens, Unknown::AddBytes);
        assert_eq!(parse(&write(&source).unwrap()).unwrap(), source);
    }

    #[test]
    fn truncation_at_every_byte_and_bytes_too_many_are_refused() {
        let mut good = file(&by_hand());
        for len in 0..good.len() {
            let error = parse(&good[..len]).unwrap_err();
            assert!(matches!(error, FormatError::Truncated { .. }), "{len}: {error}");
        }
        good.push(0);
        assert!(matches!(parse(&good), Err(FormatError::Invalid { .. })));
    }

    #[test]
    fn a_flipped_bit_never_panics_and_what_is_accepted_is_a_good_vocabulary() {
        let good = file(&by_hand());
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            if let Ok(source) = parse(&bad) {
                assert_eq!(source.check(), Ok(()), "bit {bit}");
            }
        }
    }

    #[test]
    fn hostile_heads_are_refused() {
        let mut head = file(&by_hand());
        head[8..12].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(matches!(parse(&head), Err(FormatError::TooLarge { .. })));
        head[4] = 1;
        assert!(matches!(parse(&head), Err(FormatError::Version { found: 1, .. })));
        head[0] = b'X';
        assert!(matches!(parse(&head), Err(FormatError::Unrecognized { .. })));
        assert!(matches!(
            parse(&file(&(vec![], vec![], vec![]))),
            Err(FormatError::Invalid { .. })
        ));
    }

    #[test]
    fn hostile_cells_are_refused() {
        type Change = fn(&mut (Vec<i32>, Vec<i32>, Vec<i32>));
        let changes: [(Change, &str); 11] = [
            (|a| a.1[0] = 98, "other than itself"),
            (|a| a.0[98] = -1, "negative"),
            (|a| a.0[3] = i32::MIN, "negative"),
            (|a| a.0[0] = 0, "base is 0"),
            (|a| a.1[99] = 100, "out of range"),
            (|a| a.1[99] = i32::MAX, "out of range"),
            (|a| a.1[98] = 99, "cycle"),
            (|a| (a.1[98], a.0[98]) = (98, 98), "cycle"),
            (|a| a.0[98] = 100, "no byte"),
            (|a| a.2[99] = -2, "out of range"),
            (|a| a.2[50] = 7, "free cell"),
        ];
        for (change, cause) in changes {
            let mut arrays = by_hand();
            change(&mut arrays);
            let error = parse(&file(&arrays)).unwrap_err();
            assert!(matches!(error, FormatError::Cell { .. }), "{cause}: {error}");
            assert!(error.to_string().contains(cause), "{cause}: {error}");
        }
        let mut twice = by_hand();
        twice.2[99] = 5;
        assert!(matches!(parse(&file(&twice)), Err(FormatError::Source { .. })));
    }

    #[test]
    fn byte_pairs_are_not_written() {
        let source = crate::vocab::shipped("r50k_base").unwrap();
        assert!(matches!(write(&source), Err(FormatError::Unsupported { .. })));
    }
}
