//! Changes as the log has them.
//!
//! A payload begins with the time of the write (8 bytes, microseconds since 1970), how many changes
//! there are (4) and zeros (4). Then each change, all integers little-endian, without padding:
//!
//! | kind (1) | what follows |
//! |---|---|
//! | 1 put | id length (2), text length (4), metadata length (4), time (8; 0 for that of the write), strength (4), confidence (4), id, text, metadata, vector |
//! | 2 delete | id length (2), id |
//! | 3 associate | type (1), source length (2), target length (2), weight (4), confidence (4), source, target |
//! | 4 dissociate | type (1), source length (2), target length (2), source, target |
//! | 5 touch | id length (2), id |
//!
//! A vector has as many bytes as the collection's settings say: components as f32, as bf16, or one
//! f32 that a byte counts and then bytes.

use super::batch::{MOST_BYTES, Put};

/// Bytes of a payload before its changes.
pub(crate) const HEAD: usize = 16;
const PUT: u8 = 1;
pub(crate) const DELETE: u8 = 2;
const ASSOCIATE: u8 = 3;
const DISSOCIATE: u8 = 4;
pub(crate) const TOUCH: u8 = 5;

/// One change.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Change<'a> {
    Put(PutChange<'a>),
    Delete(&'a [u8]),
    Touch(&'a [u8]),
    Associate { ids: (&'a [u8], &'a [u8]), kind: u8, weight: f32, confidence: f32 },
    Dissociate { ids: (&'a [u8], &'a [u8]), kind: u8 },
}

/// A record as the log has it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PutChange<'a> {
    pub(crate) id: &'a [u8],
    pub(crate) text: &'a str,
    pub(crate) metadata: &'a [u8],
    /// 0 for that of the write.
    pub(crate) time: u64,
    pub(crate) strength: f32,
    pub(crate) confidence: f32,
    /// As [`super::raw::write`] wrote it.
    pub(crate) vector: &'a [u8],
}

/// Bytes of ids, which [`super::batch::check_id`] has checked, as their length.
fn short(id: &[u8]) -> [u8; 2] {
    (id.len() as u16).to_le_bytes()
}

/// Adds a record, but for its vector.
pub(crate) fn write_put(put: &Put<'_>, out: &mut Vec<u8>) {
    out.push(PUT);
    out.extend_from_slice(&short(put.id));
    out.extend_from_slice(&(put.text.len() as u32).to_le_bytes());
    out.extend_from_slice(&(put.metadata.len() as u32).to_le_bytes());
    out.extend_from_slice(&put.time.unwrap_or(0).to_le_bytes());
    out.extend_from_slice(&put.strength.to_le_bytes());
    out.extend_from_slice(&put.confidence.to_le_bytes());
    out.extend_from_slice(put.id);
    out.extend_from_slice(put.text.as_bytes());
    out.extend_from_slice(put.metadata);
}

pub(crate) fn write_id(kind: u8, id: &[u8], out: &mut Vec<u8>) {
    out.push(kind);
    out.extend_from_slice(&short(id));
    out.extend_from_slice(id);
}

pub(crate) fn write_associate(
    (source, target): (&[u8], &[u8]),
    kind: u8,
    (weight, confidence): (f32, f32),
    out: &mut Vec<u8>,
) {
    out.extend_from_slice(&[ASSOCIATE, kind]);
    out.extend_from_slice(&short(source));
    out.extend_from_slice(&short(target));
    out.extend_from_slice(&weight.to_le_bytes());
    out.extend_from_slice(&confidence.to_le_bytes());
    out.extend_from_slice(source);
    out.extend_from_slice(target);
}

pub(crate) fn write_dissociate((source, target): (&[u8], &[u8]), kind: u8, out: &mut Vec<u8>) {
    out.extend_from_slice(&[DISSOCIATE, kind]);
    out.extend_from_slice(&short(source));
    out.extend_from_slice(&short(target));
    out.extend_from_slice(source);
    out.extend_from_slice(target);
}

/// Fills the head of a payload in.
pub(crate) fn write_head(now: u64, count: u32, payload: &mut [u8]) {
    payload[..8].copy_from_slice(&now.to_le_bytes());
    payload[8..12].copy_from_slice(&count.to_le_bytes());
    payload[12..HEAD].fill(0);
}

/// Reads changes one after the other.
#[derive(Clone, Debug)]
pub(crate) struct Changes<'a> {
    rest: &'a [u8],
    vector_bytes: usize,
}

/// The time of a payload's write, and its changes; `None` when it is no such payload as a whole.
pub(crate) fn read(payload: &[u8], vector_bytes: usize) -> Option<(u64, Changes<'_>)> {
    let now = u64::from_le_bytes(payload.get(..8)?.try_into().ok()?);
    let count = u32::from_le_bytes(payload.get(8..12)?.try_into().ok()?);
    let changes = Changes { rest: payload.get(HEAD..)?, vector_bytes };
    let mut check = changes.clone();
    for _ in 0..count {
        check.change()?;
    }
    check.rest.is_empty().then_some((now, changes))
}

impl<'a> Changes<'a> {
    /// The changes of a payload that [`read`] has found to be whole.
    pub(crate) fn of(payload: &'a [u8], vector_bytes: usize) -> Self {
        Self { rest: &payload[HEAD..], vector_bytes }
    }

    fn bytes(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.bytes(N)?.try_into().ok()
    }

    fn length(&mut self) -> Option<usize> {
        let len = usize::from(u16::from_le_bytes(self.array()?));
        (len > 0).then_some(len)
    }

    fn number(&mut self) -> Option<f32> {
        Some(f32::from_le_bytes(self.array()?)).filter(|number| number.is_finite())
    }

    fn long(&mut self) -> Option<usize> {
        Some(u32::from_le_bytes(self.array()?) as usize).filter(|len| *len <= MOST_BYTES)
    }

    fn id(&mut self) -> Option<&'a [u8]> {
        let len = self.length()?;
        self.bytes(len)
    }

    fn put(&mut self) -> Option<PutChange<'a>> {
        let (id, text, metadata) = (self.length()?, self.long()?, self.long()?);
        let time = u64::from_le_bytes(self.array()?);
        let (strength, confidence) = (self.number()?, self.number()?);
        Some(PutChange {
            id: self.bytes(id)?,
            text: std::str::from_utf8(self.bytes(text)?).ok()?,
            metadata: self.bytes(metadata)?,
            time,
            strength,
            confidence,
            vector: self.bytes(self.vector_bytes)?,
        })
    }

    fn change(&mut self) -> Option<Change<'a>> {
        Some(match self.array::<1>()?[0] {
            PUT => Change::Put(self.put()?),
            DELETE => Change::Delete(self.id()?),
            TOUCH => Change::Touch(self.id()?),
            ASSOCIATE => {
                let kind = self.array::<1>()?[0];
                let (source, target) = (self.length()?, self.length()?);
                let (weight, confidence) = (self.number()?, self.number()?);
                let ids = (self.bytes(source)?, self.bytes(target)?);
                Change::Associate { ids, kind, weight, confidence }
            }
            DISSOCIATE => {
                let kind = self.array::<1>()?[0];
                let (source, target) = (self.length()?, self.length()?);
                Change::Dissociate { ids: (self.bytes(source)?, self.bytes(target)?), kind }
            }
            _ => return None,
        })
    }
}

impl<'a> Iterator for Changes<'a> {
    type Item = Change<'a>;

    fn next(&mut self) -> Option<Change<'a>> {
        self.change()
    }
}
