//! Frames as they are sent.

use super::{
    ANSWER_ALL, DELETE, EXPIRES, Frame, GET, HEADER, HIDDEN, MAGIC, OPERATION, Operation,
    OperationKind, PAIR_SET, PUT, REPLY, Status, VERSION, check_of,
};

/// Puts operations into one frame, for a sender.
#[derive(Debug)]
pub struct Builder {
    bytes: Vec<u8>,
    most: usize,
    count: u16,
}

impl Builder {
    /// An empty frame of at most `most` bytes (a datagram's payload; at least a header).
    #[must_use]
    pub fn new(most: usize) -> Self {
        let mut bytes = Vec::with_capacity(most.min(1 << 16));
        bytes.resize(HEADER, 0);
        Self { bytes, most, count: 0 }
    }

    /// Number of operations in the frame.
    #[must_use]
    pub fn count(&self) -> u16 {
        self.count
    }

    /// Adds an operation; `false`, and nothing added, when it does not fit the frame, or does not fit
    /// any: a key of 64 KiB or more, an absolute key of 2^48 or more, an empty key of a pair.
    #[must_use]
    pub fn push(&mut self, operation: &Operation<'_>) -> bool {
        let number: [u8; 8];
        let (kind, flags, key, front, value): (_, _, _, &[u8], &[u8]) = match *operation {
            Operation::Put { key, value, expires: None } => (PUT, 0, key, &[], value),
            Operation::Put { key, value, expires: Some(at) } => {
                number = at.to_le_bytes();
                (PUT, EXPIRES, key, &number, value)
            }
            Operation::Delete { key } => (DELETE, 0, key, &[], &[]),
            Operation::Get { key } => (GET, 0, key, &[], &[]),
            Operation::PairSet { key, abs, hidden } => {
                if abs >> 48 != 0 || key.is_empty() {
                    return false;
                }
                number = abs.to_le_bytes();
                (PAIR_SET, if hidden { HIDDEN } else { 0 }, key, &number, &[])
            }
        };
        let value_len = front.len() + value.len();
        let fits = self.bytes.len() + OPERATION + key.len() + value_len <= self.most;
        let (Ok(key_len), Ok(value_len), true) =
            (u16::try_from(key.len()), u32::try_from(value_len), fits && self.count < u16::MAX)
        else {
            return false;
        };
        self.bytes.extend_from_slice(&[kind, flags]);
        self.bytes.extend_from_slice(&key_len.to_le_bytes());
        self.bytes.extend_from_slice(&value_len.to_le_bytes());
        self.bytes.extend_from_slice(key);
        self.bytes.extend_from_slice(front);
        self.bytes.extend_from_slice(value);
        self.count += 1;
        true
    }

    /// The frame as a datagram; `sequence` counts from 1 for each sender and lane. Afterwards
    /// [`Builder::clear`] begins the next.
    pub fn finish(&mut self, sender: u64, sequence: u64, lane: u16, answer_all: bool) -> &[u8] {
        let flags = if answer_all { ANSWER_ALL } else { 0 };
        write_header(&mut self.bytes, flags, self.count, sender, sequence, lane);
        &self.bytes
    }

    /// Empties the frame.
    pub fn clear(&mut self) {
        self.bytes.truncate(HEADER);
        self.count = 0;
    }
}

/// Puts outcomes into reply frames.
#[derive(Debug)]
pub struct ReplyBuilder {
    bytes: Vec<u8>,
    most: usize,
    count: u16,
}

impl ReplyBuilder {
    /// Replies of at most `most` bytes a frame (at least a header and an outcome without value).
    #[must_use]
    pub fn new(most: usize) -> Self {
        let most = most.max(HEADER + OPERATION);
        Self { bytes: vec![0; HEADER], most, count: 0 }
    }

    /// From the next frame on, replies of at most `most` bytes.
    pub fn limit(&mut self, most: usize) {
        self.most = most.max(HEADER + OPERATION);
    }

    /// Adds the outcome of operation `index` of `frame`. When the frame under way has no room for it, that
    /// one goes to `send` first. A value that fits no frame becomes [`Status::TooLarge`].
    pub fn push(
        &mut self,
        frame: &Frame<'_>,
        (index, operation): (u16, impl Into<OperationKind>),
        (status, value): (Status, &[u8]),
        send: impl FnMut(&[u8]),
    ) {
        let too_large = HEADER + OPERATION + value.len() > self.most;
        let (status, value) = if too_large { (Status::TooLarge, &[][..]) } else { (status, value) };
        if self.bytes.len() + OPERATION + value.len() > self.most || self.count == u16::MAX {
            self.finish(frame, send);
        }
        self.bytes.extend_from_slice(&[operation.into() as u8, status as u8]);
        self.bytes.extend_from_slice(&index.to_le_bytes());
        self.bytes.extend_from_slice(&(value.len() as u32).to_le_bytes());
        self.bytes.extend_from_slice(value);
        self.count += 1;
    }

    /// Gives what is under way to `send`, unless it is empty.
    pub fn finish(&mut self, frame: &Frame<'_>, mut send: impl FnMut(&[u8])) {
        if self.count > 0 {
            let (sender, sequence, lane) = (frame.sender(), frame.sequence(), frame.lane());
            write_header(&mut self.bytes, REPLY, self.count, sender, sequence, lane);
            send(&self.bytes);
        }
        self.bytes.truncate(HEADER);
        self.count = 0;
    }
}

fn write_header(frame: &mut [u8], flags: u8, count: u16, sender: u64, sequence: u64, lane: u16) {
    frame[..4].copy_from_slice(&MAGIC);
    frame[4..6].copy_from_slice(&[VERSION, flags]);
    frame[6..8].copy_from_slice(&count.to_le_bytes());
    frame[8..16].copy_from_slice(&sender.to_le_bytes());
    frame[16..24].copy_from_slice(&sequence.to_le_bytes());
    frame[24..26].copy_from_slice(&lane.to_le_bytes());
    frame[26..28].fill(0);
    let check = check_of(frame);
    frame[28..32].copy_from_slice(&check.to_le_bytes());
}
