//! What answers look like: an outcome of a frame's reply, or text as a server would write it.

use pfs_kv::frame::{OperationKind, Status};
use pfs_kv::grammar::{GrammarError, ReplyLine};
use pfs_kv::resp::{Encoder, Version};
use pfs_kv::{OpError, Reply, pair_of};

/// Steps of a message that are answered together.
#[derive(Clone, Debug)]
pub(super) struct Ask {
    /// The message's place in the batch.
    pub(super) message: usize,
    /// First of its steps, and how many.
    pub(super) first: usize,
    pub(super) steps: usize,
    pub(super) form: Form,
}

/// How an answer is written.
#[derive(Clone, Debug)]
pub(super) enum Form {
    /// Of operation `index` of a frame.
    Operation { index: u16, kind: OperationKind },
    /// `+OK`.
    Done,
    /// A bulk string, or none.
    Value,
    /// An array of them.
    Values,
    /// How many were there.
    Count,
    /// A line of the grammar.
    Line(LineForm),
    /// An error of RESP.
    Wrong(&'static str),
    /// An error of the grammar.
    Grammar(GrammarError),
    /// A line that belongs to a connection.
    LineNotHere,
}

/// How a line of the grammar is answered.
#[derive(Clone, Copy, Debug)]
pub(super) enum LineForm {
    Inserted,
    Value,
    Edited(u64),
    Deleted(u64),
    PairSet(bool),
    Pair,
    PairDeleted,
}

/// What the store said to a step.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outcome<'a> {
    pub(super) reply: Reply,
    pub(super) value: &'a [u8],
}

impl Form {
    /// Whether it tells of a write, so that it waits until that may be acknowledged.
    pub(super) const fn of_write(&self) -> bool {
        match self {
            Self::Operation { kind, .. } => !matches!(kind, OperationKind::Get),
            Self::Done | Self::Count => true,
            Self::Line(line) => !matches!(line, LineForm::Value | LineForm::Pair),
            Self::Value | Self::Values | Self::Wrong(_) | Self::Grammar(_) | Self::LineNotHere => {
                false
            }
        }
    }

    /// Appends a text's answer to `out`, from what the store said to its steps.
    pub(super) fn write<'a>(
        &self,
        outcomes: impl ExactSizeIterator<Item = Outcome<'a>> + Clone,
        out: &mut Vec<u8>,
    ) {
        match self {
            Self::Line(line) => return line.write(outcomes.clone().next(), out),
            Self::Grammar(error) => return ReplyLine::error(out, error),
            Self::LineNotHere => return ReplyLine::error(out, "not_available:in_a_datagram"),
            _ => {}
        }
        let mut out = Encoder::new(out, Version::Resp2);
        let failed = outcomes.clone().find_map(|outcome| match outcome.reply {
            Reply::Failed(error) => Some(error),
            _ => None,
        });
        match (self, failed) {
            (Self::Wrong(text), _) => out.error(text),
            (_, Some(error)) => out.error(&format!("{} {error}", code(error))),
            (Self::Value, _) => outcomes.for_each(|outcome| outcome.bulk(&mut out)),
            (Self::Values, _) => {
                out.array(outcomes.len());
                outcomes.for_each(|outcome| outcome.bulk(&mut out));
            }
            (Self::Count, _) => {
                let there = outcomes.filter(|outcome| outcome.reply == Reply::Done).count();
                out.integer(there as i64);
            }
            _ => out.ok(),
        }
    }

    /// Appends what is said instead of an answer that no datagram holds.
    pub(super) fn write_too_large(&self, out: &mut Vec<u8>) {
        if let Self::Line(_) | Self::Grammar(_) | Self::LineNotHere = self {
            ReplyLine::error(out, "too_large_for_a_datagram");
        } else {
            Encoder::new(out, Version::Resp2).error("ERR the reply is too large for a datagram");
        }
    }
}

/// The first word of an error of RESP, as Redis has it.
const fn code(error: OpError) -> &'static str {
    match error {
        OpError::Full { .. } | OpError::System { .. } => "OOM",
        OpError::ReadOnly | OpError::Poisoned => "MISCONF",
        _ => "ERR",
    }
}

impl Outcome<'_> {
    fn bulk(&self, out: &mut Encoder<'_>) {
        match self.reply {
            Reply::Value { .. } => out.bulk(self.value),
            _ => out.null(),
        }
    }

    /// What a frame's reply says of it.
    pub(super) const fn status(&self) -> Status {
        match self.reply {
            Reply::Missing => Status::NotFound,
            Reply::Failed(error) => match error {
                OpError::Full { .. } | OpError::System { .. } | OpError::ReadOnly => Status::Full,
                OpError::Poisoned => Status::Failed,
                _ => Status::Refused,
            },
            _ => Status::Done,
        }
    }
}

impl LineForm {
    fn write(self, outcome: Option<Outcome<'_>>, out: &mut Vec<u8>) {
        let Some(Outcome { reply, value }) = outcome else {
            return ReplyLine::error(out, "internal_error:no answer");
        };
        match (self, reply) {
            (_, Reply::Failed(error)) => ReplyLine::error(out, error),
            (Self::Inserted, Reply::Absolute(absolute)) => {
                ReplyLine::success(out).number("key", absolute);
            }
            (Self::Value, Reply::Value { .. }) => {
                ReplyLine::success(out).number("size", value.len() as u64).raw("value", value);
            }
            (Self::Edited(absolute), Reply::Done) => {
                ReplyLine::success(out).text("key", format_args!("{absolute}_updated"));
            }
            (Self::Deleted(absolute), Reply::Done) => {
                ReplyLine::success(out).text("key", format_args!("{absolute}_deleted"));
            }
            (Self::PairSet(hidden), Reply::Done) => {
                ReplyLine::success(out).word(if hidden { "pair_set_hidden" } else { "pair_set" });
            }
            (Self::Pair, Reply::Value { .. }) => match pair_of(value) {
                Some(absolute) => drop(ReplyLine::success(out).number("key", absolute)),
                None => ReplyLine::error(out, "internal_error:the pair is malformed"),
            },
            (Self::PairDeleted, Reply::Done) => {
                ReplyLine::success(out).word("pair_deleted");
            }
            (Self::Pair | Self::PairDeleted, _) => ReplyLine::error(out, "not_found"),
            (Self::Value | Self::Edited(_) | Self::Deleted(_), _) => {
                ReplyLine::error(out, "key_not_found");
            }
            (Self::Inserted | Self::PairSet(_), _) => {
                ReplyLine::error(out, "internal_error:the store gave another answer");
            }
        }
    }
}
