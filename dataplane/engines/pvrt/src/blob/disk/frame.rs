//! Frames of the journal: what was synced at once, there whole or not at all.
//!
//! | offset | bytes | what |
//! |---|---|---|
//! | 0 | 4 | magic |
//! | 4 | 4 | CRC-32C of all that follows |
//! | 8 | 4 | bytes of records |
//! | 12 | 4 | zeros |
//! | 16 | 8 | number: 1 more than that of the frame before |
//! | 24 | … | records |

use super::record::Record;
use super::{Fields, crc32c};

const MAGIC: [u8; 4] = *b"pfBj";
/// Bytes before the records.
pub(in crate::blob) const HEAD: usize = 24;
/// Most bytes of records in a frame.
pub(in crate::blob) const RECORDS_MAX: usize = 8 << 20;

/// Appends a frame.
pub(in crate::blob) fn write(out: &mut Vec<u8>, number: u64, records: &[u8]) {
    let start = out.len();
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&(records.len() as u32).to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&number.to_le_bytes());
    out.extend_from_slice(records);
    let crc = crc32c(&out[start + 8..]);
    out[start + 4..start + 8].copy_from_slice(&crc.to_le_bytes());
}

/// The number and the records of the frame that `bytes` begin with, if it is whole.
fn read(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut fields = Fields(bytes);
    let (magic, crc) = (fields.array()?, fields.u32()?);
    let rest = fields.0;
    let (len, zeros, number) = (fields.u32()? as usize, fields.u32()?, fields.u64()?);
    let records = fields.0.get(..len)?;
    let whole = magic == MAGIC && zeros == 0 && len <= RECORDS_MAX;
    (whole && crc == crc32c(&rest[..16 + len])).then_some((number, records))
}

/// What a run of frames turned out to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::blob) struct Scanned {
    /// Bytes of good frames.
    pub(in crate::blob) good: usize,
    /// How many they are, and the last one's number.
    pub(in crate::blob) frames: u64,
    /// Bytes behind them.
    pub(in crate::blob) cut: usize,
    /// A whole frame of a later number follows what could not be read: that was there once.
    pub(in crate::blob) damaged: bool,
}

/// Gives the records of `bytes` to `each` as long as frames are whole and follow each other. What
/// holds no records is damaged too: no end is torn like that.
///
/// # Errors
/// What `each` returned.
pub(in crate::blob) fn scan<E>(
    bytes: &[u8],
    mut each: impl FnMut(&Record<'_>) -> Result<(), E>,
) -> Result<Scanned, E> {
    let mut scanned = Scanned::default();
    while let Some((number, records)) = read(&bytes[scanned.good..]) {
        if number != scanned.frames + 1 {
            break;
        }
        let mut fields = Fields(records);
        let known =
            std::iter::from_fn(|| (!fields.0.is_empty()).then(|| Record::decode(&mut fields)));
        // A frame counts whole: it is read before any of it is done.
        let Some(known) = known.collect::<Option<Vec<_>>>() else {
            scanned.damaged = true;
            break;
        };
        known.iter().try_for_each(&mut each)?;
        scanned.good += HEAD + records.len();
        scanned.frames = number;
    }
    scanned.cut = bytes.len() - scanned.good;
    scanned.damaged |= later(&bytes[scanned.good..], scanned.frames).is_some();
    Ok(scanned)
}

/// Gives the records of all whole frames to `each`, whatever lies between them.
pub(in crate::blob) fn salvage(bytes: &[u8], mut each: impl FnMut(&Record<'_>)) -> Scanned {
    let (mut at, mut salvaged) = (0, Scanned::default());
    while let Some((skip, number, records)) = later(&bytes[at..], salvaged.frames) {
        let mut fields = Fields(records);
        while let Some(record) = Record::decode(&mut fields) {
            each(&record);
        }
        salvaged.damaged |= skip > 0 || number != salvaged.frames + 1 || !fields.0.is_empty();
        at += skip + HEAD + records.len();
        (salvaged.good, salvaged.frames) = (at, number);
    }
    salvaged.cut = bytes.len() - at;
    salvaged
}

/// The first whole frame in `bytes` with a number above `last`: how many bytes precede it, its
/// number and records.
fn later(bytes: &[u8], last: u64) -> Option<(usize, u64, &[u8])> {
    // Bytes made to look like beginnings of long frames would be summed again and again.
    let mut work = bytes.len().saturating_mul(4) + (1 << 20);
    let mut at = 0;
    while let Some(next) = bytes[at..].windows(4).position(|four| four == MAGIC) {
        at += next;
        let frame = &bytes[at..];
        if let Some((number, records)) = read(frame).filter(|(number, _)| *number > last) {
            return Some((at, number, records));
        }
        let len = Fields(frame.get(8..).unwrap_or_default()).u32().unwrap_or(0) as usize;
        work = work.checked_sub(len.min(frame.len()).min(RECORDS_MAX))?;
        at += 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::super::super::Digest;
    use super::*;

    fn frames(count: u64) -> (Vec<u8>, Vec<usize>) {
        let (mut bytes, mut ends) = (Vec::new(), Vec::new());
        for number in 1..=count {
            let mut records = Vec::new();
            for refs in 0..number as u32 {
                Record::Refs { digest: Digest([number as u8; 32]), refs }.encode(&mut records);
            }
            write(&mut bytes, number, &records);
            ends.push(bytes.len());
        }
        (bytes, ends)
    }

    fn count(bytes: &[u8]) -> (Scanned, u64) {
        let mut records = 0;
        let scanned = scan(bytes, |_| {
            records += 1;
            Ok::<(), Infallible>(())
        });
        let Ok(scanned) = scanned;
        (scanned, records)
    }

    #[test]
    fn a_torn_end_is_cut_at_the_last_whole_frame() {
        let (bytes, ends) = frames(4);
        for cut in 0..=bytes.len() {
            let (scanned, records) = count(&bytes[..cut]);
            let whole = ends.iter().filter(|end| **end <= cut).count();
            assert_eq!((scanned.frames, scanned.damaged), (whole as u64, false), "{cut}");
            assert_eq!(scanned.good, whole.checked_sub(1).map_or(0, |last| ends[last]));
            assert_eq!(scanned.good + scanned.cut, cut);
            assert_eq!(records, (whole * (whole + 1) / 2) as u64);
        }
    }

    #[test]
    fn a_flipped_bit_before_the_last_frame_is_damage() {
        let (bytes, ends) = frames(4);
        for bit in 0..bytes.len() * 8 {
            let mut bytes = bytes.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let (scanned, _) = count(&bytes);
            let frame = ends.iter().filter(|end| **end <= bit / 8).count();
            assert_eq!(scanned.frames, frame as u64, "{bit}");
            assert_eq!(scanned.damaged, frame < 3, "{bit}");
            let (mut records, all) = (0, 1 + 2 + 3 + 4);
            let salvaged = salvage(&bytes, |_| records += 1);
            assert_eq!(records, all - frame - 1, "{bit}");
            assert!(salvaged.damaged || frame == 3);
        }
    }

    #[test]
    fn frames_that_do_not_follow_or_hold_no_records_are_damage() {
        let mut bytes = Vec::new();
        write(&mut bytes, 2, &[]);
        assert!(count(&bytes).0.damaged);
        bytes.clear();
        write(&mut bytes, 1, &[77]);
        let (scanned, records) = count(&bytes);
        assert_eq!((scanned.frames, scanned.damaged, records), (0, true, 0));
    }

    #[test]
    fn a_length_that_lies_reads_nothing_beyond() {
        let (mut bytes, _) = frames(1);
        for len in [0_u32, 1, 1 << 23, u32::MAX] {
            bytes[8..12].copy_from_slice(&len.to_le_bytes());
            let crc = crc32c(&bytes[8..]);
            bytes[4..8].copy_from_slice(&crc.to_le_bytes());
            assert_eq!(count(&bytes).0.frames, 0);
        }
    }
}
