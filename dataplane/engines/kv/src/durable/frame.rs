//! Frames: what is written to the log at once.
//!
//! | offset | bytes | what |
//! |---|---|---|
//! | 0 | 4 | magic |
//! | 4 | 4 | CRC-32C of all that follows, payload included |
//! | 8 | 4 | payload bytes |
//! | 12 | 4 | epoch: how often the directory had been opened |
//! | 16 | 8 | sequence number: 1 more than that of the frame before |
//! | 24 | 8 | the greatest sequence number known to be durable when this was written |
//! | 32 | … | changes |
//!
//! All numbers are little-endian. The last field tells a torn end from damage: when a frame cannot
//! be read and a later one says that it had been durable, it was damaged afterwards.

use super::codec;
use crate::change::Change;

/// First bytes of a frame.
pub(super) const MAGIC: [u8; 4] = *b"pfkF";
/// Bytes before the payload.
pub(super) const HEAD: usize = 32;

pub(crate) fn crc32c(bytes: &[u8]) -> u32 {
    crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, bytes) as u32
}

/// Begins a frame at the end of `out`; [`seal`] finishes it.
pub(super) fn begin(out: &mut Vec<u8>) {
    out.extend_from_slice(&[0; HEAD]);
}

/// Finishes the frame that `out` holds from `start` on.
pub(super) fn seal(out: &mut [u8], start: usize, epoch: u32, sequence: u64, durable: u64) {
    let Some(frame) = out.get_mut(start..).filter(|frame| frame.len() >= HEAD) else { return };
    let len = (frame.len() - HEAD) as u32;
    frame[..4].copy_from_slice(&MAGIC);
    frame[8..12].copy_from_slice(&len.to_le_bytes());
    frame[12..16].copy_from_slice(&epoch.to_le_bytes());
    frame[16..24].copy_from_slice(&sequence.to_le_bytes());
    frame[24..32].copy_from_slice(&durable.to_le_bytes());
    let crc = crc32c(&frame[8..]);
    frame[4..8].copy_from_slice(&crc.to_le_bytes());
}

/// A frame that was read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame<'a> {
    pub(super) epoch: u32,
    pub(super) sequence: u64,
    pub(super) durable: u64,
    pub(super) payload: &'a [u8],
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// The frame that `bytes` begin with, if it is whole.
pub(super) fn read(bytes: &[u8]) -> Option<Frame<'_>> {
    if !bytes.starts_with(&MAGIC) {
        return None;
    }
    let len = u32_at(bytes, 8)? as usize;
    let frame = bytes.get(..HEAD.checked_add(len)?)?;
    if u32_at(frame, 4)? != crc32c(&frame[8..]) {
        return None;
    }
    Some(Frame {
        epoch: u32_at(frame, 12)?,
        sequence: u64_at(frame, 16)?,
        durable: u64_at(frame, 24)?,
        payload: &frame[HEAD..],
    })
}

/// What a run of frames turned out to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Scanned {
    /// Bytes of good frames.
    pub(crate) good: u64,
    /// Sequence number of the last good one; that before the first when there is none.
    pub(crate) last: u64,
    /// Good frames.
    pub(crate) frames: u64,
    /// Bytes behind the good ones, zeros at the end left out.
    pub(crate) cut: u64,
    /// A later frame says that what could not be read had been durable.
    pub(crate) damaged: bool,
}

/// Reads frames from `bytes` on as long as they follow `last`, and calls `each` with their changes.
/// Stops at the first that is not whole, does not follow, or holds what is no change.
///
/// # Errors
/// What `each` returned.
pub(crate) fn scan_frames<E>(
    bytes: &[u8],
    last: u64,
    epoch: u32,
    mut each: impl FnMut(u64, &Change<'_>) -> Result<(), E>,
) -> Result<Scanned, E> {
    let mut scanned = Scanned { last, ..Scanned::default() };
    let (mut at, mut least) = (0, 0);
    while let Some(frame) = bytes.get(at..).and_then(read) {
        let follows = frame.sequence == scanned.last.wrapping_add(1);
        if !follows || frame.epoch < least || frame.epoch > epoch || !whole(frame.payload) {
            break;
        }
        let mut rest = frame.payload;
        while let Some((change, left)) = codec::decode(rest) {
            each(frame.sequence, &change)?;
            rest = left;
        }
        least = frame.epoch;
        scanned.last = frame.sequence;
        scanned.frames += 1;
        at += HEAD + frame.payload.len();
    }
    scanned.good = at as u64;
    let tail = bytes.get(at..).unwrap_or_default();
    let zeros = tail.iter().rev().take_while(|&&byte| byte == 0).count();
    let tail = &tail[..tail.len() - zeros];
    scanned.cut = tail.len() as u64;
    scanned.damaged = durable_later(bytes.get(at..).unwrap_or_default(), scanned.last, epoch);
    Ok(scanned)
}

/// Whether the payload is changes from end to end.
fn whole(payload: &[u8]) -> bool {
    let mut rest = payload;
    while let Some((_, left)) = codec::decode(rest) {
        rest = left;
    }
    rest.is_empty()
}

/// Whether a good frame in `tail` says that more than `last` had been durable.
fn durable_later(tail: &[u8], last: u64, epoch: u32) -> bool {
    let finder = memchr::memmem::Finder::new(&MAGIC);
    let mut from = 0;
    while let Some(found) = tail.get(from..).and_then(|rest| finder.find(rest)) {
        let at = from + found;
        let frame = tail.get(at..).and_then(read);
        if frame.is_some_and(|frame| {
            frame.durable > last && frame.sequence > frame.durable && frame.epoch <= epoch
        }) {
            return true;
        }
        from = at + 1;
    }
    false
}
