//! Operations of a batch, before they are sorted by shard.

use pfs_kv::{Condition, Database, Expiry, Op, Space, pair_value};

use super::forms::{Ask, Form};

/// Bytes of an operation.
#[derive(Clone, Copy, Debug)]
pub(super) enum Bytes<'a> {
    /// In the payload.
    Payload(&'a [u8]),
    /// Decoded: a range of [`Todo::decoded`].
    Decoded(usize, usize),
}

impl Bytes<'_> {
    const NONE: Bytes<'static> = Bytes::Payload(b"");
}

/// What is to be done with a key.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Put { expiry: Expiry, hidden: bool },
    Delete,
    Get,
    Insert,
    Read(u64),
    Edit(u64),
    Remove(u64),
}

/// One operation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step<'a> {
    pub(super) kind: Kind,
    space: Space,
    key: Bytes<'a>,
    value: Bytes<'a>,
}

/// What a batch asks for, in order. Its room is used again and again.
#[derive(Debug, Default)]
pub(super) struct Todo<'a> {
    pub(super) steps: Vec<Step<'a>>,
    /// What is to be answered, message by message; nothing where nobody can be.
    pub(super) asks: Vec<Ask>,
    /// Whether senders are answered.
    pub(super) answering: bool,
    /// Place in the batch of the message whose operations are being added.
    pub(super) message: usize,
    decoded: Vec<u8>,
}

impl<'a> Todo<'a> {
    /// Keeps bytes that do not lie in the payload.
    pub(super) fn keep(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Bytes<'a> {
        let from = self.decoded.len();
        write(&mut self.decoded);
        Bytes::Decoded(from, self.decoded.len())
    }

    pub(super) fn put(&mut self, db: Database, key: &'a [u8], value: &'a [u8], expiry: Expiry) {
        let kind = Kind::Put { expiry, hidden: false };
        let (key, value) = (Bytes::Payload(key), Bytes::Payload(value));
        self.steps.push(Step { kind, space: db.keys(), key, value });
    }

    pub(super) fn get(&mut self, space: Space, key: Bytes<'a>) {
        self.steps.push(Step { kind: Kind::Get, space, key, value: Bytes::NONE });
    }

    /// Wants the last `steps` answered, if anybody is.
    pub(super) fn ask(&mut self, steps: usize, form: Form) {
        if self.answering {
            let first = self.steps.len().saturating_sub(steps);
            self.asks.push(Ask { message: self.message, first, steps, form });
        }
    }

    pub(super) fn delete(&mut self, space: Space, key: Bytes<'a>) {
        self.steps.push(Step { kind: Kind::Delete, space, key, value: Bytes::NONE });
    }

    pub(super) fn pair(&mut self, db: Database, key: Bytes<'a>, absolute: u64, hidden: bool) {
        let value = self.keep(|decoded| decoded.extend_from_slice(&pair_value(absolute)));
        let kind = Kind::Put { expiry: Expiry::Never, hidden };
        self.steps.push(Step { kind, space: db.pairs(), key, value });
    }

    /// Something about an absolute key.
    pub(super) fn object(&mut self, db: Database, kind: Kind, value: &'a [u8]) {
        let value = Bytes::Payload(value);
        self.steps.push(Step { kind, space: db.objects(), key: Bytes::NONE, value });
    }

    /// Step `at` as the store takes it.
    pub(super) fn op(&self, step: &Step<'a>) -> Op<'_> {
        let Step { kind, space, .. } = *step;
        let (key, value) = (self.bytes(step.key), self.bytes(step.value));
        match kind {
            Kind::Put { expiry, hidden } => {
                Op::Put { space, key, value, expiry, condition: Condition::Always, hidden }
            }
            Kind::Delete => Op::Delete { space, key },
            Kind::Get => Op::Get { space, key },
            Kind::Read(absolute) => Op::Read { space, absolute },
            Kind::Insert => Op::Insert { space, value },
            Kind::Edit(absolute) => Op::Edit { space, absolute, value },
            Kind::Remove(absolute) => Op::Remove { space, absolute },
        }
    }

    fn bytes<'b>(&'b self, bytes: Bytes<'b>) -> &'b [u8] {
        match bytes {
            Bytes::Payload(bytes) => bytes,
            Bytes::Decoded(from, to) => self.decoded.get(from..to).unwrap_or_default(),
        }
    }

    /// Empty, with its room for the next batch.
    pub(super) fn recycle(mut self) -> Todo<'static> {
        self.steps.clear();
        self.asks.clear();
        self.decoded.clear();
        let none =
            Step { kind: Kind::Delete, space: Space(0), key: Bytes::NONE, value: Bytes::NONE };
        // Nothing is left to convert: this reuses the allocation.
        let steps = self.steps.into_iter().map(|_| none).collect();
        Todo { steps, asks: self.asks, decoded: self.decoded, answering: false, message: 0 }
    }
}
