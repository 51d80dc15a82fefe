//! Messages and frames as they are sent.

use super::{
    ANSWER_ALL, CHECK, HEADER, MAGIC, MESSAGE_MAX, NAME_MAX, Operation, VERSION, Vector, check_of,
};
use crate::element::Element;
use crate::record::raw;

/// Writes `vector` as a frame has it, to the end of `out`. Its components are rounded to `element`.
pub fn encode(element: Element, vector: &[f32], out: &mut Vec<u8>) {
    raw::write(element, vector, out);
}

/// Puts operations into one message.
#[derive(Debug)]
pub struct MessageBuilder {
    bytes: Vec<u8>,
    name: usize,
    count: u16,
}

impl MessageBuilder {
    /// An empty message to the collection of that name; `None` when no collection can have it.
    #[must_use]
    pub fn new(collection: &[u8]) -> Option<Self> {
        let len = u8::try_from(collection.len()).ok().filter(|len| *len > 0)?;
        (usize::from(len) <= NAME_MAX).then(|| {
            let bytes = [&[len], collection].concat();
            Self { name: bytes.len(), bytes, count: 0 }
        })
    }

    /// Operations in the message.
    #[must_use]
    pub const fn count(&self) -> u16 {
        self.count
    }

    /// The message; none of a frame's without an operation.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Forgets the operations.
    pub fn clear(&mut self) {
        self.bytes.truncate(self.name);
        self.count = 0;
    }

    /// Adds an operation; `false`, and nothing added, when the message would be longer than
    /// [`MESSAGE_MAX`], an id or the text of words than 65,535 bytes, or the message has 65,535 operations.
    #[must_use]
    pub fn push(&mut self, operation: &Operation<'_>) -> bool {
        let begin = self.bytes.len();
        let written = self.count < u16::MAX && self.write(operation).is_some();
        if !written || self.bytes.len() > MESSAGE_MAX {
            self.bytes.truncate(begin);
            return false;
        }
        self.count += 1;
        true
    }

    fn write(&mut self, operation: &Operation<'_>) -> Option<()> {
        let kind = operation.kind();
        let length = |id: &[u8]| u16::try_from(id.len()).ok();
        match *operation {
            Operation::Put { id, ref vector, text, metadata, time, strength, confidence } => {
                self.head(kind, vector.element_byte(), length(id)?);
                self.dimension(vector);
                self.add(&u32::try_from(text.len()).ok()?.to_le_bytes());
                self.add(&u32::try_from(metadata.len()).ok()?.to_le_bytes());
                self.add(&time.to_le_bytes());
                self.add(&strength.to_le_bytes());
                self.add(&confidence.to_le_bytes());
                for bytes in [id, text.as_bytes(), metadata, vector.bytes] {
                    self.add(bytes);
                }
            }
            Operation::Delete { id } | Operation::Touch { id } => {
                self.head(kind, 0, length(id)?);
                self.add(id);
            }
            Operation::Associate { ids: (source, target), kind: of, weight, confidence } => {
                self.head(kind, of, length(source)?);
                self.add(&u32::from(length(target)?).to_le_bytes());
                self.add(&weight.to_le_bytes());
                self.add(&confidence.to_le_bytes());
                self.add(source);
                self.add(target);
            }
            Operation::Dissociate { ids: (source, target), kind: of } => {
                self.head(kind, of, length(source)?);
                self.add(&u32::from(length(target)?).to_le_bytes());
                self.add(source);
                self.add(target);
            }
            Operation::Search { ref vector, most, recall, min_score, only } => {
                self.head(kind, vector.element_byte(), most);
                self.add(&vector.dim.to_le_bytes());
                self.add(&only.bits().to_le_bytes());
                self.add(&recall.to_le_bytes());
                self.add(&min_score.to_le_bytes());
                only.write(&mut self.bytes)?;
                self.add(vector.bytes);
            }
        }
        Some(())
    }

    fn add(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    fn head(&mut self, kind: u8, second: u8, short: u16) {
        self.add(&[kind, second]);
        self.add(&short.to_le_bytes());
    }

    fn dimension(&mut self, vector: &Vector<'_>) {
        self.add(&u32::from(vector.dim).to_le_bytes());
    }
}

/// One stream of a sender: cuts messages into frames and numbers them.
#[derive(Debug)]
pub struct Cutter {
    sender: u64,
    stream: u16,
    sequence: u64,
    most: usize,
    frame: Vec<u8>,
}

impl Cutter {
    /// Frames of at most `most` bytes, the payload of a datagram; with fewer than 64 bytes to spare
    /// beyond a header, that many are taken. A sender draws its number at random each time it starts.
    #[must_use]
    pub fn new(sender: u64, stream: u16, most: usize) -> Self {
        let step = most.saturating_sub(HEADER).clamp(64, usize::from(u16::MAX));
        Self { sender, stream, sequence: 0, most: step, frame: Vec::new() }
    }

    /// The same, going on behind the frame of that sequence.
    #[must_use]
    pub const fn behind(mut self, sequence: u64) -> Self {
        self.sequence = sequence;
        self
    }

    /// The sequence of the last frame; 0 before the first.
    #[must_use]
    pub const fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Gives the frames of `message` to `send`, in order; all of them belong into one flow.
    pub fn cut(&mut self, message: &[u8], answer_all: bool, mut send: impl FnMut(&[u8])) {
        let step = self.most.min(message.len().max(1));
        let flags = if answer_all { ANSWER_ALL } else { 0 };
        for (part, bytes) in (0_u16..).zip(message.chunks(step)) {
            self.sequence += 1;
            let head = Head {
                flags,
                stream: self.stream,
                sender: self.sender,
                sequence: self.sequence,
                part,
                step: step as u16,
                length: message.len() as u32,
            };
            write_frame(&head, bytes, &mut self.frame);
            send(&self.frame);
        }
    }
}

/// A header's fields.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    pub(super) flags: u8,
    pub(super) stream: u16,
    pub(super) sender: u64,
    pub(super) sequence: u64,
    pub(super) part: u16,
    pub(super) step: u16,
    pub(super) length: u32,
}

/// Writes a frame over what `frame` held.
pub(super) fn write_frame(head: &Head, bytes: &[u8], frame: &mut Vec<u8>) {
    frame.clear();
    frame.extend_from_slice(&MAGIC);
    frame.extend_from_slice(&[VERSION, head.flags]);
    frame.extend_from_slice(&head.stream.to_le_bytes());
    frame.extend_from_slice(&head.sender.to_le_bytes());
    frame.extend_from_slice(&head.sequence.to_le_bytes());
    frame.extend_from_slice(&head.part.to_le_bytes());
    frame.extend_from_slice(&head.step.to_le_bytes());
    frame.extend_from_slice(&head.length.to_le_bytes());
    frame.extend_from_slice(&[0; HEADER - CHECK]);
    frame.extend_from_slice(bytes);
    let check = check_of(frame);
    frame[CHECK..HEADER].copy_from_slice(&check.to_le_bytes());
}
