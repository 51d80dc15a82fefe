//! Files with what became of a segment's rows.
//!
//! Magic (8 bytes), version (4), how many marks of records (4) and of associations (4), zeros (4),
//! the segment (8); then each mark as [`Kept`]; then the CRC-32C of all before it (4).

use std::path::Path;

use bytemuck::{Pod, Zeroable};

use super::format::crc32c;
use crate::collection::error::{IoContext, StoreError};
use crate::part::marks::{Mark, Marks};

const MAGIC: [u8; 8] = *b"PFSVMRK\0";
const VERSION: u32 = 1;
const HEAD: usize = 32;

/// A mark in a file: 32 bytes, little-endian.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
struct Kept {
    row: u32,
    touches: u32,
    ended: u64,
    accessed: u64,
    touched: u64,
}

/// The bytes of a file with the marks that changes up to `lsn` made. Endings by later changes are
/// left out: those changes are in the log, and make them again.
pub(crate) fn encode(segment: u64, marks: [&Marks; 2], lsn: u64) -> Vec<u8> {
    let kept = marks.map(|marks| {
        let all = marks.all().into_iter();
        let kept = all.map(|(row, mark)| Kept {
            row,
            touches: mark.touches,
            ended: if mark.lsn <= lsn { mark.ended } else { 0 },
            accessed: mark.accessed,
            touched: mark.touched,
        });
        kept.filter(|kept| kept.ended > 0 || kept.touches > 0).collect::<Vec<Kept>>()
    });
    let mut bytes = MAGIC.to_vec();
    for word in [VERSION, kept[0].len() as u32, kept[1].len() as u32, 0] {
        bytes.extend_from_slice(&word.to_le_bytes());
    }
    bytes.extend_from_slice(&segment.to_le_bytes());
    kept.iter().for_each(|kept| bytes.extend_from_slice(bytemuck::cast_slice(kept)));
    let crc = crc32c(&bytes);
    bytes.extend_from_slice(&crc.to_le_bytes());
    bytes
}

/// Reads a file into the marks of records and associations, of which there are `rows`.
///
/// # Errors
/// [`StoreError::Broken`], when it is not such a file of this segment as a whole.
pub(crate) fn load(
    path: &Path,
    segment: u64,
    marks: [&Marks; 2],
    rows: [u32; 2],
) -> Result<(), StoreError> {
    let bytes = std::fs::read(path).doing("reading", path)?;
    decode(&bytes, segment, marks, rows)
        .map_err(|why| StoreError::Broken { path: path.to_owned(), why })
}

fn decode(
    bytes: &[u8],
    segment: u64,
    marks: [&Marks; 2],
    rows: [u32; 2],
) -> Result<(), &'static str> {
    let (body, crc) = bytes.split_last_chunk::<4>().ok_or("it is too short")?;
    if crc32c(body) != u32::from_le_bytes(*crc) {
        return Err("it is damaged");
    }
    let word = |at: usize| body.get(at..at + 4).map(bytemuck::pod_read_unaligned::<u32>);
    if !body.starts_with(&MAGIC) || word(8) != Some(VERSION) {
        return Err("it does not begin as marks of this version do");
    }
    if body.get(24..HEAD) != Some(&segment.to_le_bytes()) {
        return Err("it is of another segment");
    }
    let counts = [word(12), word(16)].map(|count| count.unwrap_or(0) as usize);
    let mut rest = &body[HEAD..];
    if rest.len() != (counts[0] + counts[1]) * size_of::<Kept>() {
        return Err("its length is not what it says");
    }
    for ((marks, count), rows) in marks.into_iter().zip(counts).zip(rows) {
        let (own, after) = rest.split_at(count * size_of::<Kept>());
        for kept in own.chunks_exact(size_of::<Kept>()) {
            let kept: Kept = bytemuck::pod_read_unaligned(kept);
            if kept.row >= rows {
                return Err("it marks a row that is not there");
            }
            let Kept { row, touches, ended, accessed, touched } = kept;
            marks.set(row, Mark { ended, lsn: 0, accessed, touches, touched });
        }
        rest = after;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_come_back_but_for_endings_that_the_log_makes_again() {
        let (marks, edges) = (Marks::for_rows(9), Marks::for_rows(3));
        marks.end(1, 5, 100);
        marks.end(2, 8, 100);
        marks.touch(2, 7, 50);
        marks.touch(3, 6, 51);
        edges.end(0, 5, 7);
        let bytes = encode(4, [&marks, &edges], 5);
        let (back, edges_back) = (Marks::for_rows(9), Marks::for_rows(3));
        decode(&bytes, 4, [&back, &edges_back], [9, 3]).expect("reads");
        assert_eq!((back.ended(1, 0), back.ended(2, 99)), (Some(100), None));
        assert_eq!((back.get(2).touches, back.get(3).accessed), (1, 51));
        assert_eq!(edges_back.ended(0, 0), Some(7));
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 4;
            let (a, b) = (Marks::for_rows(9), Marks::for_rows(3));
            assert!(decode(&damaged, 4, [&a, &b], [9, 3]).is_err(), "byte {at}");
            assert!(decode(&bytes[..at], 4, [&a, &b], [9, 3]).is_err());
        }
        let (a, b) = (Marks::for_rows(9), Marks::for_rows(3));
        assert!(decode(&bytes, 5, [&a, &b], [9, 3]).is_err());
        assert!(decode(&bytes, 4, [&a, &b], [2, 3]).is_err());
    }
}
