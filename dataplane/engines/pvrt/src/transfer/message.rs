//! What the two ends say to each other.
//!
//! A message is a byte that names it, then its fields; numbers are LEB128 unless a width is said.
//!
//! | byte | from | message |
//! |---|---|---|
//! | 1 | both | `Error`: a text |
//! | 2 | both | `Alive`: nothing |
//! | 3 | sender | `Hello`: key of the frames (32 bytes), cipher (u8, 0 for none), bytes of a window |
//! | 4 | receiver | `Welcome`: UDP port (u16), bytes that can wait unread |
//! | 5 | sender | `Entries`: entries of the manifest, as [`super::tree::Order`] writes them |
//! | 6 | sender | `EntriesEnd`: how many there were |
//! | 7 | receiver | `States`: number of the first entry, then a byte an entry, see [`State`] |
//! | 8 | sender | `Object`: see [`Object`] |
//! | 9 | receiver | `Ready`: object, then runs of windows that are there (gap, length) |
//! | 10 | sender | `Digests`: object, then 32 bytes of BLAKE3 a file in it |
//! | 11 | receiver | `Arrived`: see [`Arrived`] |
//! | 12 | receiver | `Wanted`: object, then what is missing, as [`crate::wire::wanted`] writes it |
//! | 13 | receiver | `Placed`: object |
//! | 14 | receiver | `Again`: object, whose digest was wrong |
//! | 15 | sender | `SyncBegin`: key (32 bytes), files, then the number of each file's entry (gap) |
//! | 16 | both | `Sync`: whether it is the last part (u8), then a part of a message of the sync |
//! | 17 | receiver | `SyncPlaced`: nothing |
//! | 18 | sender | `Finish`: nothing |
//! | 19 | receiver | `Done`: bytes of frames that came |
//! | 20 | receiver | `Similar`: number of absent files like which there are others, then each (gap); ends the states |

use std::ops::Range;

use super::codec::{Malformed, Reader, put_varint};
use super::error::TransferError;

/// Longest text of an error.
const ERROR_MOST: usize = 4096;
/// Most files of a bundle.
pub(crate) const BUNDLE_FILES: usize = 1 << 16;
/// Most parts of a sparse file that are sent.
pub(crate) const EXTENTS_MOST: usize = 1 << 16;

/// What the receiver has of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum State {
    /// Nothing.
    Absent = 0,
    /// A file, of whatever content.
    Older = 1,
    /// What the manifest says, or nothing that bytes are needed for: a folder, a link, an empty file.
    Same = 2,
}

impl State {
    /// The state that a peer named by its number.
    #[must_use]
    pub(crate) const fn from_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::Absent),
            1 => Some(Self::Older),
            2 => Some(Self::Same),
            _ => None,
        }
    }
}

/// What the bytes of an object are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// A file's, or those of its parts that are no holes: `(begin, length)` each, in order.
    File {
        /// Number of its entry.
        entry: u32,
        /// Its parts; none for all of it.
        extents: Option<Vec<(u64, u64)>>,
    },
    /// Small files, one after the other.
    Bundle {
        /// Numbers of their entries, rising.
        entries: Vec<u32>,
    },
    /// A message of the sync.
    Sync,
}

/// Bytes that are brought over in windows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Object {
    /// Its number, from 1; the transfer's in its frames.
    pub(crate) id: u32,
    /// Its bytes.
    pub(crate) size: u64,
    /// What they are.
    pub(crate) content: Content,
}

/// What came in since the last such message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Arrived {
    /// Bytes of all frames so far, those of no use included.
    pub(crate) bytes: u64,
    /// The highest sequence.
    pub(crate) highest: u64,
    /// When its frame came, in µs of the receiver's clock.
    pub(crate) at: u64,
    /// When this message was made.
    pub(crate) now: u64,
    /// Sequences that came, as runs in the order of their coming.
    pub(crate) runs: Vec<Range<u64>>,
}

/// A message.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields are those of the table above")]
pub(crate) enum Message {
    Error(String),
    Alive,
    Hello { secret: [u8; 32], cipher: u8, window: u32 },
    Welcome { port: u16, room: u64 },
    Entries(Vec<u8>),
    EntriesEnd { count: u64 },
    States { first: u32, states: Vec<u8> },
    Object(Object),
    Ready { object: u32, done: Vec<Range<u32>> },
    Digests { object: u32, digests: Vec<[u8; 32]> },
    Arrived(Arrived),
    Wanted { object: u32, list: Vec<u8> },
    Placed { object: u32 },
    Again { object: u32 },
    SyncBegin { key: [u8; 32], entries: Vec<u32> },
    Sync { last: bool, part: Vec<u8> },
    SyncPlaced,
    Finish,
    Done { bytes: u64 },
    Similar { entries: Vec<u32> },
}

/// The message that tells the other end why this one gives up.
pub(crate) fn error(error: &TransferError) -> Vec<u8> {
    Message::Error(error.to_string()).write()
}

fn put_gaps(out: &mut Vec<u8>, numbers: &[u32]) {
    put_varint(out, numbers.len() as u64);
    let mut last = 0;
    for number in numbers {
        put_varint(out, u64::from(number.wrapping_sub(last)));
        last = number.wrapping_add(1);
    }
}

/// Rising numbers.
fn gaps(from: &mut Reader<'_>, most: usize) -> Result<Vec<u32>, Malformed> {
    let count = from.count(1)?;
    if count > most {
        return Err(Malformed("it names too many files"));
    }
    let (mut numbers, mut next) = (Vec::with_capacity(count), 0_u64);
    for _ in 0..count {
        let number = from.varint_to(u64::from(u32::MAX))? + next;
        numbers
            .push(u32::try_from(number).map_err(|_| Malformed("an entry's number is too high"))?);
        next = number + 1;
    }
    Ok(numbers)
}

impl Object {
    fn write(&self, out: &mut Vec<u8>) {
        put_varint(out, u64::from(self.id));
        put_varint(out, self.size);
        match &self.content {
            Content::File { entry, extents } => {
                out.push(if extents.is_some() { 1 } else { 0 });
                put_varint(out, u64::from(*entry));
                if let Some(extents) = extents {
                    put_varint(out, extents.len() as u64);
                    let mut last = 0;
                    for (begin, length) in extents {
                        put_varint(out, begin - last);
                        put_varint(out, *length);
                        last = begin + length;
                    }
                }
            }
            Content::Bundle { entries } => {
                out.push(2);
                put_gaps(out, entries);
            }
            Content::Sync => out.push(3),
        }
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        let id = from.varint_to(u64::from(u32::MAX))? as u32;
        let size = from.varint_to(super::tree::FILE_MAX)?;
        let content = match from.u8()? {
            0 => {
                Content::File { entry: from.varint_to(u64::from(u32::MAX))? as u32, extents: None }
            }
            1 => {
                let entry = from.varint_to(u64::from(u32::MAX))? as u32;
                Content::File { entry, extents: Some(extents(from, size)?) }
            }
            2 => Content::Bundle { entries: gaps(from, BUNDLE_FILES)? },
            3 => Content::Sync,
            _ => return Err(Malformed("an object has an unknown content")),
        };
        Ok(Self { id, size, content })
    }
}

/// Parts in rising order without overlap, of `size` bytes in all.
fn extents(from: &mut Reader<'_>, size: u64) -> Result<Vec<(u64, u64)>, Malformed> {
    let count = from.count(2)?;
    if count > EXTENTS_MOST {
        return Err(Malformed("a file has too many parts"));
    }
    let (mut extents, mut last, mut sum) = (Vec::with_capacity(count), 0_u64, 0_u64);
    for _ in 0..count {
        let begin = last + from.varint_to(super::tree::FILE_MAX)?;
        let length = from.varint_to(super::tree::FILE_MAX)?;
        last = begin + length;
        if length == 0 || last > super::tree::FILE_MAX {
            return Err(Malformed("a part of a file is empty or too far"));
        }
        sum += length;
        extents.push((begin, length));
    }
    if sum == size {
        Ok(extents)
    } else {
        Err(Malformed("a file's parts are not its object's bytes"))
    }
}

impl Arrived {
    fn write(&self, out: &mut Vec<u8>) {
        put_varint(out, self.bytes);
        put_varint(out, self.highest);
        put_varint(out, self.at);
        put_varint(out, self.now.saturating_sub(self.at));
        let mut last = 0_u64;
        for run in &self.runs {
            // Mostly the next one or a few on; sometimes back.
            let step = run.start.wrapping_sub(last) as i64;
            put_varint(out, (step << 1 ^ step >> 63) as u64);
            put_varint(out, run.end - run.start);
            last = run.end;
        }
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        let (bytes, highest, at) = (from.varint()?, from.varint()?, from.varint()?);
        let now = at.checked_add(from.varint()?).ok_or(Malformed("a time is out of range"))?;
        let (mut runs, mut last) = (Vec::new(), 0_u64);
        while !from.is_empty() {
            let step = from.varint()?;
            let start = last.wrapping_add((step >> 1) ^ (step & 1).wrapping_neg());
            last = start.checked_add(from.varint()?).ok_or(Malformed("a run is out of range"))?;
            runs.push(start..last);
        }
        Ok(Self { bytes, highest, at, now, runs })
    }
}

impl Message {
    /// Its bytes.
    #[must_use]
    pub(crate) fn write(&self) -> Vec<u8> {
        let mut out = vec![self.number()];
        match self {
            Self::Error(text) => out.extend_from_slice(cut(text).as_bytes()),
            Self::Alive | Self::SyncPlaced | Self::Finish => {}
            Self::Hello { secret, cipher, window } => {
                out.extend_from_slice(secret);
                out.push(*cipher);
                put_varint(&mut out, u64::from(*window));
            }
            Self::Welcome { port, room } => {
                out.extend_from_slice(&port.to_le_bytes());
                put_varint(&mut out, *room);
            }
            Self::Entries(bytes) => out.extend_from_slice(bytes),
            Self::EntriesEnd { count } => put_varint(&mut out, *count),
            Self::States { first, states } => {
                put_varint(&mut out, u64::from(*first));
                out.extend_from_slice(states);
            }
            Self::Object(object) => object.write(&mut out),
            Self::Ready { object, done } => {
                put_varint(&mut out, u64::from(*object));
                let mut last = 0;
                for run in done {
                    put_varint(&mut out, u64::from(run.start - last));
                    put_varint(&mut out, u64::from(run.end - run.start));
                    last = run.end;
                }
            }
            Self::Digests { object, digests } => {
                put_varint(&mut out, u64::from(*object));
                digests.iter().for_each(|digest| out.extend_from_slice(digest));
            }
            Self::Arrived(arrived) => arrived.write(&mut out),
            Self::Wanted { object, list } => {
                put_varint(&mut out, u64::from(*object));
                out.extend_from_slice(list);
            }
            Self::Placed { object } | Self::Again { object } => {
                put_varint(&mut out, u64::from(*object));
            }
            Self::SyncBegin { key, entries } => {
                out.extend_from_slice(key);
                put_gaps(&mut out, entries);
            }
            Self::Sync { last, part } => {
                out.push(u8::from(*last));
                out.extend_from_slice(part);
            }
            Self::Done { bytes } => put_varint(&mut out, *bytes),
            Self::Similar { entries } => put_gaps(&mut out, entries),
        }
        out
    }

    const fn number(&self) -> u8 {
        match self {
            Self::Error(_) => 1,
            Self::Alive => 2,
            Self::Hello { .. } => 3,
            Self::Welcome { .. } => 4,
            Self::Entries(_) => 5,
            Self::EntriesEnd { .. } => 6,
            Self::States { .. } => 7,
            Self::Object(_) => 8,
            Self::Ready { .. } => 9,
            Self::Digests { .. } => 10,
            Self::Arrived(_) => 11,
            Self::Wanted { .. } => 12,
            Self::Placed { .. } => 13,
            Self::Again { .. } => 14,
            Self::SyncBegin { .. } => 15,
            Self::Sync { .. } => 16,
            Self::SyncPlaced => 17,
            Self::Finish => 18,
            Self::Done { .. } => 19,
            Self::Similar { .. } => 20,
        }
    }

    /// Reads a whole message.
    ///
    /// # Errors
    /// When it is malformed.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut from = Reader::new(bytes);
        let number = from.u8()?;
        let id = |from: &mut Reader<'_>| from.varint_to(u64::from(u32::MAX)).map(|id| id as u32);
        let message = match number {
            1 => {
                let text = from.take_rest();
                Self::Error(readable(&String::from_utf8_lossy(&text[..text.len().min(ERROR_MOST)])))
            }
            2 => Self::Alive,
            3 => Self::Hello { secret: from.array()?, cipher: from.u8()?, window: id(&mut from)? },
            4 => Self::Welcome { port: from.u16()?, room: from.varint()? },
            5 => Self::Entries(from.take_rest().to_vec()),
            6 => Self::EntriesEnd { count: from.varint()? },
            7 => Self::States { first: id(&mut from)?, states: from.take_rest().to_vec() },
            8 => Self::Object(Object::read(&mut from)?),
            9 => Self::Ready { object: id(&mut from)?, done: runs(&mut from)? },
            10 => Self::Digests { object: id(&mut from)?, digests: digests(&mut from)? },
            11 => Self::Arrived(Arrived::read(&mut from)?),
            12 => Self::Wanted { object: id(&mut from)?, list: from.take_rest().to_vec() },
            13 => Self::Placed { object: id(&mut from)? },
            14 => Self::Again { object: id(&mut from)? },
            15 => Self::SyncBegin { key: from.array()?, entries: gaps(&mut from, usize::MAX)? },
            16 => Self::Sync {
                last: match from.u8()? {
                    0 => false,
                    1 => true,
                    _ => return Err(Malformed("a flag is neither 0 nor 1")),
                },
                part: from.take_rest().to_vec(),
            },
            17 => Self::SyncPlaced,
            18 => Self::Finish,
            19 => Self::Done { bytes: from.varint()? },
            20 => Self::Similar { entries: gaps(&mut from, usize::MAX)? },
            _ => return Err(Malformed("its kind is unknown")),
        };
        from.end()?;
        Ok(message)
    }
}

/// The begin of `text` that fits.
fn cut(text: &str) -> &str {
    let mut end = text.len().min(ERROR_MOST);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// Without what would move a terminal's cursor.
fn readable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn runs(from: &mut Reader<'_>) -> Result<Vec<Range<u32>>, Malformed> {
    let (mut runs, mut last) = (Vec::new(), 0_u64);
    while !from.is_empty() {
        let start = last + from.varint_to(u64::from(u32::MAX))?;
        last = start + from.varint_to(u64::from(u32::MAX))?;
        if last > u64::from(u32::MAX) || last == start {
            return Err(Malformed("a run of windows is empty or too far"));
        }
        runs.push(start as u32..last as u32);
    }
    Ok(runs)
}

fn digests(from: &mut Reader<'_>) -> Result<Vec<[u8; 32]>, Malformed> {
    let mut digests = Vec::with_capacity(from.left() / 32);
    while !from.is_empty() {
        digests.push(from.array()?);
    }
    Ok(digests)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<Message> {
        let object = |content| Message::Object(Object { id: 7, size: 300, content });
        vec![
            Message::Error("why".into()),
            Message::Alive,
            Message::Hello { secret: [3; 32], cipher: 1, window: 65_536 },
            Message::Welcome { port: 7000, room: 1 << 25 },
            Message::Entries(vec![1, 2, 3]),
            Message::EntriesEnd { count: 5 },
            Message::States { first: 3, states: vec![0, 1, 2] },
            object(Content::File { entry: 4, extents: None }),
            object(Content::File { entry: 4, extents: Some(vec![(0, 100), (4096, 200)]) }),
            object(Content::Bundle { entries: vec![0, 1, 5, 600] }),
            object(Content::Sync),
            Message::Ready { object: 9, done: vec![0..4, 9..10] },
            Message::Digests { object: 9, digests: vec![[1; 32], [2; 32]] },
            Message::Arrived(Arrived {
                bytes: 10,
                highest: 1 << 40,
                at: 77,
                now: 99,
                runs: vec![5..900, 901..902, 3..4],
            }),
            Message::Wanted { object: 1, list: vec![0, 1] },
            Message::Placed { object: 1 },
            Message::Again { object: 1 },
            Message::SyncBegin { key: [4; 32], entries: vec![2, 3, 9] },
            Message::Sync { last: true, part: vec![1, 2] },
            Message::SyncPlaced,
            Message::Finish,
            Message::Done { bytes: 1000 },
            Message::Similar { entries: vec![0, 7] },
        ]
    }

    #[test]
    fn messages_come_back() {
        for message in all() {
            assert_eq!(Message::read(&message.write()), Ok(message));
        }
    }

    #[test]
    fn messages_cut_off_are_refused_or_others() {
        for message in all() {
            let bytes = message.write();
            for cut in 0..bytes.len() {
                assert_ne!(
                    Message::read(&bytes[..cut]).as_ref(),
                    Ok(&message),
                    "{cut} of {message:?}"
                );
            }
            let mut longer = bytes.clone();
            longer.push(0x80);
            assert_ne!(Message::read(&longer).as_ref(), Ok(&message));
        }
    }

    #[test]
    fn hostile_numbers_are_refused() {
        let max = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1];
        // A bundle of more files than bytes, runs beyond the last window, parts beyond the file.
        for (head, tail) in [
            (&[8, 1, 1, 2][..], &max[..]),
            (&[9, 1, 5], &max),
            (&[8, 1, 5, 1, 0, 1, 0], &[6]),
            (&[21], &[]),
            (&[], &[]),
        ] {
            assert!(Message::read(&[head, tail].concat()).is_err(), "{head:?}");
        }
        let text = Message::read(&[&[1][..], b"a\x1b[2Jb"].concat());
        assert_eq!(text, Ok(Message::Error("a [2Jb".into())));
    }
}
