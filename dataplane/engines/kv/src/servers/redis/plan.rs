//! Commands as operations of the store, and the store's answers as replies.

use crate::op::{Condition, Expiry, Op, OpError, Reply, Space};
use crate::resp::{Encoder, Span};
use crate::servers::engine::{Burst, Engine};

use super::commands::Name;
use super::options::{ExpireOptions, OptionError, SetOptions, Unit, deadline, integer, lifetime};

/// The words of one command.
#[derive(Clone, Copy, Debug)]
pub(in crate::servers) struct Words<'a> {
    input: &'a [u8],
    spans: &'a [Span],
}

impl<'a> Words<'a> {
    pub(in crate::servers) fn new(input: &'a [u8], spans: &'a [Span]) -> Self {
        Self { input, spans }
    }

    pub(in crate::servers) fn len(&self) -> usize {
        self.spans.len()
    }

    /// Word `index`; empty when there are fewer.
    #[inline]
    pub(in crate::servers) fn at(&self, index: usize) -> &'a [u8] {
        self.spans.get(index).and_then(|span| self.input.get(span.range())).unwrap_or_default()
    }

    /// The words from `index` on.
    pub(in crate::servers) fn from(self, index: usize) -> impl Iterator<Item = &'a [u8]> {
        let input = self.input;
        let rest = self.spans.get(index..).unwrap_or_default();
        rest.iter().map(move |span| input.get(span.range()).unwrap_or_default())
    }
}

/// How the answers to a command's operations become its reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::servers) enum Answer {
    /// The value, or nothing.
    Value,
    /// `OK`; nothing when a condition did not hold.
    Done,
    /// 1 when it was done.
    Flag,
    /// An array of values.
    Values,
    /// `OK` when all were done.
    AllDone,
    /// How many were done.
    CountDone,
    /// How many were found.
    CountFound,
    /// The number.
    Number,
    /// The value that was there before the write that follows.
    Old,
    /// The value's length.
    Length,
    /// The value's type.
    Type,
    /// How long it lives.
    Lifetime(Unit),
    /// When it goes.
    Deadline(Unit),
}

/// The operations of a burst, and how each command's reply is made of their answers.
#[derive(Debug, Default)]
pub(in crate::servers) struct Plan<'a> {
    pub(in crate::servers) ops: Vec<Op<'a>>,
    /// For each command: its answer, and how many operations it has.
    pub(in crate::servers) answers: Vec<(Answer, u32)>,
}

/// What `Plan::add` did with a command.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::servers) enum Added {
    /// It is in the plan.
    Yes,
    /// It is not made of operations alone.
    No,
    /// Its arguments are wrong.
    Wrong(OptionError),
}

impl<'a> Plan<'a> {
    /// The plan, empty, for operations of another lifetime; its memory stays.
    pub(in crate::servers) fn recycle<'b>(mut self) -> Plan<'b> {
        /// Operations that one large command may have made room for.
        const KEPT: usize = 4096;
        self.ops.clear();
        self.ops.shrink_to(KEPT);
        self.answers.clear();
        // Nothing is left to convert: this reuses the allocation.
        let ops = self.ops.into_iter().map(|_| Op::get(Space(0), b"")).collect();
        Plan { ops, answers: self.answers }
    }

    /// Adds the command `name` with `words`, whose number has been checked.
    #[inline]
    pub(in crate::servers) fn add(
        &mut self,
        name: Name,
        words: Words<'a>,
        space: Space,
        now: u64,
    ) -> Added {
        let had = self.ops.len();
        let answer = match name {
            Name::Get => {
                self.ops.push(Op::get(space, words.at(1)));
                Ok(Answer::Value)
            }
            Name::Set if words.len() == 3 => {
                self.ops.push(Op::put(space, words.at(1), words.at(2)));
                Ok(Answer::Done)
            }
            _ => match self.looks(name, words, space) {
                Some(answer) => Ok(answer),
                None => match self.changes(name, words, space, now) {
                    Ok(Some(answer)) => Ok(answer),
                    Ok(None) => return Added::No,
                    Err(error) => Err(error),
                },
            },
        };
        match answer {
            Ok(answer) => {
                self.answers.push((answer, (self.ops.len() - had) as u32));
                Added::Yes
            }
            Err(error) => {
                self.ops.truncate(had);
                Added::Wrong(error)
            }
        }
    }

    /// Adds a command that only reads.
    fn looks(&mut self, name: Name, words: Words<'a>, space: Space) -> Option<Answer> {
        let answer = match name {
            Name::MGet => Answer::Values,
            Name::Exists => Answer::CountFound,
            Name::StrLen => Answer::Length,
            Name::Type => Answer::Type,
            Name::Ttl => Answer::Lifetime(Unit::Seconds),
            Name::PTtl => Answer::Lifetime(Unit::Milliseconds),
            Name::ExpireTime => Answer::Deadline(Unit::Seconds),
            Name::PExpireTime => Answer::Deadline(Unit::Milliseconds),
            _ => return None,
        };
        self.ops.extend(words.from(1).map(|key| Op::get(space, key)));
        Some(answer)
    }

    /// Adds a command that writes; `None` when it is not made of operations alone.
    fn changes(
        &mut self,
        name: Name,
        words: Words<'a>,
        space: Space,
        now: u64,
    ) -> Result<Option<Answer>, OptionError> {
        let key = words.at(1);
        Ok(Some(match name {
            Name::Set => self.set(words, space, now)?,
            Name::Del | Name::Unlink => {
                self.ops.extend(words.from(1).map(|key| Op::delete(space, key)));
                Answer::CountDone
            }
            Name::MSet if words.len().is_multiple_of(2) => return Err(OptionError::Arity("mset")),
            Name::MSet => {
                let pairs = (1..words.len()).step_by(2);
                self.ops.extend(pairs.map(|at| Op::put(space, words.at(at), words.at(at + 1))));
                Answer::AllDone
            }
            Name::Incr | Name::Decr | Name::IncrBy | Name::DecrBy => {
                let by = match name {
                    Name::Incr => 1,
                    Name::Decr => -1,
                    Name::IncrBy => integer(words.at(2))?,
                    _ => integer(words.at(2))?.checked_neg().ok_or(OptionError::Decrement)?,
                };
                self.ops.push(Op::Add { space, key, by });
                Answer::Number
            }
            Name::GetDel => {
                self.ops.extend([Op::get(space, key), Op::delete(space, key)]);
                Answer::Old
            }
            Name::GetSet => {
                self.ops.extend([Op::get(space, key), Op::put(space, key, words.at(2))]);
                Answer::Old
            }
            Name::SetNx | Name::SetEx | Name::PSetEx => {
                self.set_old_style(name, words, space, now)?
            }
            Name::Expire | Name::PExpire | Name::ExpireAt | Name::PExpireAt => {
                return self.expire(name, words, space, now);
            }
            _ => return Ok(None),
        }))
    }

    fn set(&mut self, words: Words<'a>, space: Space, now: u64) -> Result<Answer, OptionError> {
        let SetOptions { expiry, condition, get } = SetOptions::parse(words.from(3), now)?;
        let (key, value) = (words.at(1), words.at(2));
        if get {
            self.ops.push(Op::get(space, key));
        }
        self.ops.push(Op::Put { space, key, value, expiry, condition, hidden: false });
        Ok(if get { Answer::Old } else { Answer::Done })
    }

    fn set_old_style(
        &mut self,
        name: Name,
        words: Words<'a>,
        space: Space,
        now: u64,
    ) -> Result<Answer, OptionError> {
        let key = words.at(1);
        let (value, expiry, condition, answer) = match name {
            Name::SetNx => (words.at(2), Expiry::Never, Condition::Absent, Answer::Flag),
            Name::SetEx => {
                let expiry = lifetime(words.at(2), Unit::Seconds, now, "setex")?;
                (words.at(3), expiry, Condition::Always, Answer::Done)
            }
            _ => {
                let expiry = lifetime(words.at(2), Unit::Milliseconds, now, "psetex")?;
                (words.at(3), expiry, Condition::Always, Answer::Done)
            }
        };
        self.ops.push(Op::Put { space, key, value, expiry, condition, hidden: false });
        Ok(answer)
    }

    /// `None`: what happens depends on the key's present time.
    fn expire(
        &mut self,
        name: Name,
        words: Words<'a>,
        space: Space,
        now: u64,
    ) -> Result<Option<Answer>, OptionError> {
        let at = expire_deadline(name, words, now)?;
        if !ExpireOptions::parse(words.from(3))?.is_empty() {
            return Ok(None);
        }
        let key = words.at(1);
        // A time in the past deletes.
        Ok(Some(if at <= now {
            self.ops.push(Op::delete(space, key));
            Answer::CountDone
        } else {
            self.ops.push(Op::Expire { space, key, expiry: Expiry::At(at) });
            Answer::Flag
        }))
    }

    /// Whether it only reads.
    pub(in crate::servers) fn reads(&self) -> bool {
        self.ops.iter().all(Op::reads)
    }
}

/// When a command of the family of `EXPIRE` lets its key go, in milliseconds since 1970.
pub(in crate::servers) fn expire_deadline(
    name: Name,
    words: Words<'_>,
    now: u64,
) -> Result<u64, OptionError> {
    let amount = integer(words.at(2))?;
    match name {
        Name::Expire => deadline(amount, Unit::Seconds, now, "expire"),
        Name::PExpire => deadline(amount, Unit::Milliseconds, now, "pexpire"),
        Name::ExpireAt => deadline(amount, Unit::Seconds, 0, "expireat"),
        _ => deadline(amount, Unit::Milliseconds, 0, "pexpireat"),
    }
}

/// Answers of the store on their way to become replies.
pub(in crate::servers) struct Answers<'a> {
    pub(in crate::servers) engine: &'a mut Engine,
    pub(in crate::servers) replies: &'a mut Burst,
    pub(in crate::servers) now: u64,
    /// Bytes that one reply may have.
    pub(in crate::servers) most: usize,
    pub(in crate::servers) hits: u64,
    pub(in crate::servers) misses: u64,
}

impl Answers<'_> {
    /// Writes the reply of a command with `answer`, whose operations are `from..from + count`.
    #[inline]
    pub(in crate::servers) fn write(
        &mut self,
        answer: Answer,
        from: usize,
        count: usize,
        out: &mut Encoder<'_>,
    ) {
        match answer {
            Answer::Value => self.value(from, out),
            Answer::Done => self.done(from, out),
            Answer::Values => self.values(from, count, out),
            Answer::AllDone => match self.failure(from, count) {
                Some(error) => write_error(out, error),
                None => out.ok(),
            },
            Answer::CountDone => self.count(from, count, |reply| reply == Reply::Done, out),
            Answer::CountFound => {
                self.count(from, count, |reply| matches!(reply, Reply::Value { .. }), out);
            }
            Answer::Old => match self.failure(from, count) {
                Some(error) => write_error(out, error),
                None => self.value(from, out),
            },
            _ => self.single(answer, from, out),
        }
    }

    #[inline]
    fn value(&mut self, at: usize, out: &mut Encoder<'_>) {
        self.engine.ensure(self.replies, at);
        match self.engine.value(self.replies, at) {
            Some(value) => {
                self.hits += 1;
                out.bulk(value);
            }
            None => {
                self.misses += 1;
                out.null();
            }
        }
    }

    #[inline]
    fn done(&self, at: usize, out: &mut Encoder<'_>) {
        match self.replies.get(at) {
            Some(Reply::Done) => out.ok(),
            Some(Reply::Failed(error)) => write_error(out, error),
            _ => out.null(),
        }
    }

    fn values(&mut self, from: usize, count: usize, out: &mut Encoder<'_>) {
        let begin = out.raw().len();
        out.array(count);
        for at in from..from + count {
            self.engine.ensure(self.replies, at);
            let len = self.engine.value(self.replies, at).map_or(0, <[u8]>::len);
            if out.raw().len() - begin + len > self.most {
                out.raw().truncate(begin);
                return out.error("ERR reply larger than this server gives; ask for fewer keys");
            }
            self.value(at, out);
        }
    }

    fn failure(&self, from: usize, count: usize) -> Option<OpError> {
        (from..from + count).find_map(|at| match self.replies.get(at) {
            Some(Reply::Failed(error)) => Some(error),
            _ => None,
        })
    }

    fn count(
        &mut self,
        from: usize,
        count: usize,
        counts: impl Fn(Reply) -> bool,
        out: &mut Encoder<'_>,
    ) {
        if let Some(error) = self.failure(from, count) {
            return write_error(out, error);
        }
        let mut counted = 0;
        for at in from..from + count {
            self.engine.ensure(self.replies, at);
            counted += i64::from(self.replies.get(at).is_some_and(&counts));
        }
        out.integer(counted);
    }

    /// Replies of one operation that are neither a value nor `OK`.
    fn single(&mut self, answer: Answer, at: usize, out: &mut Encoder<'_>) {
        self.engine.ensure(self.replies, at);
        let reply = match self.replies.get(at) {
            Some(Reply::Failed(error)) => return write_error(out, error),
            Some(reply) => reply,
            None => return out.null(),
        };
        match (answer, reply) {
            (Answer::Number, Reply::Number(number)) => out.integer(number),
            (Answer::Flag, reply) => out.integer(i64::from(reply == Reply::Done)),
            (Answer::Length, _) => {
                let value = self.engine.value(self.replies, at);
                out.integer(value.map_or(0, <[u8]>::len) as i64);
            }
            (Answer::Type, Reply::Value { .. }) => out.simple("string"),
            (Answer::Type, _) => out.simple("none"),
            (Answer::Lifetime(_) | Answer::Deadline(_), Reply::Value { expiry: 0 }) => {
                out.integer(-1);
            }
            (Answer::Lifetime(unit), Reply::Value { expiry }) => {
                let left = expiry.saturating_sub(self.now);
                out.integer(match unit {
                    Unit::Milliseconds => left,
                    // As Redis rounds.
                    Unit::Seconds => (left + 500) / 1000,
                } as i64);
            }
            (Answer::Deadline(unit), Reply::Value { expiry }) => {
                out.integer(match unit {
                    Unit::Milliseconds => expiry,
                    Unit::Seconds => expiry / 1000,
                } as i64);
            }
            (Answer::Lifetime(_) | Answer::Deadline(_), _) => out.integer(-2),
            _ => out.null(),
        }
    }
}

/// Writes what a client is told about an operation that was not done; the codes are those of Redis.
pub(in crate::servers) fn write_error(out: &mut Encoder<'_>, error: OpError) {
    let code = match error {
        OpError::Full { .. } | OpError::System { .. } => "OOM",
        OpError::ReadOnly | OpError::Poisoned => "MISCONF",
        _ => "ERR",
    };
    out.error(&format!("{code} {error}"));
}
