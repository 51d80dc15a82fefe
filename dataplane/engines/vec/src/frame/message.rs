//! Messages: operations on one collection.

use super::bytes::Bytes;
use super::conditions::Conditions;
use super::{ASSOCIATE, DELETE, DISSOCIATE, FrameError, HITS_MAX, NAME_MAX, PUT, SEARCH, TOUCH};
use crate::element::Element;
use crate::record::raw;

/// A message whose every byte has been checked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Message<'a> {
    collection: &'a [u8],
    body: &'a [u8],
}

/// A vector as it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vector<'a> {
    /// How a component is written.
    pub element: Element,
    /// Components: 0 to 65,535, whatever a collection can have.
    pub dim: u16,
    /// As the module's page has it.
    pub bytes: &'a [u8],
}

/// An operation of a message.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Operation<'a> {
    /// Writes a record, whole.
    Put {
        /// Not empty.
        id: &'a [u8],
        /// Any components: the collection says which it takes.
        vector: Vector<'a>,
        /// Its text.
        text: &'a str,
        /// Bytes without a meaning.
        metadata: &'a [u8],
        /// What it stands for, in microseconds since 1970; 0 for the time of the write.
        time: u64,
        /// How much it counts; finite.
        strength: f32,
        /// How sure it is; finite.
        confidence: f32,
    },
    /// Deletes a record and its associations.
    Delete {
        /// Not empty.
        id: &'a [u8],
    },
    /// Counts an access to a record.
    Touch {
        /// Not empty.
        id: &'a [u8],
    },
    /// Associates two records.
    Associate {
        /// Where it begins, and where it ends; not empty.
        ids: (&'a [u8], &'a [u8]),
        /// Its type.
        kind: u8,
        /// How strong it is; finite.
        weight: f32,
        /// How sure it is; finite.
        confidence: f32,
    },
    /// Ends an association.
    Dissociate {
        /// Where it begins, and where it ends; not empty.
        ids: (&'a [u8], &'a [u8]),
        /// Its type.
        kind: u8,
    },
    /// Asks for the nearest records.
    Search {
        /// What they are to be near to.
        vector: Vector<'a>,
        /// Most hits, 1 to [`HITS_MAX`].
        most: u16,
        /// Share of the exact answer that is to be found, 0 to 1; 1 compares every vector.
        recall: f32,
        /// Hits score at least this; minus infinity for no bound.
        min_score: f32,
        /// Which records may be hit.
        only: Conditions<'a>,
    },
}

impl Operation<'_> {
    /// What it does, as its first byte says.
    #[must_use]
    pub const fn kind(&self) -> u8 {
        match self {
            Self::Put { .. } => PUT,
            Self::Delete { .. } => DELETE,
            Self::Touch { .. } => TOUCH,
            Self::Associate { .. } => ASSOCIATE,
            Self::Dissociate { .. } => DISSOCIATE,
            Self::Search { .. } => SEARCH,
        }
    }
}

impl Vector<'_> {
    /// Writes its components into `out`, over what was there.
    pub fn read_into(&self, out: &mut Vec<f32>) {
        out.clear();
        out.resize(self.dim.into(), 0.0);
        raw::read(self.element, self.bytes, out);
    }

    pub(super) const fn element_byte(&self) -> u8 {
        match self.element {
            Element::F32 => 0,
            Element::Bf16 => 1,
            Element::I8 => 2,
        }
    }
}

impl<'a> Message<'a> {
    /// Reads and checks a whole message.
    ///
    /// # Errors
    /// [`FrameError`]: none of its operations may run.
    pub fn parse(message: &'a [u8]) -> Result<Self, FrameError> {
        let mut rest = Bytes(message);
        let len = rest.u8().map_or(0, usize::from);
        let collection =
            rest.take(len).filter(|_| (1..=NAME_MAX).contains(&len)).ok_or(FrameError::Name)?;
        if rest.0.is_empty() {
            return Err(FrameError::Empty);
        }
        let body = rest.0;
        while !rest.0.is_empty() {
            operation(&mut rest)?;
        }
        Ok(Self { collection, body })
    }

    /// The collection's name, of any bytes.
    #[must_use]
    pub const fn collection(&self) -> &'a [u8] {
        self.collection
    }

    /// The operations, in order, each with its own bytes.
    pub fn operations(&self) -> impl Iterator<Item = (Operation<'a>, &'a [u8])> + use<'a> {
        let mut body = Bytes(self.body);
        // The body was read to its end before.
        std::iter::from_fn(move || {
            let before = body.0;
            let operation = operation(&mut body).ok()?;
            Some((operation, &before[..before.len() - body.0.len()]))
        })
    }
}

const SHORT: FrameError = FrameError::OperationShort;

fn operation<'a>(body: &mut Bytes<'a>) -> Result<Operation<'a>, FrameError> {
    let kind = body.u8().ok_or(SHORT)?;
    let second = body.u8().ok_or(SHORT)?;
    let short = body.u16().ok_or(SHORT)?;
    match kind {
        PUT => put(body, second, short),
        DELETE | TOUCH => {
            zero(second.into())?;
            let id = id(body, short)?;
            Ok(if kind == DELETE { Operation::Delete { id } } else { Operation::Touch { id } })
        }
        ASSOCIATE => {
            let target = target(body)?;
            let (weight, confidence) = (finite(body)?, finite(body)?);
            let ids = (id(body, short)?, id(body, target)?);
            Ok(Operation::Associate { ids, kind: second, weight, confidence })
        }
        DISSOCIATE => {
            let target = target(body)?;
            Ok(Operation::Dissociate { ids: (id(body, short)?, id(body, target)?), kind: second })
        }
        SEARCH => search(body, second, short),
        _ => Err(FrameError::Kind),
    }
}

fn put<'a>(body: &mut Bytes<'a>, element: u8, len: u16) -> Result<Operation<'a>, FrameError> {
    let element = element_of(element)?;
    let dim = body.u16().ok_or(SHORT)?;
    zero(body.u16().ok_or(SHORT)?)?;
    let (text, metadata) = (body.u32().ok_or(SHORT)?, body.u32().ok_or(SHORT)?);
    let time = body.u64().ok_or(SHORT)?;
    let (strength, confidence) = (finite(body)?, finite(body)?);
    let id = id(body, len)?;
    let text = body.take(text as usize).ok_or(SHORT)?;
    let text = std::str::from_utf8(text).map_err(|_| FrameError::Text)?;
    let metadata = body.take(metadata as usize).ok_or(SHORT)?;
    let vector = vector(body, element, dim)?;
    Ok(Operation::Put { id, vector, text, metadata, time, strength, confidence })
}

fn search<'a>(body: &mut Bytes<'a>, element: u8, most: u16) -> Result<Operation<'a>, FrameError> {
    let element = element_of(element)?;
    if !(1..=HITS_MAX).contains(&most) {
        return Err(FrameError::Hits);
    }
    let dim = body.u16().ok_or(SHORT)?;
    let conditions = body.u16().ok_or(SHORT)?;
    let recall = body.f32().ok_or(SHORT)?;
    let min_score = body.f32().ok_or(SHORT)?;
    if !(0.0..=1.0).contains(&recall) || min_score.is_nan() {
        return Err(FrameError::Number);
    }
    let only = Conditions::read(conditions, body)?;
    let vector = vector(body, element, dim)?;
    Ok(Operation::Search { vector, most, recall, min_score, only })
}

fn zero(value: u16) -> Result<(), FrameError> {
    if value == 0 { Ok(()) } else { Err(FrameError::Reserved) }
}

fn target(body: &mut Bytes<'_>) -> Result<u16, FrameError> {
    let len = body.u16().ok_or(SHORT)?;
    zero(body.u16().ok_or(SHORT)?)?;
    Ok(len)
}

fn finite(body: &mut Bytes<'_>) -> Result<f32, FrameError> {
    let value = body.f32().ok_or(SHORT)?;
    if value.is_finite() { Ok(value) } else { Err(FrameError::Number) }
}

fn id<'a>(body: &mut Bytes<'a>, len: u16) -> Result<&'a [u8], FrameError> {
    if len == 0 {
        return Err(FrameError::Id);
    }
    body.take(len.into()).ok_or(SHORT)
}

const fn element_of(byte: u8) -> Result<Element, FrameError> {
    match byte {
        0 => Ok(Element::F32),
        1 => Ok(Element::Bf16),
        2 => Ok(Element::I8),
        _ => Err(FrameError::Element),
    }
}

fn vector<'a>(body: &mut Bytes<'a>, element: Element, dim: u16) -> Result<Vector<'a>, FrameError> {
    let bytes = body.take(raw::logged_bytes(element, dim.into())).ok_or(SHORT)?;
    Ok(Vector { element, dim, bytes })
}
